//! The state of the interface: location, tables, dialogs and display options. Changed by actions,
//! and by what a frame showed.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::accept::BaselineEdit;
use super::action::{Action, ActionScope};
use super::config::Config;
use super::drawn::Drawn;
use super::file_tree_look::TreeLook;
use super::filter::Filter;
use super::history::History;
use super::keymap::Keymap;
use super::learned::{BaselineComparison, ScreenLearner};
use super::location::Location;
use super::look::TableLook;
use super::pane::Pane;
use super::picker::Picker;
use super::process_tree_look::ProcessTreeLook;
use super::prompt::{Prompt, Purpose};
use super::response::{ResponseDialog, ResponseRequest};
use super::rows::RowKey;
use super::silence::{PolicyEdit, SilenceDialog};
use super::zone::Zone;
use crate::event::Timestamp;
use crate::machine::MachineFacts;

/// What is watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceKind {
    /// This host.
    #[default]
    Host,
    /// A host, through the recording that another run of the program is making.
    Attached,
    /// A recording.
    Recording,
}

/// The state of the interface.
#[derive(Debug, Clone, Default)]
pub struct Ui {
    /// Screen, scope and page.
    pub at: Location,
    /// The way back.
    pub(super) route: Route,
    /// The tables of the screens.
    pub(super) tables: Tables,
    /// How everything is shown.
    pub(super) display: Display,
    /// What is open over the screen.
    pub(super) dialog: Dialog,
    /// What the last frame showed.
    pub(super) drawn: Drawn,
    /// A key is held: the preview may wait until it is let go, because its bytes are most of
    /// what a step costs.
    pub(super) hurry: bool,
    /// How the tree of files is looked at.
    pub(super) file_tree: TreeLook,
    /// How the tree on a process's page is looked at.
    pub(super) process_tree: ProcessTreeLook,
    /// A change that is to be written into the policy file.
    pub(super) policy_edit: Option<PolicyEdit>,
    /// A change of a baseline's file, to be made.
    pub(super) baseline_edit: Option<BaselineEdit>,
    /// What is learned here.
    pub(super) learner: Option<ScreenLearner>,
    /// What a baseline was compared with last.
    pub(super) compared: Option<BaselineComparison>,
    /// Lines that were typed.
    pub(super) history: History,
    /// A response to copy or to make.
    pub(super) response: Option<ResponseRequest>,
    /// How responses are offered.
    pub(super) responding: Responding,
    /// The text searched for on a page.
    pub(super) found: String,
    /// The keys of every action.
    pub(super) keys: Arc<Keymap>,
    /// What is watched.
    pub source: SourceKind,
    /// The user at the screen, noted with each acknowledgement; empty: not known.
    pub(super) person: String,
    /// The guide of the demo is shown.
    pub(super) guide: bool,
    /// The machine that is watched, or was recorded, while its page is shown.
    pub(super) machine: Option<MachineFacts>,
    /// The moment that was marked.
    pub(super) since: Option<Timestamp>,
    /// Shown on the last line until the next key.
    pub message: Option<String>,
}

/// The way back.
#[derive(Debug, Clone, Default)]
pub(super) struct Route {
    /// The locations that Back leads to, the nearest last.
    pub(super) trail: Vec<Location>,
    /// The location before this one.
    pub(super) before: Option<Location>,
}

/// The tables of the screens.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    /// One for each screen.
    pub(super) all: [TableLook; Pane::COUNT],
    /// Marked rows: other actions take them as their set.
    pub(super) marks: BTreeSet<RowKey>,
    /// Processes whose children are not shown.
    pub(super) folded: BTreeSet<u32>,
}

/// How everything is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Display {
    /// The selected row is explained below its table; `None`: where there is room.
    pub(super) preview: Option<bool>,
    /// Only the table is shown.
    pub(super) zoom: bool,
    /// Secrets are shown.
    pub(super) reveal: bool,
    /// The time zone of all times.
    pub(super) zone: Zone,
    /// The timeline is shown; `None`: while the past is shown.
    pub(super) timeline: Option<bool>,
    /// No charts: the link has no room for them.
    pub(super) no_charts: bool,
    /// Mouse events are taken from the terminal.
    pub(super) mouse: bool,
}

/// How responses are offered.
#[derive(Debug, Clone, Default)]
pub(super) struct Responding {
    /// They may be made, not only copied.
    pub(super) allowed: bool,
    /// Address of the Docker engine where it is not the standard one.
    pub(super) docker_host: Option<String>,
}

/// What is open over the screen and takes the keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Dialog {
    /// The choice of a column.
    pub(super) picker: Option<Picker>,
    /// The form or the list of silences.
    pub(super) silence: Option<SilenceDialog>,
    /// The menu of responses.
    pub(super) response: Option<ResponseDialog>,
    /// A line that is being typed.
    pub(super) prompt: Option<Prompt>,
    /// The list of keys.
    pub(super) help: bool,
    /// The text that the list of keys is searched for.
    pub(super) search: String,
}

