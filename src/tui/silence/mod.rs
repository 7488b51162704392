//! Silences: the form, the list, and writing them into the policy file.

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

use form::SilenceForm;
use list::SilenceList;

/// How long an acknowledged finding stays hidden.
const ACKNOWLEDGED: Duration = Duration::from_secs(30 * 86_400);

/// What about silences is open over the screen.
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

    /// The list of all silences.
    pub(super) fn list() -> Self {
        Self::List(SilenceList::default())
    }

    /// Takes pasted text, if its reason is being typed; false otherwise.
    pub(super) fn paste(&mut self, text: &str) -> bool {
        match self {
            Self::Form(form) => form.paste(text),
            Self::List(_) => false,
        }
    }

    /// Takes a key; the dialog unless that closed it, and a change that was asked for.
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
pub(super) fn acknowledged(finding: &Finding, core: &Core) -> Silence {
    let container = finding.container.as_ref();
    let name = container.and_then(|id| {
        let known = core.state.containers.get(id)?.info.name.to_str().ok()?;
        Some(known.to_owned()).filter(|name| !name.is_empty())
    });
    let name = name.or_else(|| Some(container?.short().to_owned()));
    Silence {
        scope: Scope {
            container: name,
            ..Scope::default()
        },
        expires: Some(form::end(core.state.now, ACKNOWLEDGED)),
        ..Silence::narrow(finding, None, "acknowledged")
    }
}

#[cfg(test)]
mod tests;
