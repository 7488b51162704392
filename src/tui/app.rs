//! What the person looks at: pane, scope, selection, filter. Changed by actions, nothing else.

use crate::core::Core;
use crate::event::ContainerId;

use super::action::Action;
use super::rows::{self, Key};

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pane {
    /// Containers.
    Containers,
    /// Findings.
    Findings,
    /// Process tree.
    Processes,
    /// Connections and listening sockets.
    Network,
    /// Files.
    Files,
    /// The raw stream.
    Events,
}

impl Pane {
    /// In the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Containers,
        Self::Findings,
        Self::Processes,
        Self::Network,
        Self::Files,
        Self::Events,
    ];

    /// Its title.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Containers => "Containers",
            Self::Findings => "Findings",
            Self::Processes => "Processes",
            Self::Network => "Network",
            Self::Files => "Files",
            Self::Events => "Events",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// What the person looks at.
#[derive(Debug, Clone)]
pub struct Ui {
    /// The pane.
    pub pane: Pane,
    /// Only this container, when drilled down.
    pub container: Option<ContainerId>,
    /// One row's detail.
    pub(super) detail: Option<Key>,
    /// First line shown of the detail or of help.
    pub(super) scroll: usize,
    /// Selected row of each pane.
    pub(super) selected: [Option<Key>; 6],
    /// Sort column of each pane.
    pub(super) sort: [usize; 6],
    /// Rows must match this.
    pub filter: String,
    /// The filter is being typed.
    pub typing: bool,
    /// Keys are shown.
    pub help: bool,
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
            detail: None,
            scroll: 0,
            selected: Default::default(),
            sort: [0; 6],
            filter: String::new(),
            typing: false,
            help: false,
            page: 10,
            message: None,
        }
    }
}

impl Ui {
    /// The selected row's key in the present pane.
    pub(super) fn selected(&self) -> Option<&Key> {
        self.selected[self.pane.index()].as_ref()
    }

    pub(super) fn sort_column(&self) -> usize {
        self.sort[self.pane.index()]
    }

    fn show(&mut self, pane: Pane) {
        self.pane = pane;
        self.detail = None;
        self.help = false;
        self.scroll = 0;
    }

    /// Changes the view. Actions that concern time, recording and the program are the caller's.
    pub fn apply(&mut self, action: Action, core: &Core) {
        self.message = None;
        match action {
            Action::Help => {
                self.help = !self.help;
                self.scroll = 0;
            }
            Action::Show(pane) => self.show(pane),
            Action::NextPane | Action::PreviousPane => {
                let step = if action == Action::NextPane { 1 } else { 5 };
                self.show(Pane::ALL[(self.pane.index() + step) % 6]);
            }
            Action::Move(by) => self.go(core, by),
            Action::Page(by) => {
                let page = isize::try_from(self.page.max(1)).unwrap_or(1);
                self.go(core, by * page);
            }
            Action::First => self.go(core, isize::MIN / 2),
            Action::Last => self.go(core, isize::MAX / 2),
            Action::Enter => self.enter(core),
            Action::Back => self.back(),
            Action::Filter => self.typing = true,
            Action::Sort => {
                let columns = rows::columns(self.pane).len();
                let sort = &mut self.sort[self.pane.index()];
                *sort = (*sort + 1) % columns;
                let title = rows::columns(self.pane)[*sort].title;
                self.message = Some(format!("sorted by {title}"));
            }
            _ => {}
        }
    }

    fn go(&mut self, core: &Core, by: isize) {
        if self.detail.is_some() || self.help {
            self.scroll = self.scroll.saturating_add_signed(by).min(10_000);
            return;
        }
        let keys = rows::rows(core, self);
        let Some(last) = keys.len().checked_sub(1) else {
            return;
        };
        let now = self
            .selected()
            .and_then(|key| keys.iter().position(|row| row.key == *key))
            .unwrap_or(0);
        let to = now.saturating_add_signed(by).min(last);
        self.selected[self.pane.index()] = Some(keys[to].key.clone());
    }

    fn enter(&mut self, core: &Core) {
        let rows = rows::rows(core, self);
        let chosen = self
            .selected()
            .and_then(|key| rows.iter().find(|row| row.key == *key))
            .or(rows.first());
        let Some(row) = chosen else { return };
        self.scroll = 0;
        match &row.key {
            Key::Container(id) if self.detail.is_none() => {
                self.container = Some(id.clone());
                self.pane = Pane::Processes;
            }
            key => self.detail = Some(key.clone()),
        }
    }

    fn back(&mut self) {
        if self.help {
            self.help = false;
        } else if self.detail.take().is_some() {
            self.scroll = 0;
        } else if !self.filter.is_empty() {
            self.filter.clear();
        } else {
            self.container = None;
            self.pane = Pane::Containers;
        }
    }
}
