//! Carries out the actions that only change the view. The main loop carries out those that concern
//! time, recording and the program.

use super::action::{Action, OPEN};
use super::look::TableLook;
use super::palette;
use super::pane::Pane;
use super::picker::Picker;
use super::prompt::{Prompt, Purpose};
use super::response::ResponseDialog;
use super::rows::RowKey;
use super::ui::{ActionRequest, Responding, Ui};
use crate::core::Core;

impl Ui {
    /// Carries out a request, with the text typed after the action's name.
    pub fn ask(&mut self, request: &ActionRequest, core: &Core) {
        match &request.argument {
            None => self.apply(request.action, core),
            Some(argument) => {
                if let Err(error) = palette::apply(self, request.action, argument, core) {
                    self.message = Some(error);
                }
            }
        }
    }

    /// Changes the view. The caller carries out actions that concern time, recording and the
    /// program.
    pub fn apply(&mut self, action: Action, core: &Core) {
        self.message = None;
        if self.tree_takes(action) {
            self.in_file_tree(action, core);
            return;
        }
        if self.process_tree_takes(action) {
            self.in_process_tree(action, core);
            return;
        }
        match action {
            Action::Help => {
                self.dialog.help = !self.dialog.help;
                self.dialog.search.clear();
                self.at.scroll = 0;
            }
            Action::Show(pane) => self.show(pane),
            Action::NextPane => self.turn(1),
            Action::PreviousPane => self.turn(-1),
            Action::Move(by) => self.go(core, by),
            Action::Page(by) => self.go(core, by * self.lines(1)),
            Action::HalfPage(by) => self.go(core, by * self.lines(2)),
            Action::First => self.go(core, isize::MIN / 2),
            Action::Last => self.go(core, isize::MAX / 2),
            Action::Sideways(by) => self.sideways(core, by),
            Action::Enter => self.enter(core),
            Action::Back | Action::Quit => self.back(),
            Action::LastView => self.last_view(),
            Action::Owner => self.owner(core),
            Action::Image => self.image_of(core),
            Action::Baseline => self.baseline_of(core),
            Action::Freeze => self.freeze(core),
            Action::Why => self.why(core),
            Action::Filter if self.listing() => {
                let mut prompt = Prompt::new(Purpose::Filter, "");
                let now = self.filter().text().to_owned();
                self.history.remember(Purpose::Filter, &now);
                prompt.previous = now;
                if let Some(before) = self.history.last(Purpose::Filter) {
                    prompt.hint = format!("↑ {before}");
                }
                self.dialog.prompt = Some(prompt);
            }
            Action::Filter => self.dialog.prompt = Some(Prompt::new(Purpose::Search, "")),
            Action::Command => self.dialog.prompt = Some(Prompt::new(Purpose::Command, "")),
            Action::Match(by) => self.next_match(core, by),
            Action::Sort => self.dialog.picker = Some(Picker::sort(self.at.pane, self.table())),
            Action::Columns => self.dialog.picker = Some(Picker::columns()),
            Action::Mark => self.mark(core),
            Action::ClearMarks => self.tables.marks.clear(),
            Action::Reverse => {
                let pane = self.at.pane;
                let table = self.table_mut();
                table.reverse = !table.reverse;
                let columns = super::rows::columns(pane);
                let by = columns.iter().find(|c| Some(c.name) == table.sort);
                let sign = if table.reverse { '↑' } else { '↓' };
                self.message = Some(match by {
                    Some(column) => format!("{} {sign}", column.title),
                    None if self.table().reverse => "reversed".to_owned(),
                    None => "in the default order".to_owned(),
                });
            }
            Action::Tree if self.at.pane == Pane::Files => self.open(RowKey::FileTree),
            Action::Tree if self.at.pane == Pane::Network => {
                self.toggle(|t| &mut t.flat, "one by one", "many peers in one row");
            }
            Action::Tree => self.toggle(|t| &mut t.flat, "as a list", "as a tree"),
            Action::Ended => {
                let hidden = format!("{} ones hidden", self.at.pane.over());
                self.toggle(|t| &mut t.hide_ended, &hidden, "all shown");
            }
            Action::Follow => self.toggle(|t| &mut t.follow, "following", "not following"),
            Action::Preview => {
                self.display.preview = Some(!self.drawn.previewed);
            }
            Action::Zoom if self.drawn.guided => self.guide = false,
            Action::Zoom => self.display.zoom = !self.display.zoom,
            Action::Reveal => {
                self.display.reveal = !self.display.reveal;
                let message = if self.display.reveal {
                    "secrets are shown"
                } else {
                    "secrets are masked"
                };
                self.message = Some(message.to_owned());
            }
            Action::MarkMoment => {
                self.since = Some(core.state.now);
                let (at, key) = (
                    self.display.zone.clock(core.state.now),
                    self.keys.sign(Action::Since),
                );
                self.message = Some(format!("marked {at}: {key} shows what changed since"));
            }
            Action::Machine => self.open(RowKey::Machine),
            Action::Since => self.changes(core),
            Action::Mouse => {
                self.display.mouse = !self.display.mouse;
                let message = if self.display.mouse {
                    "the mouse clicks and scrolls here; most terminals still select with Shift"
                } else {
                    "mouse off: the terminal selects text"
                };
                self.message = Some(message.to_owned());
            }
            Action::Open => {
                let command = format!("{} ", OPEN);
                self.dialog.prompt = Some(Prompt::new(Purpose::Command, &command));
            }
            Action::Zone => self.message = Some(self.display.zone.turn()),
            Action::Respond => self.respond(core),
            Action::Silence | Action::Acknowledge | Action::Silences | Action::UndoSilence => {
                self.triage(action, core);
            }
            _ => {}
        }
    }

    /// Opens the menu of responses to the selected row.
    fn respond(&mut self, core: &Core) {
        let inside = self.at.container.as_ref();
        let Responding {
            allowed,
            docker_host,
        } = &self.responding;
        let host = docker_host.as_deref();
        let dialog = ResponseDialog::of(core, self.subject(), inside, host, *allowed);
        if dialog.is_none() {
            self.message = Some("select an incident, a finding or a container first".to_owned());
        }
        self.dialog.response = dialog;
    }

    /// The page of what changed since the marked moment.
    fn changes(&mut self, core: &Core) {
        self.message = Some(match self.since {
            None => {
                let key = self.keys.sign(Action::MarkMoment);
                format!("mark a moment with {key} first, or type :since -5m")
            }
            Some(then) if then > core.state.now => {
                format!(
                    "the marked moment {} is in the future",
                    self.display.zone.clock(then)
                )
            }
            Some(then) => {
                self.open(RowKey::Since(then));
                return;
            }
        });
    }

    fn toggle(&mut self, switch: fn(&mut TableLook) -> &mut bool, on: &str, off: &str) {
        let switch = switch(self.table_mut());
        *switch = !*switch;
        self.message = Some(if *switch { on } else { off }.to_owned());
    }
}
