//! Actions on findings and incidents: acknowledge, silence, list silences, undo.

use crossterm::event::KeyEvent;

use super::accept::{frozen, is_deviation, proposed};
use super::action::Action;
use super::rows::RowKey;
use super::silence::{PolicyEdit, SilenceDialog, acknowledged, all_acknowledged};
use super::ui::{SourceKind, Ui};
use crate::core::Core;
use crate::detect::Finding;
use crate::incident::Incident;

impl Ui {
    /// Carries out an action on findings, or opens its dialog.
    pub(super) fn triage(&mut self, action: Action, core: &Core) {
        if action == Action::Silences {
            self.dialog.silence = Some(SilenceDialog::list());
            return;
        }
        if self.source == SourceKind::Recording {
            let message = "silences need a live host";
            self.message = Some(message.to_owned());
            return;
        }
        if action == Action::UndoSilence {
            self.policy_edit = Some(PolicyEdit::Undo);
            return;
        }
        if let Some(incident) = self.incident(core) {
            if let Some(reason) = &incident.accepted {
                self.message = Some(format!("{} is silenced: {reason}", incident.id));
            } else if action == Action::Acknowledge {
                let silences = all_acknowledged(&incident, core, &self.person);
                self.policy_edit = Some(PolicyEdit::Add(silences));
            } else {
                self.dialog.silence = SilenceDialog::form_of_all(&incident, core);
            }
            return;
        }
        let Some(finding) = self.finding(core) else {
            self.message = Some("select an incident or a finding first (1, 3)".to_owned());
            return;
        };
        if action == Action::Acknowledge && is_deviation(finding) {
            // Normal behavior belongs into the baseline, where it is reviewed.
            if let Some(edit) = proposed(core, finding) {
                self.baseline_edit = Some(edit);
                return;
            }
        }
        if action == Action::Acknowledge {
            let silence = acknowledged(finding, core, &self.person);
            self.policy_edit = Some(PolicyEdit::Add(vec![silence]));
        } else {
            self.dialog.silence = Some(SilenceDialog::form(finding, core));
        }
    }

    /// Marks the baseline of the current container as complete, or undoes that.
    pub(super) fn freeze(&mut self, core: &Core) {
        if self.source == SourceKind::Recording {
            self.message = Some("a recording's baselines cannot be changed".to_owned());
            return;
        }
        let id = self.container_of(core);
        let container = id.and_then(|id| core.state.containers.get(&id));
        self.baseline_edit = container.and_then(|container| frozen(core, container));
        if self.baseline_edit.is_none() {
            self.message = Some("no baseline of it is loaded".to_owned());
        }
    }

    /// The selected incident.
    pub(super) fn incident(&self, core: &Core) -> Option<Incident> {
        match self.subject() {
            Some(RowKey::Incident(id)) => core.incident(*id),
            _ => None,
        }
    }

    /// The selected finding.
    pub(super) fn finding<'a>(&self, core: &'a Core) -> Option<&'a Finding> {
        let Some(RowKey::Finding(id)) = self.subject() else {
            return None;
        };
        core.detector.finding(*id)
    }

    /// A key while a silence dialog is open: the dialog takes all keys.
    pub(super) fn press_silence(&mut self, dialog: SilenceDialog, key: &KeyEvent, core: &Core) {
        let (dialog, change) = dialog.press(key, core);
        self.dialog.silence = dialog;
        if change.is_some() && self.source == SourceKind::Recording {
            self.message = Some("a recording's policy cannot be changed".to_owned());
        } else {
            self.policy_edit = change.or(self.policy_edit.take());
        }
    }
}
