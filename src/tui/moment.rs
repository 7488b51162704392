//! Which moment is shown: the present, a past one, or that of a recording that was opened.

use std::path::PathBuf;
use std::time::Duration;

use super::action::Action;
use super::bookmark::Bookmark;
use super::pane::Pane;
use super::prompt::{Prompt, Purpose};
use super::rows::RowKey;
use super::run::App;
use super::source::Source;
use super::time_travel::{self, Goal, Went};
use super::ui::{ActionRequest, SourceKind};
use crate::recording::Player;

impl App {
    /// What is looked at now.
    pub(super) fn bookmark(&self) -> Bookmark {
        let at = match &self.source {
            Source::Replay(player) if !player.following() => Some(player.position()),
            _ => None,
        };
        Bookmark::of(&self.ui, self.bound.or(at))
    }

    /// Lets time pass where it is played.
    pub(super) fn play(&mut self, elapsed: Duration) {
        if let Source::Replay(player) = &mut self.source {
            let followed = player.following();
            let heard = player.advance(elapsed) > 0;
            self.quiet.hear(heard || !player.following(), elapsed);
            if let Some(at) = self.bound
                && player.span().1 >= at
            {
                self.bound = None;
                if let Err(error) = player.seek(at) {
                    self.ui.message = Some(error.to_string());
                }
            } else if followed && !player.following() {
                let whole = player.report().cut.is_none();
                let how = if whole {
                    "the recording has ended"
                } else {
                    "the recording broke off: who made it is gone"
                };
                self.ui.message = Some(how.to_owned());
            }
        }
        if let Some(player) = &mut self.past
            && player.playing()
        {
            player.advance(elapsed);
            // It caught up with the present; a recording that was opened just ends.
            if !player.playing() && !self.opened() {
                self.past = None;
            }
        }
    }

    /// A recording was opened while a host is watched.
    fn opened(&self) -> bool {
        self.past.is_some() && self.ui.source == SourceKind::Recording
    }

    /// What moves through time: of this host, its recent past.
    fn player(&mut self) -> Option<&mut Player> {
        self.bound = None;
        match &mut self.source {
            Source::Replay(player) if self.past.is_none() => Some(player),
            Source::Live(live) if self.past.is_none() => {
                self.past = live.past().map(Box::new);
                self.past.as_deref_mut()
            }
            Source::Attaching(..) | Source::Live(_) | Source::Replay(_) => self.past.as_deref_mut(),
        }
    }

    pub(super) fn travel(&mut self, asked: &ActionRequest) {
        let subject = match self.ui.subject() {
            Some(RowKey::Finding(id)) => Some(*id),
            _ => None,
        };
        let incident = match self.ui.subject() {
            Some(RowKey::Incident(id)) => Some(*id),
            _ => None,
        };
        let selected = subject.is_some() || incident.is_some();
        if asked.action == Action::Moment && asked.argument.is_none() && !selected {
            self.ui.dialog.prompt = Some(Prompt::new(Purpose::Command, "moment "));
            return;
        }
        let zone = self.ui.display.zone.clone();
        let present = self.past.is_none();
        let live = present && matches!(self.source, Source::Live(_));
        let Some(player) = self.player() else {
            self.ui.message = Some("nothing is watched yet".to_owned());
            return;
        };
        let done = match (asked.action, &asked.argument) {
            (Action::Moment, Some(text)) => {
                match time_travel::goal(text, player.position(), player.span().1, &zone) {
                    Ok(goal) => time_travel::go(player, goal, &zone),
                    Err(error) => Ok(Went::nowhere(error)),
                }
            }
            // An incident begins with its first finding.
            (Action::Moment, None) => match subject.or_else(|| {
                let incident = player.core().incident(incident?)?;
                incident.findings.first().copied()
            }) {
                Some(id) => time_travel::go(player, Goal::Finding(id), &zone),
                None => Ok(Went::default()),
            },
            // The past of this host begins where it stands still.
            (Action::Pause, _) if live => Ok(Went::there()),
            (action, _) => time_travel::travel(player, action, &zone),
        };
        let went = done.unwrap_or_else(|error| Went::nowhere(error.to_string()));
        // Who did not leave the present stays there.
        if present && !went.moved {
            self.past = None;
        }
        self.ui.message = went.said;
    }

    /// To the present; to the end of a recording.
    pub(super) fn present(&mut self) {
        if self.opened() {
            self.ui.source = match &self.source {
                Source::Replay(_) => SourceKind::Attached,
                Source::Live(_) | Source::Attaching(..) => SourceKind::Host,
            };
            self.ui.show(Pane::Containers);
        }
        self.past = None;
        self.bound = None;
        if let Source::Replay(player) = &mut self.source
            && !player.follow()
        {
            let done = time_travel::go(player, Goal::End, &self.ui.display.zone);
            let went = done.unwrap_or_else(|error| Went::nowhere(error.to_string()));
            self.ui.message = went.said;
        }
    }

    /// Shows a recording; while this host is watched that goes on behind it.
    pub(super) fn open(&mut self, asked: &ActionRequest) {
        let path = PathBuf::from(asked.argument.as_deref().unwrap_or_default());
        let player = match Player::open(&path) {
            Ok(player) => Box::new(player),
            Err(error) => {
                self.ui.message = Some(error.to_string());
                return;
            }
        };
        let said = match &mut self.source {
            Source::Replay(shown)
                if self.ui.source == SourceKind::Recording && self.past.is_none() =>
            {
                *shown = player;
                format!("{} from its beginning", path.display())
            }
            Source::Live(_) | Source::Attaching(..) | Source::Replay(_) => {
                self.past = Some(player);
                self.ui.source = SourceKind::Recording;
                let key = self.ui.keys.sign(Action::Present);
                format!("{}; {key} returns to this host", path.display())
            }
        };
        // What was looked at is of another host.
        self.ui.show(Pane::Containers);
        self.ui.since = None;
        self.ui.message = Some(said);
    }
}
