//! The actions that change the moment shown: playing, moving, the present, another recording.

use std::path::PathBuf;
use std::time::Duration;

use super::action::Action;
use super::bookmark::Bookmark;
use super::pane::Pane;
use super::prompt::{Prompt, Purpose};
use super::rows::RowKey;
use super::run::App;
use super::ui::ActionRequest;
use super::viewpoint::Opened;

impl App {
    /// The current view.
    pub(super) fn bookmark(&self) -> Bookmark {
        Bookmark::of(&self.ui, self.viewpoint.kept_moment())
    }

    /// Advances the time while it plays.
    pub(super) fn play(&mut self, elapsed: Duration) {
        let zone = &self.ui.display.zone;
        if let Some(message) = self.viewpoint.play(elapsed, zone) {
            self.ui.message = Some(message);
        }
    }

    /// Goes to another moment, by an action or its argument.
    pub(super) fn travel(&mut self, requested: &ActionRequest) {
        let subject = match self.ui.subject() {
            Some(RowKey::Finding(id)) => Some(*id),
            // An incident begins with its first finding.
            Some(RowKey::Incident(id)) => {
                let first = |core: &crate::core::Core| {
                    let incident = core.incident(*id)?;
                    incident.findings.first().copied()
                };
                self.viewpoint.with(first)
            }
            _ => None,
        };
        let to = requested.action == Action::Moment && requested.argument.is_none();
        if to && (subject.is_none() || !requested.by_name) {
            let mut prompt = Prompt::new(Purpose::Command, "moment ");
            prompt.hint = match subject {
                Some(id) => format!("Enter: when {id} was raised; or 14:03, -5m, F-0132, end"),
                None => "14:03, -5m, F-0132, start or end".to_owned(),
            };
            self.ui.dialog.prompt = Some(prompt);
            return;
        }
        let argument = requested.argument.as_deref();
        let zone = &self.ui.display.zone;
        let message = self
            .viewpoint
            .travel(requested.action, argument, subject, zone);
        self.ui.message = message;
    }

    /// To the present; to the end of a recording.
    pub(super) fn present(&mut self) {
        let before = self.viewpoint.kind();
        let message = self.viewpoint.present(&self.ui.display.zone);
        // An opened recording is of another host.
        if self.viewpoint.kind() != before {
            self.ui.source = self.viewpoint.kind();
            self.ui.show(Pane::Containers);
        }
        if message.is_some() {
            self.ui.message = message;
        }
    }

    /// Shows a recording; watching this host continues in the background.
    pub(super) fn open(&mut self, requested: &ActionRequest) {
        let path = PathBuf::from(requested.argument.as_deref().unwrap_or_default());
        let message = match self.viewpoint.open(&path, self.memory) {
            Ok(Opened::Replaced) => format!("{} from its beginning", path.display()),
            Ok(Opened::Beside) => {
                let key = self.ui.keys.sign(Action::Present);
                format!("{}; {key} returns to this host", path.display())
            }
            Err(error) => {
                self.ui.message = Some(error.to_string());
                return;
            }
        };
        self.ui.source = self.viewpoint.kind();
        // The previous view was of another host.
        self.ui.show(Pane::Containers);
        self.ui.since = None;
        self.ui.message = Some(message);
    }
}
