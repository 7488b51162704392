//! How the table of each screen is looked at: selection, order, filter, columns.

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::pane::Pane;
use super::rows::{self, Key};
use super::table::Column;

/// How the table of a pane is looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// The selected row.
    pub(super) selected: Option<Key>,
    /// Where the selected row stood when it was last shown: what takes its place is selected when
    /// it is gone.
    pub(super) at: usize,
    /// A person chose it. What nobody chose is let go when it leaves the page.
    pub(super) by_hand: bool,
    /// It was not faded then.
    pub(super) lit: bool,
    /// The first row of the page.
    pub(super) first: usize,
    /// Sorted by this column; else in the pane's own order.
    pub(super) sort: Option<usize>,
    /// The other way round.
    pub(super) reverse: bool,
    /// Which rows to show.
    pub(super) filter: Filter,
    /// Columns shown although spare, and hidden although not: those that were switched.
    switched: u32,
    /// Ended processes, connections and containers are hidden.
    pub(super) hide_ended: bool,
    /// The tree is shown as a list.
    pub(super) flat: bool,
    /// The selection goes to what changed last.
    pub(super) follow: bool,
    /// Text cut off at the left of the main column.
    pub(super) shift: usize,
}

/// A table's look as it is kept for another run of the program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KeptTable {
    selected: Option<Key>,
    sort: Option<usize>,
    reverse: bool,
    filter: String,
    switched: u32,
    hide_ended: bool,
    flat: bool,
    follow: bool,
    shift: usize,
}

impl KeptTable {
    /// The same look; what this version does not know is left out.
    pub(super) fn table(self, pane: Pane) -> Table {
        let columns = rows::columns(pane);
        Table {
            by_hand: self.selected.is_some(),
            selected: self.selected,
            at: 0,
            lit: false,
            first: 0,
            sort: self.sort.filter(|at| *at < columns.len()),
            reverse: self.reverse,
            filter: Filter::parse(&self.filter, columns).unwrap_or_default(),
            switched: self.switched,
            hide_ended: self.hide_ended,
            flat: self.flat,
            follow: self.follow,
            shift: self.shift,
        }
    }
}

impl Table {
    /// As it is kept for another run of the program.
    pub(super) fn kept(&self) -> KeptTable {
        KeptTable {
            selected: self.selected.clone(),
            sort: self.sort,
            reverse: self.reverse,
            filter: self.filter.text().to_owned(),
            switched: self.switched,
            hide_ended: self.hide_ended,
            flat: self.flat,
            follow: self.follow,
            shift: self.shift,
        }
    }

    /// Whether a column is wanted.
    pub(super) fn shows(&self, columns: &[Column], at: usize) -> bool {
        let switched = self.switched >> at & 1 == 1;
        columns[at].drop == 0 || columns[at].spare == switched
    }

    /// Shows a hidden column, hides a shown one; false for those that never go.
    pub(super) fn switch(&mut self, columns: &[Column], at: usize) -> bool {
        let may = columns.get(at).is_some_and(|column| column.drop > 0);
        if may {
            self.switched ^= 1 << at;
        }
        may
    }

    /// Reads a filter for rows of `pane` and shows those only.
    ///
    /// # Errors
    /// When the filter cannot be read; then the one before stays.
    pub(super) fn set_filter(&mut self, pane: Pane, text: &str) -> Result<(), String> {
        self.filter = Filter::parse(text, rows::columns(pane))?;
        Ok(())
    }
}
