//! Silences: the form, the list, and changes of the policy file.

mod draw;
mod edit;
mod form;
mod keeper;
mod list;

pub(super) use draw::{draw, keys};
pub(super) use edit::PolicyEdit;
pub(super) use keeper::Keeper;

use std::time::Duration;

use bstr::ByteSlice as _;
use crossterm::event::KeyEvent;

use crate::core::Core;
use crate::detect::{Finding, Scope, Silence};
use crate::incident::Incident;

use form::SilenceForm;
use list::SilenceList;

/// How long an acknowledged finding stays hidden.
const ACKNOWLEDGED: Duration = Duration::from_secs(30 * 86_400);

/// The open dialog about silences.
#[derive(Debug, Clone)]
pub(super) enum SilenceDialog {
    /// The form of a new silence.
    Form(Box<SilenceForm>),
    /// The list of silences.
    List(SilenceList),
}

impl SilenceDialog {
    /// The form for findings like this one.
    pub(super) fn form(finding: &Finding, core: &Core) -> Self {
        Self::Form(Box::new(SilenceForm::new(finding, core)))
    }

    /// The form for all findings of an incident; `None` when it has none any more.
    pub(super) fn form_of_all(incident: &Incident, core: &Core) -> Option<Self> {
        let form = SilenceForm::of_all(incident, of_incident(incident, core), core)?;
        Some(Self::Form(Box::new(form)))
    }

    /// The list of all silences.
    pub(super) fn list() -> Self {
        Self::List(SilenceList::default())
    }

    /// Inserts pasted text while a reason is being typed; false otherwise.
    pub(super) fn paste(&mut self, text: &str) -> bool {
        match self {
            Self::Form(form) => form.paste(text),
            Self::List(_) => false,
        }
    }

    /// Handles a key; returns the dialog unless it was closed, and the requested change.
    pub(super) fn press(self, key: &KeyEvent, core: &Core) -> (Option<Self>, Option<PolicyEdit>) {
        match self {
            Self::Form(mut form) => {
                let (stays, change) = form.press(key, core);
                (stays.then_some(Self::Form(form)), change)
            }
            Self::List(mut list) => {
                let (stays, change) = list.press(key, core);
                (stays.then_some(Self::List(list)), change)
            }
        }
    }
}

/// A silence of this one finding in this container, for 30 days.
pub(super) fn acknowledged(finding: &Finding, core: &Core, person: &str) -> Silence {
    Silence {
        scope: container_scope(finding, core),
        expires: Some(form::end(core.state.now, ACKNOWLEDGED)),
        ..Silence::narrow(finding, None, &acknowledged_by(core, person))
    }
}

/// Silences of all findings of this incident in its container, for 30 days.
pub(super) fn all_acknowledged(incident: &Incident, core: &Core, person: &str) -> Vec<Silence> {
    let reason = format!("{}, {}", acknowledged_by(core, person), incident.id);
    let silences = of_incident(incident, core).into_iter();
    let acknowledged = silences.map(|silence| Silence {
        expires: Some(form::end(core.state.now, ACKNOWLEDGED)),
        reason: reason.clone(),
        ..silence
    });
    acknowledged.collect()
}

/// A reason with this beginning was written by acknowledging.
pub(super) const ACKNOWLEDGED_BY: &str = "acknowledged";

/// The user who acknowledged it and the time, as a reason.
fn acknowledged_by(core: &Core, person: &str) -> String {
    let at = core.state.now.to_jiff().strftime("%Y-%m-%d %H:%M UTC");
    match person {
        "" => format!("{ACKNOWLEDGED_BY} {at}"),
        person => format!("{ACKNOWLEDGED_BY} by {person} {at}"),
    }
}

/// One silence for each rule among the findings of an incident, for exactly their subjects in its
/// container; without a reason.
fn of_incident(incident: &Incident, core: &Core) -> Vec<Silence> {
    let mut silences: Vec<Silence> = Vec::new();
    let findings = incident.findings.iter();
    for finding in findings.filter_map(|id| core.detector.finding(*id)) {
        let narrow = Silence {
            scope: container_scope(finding, core),
            ..Silence::narrow(finding, None, "")
        };
        let Some(same) = silences.iter_mut().find(|s| s.rule == narrow.rule) else {
            silences.push(narrow);
            continue;
        };
        // Without a subject it covers all findings of its rule already.
        if same.subject.is_empty() || narrow.subject.is_empty() {
            same.subject.clear();
            continue;
        }
        for subject in narrow.subject {
            if !same.subject.contains(&subject) {
                same.subject.push(subject);
            }
        }
    }
    silences
}

fn container_scope(finding: &Finding, core: &Core) -> Scope {
    let container = finding.container.as_ref();
    let name = container.and_then(|id| {
        let known = core.state.containers.get(id)?.info.name.to_str().ok()?;
        Some(known.to_owned()).filter(|name| !name.is_empty())
    });
    Scope {
        container: name.or_else(|| Some(container?.short().to_owned())),
        ..Scope::default()
    }
}

#[cfg(test)]
mod tests;
