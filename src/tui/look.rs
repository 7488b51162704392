//! The view state of each table: selection, order, filter, columns.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use super::filter::Filter;
use super::pane::Pane;
use super::rows::{self, RowKey};
use super::table::Column;

/// The view state of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct TableLook {
    /// The selected row.
    pub(super) selected: Option<RowKey>,
    /// Index of the selected row in the last frame: when the row disappears, its successor is
    /// selected.
    pub(super) at: usize,
    /// Chosen by the user. A selection made by the program ends when it leaves the page.
    pub(super) by_hand: bool,
    /// The row was current then, not dim.
    pub(super) lit: bool,
    /// The first row of the page.
    pub(super) first: usize,
    /// Name of the column to sort by; else the screen's own order.
    pub(super) sort: Option<&'static str>,
    /// The order is reversed.
    pub(super) reverse: bool,
    /// The row filter.
    pub(super) filter: Filter,
    /// Columns that are shown although optional, or hidden although not optional.
    switched: BTreeSet<&'static str>,
    /// Ended processes, connections and containers are hidden.
    pub(super) hide_ended: bool,
    /// The tree is shown as a list.
    pub(super) flat: bool,
    /// The selection follows the latest change.
    pub(super) follow: bool,
    /// Text cut off at the left of the main column.
    pub(super) shift: usize,
}

/// The saved form of a table's view state. Earlier versions saved columns by index: these are
/// ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SavedLook {
    selected: Option<RowKey>,
    #[serde(deserialize_with = "name_only")]
    sort: Option<String>,
    reverse: bool,
    filter: String,
    columns: BTreeSet<String>,
    hide_ended: bool,
    flat: bool,
    follow: bool,
    shift: usize,
}

/// A column's name; `None` for the index of an earlier version.
fn name_only<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_str().map(str::to_owned))
}

/// The column's name; `None` when no column has it.
fn known(columns: &[Column], name: &str) -> Option<&'static str> {
    let mut names = columns.iter().map(|column| column.name);
    names.find(|known| *known == name)
}

impl SavedLook {
    /// Restores the view state; parts that this version does not know are left out.
    pub(super) fn table(self, pane: Pane) -> TableLook {
        let columns = rows::columns(pane);
        let sort = self.sort.as_deref().and_then(|name| known(columns, name));
        let switched = self.columns.iter();
        TableLook {
            by_hand: self.selected.is_some(),
            selected: self.selected,
            at: 0,
            lit: false,
            first: 0,
            reverse: self.reverse && (sort.is_some() || self.sort.is_none()),
            sort,
            filter: Filter::parse(&self.filter, columns).unwrap_or_default(),
            switched: switched.filter_map(|name| known(columns, name)).collect(),
            hide_ended: self.hide_ended,
            flat: self.flat,
            follow: self.follow,
            shift: self.shift,
        }
    }
}

impl TableLook {
    /// The form to save.
    pub(super) fn kept(&self) -> SavedLook {
        SavedLook {
            selected: self.selected.clone(),
            sort: self.sort.map(str::to_owned),
            reverse: self.reverse,
            filter: self.filter.text().to_owned(),
            columns: self.switched.iter().copied().map(str::to_owned).collect(),
            hide_ended: self.hide_ended,
            flat: self.flat,
            follow: self.follow,
            shift: self.shift,
        }
    }

    /// Whether a column is wanted.
    pub(super) fn shows(&self, column: &Column) -> bool {
        column.drop == 0 || column.spare == self.switched.contains(column.name)
    }

    /// Shows a hidden column, hides a shown one; false for columns that are always shown.
    pub(super) fn switch(&mut self, column: &Column) -> bool {
        let may = column.drop > 0;
        if may && !self.switched.remove(column.name) {
            self.switched.insert(column.name);
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
