//! Choosing from a short list: the column to sort by, the columns to show.

use super::look::TableLook;
use super::pane::Pane;
use super::rows;

/// The purpose of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// The column to sort by.
    Sort,
    /// The columns to show.
    Columns,
}

/// A list that is open.
#[derive(Debug, Clone)]
pub(super) struct Picker {
    pub(super) choice: Choice,
    /// The line under the marker.
    pub(super) at: usize,
}

/// A line of the list: whether it is chosen, and its text.
pub(super) type Item = (bool, String);

impl Picker {
    pub(super) fn sort(pane: Pane, table: &TableLook) -> Self {
        Self {
            choice: Choice::Sort,
            at: table.sort.map_or(0, |name| {
                let mut columns = rows::columns(pane).iter();
                columns.position(|c| c.name == name).map_or(0, |at| at + 1)
            }),
        }
    }

    pub(super) fn columns() -> Self {
        Self {
            choice: Choice::Columns,
            at: 0,
        }
    }

    pub(super) fn title(&self) -> &'static str {
        match self.choice {
            Choice::Sort => "Sort by",
            Choice::Columns => "Columns",
        }
    }

    /// The keys of the list.
    pub(super) fn keys(&self) -> &'static str {
        match self.choice {
            Choice::Sort => "Esc closes  Enter: sort, again: reverse  j k moves",
            Choice::Columns => "Esc closes  Space shows or hides  j k moves",
        }
    }

    pub(super) fn items(&self, pane: Pane, table: &TableLook) -> Vec<Item> {
        let columns = rows::columns(pane);
        let names = columns.iter();
        match self.choice {
            Choice::Sort => {
                let order = if table.reverse { "reversed" } else { "" };
                let own = (table.sort.is_none(), "default order".to_owned());
                let by = names.map(|column| {
                    let name = column.name;
                    let now = table.sort == Some(name);
                    let words = if now {
                        format!("{name} {order}")
                    } else {
                        name.to_owned()
                    };
                    (now, words)
                });
                std::iter::once(own).chain(by).collect()
            }
            Choice::Columns => names
                .map(|column| (table.shows(column), column.name.to_owned()))
                .collect(),
        }
    }
}
