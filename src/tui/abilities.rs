//! The abilities of a terminal, and cells reduced to them.

use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};

use super::glyphs;
use super::theme::{Depth, bare};

/// The abilities of the terminal.
#[derive(Debug, Clone)]
pub struct Abilities {
    pub(super) depth: Depth,
    /// It shows more than ASCII.
    pub(super) unicode: bool,
    pub(super) term: String,
}

impl Abilities {
    /// A terminal with 256 colours and Unicode, as is usual over SSH.
    #[must_use]
    pub fn of_256_colours() -> Self {
        Self {
            depth: Depth::Indexed,
            unicode: true,
            term: "xterm-256color".to_owned(),
        }
    }

    pub(super) fn from_environment() -> Self {
        Self {
            depth: Depth::promised(|name| std::env::var(name).ok()),
            unicode: glyphs::unicode(),
            term: std::env::var("TERM").unwrap_or_default(),
        }
    }

    /// It knows the sequences that came after the VT220.
    pub(super) fn modern(&self) -> bool {
        !bare(&self.term)
    }

    /// Reduces a cell to what this terminal can show.
    pub(super) fn project(&self, cell: &mut Cell) {
        if !self.unicode && !cell.symbol().is_ascii() {
            let plain = glyphs::ascii(cell.symbol());
            cell.set_symbol(plain);
        }
        if !self.modern() {
            cell.modifier &= Modifier::BOLD | Modifier::UNDERLINED | Modifier::REVERSED;
        }
        cell.bg = self.depth.nearest(cell.bg).unwrap_or_default();
        // All blanks look alike, whatever their foreground.
        if empty(cell) {
            cell.fg = Color::Reset;
            cell.modifier = Modifier::empty();
        } else {
            cell.fg = self.depth.nearest(cell.fg).unwrap_or_default();
        }
    }
}

/// A blank in the terminal's own background.
pub(super) fn empty(cell: &Cell) -> bool {
    let visible = Modifier::REVERSED | Modifier::UNDERLINED | Modifier::CROSSED_OUT;
    cell.symbol() == " " && cell.bg == Color::Reset && !cell.modifier.intersects(visible)
}
