//! Carries out requests of a key or a click: leave, record, copy, write a file, respond, edit the
//! policy.

use std::io;

use ratatui::layout::Rect;

use super::action::Action;
use super::export;
use super::recording::record;
use super::response::ResponseRequest;
use super::rows::RowKey;
use super::run::App;
use super::silence::PolicyEdit;
use super::source::Source;
use super::terminal::{self, Screen};
use super::time_travel;
use super::timeline::Timeline;
use super::ui::ActionRequest;
use crate::core::Core;
use crate::event::{Response, ResponseOutcome};

/// The outcome of a response as a message: of a failed one first the reason, for which one line must
/// suffice.
fn outcome(response: &Response) -> String {
    if response.outcome == ResponseOutcome::Done || response.detail.is_empty() {
        return response.sentence();
    }
    let detail = response.detail.escaped().to_string();
    let reason = detail.split_once(FROM_DAEMON).map(|(_, reason)| reason);
    let (action, outcome) = (response.action.name(), response.outcome.name());
    format!("{action} {outcome}: {}", reason.unwrap_or(&detail))
}

/// Docker's words before the reason.
const FROM_DAEMON: &str = "Error response from daemon: ";

/// The message when keys that would change something came faster than a person types.
const TOO_FAST: &str = "ignored: this many keys at once look like pasted text; press the key alone";

impl App {
    /// Carries out the request of a key or a click, if there is one; true to leave. `fast`: the
    /// keys came faster than a person types.
    pub(super) fn follow(
        &mut self,
        requested: Option<ActionRequest>,
        screen: &mut Screen,
        fast: impl Fn() -> bool,
    ) -> io::Result<bool> {
        let before = self.question.take();
        let leaves = match requested {
            Some(requested) if self.asks(&requested, before) => false,
            Some(requested) if requested.action.changes() && fast() => {
                self.ui.message = Some(TOO_FAST.to_owned());
                false
            }
            Some(requested) => self.act(&requested, screen)?,
            None => false,
        };
        // A form was completed, or an entry of a list removed.
        if let Some(edit) = self.ui.baseline_edit.take() {
            self.ui.message = Some(edit.make());
        }
        if let Some(edit) = self.ui.policy_edit.take() {
            self.ui.message = Some(if fast() {
                TOO_FAST.to_owned()
            } else {
                self.fulfil(edit)
            });
        }
        if let Some(request) = self.ui.response.take() {
            self.ui.message = Some(if fast() {
                TOO_FAST.to_owned()
            } else {
                self.respond(request)
            });
        }
        Ok(leaves)
    }

    /// Copies the command line of a response, or starts it.
    fn respond(&mut self, request: ResponseRequest) -> String {
        let suggestion = match request {
            ResponseRequest::Copy(line, what) => {
                return export::copy_line(line, what, &mut io::stdout());
            }
            ResponseRequest::Make(suggestion) => suggestion,
        };
        match self.viewpoint.source() {
            Source::Live(live) if self.viewpoint.is_present() => {
                let what = format!("{} {}", suggestion.action.name(), suggestion.named);
                match live.respond(*suggestion) {
                    Ok(()) => format!("{what}: running"),
                    Err(why) => format!("{what}: refused: {why}"),
                }
            }
            Source::Live(_) => {
                let key = self.ui.keys.sign(Action::Present);
                format!("the past is shown: return to the present first ({key})")
            }
            _ => "responses need a live host".to_owned(),
        }
    }

    /// Shows the outcome of responses; true when there is something to draw.
    pub(super) fn answered(&mut self) -> bool {
        let Source::Live(live) = self.viewpoint.source() else {
            return false;
        };
        match live.answered() {
            Some(response) => {
                self.ui.message = Some(outcome(&response));
                true
            }
            None => false,
        }
    }

    /// Writes into the policy file of this host, or of its recorder.
    fn fulfil(&mut self, edit: PolicyEdit) -> String {
        if let Source::Live(live) = self.viewpoint.source() {
            let message = self.keeper.fulfil(edit, live.policy_path());
            live.reread_policy();
            return message;
        }
        match self.viewpoint.recorders_policy(self.policy.as_deref()) {
            Ok(path) => self.keeper.fulfil(edit, Some(path)),
            Err(why) => why,
        }
    }

    /// Shows or hides the timeline; returns the message where the change is not visible.
    fn turn_timeline(&mut self, area: Rect) -> Option<String> {
        let shown = self.status().timeline.is_some();
        self.ui.display.timeline = Some(!shown);
        if let Some(message) = Timeline::too_small(area) {
            return Some(message);
        }
        if shown {
            return None;
        }
        if self.status().timeline.is_none() {
            return Some("there is no history yet".to_owned());
        }
        let key = self.ui.keys.sign(Action::Zoom);
        (self.ui.display.zoom)
            .then(|| format!("only the table is shown: {key} brings the timeline back"))
    }

