//! What the person looks at: pane, scope, selection. Changed by actions, nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::Core;
use crate::event::{ContainerId, Timestamp};

use super::action::{Action, Place};
use super::config::Config;
use super::filter::Filter;
use super::keymap::Keymap;
use super::look::TableLook;
use super::mouse::Clickable;
use super::palette;
pub use super::pane::Pane;
use super::picker::Picker;
use super::prompt::{Prompt, Purpose};
use super::rows::{self, ImageKey, Listing, RowKey};
use super::silence::{Sheet, Wish};
use super::spot::Spot;
use super::steady::Steady;
use super::time::Zone;

/// What the picture is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scene {
    /// This host.
    #[default]
    Host,
    /// A host by way of the recording that another run of the program is making.
    Attached,
    /// What was.
    Recording,
}

/// What the person looks at.
#[derive(Debug, Clone)]
pub struct Ui {
    /// The pane.
    pub pane: Pane,
    /// Only this container, when drilled down.
    pub container: Option<ContainerId>,
    /// Only containers of this image.
    pub(super) image: Option<ImageKey>,
    /// One row's detail.
    pub(super) detail: Option<RowKey>,
    /// First line shown of the detail or of help.
    pub(super) scroll: usize,
    /// Where coming out leads, the last first.
    pub(super) trail: Vec<Spot>,
    /// What was looked at before.
    pub(super) before: Option<Spot>,
    /// The row under the marker, as it was last drawn.
    pub(super) current: Option<RowKey>,
    /// How many rows match, as they were last drawn.
    pub(super) counted: rows::RowCounts,
    /// How the table of each pane is looked at.
    pub(super) tables: [TableLook; Pane::COUNT],
    /// Rows that other actions take as their set.
    pub(super) marks: BTreeSet<RowKey>,
    /// Processes whose children are not shown.
    pub(super) folded: BTreeSet<u32>,
    /// The selected row is explained below; nothing said: where there is room.
    pub(super) preview: Option<bool>,
    /// The row it explains, as it was last drawn.
    pub(super) explained: Option<RowKey>,
    /// A key is held: what explains the row may come when it is let go, for its bytes are most of
    /// what a step costs.
    pub(super) hurry: bool,
    /// The rows of the last picture, while nothing was asked since but to move among them.
    pub(super) held: Option<Arc<Listing>>,
    /// Only the table is shown.
    pub(super) zoom: bool,
    /// Secrets are shown.
    pub(super) reveal: bool,
    /// What was last shown of numbers that move.
    pub(super) steady: Steady,
    /// A choice of columns is open.
    pub(super) picker: Option<Picker>,
    /// The form or the list of silences is open.
    pub(super) sheet: Option<Sheet>,
    /// What is to be written into the policy.
    pub(super) wish: Option<Wish>,
    /// A line is being typed: the filter, a command.
    pub prompt: Option<Prompt>,
    /// Commands that were typed, the latest last.
    pub(super) history: Vec<String>,
    /// Searched for in a detail.
    pub(super) found: String,
    /// Keys are shown.
    pub help: bool,
    /// What the keys are searched for.
    pub(super) search: String,
    /// Which key does what.
    pub(super) keys: Arc<Keymap>,
    /// What the picture is of.
    pub scene: Scene,
    /// The moment that was marked.
    pub(super) since: Option<Timestamp>,
    /// The mouse is ours.
    pub(super) mouse: bool,
    /// Where what can be clicked was drawn.
    pub(super) spots: Clickable,
    /// In which zone times are shown.
    pub(super) zone: Zone,
    /// Time is shown as a picture; `None`: while it is not the present.
    pub(super) timeline: Option<bool>,
    /// Rows of the last drawn page.
    pub(super) page: usize,
    /// Said on the last line until the next key.
    pub message: Option<String>,
}

impl Default for Ui {
    fn default() -> Self {
        Self {
            pane: Pane::Containers,
            container: None,
            image: None,
            detail: None,
            scroll: 0,
            trail: Vec::new(),
            before: None,
            current: None,
            counted: rows::RowCounts::default(),
            tables: Default::default(),
            marks: BTreeSet::new(),
            folded: BTreeSet::new(),
            preview: None,
            explained: None,
            hurry: false,
            held: None,
            zoom: false,
            reveal: false,
            steady: Steady::default(),
            picker: None,
            sheet: None,
            wish: None,
            prompt: None,
            history: Vec::new(),
            found: String::new(),
            help: false,
            search: String::new(),
            keys: Arc::default(),
            scene: Scene::Host,
            since: None,
            mouse: false,
            spots: Clickable::default(),
            zone: Zone::default(),
            timeline: None,
            page: 10,
            message: None,
        }
    }
}

