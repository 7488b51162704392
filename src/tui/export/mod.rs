//! Getting things out: into the clipboard, into files.

mod act;
mod clipboard;
mod command;
mod facts;
mod harden;
mod new_file;
mod svg;
mod view;

pub use act::listing;
pub(super) use act::{Appearance, act, copy_line, takes};
pub use svg::svg;
pub use view::Format;