    /// Whether leaving needs confirmation: a recording runs, and confirmation was not requested
    /// yet.
    fn stays(&mut self) -> bool {
        if let Some(question) = self.leaves_evidence().filter(|_| !self.leaving) {
            self.leaving = true;
            self.ui.message = Some(question);
            return true;
        }
        let Source::Live(live) = self.viewpoint.source() else {
            return false;
        };
        let Some(recording) = live.status().recording.filter(|_| !self.leaving) else {
            return false;
        };
        self.leaving = true;
        let (path, key) = (recording.path.display(), self.ui.keys.sign(Action::Quit));
        self.ui.message = Some(match recording.error {
            Some(error) => format!("the recording FAILED: {key} again quits; {error}"),
            None => format!("{key} again ends the recording and quits: {path}"),
        });
        true
    }

    /// Carries out a request; true to leave.
    fn act(&mut self, requested: &ActionRequest, screen: &mut Screen) -> io::Result<bool> {
        if requested.action != Action::Quit {
            self.leaving = false;
        }
        if export::takes(requested.action) {
            self.take(requested, screen.area());
            return Ok(false);
        }
        match (requested.action, self.viewpoint.source()) {
            (Action::Quit, _) if !self.ui.inside() => return Ok(!self.stays()),
            (Action::QuitNow, _) => return Ok(true),
            (Action::Redraw, _) => screen.resized()?,
            (Action::Bundle, _) if export::harden_is_shown(&self.ui) => {
                self.take(requested, screen.area());
            }
            (Action::Bundle, _) => self.bundle(),
            (Action::NextTheme, _) => {
                self.ui.message = Some(format!("theme {}", self.look.advance()));
            }
            (Action::Suspend, _) => terminal::suspend(screen)?,
            (Action::Present, _) => self.present(),
            (Action::Timeline, _) => {
                self.ui.message = self.turn_timeline(screen.area());
            }
            (Action::Scan, Source::Live(live)) => {
                let subject = match self.ui.subject() {
                    Some(RowKey::Container(id)) => Some(id.clone()),
                    _ => self.ui.at.container.clone(),
                };
                if let Some(id) = subject {
                    self.ui.message = Some(
                        if live.scan(&id) {
                            "comparing with the image…; differences appear below"
                        } else {
                            "too many comparisons are queued"
                        }
                        .to_owned(),
                    );
                    self.ui.at.detail = Some(RowKey::Container(id));
                }
            }
            (Action::Scan, Source::Replay(_)) => {
                self.ui.message = Some("only while a host is watched".to_owned());
            }
            (Action::Learn, _) => self.learn(requested),
            (Action::Diff, _) => self.compare(requested),
            (Action::Moment, _) => self.travel(requested),
            (action, _) if time_travel::moves(action) => self.travel(requested),
            (Action::Open, _) if requested.argument.is_some() => self.open(requested),
            (Action::Record, Source::Live(live)) => {
                let message = record(live);
                self.failed = self.failed.take().or(message.as_ref().err().cloned());
                self.ui.message = Some(message.unwrap_or_else(|error| error));
            }
            _ => {
                let ui = &mut self.ui;
                self.viewpoint.with(|core| ui.ask(requested, core));
                screen.mouse(ui.display.mouse)?;
            }
        }
        Ok(false)
    }

    /// Copies, or writes a file.
    fn take(&mut self, requested: &ActionRequest, area: Rect) {
        let status = self.status();
        let (ui, theme) = (&self.ui, &self.look.theme);
        let screen = export::Appearance {
            status: &status,
            theme,
            area,
        };
        let take = |core: &Core| export::act(requested, core, ui, &screen, &mut io::stdout());
        let message = self.viewpoint.with(take);
        self.ui.message = message;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Bytes, ResponseAction};

    #[test]
    fn the_message_of_a_failed_response_begins_with_the_reason() {
        let mut response = Response {
            action: ResponseAction::Pause,
            targets: Vec::new(),
            uid: 0,
            user: Bytes::from("root"),
            command: String::new(),
            undo: String::new(),
            outcome: ResponseOutcome::Failed,
            detail: Bytes::from("docker: Error response from daemon: it is not running"),
        };
        assert_eq!(outcome(&response), "pause failed: it is not running");
        response.detail = Bytes::from("podman: no such container");
        assert_eq!(
            outcome(&response),
            "pause failed: podman: no such container"
        );
        response.outcome = ResponseOutcome::Done;
        assert!(outcome(&response).starts_with("pause by root: done"));
    }
}
