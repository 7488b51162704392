//! The terminal program.
//!
//! Keys become [`Action`]s, actions change the [`Ui`], and pure functions draw the core and the
//! `Ui` into a buffer. Live and recorded time share all of it; only the [`Source`] differs.

mod action;
mod app;
mod columns;
mod detail;
mod rows;
mod run;
mod source;
mod table;
mod terminal;
mod text;
mod theme;
mod view;

pub use action::Action;
pub use app::{Pane, Ui};
pub use run::{run_live, run_replay};
pub use source::{Source, Status};
pub use theme::Theme;
pub use view::draw;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
