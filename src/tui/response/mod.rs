//! The menu of responses to the selected row: shows the exact command lines, copies them and, where
//! that is allowed, carries one out after confirmation.

mod draw;

pub(super) use draw::{draw, keys};

use crossterm::event::{KeyCode, KeyEvent};

use super::rows::RowKey;
use crate::core::Core;
use crate::event::ContainerId;
use crate::response::{ResponseSubject, ResponseWork, Suggestion, fitting};

/// The menu.
#[derive(Debug, Clone)]
pub(super) struct ResponseDialog {
    /// The responses that fit when the menu was opened.
    suggestions: Vec<Suggestion>,
    /// Index of the selected one.
    at: usize,
    /// The selected one waits for confirmation.
    confirming: bool,
    /// Responses may be carried out from here.
    allowed: bool,
}

/// The request of a key in the menu.
#[derive(Debug, Clone)]
pub(super) enum ResponseRequest {
    /// Copy this line; the first text names it.
    Copy(String, &'static str),
    /// Carry out this response.
    Make(Box<Suggestion>),
}

impl ResponseDialog {
    /// The menu for a row, or for the container that is open; `None` where no response fits.
    pub(super) fn of(
        core: &Core,
        key: Option<&RowKey>,
        inside: Option<&ContainerId>,
        docker_host: Option<&str>,
        allowed: bool,
    ) -> Option<Self> {
        let subject = key.and_then(|key| subject(core, key));
        let subject = subject.or_else(|| Some(of_container(core, inside?)))?;
        let suggestions = fitting(&core.state, &subject, docker_host);
        (!suggestions.is_empty()).then_some(Self {
            suggestions,
            at: 0,
            confirming: false,
            allowed,
        })
    }

    fn chosen(&self) -> Option<&Suggestion> {
        self.suggestions.get(self.at)
    }

    /// Whether Enter carries the selected response out; else it copies the line.
    fn makes(&self) -> bool {
        let by_hand = |s: &Suggestion| matches!(s.work, ResponseWork::ByHand(_));
        self.allowed && self.chosen().is_some_and(|s| !by_hand(s))
    }

    /// Handles a key; returns the menu unless it was closed, and the request.
    pub(super) fn press(mut self, key: &KeyEvent) -> (Option<Self>, Option<ResponseRequest>) {
        let Some(chosen) = self.chosen().cloned() else {
            return (None, None);
        };
        if std::mem::take(&mut self.confirming) {
            let yes = matches!(key.code, KeyCode::Char('y' | 'Y'));
            return match yes {
                true => (None, Some(ResponseRequest::Make(Box::new(chosen)))),
                false => (Some(self), None),
            };
        }
        let copy = ResponseRequest::Copy(chosen.command.clone(), "the command");
        let last = self.suggestions.len().saturating_sub(1);
        match key.code {
            KeyCode::Down | KeyCode::Char('j') => self.at = (self.at + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.at = self.at.saturating_sub(1),
            KeyCode::Home | KeyCode::Char('g') => self.at = 0,
            KeyCode::End | KeyCode::Char('G') => self.at = last,
            KeyCode::Char('y') => return (Some(self), Some(copy)),
            KeyCode::Char('u') => {
                let undo = chosen
                    .undo
                    .map(|undo| ResponseRequest::Copy(undo, "the undo command"));
                return (Some(self), undo);
            }
            KeyCode::Enter if self.makes() => self.confirming = true,
            KeyCode::Enter => return (Some(self), Some(copy)),
            KeyCode::Esc | KeyCode::Char('q' | 'h' | 'A') | KeyCode::Backspace => {
                return (None, None);
            }
            _ => {}
        }
        (Some(self), None)
    }
}

/// The subject of responses to a row.
fn subject(core: &Core, key: &RowKey) -> Option<ResponseSubject> {
    let (state, detector) = (&core.state, &core.detector);
    match key {
        RowKey::Incident(id) => {
            let incident = core.incident(*id)?;
            Some(ResponseSubject::of_incident(state, detector, &incident))
        }
        RowKey::Finding(id) => Some(ResponseSubject::of_finding(state, detector.finding(*id)?)),
        RowKey::Container(id) => Some(of_container(core, id)),
        RowKey::Process(pid) => Some(ResponseSubject::of_process(state, *pid)),
        RowKey::Connection(key) => Some(ResponseSubject::of_peer(&key.owner, &key.endpoint)),
        RowKey::File(key) => Some(ResponseSubject::of_file(&key.owner, &key.path)),
        RowKey::Event(seq) => {
            let id = core.event(*seq)?.container.clone()?;
            Some(of_container(core, &id))
        }
        RowKey::Build(id) => Some(of_container(core, id)),
        RowKey::Image(_) | RowKey::Since(_) | RowKey::Machine | RowKey::FileTree => None,
    }
}

/// A container with the files and processes of its worst incident.
fn of_container(core: &Core, id: &ContainerId) -> ResponseSubject {
    let incidents = core.ranked_incidents();
    match incidents.iter().find(|incident| incident.container == *id) {
        Some(incident) => ResponseSubject::of_incident(&core.state, &core.detector, incident),
        None => ResponseSubject::of_container(id),
    }
}

#[cfg(test)]
mod tests;