/// What a person asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What.
    pub action: Action,
    /// What was typed behind it on the command line.
    pub argument: Option<String>,
}

impl From<Action> for Asked {
    fn from(action: Action) -> Self {
        Self {
            action,
            argument: None,
        }
    }
}

impl Ui {
    /// A view as the person configured it.
    #[must_use]
    pub fn new(config: &Config, scene: Scene) -> Self {
        Self {
            keys: Arc::new(config.keys.clone()),
            scene,
            mouse: config.mouse,
            ..Self::default()
        }
    }

    /// How the present table is looked at.
    pub(super) fn table(&self) -> &TableLook {
        &self.tables[self.pane.index()]
    }

    pub(super) fn table_mut(&mut self) -> &mut TableLook {
        &mut self.tables[self.pane.index()]
    }

    /// The filter of the present table.
    pub(super) fn filter(&self) -> &Filter {
        &self.table().filter
    }

    /// The filter while it is being typed.
    pub(super) fn filtering(&self) -> Option<&Prompt> {
        let prompt = self.prompt.as_ref();
        prompt.filter(|prompt| prompt.purpose == Purpose::Filter)
    }

    /// The selected row's key in the present pane.
    pub(super) fn selected(&self) -> Option<&RowKey> {
        self.table().selected.as_ref()
    }

    /// Ended processes, connections and containers are hidden.
    pub(super) fn hide_ended(&self) -> bool {
        self.table().hide_ended
    }

    /// Processes are shown as a tree.
    pub(super) fn tree(&self) -> bool {
        self.query().tree()
    }

    /// Rows are listed, not one of them in full.
    pub(super) fn listing(&self) -> bool {
        self.detail.is_none() && self.pane != Pane::Overview
    }

    /// What an action is about: the open page, else the row under the marker.
    pub(super) fn subject(&self) -> Option<&RowKey> {
        self.detail.as_ref().or(self.current.as_ref())
    }

    /// What the open page is about.
    pub(super) fn page_of(&self) -> Option<RowKey> {
        let inside = || self.container.clone().map(RowKey::Container);
        self.detail.clone().or_else(inside)
    }

    /// What an action that can take many is about: the marked rows of this kind, else the
    /// subject.
    #[must_use]
    pub(super) fn subjects(&self) -> Vec<RowKey> {
        let subject = self.subject();
        let alike = |key: &&RowKey| {
            subject.is_none_or(|s| std::mem::discriminant(*key) == std::mem::discriminant(s))
        };
        let marked: Vec<RowKey> = self.marks.iter().filter(alike).cloned().collect();
        if self.detail.is_some() || marked.is_empty() {
            subject.into_iter().cloned().collect()
        } else {
            marked
        }
    }

    /// A text as it may be shown: its secrets masked unless they were asked for.
    pub(super) fn masked<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, str> {
        self.query().masked(text)
    }

    /// Whether an action of this place does something now.
    #[must_use]
    pub fn works(&self, place: Place) -> bool {
        let on = |wanted: fn(&RowKey) -> bool| self.subject().is_some_and(wanted);
        match place {
            Place::Anywhere => true,
            Place::Rows => self.listing(),
            Place::Tree => self.listing() && self.pane == Pane::Processes,
            Place::Finding => on(|key| matches!(key, RowKey::Finding(_))),
            Place::Container => {
                self.container.is_some() || on(|key| matches!(key, RowKey::Container(_)))
            }
            Place::Live => self.scene == Scene::Host,
        }
    }

    /// Changes the view as asked, with what was typed behind it.
    pub fn ask(&mut self, asked: &Asked, core: &Core) {
        match &asked.argument {
            None => self.apply(asked.action, core),
            Some(argument) => {
                if let Err(error) = palette::apply(self, asked.action, argument, core) {
                    self.message = Some(error);
                }
            }
        }
    }

