//! The definition of a screen: title, columns and rows.

use super::query::Query;
use super::row::Row;
use crate::core::Core;
use crate::tui::pane::Pane;
use crate::tui::table::Column;

/// The definition of one screen: tabs, filter words, `hullwatch list` and help derive from it.
#[derive(Debug)]
pub(in crate::tui) struct ScreenDef {
    /// Its identity.
    pub(in crate::tui) pane: Pane,
    /// Its name for `hullwatch list` and in file names.
    pub(in crate::tui) name: &'static str,
    /// Its title.
    pub(in crate::tui) title: &'static str,
    /// Its title on narrow terminals.
    pub(in crate::tui) short: &'static str,
    /// The word for its inactive rows: ended, closed, silenced.
    pub(in crate::tui) over: &'static str,
    /// Its columns; their names are the words of its filter.
    pub(in crate::tui) columns: &'static [Column],
    /// The text of an empty screen.
    pub(in crate::tui) empty: &'static [&'static str],
    /// The number of rows, where that is known without making them.
    pub(in crate::tui) count: fn(&Core, &Query<'_>) -> Option<usize>,
    /// Its rows in its own order, with or without their text.
    pub(in crate::tui) outline: fn(&Core, &Query<'_>) -> Vec<Row>,
    /// Adds the text to a row that `outline` left without.
    pub(in crate::tui) write: fn(&Core, &Query<'_>, &mut Row),
}

/// For screens whose `outline` makes whole rows.
pub(super) fn written(_: &Core, _: &Query<'_>, _: &mut Row) {}

/// A page inside a container, not a table.
pub(super) const fn page(
    pane: Pane,
    name: &'static str,
    title: &'static str,
    short: &'static str,
) -> ScreenDef {
    ScreenDef {
        pane,
        name,
        title,
        short,
        over: "ended",
        columns: &[],
        empty: &[],
        count: |_, _| None,
        outline: |_, _| Vec::new(),
        write: written,
    }
}
