//! Copies to the clipboard and exports to files.

mod act;
mod clipboard;
mod command;
mod facts;
mod harden;
mod new_file;
mod progress;
mod svg;
mod view;

pub(super) use act::{Appearance, GatheredEvidence, act, copy_line, takes};
pub use act::{WantedRows, listing};
pub(super) use harden::is_shown as harden_is_shown;
pub(super) use progress::EvidenceProgress;
pub use svg::svg;
pub use view::Format;
