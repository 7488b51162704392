//! The terminal program.
//!
//! Keys become [`Action`]s, actions change the [`Ui`], and pure functions draw the core and the
//! `Ui` into a buffer. Live and recorded time share all of it; only the [`Source`] differs.

mod abilities;
mod accept;
mod action;
mod backend;
mod bookmark;
mod budget;
mod chord;
mod columns;
mod config;
mod damping;
mod detail;
mod dispatch;
#[cfg(test)]
mod drawing_tests;
mod drawn;
mod evidence;
mod evidence_actions;
pub mod export;
mod file_tree;
mod file_tree_look;
mod filter;
mod fleet;
#[cfg(test)]
mod fuzz;
mod glyphs;
mod guard;
mod guide;
mod history;
mod input;
mod key_dispatch;
mod keymap;
mod learn;
mod learned;
mod link_watch;
mod location;
mod look;
mod mouse;
mod navigation;
mod palette;
mod pane;
mod paste;
mod picker;
mod process_tree;
mod process_tree_look;
mod prompt;
mod query;
mod recorder_stall;
mod recording;
mod requests;
mod response;
mod rows;
mod run;
mod select;
mod shift;
mod silence;
mod source;
mod spark;
mod status;
mod table;
mod terminal;
mod text;
pub mod theme;
mod time_actions;
mod time_travel;
mod timeline;
mod triage;
mod ui;
mod view;
mod viewpoint;
mod wait;
mod zone;

pub use abilities::Abilities;
pub use action::{ACTIONS, Action, ActionGroup, ActionScope, Entry};
pub use backend::CompactBackend;
pub use bookmark::Bookmark;
pub use budget::Bps;
pub use chord::Chord;
pub use config::{Config, ConfigError};
pub use drawn::Drawn;
pub use filter::Filter;
pub use fleet::{FleetChoice, FleetScreen, run_fleet};
pub use keymap::{Binding, BindingError, Keymap};
pub use location::Location;
pub use pane::Pane;
pub use prompt::{Prompt, Purpose};
pub use run::{Attached, ReplayFrom, run_attached, run_demo, run_live, run_replay};
pub use source::Attach;
pub use status::{Shown, Status};
pub use theme::{Depth, Theme};
pub use timeline::Timeline;
pub use ui::{ActionRequest, SourceKind, Ui};
pub use view::draw;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod help_tests;
#[cfg(test)]
mod normal_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod typing_tests;
