//! The state of the interface: location, tables, dialogs and display options. Actions change it,
//! and the result of drawing a frame.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::accept::BaselineEdit;
use super::action::{Action, ActionScope};
use super::config::Config;
use super::drawn::{Drawn, FrameRows};
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

/// The kind of source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceKind {
    /// This host.
    #[default]
    Host,
    /// A host, through the recording that another process makes.
    Attached,
    /// A recording.
    Recording,
}

/// The state of the interface.
#[derive(Debug, Clone, Default)]
pub struct Ui {
    /// Screen, scope and page.
    pub at: Location,
    /// Locations for going back.
    pub(super) route: Route,
    /// The tables of the screens.
    pub(super) tables: Tables,
    /// Display options.
    pub(super) display: Display,
    /// Open dialogs.
    pub(super) dialog: Dialog,
    /// The result of the last frame.
    pub(super) drawn: Drawn,
    /// The rows of the next frame, if they are made already.
    pub(super) frame_rows: Option<FrameRows>,
    /// A key is held: the preview is drawn when it is released, because it takes most of the bytes
    /// of a step.
    pub(super) hurry: bool,
    /// The view state of the tree of files.
    pub(super) file_tree: TreeLook,
    /// The view state of the tree on a process's page.
    pub(super) process_tree: ProcessTreeLook,
    /// A pending change of the policy file.
    pub(super) policy_edit: Option<PolicyEdit>,
    /// A pending change of a baseline file.
    pub(super) baseline_edit: Option<BaselineEdit>,
    /// Items learned from the screen.
    pub(super) learner: Option<ScreenLearner>,
    /// The latest comparison with a baseline.
    pub(super) compared: Option<BaselineComparison>,
    /// History of typed lines.
    pub(super) history: History,
    /// A response to copy or to carry out.
    pub(super) response: Option<ResponseRequest>,
    /// Settings of responses.
    pub(super) responding: Responding,
    /// The text searched for on a page.
    pub(super) found: String,
    /// The keys of every action.
    pub(super) keys: Arc<Keymap>,
    /// The kind of source.
    pub source: SourceKind,
    /// The user at the screen, noted with each acknowledgement; empty: not known.
    pub(super) person: String,
    /// The guide of the demo is shown.
    pub(super) guide: bool,
    /// The machine that is watched, or was recorded, while its page is shown.
    pub(super) machine: Option<MachineFacts>,
    /// The moment that was marked.
    pub(super) since: Option<Timestamp>,
    /// Message on the last line until the next key.
    pub message: Option<String>,
}

/// Locations for going back.
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
    /// Marked rows: other actions apply to all of them.
    pub(super) marks: BTreeSet<RowKey>,
    /// Processes whose children are not shown.
    pub(super) folded: BTreeSet<u32>,
}

/// Display options.
#[derive(Debug, Clone, Default)]
pub(super) struct Display {
    /// The preview is shown; `None`: if there is room.
    pub(super) preview: Option<bool>,
    /// Only the table is shown.
    pub(super) zoom: bool,
    /// Secrets are shown.
    pub(super) reveal: bool,
    /// The time zone of all times.
    pub(super) zone: Zone,
    /// The timeline is shown; `None`: while the past is shown.
    pub(super) timeline: Option<bool>,
    /// No charts: the link is too slow.
    pub(super) no_charts: bool,
    /// The mouse is used.
    pub(super) mouse: bool,
}

/// Settings of responses.
#[derive(Debug, Clone, Default)]
pub(super) struct Responding {
    /// They may be carried out, not only copied.
    pub(super) allowed: bool,
    /// Address of the Docker engine where it is not the standard one.
    pub(super) docker_host: Option<String>,
}

/// The open dialog, which takes the keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Dialog {
    /// The choice of a column.
    pub(super) picker: Option<Picker>,
    /// The form or the list of silences.
    pub(super) silence: Option<SilenceDialog>,
    /// The menu of responses.
    pub(super) response: Option<ResponseDialog>,
    /// The input line.
    pub(super) prompt: Option<Prompt>,
    /// The list of keys.
    pub(super) help: bool,
    /// The search text of the list of keys.
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

/// An action with its argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionRequest {
    /// The action.
    pub action: Action,
    /// Its argument on the command line.
    pub argument: Option<String>,
    /// Its name was typed, so it is not a mistaken key.
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
    /// Sets whether a key is held: then the preview waits until it is released.
    pub fn hold_key(&mut self, held: bool) {
        self.hurry = held;
    }

    /// A view by the user's configuration.
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

    /// The view state of the current table.
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

    /// Whether rows are shown, not one page.
    pub(super) fn listing(&self) -> bool {
        self.at.detail.is_none() && !self.at.pane.is_page()
    }

    /// The subject of an action: the open page, else the selected row.
    pub(super) fn subject(&self) -> Option<&RowKey> {
        self.at.detail.as_ref().or(self.drawn.current.as_ref())
    }

    /// The subject of the open page.
    pub(super) fn page_of(&self) -> Option<RowKey> {
        let inside = || self.at.container.clone().map(RowKey::Container);
        self.at.detail.clone().or_else(inside)
    }

    /// The subjects of an action that accepts several: the marked rows of this kind, else the
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

    /// A text for display: secrets masked unless they should be shown.
    pub(super) fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.query().masked(text)
    }

    /// Whether an action of this place applies now.
    #[must_use]
    pub fn works(&self, place: ActionScope) -> bool {
        self.works_on(place, self.subject())
    }

    /// Whether an action of this place applies to that subject.
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

    /// Stores the result of drawing a frame.
    pub fn keep(&mut self, drawn: Drawn) {
        self.frame_rows = None;
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