impl Dialog {
    /// A prompt, list or form is open that takes every key.
    pub(super) fn takes_keys(&self) -> bool {
        self.prompt.is_some()
            || self.picker.is_some()
            || self.silence.is_some()
            || self.response.is_some()
    }
}

/// An action, and what was typed behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionRequest {
    /// The action.
    pub action: Action,
    /// What was typed behind it on the command line.
    pub argument: Option<String>,
    /// Its name was typed: nobody does that by mistake.
    pub by_name: bool,
}

impl From<Action> for ActionRequest {
    fn from(action: Action) -> Self {
        Self {
            action,
            argument: None,
            by_name: false,
        }
    }
}

impl Ui {
    /// Whether a key is held: then the preview waits until it is let go.
    pub fn hold_key(&mut self, held: bool) {
        self.hurry = held;
    }

    /// A view as the person configured it.
    #[must_use]
    pub fn new(config: &Config, source: SourceKind) -> Self {
        Self {
            keys: Arc::new(config.keys.clone()),
            source,
            responding: Responding {
                allowed: config.allow_actions && source == SourceKind::Host,
                docker_host: config
                    .docker_host
                    .clone()
                    .filter(|_| source == SourceKind::Host),
            },
            display: Display {
                mouse: config.mouse,
                no_charts: !config.bps.affords_charts(),
                ..Display::default()
            },
            ..Self::default()
        }
    }

    /// How the present table is looked at.
    pub(super) fn table(&self) -> &TableLook {
        &self.tables.all[self.at.pane.index()]
    }

    pub(super) fn table_mut(&mut self) -> &mut TableLook {
        &mut self.tables.all[self.at.pane.index()]
    }

    /// The filter of the present table.
    pub(super) fn filter(&self) -> &Filter {
        &self.table().filter
    }

    /// The filter while it is being typed.
    pub(super) fn filtering(&self) -> Option<&Prompt> {
        let prompt = self.dialog.prompt.as_ref();
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
        self.at.detail.is_none() && !self.at.pane.is_page()
    }

    /// What an action is about: the open page, else the row under the marker.
    pub(super) fn subject(&self) -> Option<&RowKey> {
        self.at.detail.as_ref().or(self.drawn.current.as_ref())
    }

    /// What the open page is about.
    pub(super) fn page_of(&self) -> Option<RowKey> {
        let inside = || self.at.container.clone().map(RowKey::Container);
        self.at.detail.clone().or_else(inside)
    }

    /// What an action that can take many is about: the marked rows of this kind, else the
    /// subject.
    #[must_use]
    pub(super) fn subjects(&self) -> Vec<RowKey> {
        let subject = self.subject();
        let alike = |key: &&RowKey| {
            subject.is_none_or(|s| std::mem::discriminant(*key) == std::mem::discriminant(s))
        };
        let marked: Vec<RowKey> = self.tables.marks.iter().filter(alike).cloned().collect();
        if self.at.detail.is_some() || marked.is_empty() {
            subject.into_iter().cloned().collect()
        } else {
            marked
        }
    }

    /// A text as it may be shown: its secrets masked unless they were asked for.
    pub(super) fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.query().masked(text)
    }

    /// Whether an action of this place does something now.
    #[must_use]
    pub fn works(&self, place: ActionScope) -> bool {
        self.works_on(place, self.subject())
    }

    /// Whether an action of this place does something with that subject.
    pub(super) fn works_on(&self, place: ActionScope, subject: Option<&RowKey>) -> bool {
        let on = |wanted: fn(&RowKey) -> bool| subject.is_some_and(wanted);
        match place {
            ActionScope::Anywhere => true,
            ActionScope::Rows => self.listing(),
            ActionScope::Tree => {
                let folds = matches!(self.at.pane, Pane::Processes | Pane::Network | Pane::Files);
                self.listing() && folds
            }
            ActionScope::Evidence => {
                self.at.pane == Pane::Harden
                    || on(|key| matches!(key, RowKey::Incident(_) | RowKey::Finding(_)))
            }
            ActionScope::Finding => {
                on(|key| matches!(key, RowKey::Incident(_) | RowKey::Finding(_)))
            }
            ActionScope::Container => {
                self.at.container.is_some() || on(|key| matches!(key, RowKey::Container(_)))
            }
            ActionScope::Live => self.source == SourceKind::Host,
        }
    }

    /// Takes over what a frame showed.
    pub fn keep(&mut self, drawn: Drawn) {
        self.at.scroll = drawn.scroll;
        if let Some(shown) = drawn.table {
            let current = drawn.current.clone();
            let table = self.table_mut();
            table.first = shown.first;
            if current.is_some() {
                table.at = shown.at;
                table.lit = shown.lit;
            }
            if !table.follow && current.is_some() {
                table.selected = current;
            }
        }
        self.drawn = drawn;
    }
}
