//! Silences: the form, the list, and writing them into the policy file.

mod draw;
mod form;
mod keeper;
mod list;

pub(super) use draw::{draw, keys};
pub(super) use keeper::Keeper;

use std::sync::Arc;
use std::time::Duration;

use bstr::ByteSlice as _;
use crossterm::event::KeyEvent;

use super::action::Action;
use super::app::{Scene, Ui};
use super::rows::RowKey;
use crate::core::Core;
use crate::detect::{Finding, Scope, Silence};

use form::SilenceForm;
use list::SilenceList;

/// How long an acknowledged finding stays hidden.
const ACKNOWLEDGED: Duration = Duration::from_secs(30 * 86_400);

/// What covers the screen.
#[derive(Debug, Clone)]
pub(super) enum Sheet {
    /// The form of a new silence.
    Form(Box<SilenceForm>),
    /// The list of silences.
    List(SilenceList),
}

/// A change of the policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// Add a silence.
    Add(Box<Silence>),
    /// Remove a silence.
    Remove(Box<Silence>),
    /// Undo the last change.
    Undo,
}

impl Ui {
    /// Does an action of the silence family.
    pub(super) fn triage(&mut self, action: Action, core: &Core) {
        if action == Action::Silences {
            self.sheet = Some(Sheet::List(SilenceList::default()));
            return;
        }
        if self.scene == Scene::Recording {
            let said = "silences need a live host: a recording keeps its own policy";
            self.message = Some(said.to_owned());
            return;
        }
        if action == Action::UndoSilence {
            self.wish = Some(Wish::Undo);
            return;
        }
        let Some(finding) = self.finding(core) else {
            self.message = Some("select a finding first (2)".to_owned());
            return;
        };
        if action == Action::Acknowledge {
            let silence = acknowledged(finding, core);
            self.wish = Some(Wish::Add(Box::new(silence)));
        } else {
            self.sheet = Some(Sheet::Form(Box::new(SilenceForm::new(finding, core))));
        }
    }

    /// The selected or open finding.
    fn finding<'a>(&self, core: &'a Core) -> Option<&'a Finding> {
        let Some(RowKey::Finding(id)) = self.subject() else {
            return None;
        };
        let mut findings = core.detector.findings().iter();
        findings.find(|f| f.id == *id).map(Arc::as_ref)
    }

    /// Handles a key while a sheet is open; it takes every key.
    pub(super) fn on_sheet(&mut self, sheet: Sheet, key: &KeyEvent, core: &Core) {
        let (stays, wish) = match sheet {
            Sheet::Form(mut form) => {
                let (stays, wish) = form.press(key, core);
                (stays.then_some(Sheet::Form(form)), wish)
            }
            Sheet::List(mut list) => {
                let (stays, wish) = list.press(key, core);
                (stays.then_some(Sheet::List(list)), wish)
            }
        };
        self.sheet = stays;
        if wish.is_some() && self.scene == Scene::Recording {
            self.message = Some("a recording keeps its own policy".to_owned());
        } else {
            self.wish = wish.or(self.wish.take());
        }
    }
}

/// A silence of this one finding in this container, for 30 days.
fn acknowledged(finding: &Finding, core: &Core) -> Silence {
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

/// A silence in one line, without its reason.
fn line(silence: &Silence) -> String {
    let mut words = vec![silence.rule.clone()];
    let mut part = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            words.push(format!("{name}={value}"));
        }
    };
    let subject = silence.subject.join(" or ");
    part(
        "subject",
        &Some(subject).filter(|subject| !subject.is_empty()),
    );
    part("exe", &silence.exe);
    part("parent", &silence.parent);
    part("sha256", &silence.sha256.as_deref().map(short));
    part("digest", &silence.scope.digest.as_deref().map(short));
    part("image", &silence.scope.image);
    part("container", &silence.scope.container);
    for (key, value) in &silence.scope.label {
        words.push(format!("{key}={value}"));
    }
    words.join(" ")
}

/// The first digits of a hash.
fn short(hash: &str) -> String {
    let digits = hash.rsplit(':').next().unwrap_or(hash);
    digits.chars().take(12).collect()
}

#[cfg(test)]
mod tests;