    /// Changes the view. Actions that concern time, recording and the program are the caller's.
    pub fn apply(&mut self, action: Action, core: &Core) {
        self.message = None;
        match action {
            Action::Help => {
                self.help = !self.help;
                self.search.clear();
                self.scroll = 0;
            }
            Action::Show(pane) => self.show(pane),
            Action::NextPane => self.turn(1),
            Action::PreviousPane => self.turn(-1),
            Action::Move(by) => self.go(core, by),
            Action::Page(by) => self.go(core, by * self.lines(1)),
            Action::HalfPage(by) => self.go(core, by * self.lines(2)),
            Action::First => self.go(core, isize::MIN / 2),
            Action::Last => self.go(core, isize::MAX / 2),
            Action::Aside(by) => self.aside(core, by),
            Action::Enter => self.enter(core),
            Action::Back | Action::Quit => self.back(),
            Action::LastView => self.last_view(),
            Action::Owner => self.owner(core),
            Action::Image => self.image_of(core),
            Action::Why => self.why(core),
            Action::Filter if self.listing() => {
                let text = self.filter().text().to_owned();
                self.prompt = Some(Prompt::new(Purpose::Filter, &text));
            }
            Action::Filter => self.prompt = Some(Prompt::new(Purpose::Search, "")),
            Action::Command => self.prompt = Some(Prompt::new(Purpose::Command, "")),
            Action::Match(by) => self.next_match(core, by),
            Action::Sort => self.picker = Some(Picker::sort(self)),
            Action::Columns => self.picker = Some(Picker::columns()),
            Action::Mark => self.mark(core),
            Action::ClearMarks => self.marks.clear(),
            Action::Reverse => self.toggle(|t| &mut t.reverse, "in reverse", "not in reverse"),
            Action::Tree => self.toggle(|t| &mut t.flat, "as a list", "as a tree"),
            Action::Ended => {
                let hidden = format!("{} ones hidden", self.pane.over());
                self.toggle(|t| &mut t.hide_ended, &hidden, "all shown");
            }
            Action::Follow => self.toggle(|t| &mut t.follow, "following", "not following"),
            Action::Preview => self.preview = Some(!self.preview.unwrap_or(self.roomy())),
            Action::Zoom => self.zoom = !self.zoom,
            Action::Reveal => {
                self.reveal = !self.reveal;
                let said = if self.reveal {
                    "secrets are shown"
                } else {
                    "secrets are masked"
                };
                self.message = Some(said.to_owned());
            }
            Action::MarkMoment => {
                self.since = Some(core.state.now);
                let (at, key) = (
                    self.zone.clock(core.state.now),
                    self.keys.sign(Action::Since),
                );
                self.message = Some(format!("marked {at}: {key} shows what changed since"));
            }
            Action::Since => self.changes(core),
            Action::Mouse => {
                self.mouse = !self.mouse;
                let said = if self.mouse {
                    "the mouse clicks and scrolls here; most terminals still select with Shift"
                } else {
                    "the mouse is the terminal's"
                };
                self.message = Some(said.to_owned());
            }
            Action::Open => {
                let command = format!("{} ", super::action::OPEN);
                self.prompt = Some(Prompt::new(Purpose::Command, &command));
            }
            Action::Zone => self.message = Some(self.zone.turn()),
            Action::Silence | Action::Acknowledge | Action::Silences | Action::UndoSilence => {
                self.triage(action, core);
            }
            _ => {}
        }
    }

    /// The page of what changed since the marked moment.
    fn changes(&mut self, core: &Core) {
        self.message = Some(match self.since {
            None => {
                let key = self.keys.sign(Action::MarkMoment);
                format!("{key} marks a moment first, or type :since -5m")
            }
            Some(then) if then > core.state.now => {
                format!(
                    "the marked moment {} is still to come",
                    self.zone.clock(then)
                )
            }
            Some(then) => {
                self.open(RowKey::Since(then));
                return;
            }
        });
    }

    /// The last page was of a screen large enough for a preview.
    fn roomy(&self) -> bool {
        self.page >= 20
    }

    fn toggle(&mut self, switch: fn(&mut TableLook) -> &mut bool, on: &str, off: &str) {
        let switch = switch(self.table_mut());
        *switch = !*switch;
        self.message = Some(if *switch { on } else { off }.to_owned());
    }
}
