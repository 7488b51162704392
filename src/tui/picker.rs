//! Choosing from a short list: the column to sort by, the columns to show.

use crossterm::event::{KeyCode, KeyEvent};

use super::app::Ui;
use super::rows;
use super::table::Column;

/// What is chosen.
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

/// A line of the list: whether it is chosen, and its words.
pub(super) type Item = (bool, String);

impl Picker {
    pub(super) fn sort(ui: &Ui) -> Self {
        Self {
            choice: Choice::Sort,
            at: ui.table().sort.map_or(0, |name| {
                let mut columns = rows::columns(ui.pane).iter();
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

    /// The keys that work on the list.
    pub(super) fn keys(&self) -> &'static str {
        match self.choice {
            Choice::Sort => "Esc closes  Enter sorts, again turns round  j k moves",
            Choice::Columns => "Esc closes  Space shows or hides  j k moves",
        }
    }

    pub(super) fn items(&self, ui: &Ui) -> Vec<Item> {
        let columns = rows::columns(ui.pane);
        let table = ui.table();
        let names = columns.iter();
        match self.choice {
            Choice::Sort => {
                let order = if table.reverse { "reversed" } else { "" };
                let own = (table.sort.is_none(), "its own order".to_owned());
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

impl Ui {
    /// A key while a list is open: the list takes all of them.
    pub(super) fn pick(&mut self, mut picker: Picker, key: &KeyEvent) {
        let count = picker.items(self).len();
        match key.code {
            KeyCode::Char('j') | KeyCode::Down => picker.at = (picker.at + 1) % count.max(1),
            KeyCode::Char('k') | KeyCode::Up => {
                picker.at = (picker.at + count.saturating_sub(1)) % count.max(1);
            }
            KeyCode::Char('g') | KeyCode::Home => picker.at = 0,
            KeyCode::Char('G') | KeyCode::End => picker.at = count.saturating_sub(1),
            KeyCode::Enter | KeyCode::Char(' ' | 'l') => match picker.choice {
                Choice::Sort => {
                    let column = picker.at.checked_sub(1);
                    let column = column.and_then(|at| rows::columns(self.pane).get(at));
                    self.sort_by(column.map(|column| column.name));
                    return;
                }
                Choice::Columns => {
                    if let Some(column) = rows::columns(self.pane).get(picker.at) {
                        self.switch_column(column);
                    }
                }
            },
            KeyCode::Char(_) | KeyCode::Esc | KeyCode::Backspace | KeyCode::Tab => return,
            _ => {}
        }
        self.picker = Some(picker);
    }

    /// Sorts by a column, or not; by the present one again: the other way round.
    pub(super) fn sort_by(&mut self, column: Option<&'static str>) {
        let table = self.table_mut();
        table.reverse = table.sort == column && column.is_some() && !table.reverse;
        table.sort = column;
    }

    fn switch_column(&mut self, column: &Column) {
        if !self.table_mut().switch(column) {
            self.message = Some(format!("{} is always shown", column.name));
        }
    }

    /// The column of a name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(super) fn column_named(&self, name: &str) -> Result<&'static Column, String> {
        let columns = rows::columns(self.pane);
        let found = columns.iter().find(|column| column.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
            format!("no column {name}; there are {}", names.join(" "))
        })
    }

    pub(super) fn switch_named(&mut self, name: &str) -> Result<(), String> {
        let column = self.column_named(name)?;
        self.switch_column(column);
        Ok(())
    }
}
