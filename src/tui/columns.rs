//! Sorting by a column and choosing columns, by the open list or by name.

use crossterm::event::{KeyCode, KeyEvent};

use super::picker::{Choice, Picker};
use super::rows;
use super::table::Column;
use super::ui::Ui;

impl Ui {
    /// Handles a key while a list is open: the list takes all keys.
    pub(super) fn pick(&mut self, mut picker: Picker, key: &KeyEvent) {
        let count = picker.items(self.at.pane, self.table()).len();
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
                    let column = column.and_then(|at| rows::columns(self.at.pane).get(at));
                    self.sort_by(column.map(|column| column.name));
                    return;
                }
                Choice::Columns => {
                    if let Some(column) = rows::columns(self.at.pane).get(picker.at) {
                        self.switch_column(column);
                    }
                }
            },
            KeyCode::Char(_) | KeyCode::Esc | KeyCode::Backspace | KeyCode::Tab => return,
            _ => {}
        }
        self.dialog.picker = Some(picker);
    }

    /// Sorts by a column; by the current one again: reverses the order.
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
        let columns = rows::columns(self.at.pane);
        let found = columns.iter().find(|column| column.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
            format!("no column {name}; the columns are {}", names.join(" "))
        })
    }

    /// Shows or hides a column by its name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(super) fn switch_named(&mut self, name: &str) -> Result<(), String> {
        let column = self.column_named(name)?;
        self.switch_column(column);
        Ok(())
    }
}
