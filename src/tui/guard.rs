//! Confirmation of actions that change the policy, files or recordings, and protection against
//! pasted text.

use std::collections::BTreeSet;

use crossterm::event::{KeyCode, KeyEvent};

use super::accept::{is_deviation, proposed};
use super::action::Action;
use super::rows;
use super::run::App;
use super::source::Source;
use super::text::things;
use super::ui::{ActionRequest, SourceKind};
use crate::core::Core;
use crate::incident::Incident;

impl App {
    /// The action to confirm, when this key confirms it.
    pub(super) fn confirmed(&self, key: &KeyEvent) -> Option<ActionRequest> {
        let yes = matches!(key.code, KeyCode::Enter | KeyCode::Char('y'));
        let action = self.question.filter(|_| yes && key.modifiers.is_empty())?;
        Some(ActionRequest {
            action,
            argument: None,
            by_name: true,
        })
    }

    /// Whether an action waits for confirmation; the message requests it. `before` is the action
    /// that waited when the key was pressed.
    pub(super) fn asks(&mut self, requested: &ActionRequest, before: Option<Action>) -> bool {
        if requested.by_name || before == Some(requested.action) {
            return false;
        }
        let Some(question) = self.question(requested.action) else {
            return false;
        };
        let key = self.ui.keys.sign(requested.action);
        self.ui.message = Some(format!("{key} again (or y) {question}"));
        self.question = Some(requested.action);
        true
    }

    /// The effect of an action that needs confirmation, if it has any.
    fn question(&self, action: Action) -> Option<String> {
        match (action, self.viewpoint.source()) {
            (Action::Acknowledge, _) if self.ui.source != SourceKind::Recording => {
                let ui = &self.ui;
                self.viewpoint.with(|core| {
                    if let Some(incident) = ui.incident(core) {
                        let open = incident.accepted.is_none();
                        return open.then(|| accepted(core, &incident));
                    }
                    let finding = ui.finding(core)?;
                    if is_deviation(finding)
                        && let Some(edit) = proposed(core, finding)
                    {
                        return Some(edit.question());
                    }
                    let finding = format!("{}: {}", finding.id, finding.title);
                    Some(format!("accepts just this for 30 days: {finding}"))
                })
            }
            (Action::Record, Source::Live(live)) => Some(match live.status().recording {
                Some(recording) => format!("ends the recording: {}", recording.path.display()),
                None => "records this host to a file in the current directory".to_owned(),
            }),
            _ => None,
        }
    }
}

/// The effect of acknowledging an incident.
fn accepted(core: &Core, incident: &Incident) -> String {
    let rules: BTreeSet<&str> = (incident.findings.iter())
        .filter_map(|id| Some(core.detector.finding(*id)?.rule.as_str()))
        .collect();
    let name = rows::name(core, &Some(incident.container.clone()));
    let findings = things(incident.findings.len() as u64, "finding");
    let rules = things(rules.len() as u64, "rule");
    let active = if incident.active {
        ", still ACTIVE"
    } else {
        ""
    };
    let id = incident.id;
    format!("accepts {id} in {name} for 30 days{active}: {findings} of {rules}")
}
