//! The terminal program.
//!
//! Keys become [`Action`]s, actions change the [`Ui`], and pure functions draw the core and the
//! `Ui` into a buffer. Live and recorded time share all of it; only the [`Source`] differs.

mod action;
mod app;
mod backend;
mod bookmark;
mod budget;
mod chord;
mod config;
mod detail;
mod filter;
#[cfg(test)]
mod fuzz;
mod glyphs;
mod input;
mod keymap;
mod look;
mod moment;
mod mouse;
mod palette;
mod pane;
mod picker;
mod press;
mod prompt;
mod query;
mod quiet;
mod recording;
mod rows;
mod run;
mod select;
mod silence;
mod source;
mod spot;
mod steady;
mod table;
pub mod take;
mod terminal;
mod text;
pub mod theme;
mod time;
mod timeline;
mod view;
mod wait;

pub use action::{ACTIONS, Action, Entry, Group, Place};
pub use app::{Asked, Pane, Scene, Ui};
pub use bookmark::Bookmark;
pub use budget::Bps;
pub use chord::Chord;
pub use config::{Config, ConfigError};
pub use filter::Filter;
pub use keymap::{Binding, BindingError, Keymap};
pub use prompt::{Prompt, Purpose};
pub use run::{Attached, run_attached, run_live, run_replay};
pub use source::{Attach, Shown, Source, Status};
pub use theme::{Depth, Theme};
pub use timeline::Timeline;
pub use view::draw;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
