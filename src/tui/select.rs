//! The selection of a table, or the position on a page: moving, marking, folding.

use crate::core::Core;

use super::action::Action;
use super::pane::Pane;
use super::rows::{Row, RowKey};
use super::ui::Ui;

/// Cells that a row is shifted at a time.
const SHIFT: usize = 16;

impl Ui {
    /// A fraction of a page in lines.
    pub(super) fn lines(&self, part: usize) -> isize {
        isize::try_from((self.drawn.page / part).max(1)).unwrap_or(1)
    }

    /// Index of the selection among `rows`.
    pub(super) fn chosen(&self, rows: &[Row]) -> usize {
        if self.table().follow {
            let latest = rows.iter().enumerate().max_by_key(|(_, row)| row.at);
            return latest.map_or(0, |(at, _)| at);
        }
        let table = self.table();
        let selected = self.selected();
        let found = selected.and_then(|key| rows.iter().position(|row| row.key == *key));
        match found {
            // A silenced row moves to the end; the selection stays at its index.
            Some(at) if !(self.at.pane == Pane::Findings && table.lit && rows[at].faded) => at,
            // The first matching row, unless the selected row matches.
            None if self.filtering().is_some() => 0,
            _ => table.at.min(rows.len().saturating_sub(1)),
        }
    }

    /// The row under the marker stays selected, whatever rows appear above.
    pub(super) fn anchor(&mut self, rows: &[Row], chosen: usize) {
        let Some(row) = rows.get(chosen) else { return };
        self.drawn.current = Some(row.key.clone());
        let table = self.table_mut();
        table.at = chosen;
        table.lit = !row.faded;
        if !table.follow {
            table.selected = Some(row.key.clone());
        }
    }

    pub(super) fn go(&mut self, core: &Core, by: isize) {
        if !self.listing() || self.dialog.help {
            self.at.scroll = self.at.scroll.saturating_add_signed(by).min(100_000);
            return;
        }
        let rows = self.outline(core);
        let Some(last) = rows.len().checked_sub(1) else {
            return;
        };
        let to = self.chosen(&rows).saturating_add_signed(by).min(last);
        self.put(&rows, to);
    }

    /// Selects a row; a manual choice ends following.
    fn put(&mut self, rows: &[Row], at: usize) {
        let table = self.table_mut();
        table.follow = false;
        table.by_hand = true;
        self.anchor(rows, at);
    }

    pub(super) fn enter(&mut self, core: &Core) {
        let rows = self.outline(core);
        // The followed row may have changed since it was shown.
        let shown = self.drawn.current.as_ref();
        let shown = shown.and_then(|key| rows.iter().position(|row| row.key == *key));
        let at = shown.unwrap_or_else(|| self.chosen(&rows));
        if let Some(row) = rows.get(at) {
            let table = self.table_mut();
            table.by_hand = true;
            table.selected = Some(row.key.clone());
            self.open(row.key.clone());
        } else {
            let help = self.keys.sign(Action::Help);
            self.message = Some(format!("no row to open; {help} shows the keys"));
        }
    }

    /// To the next row that matches or is marked, or the next line of a page that does.
    pub(super) fn next_match(&mut self, core: &Core, by: isize) {
        if !self.listing() {
            self.find_line(core, by);
            return;
        }
        let rows = self.outline(core);
        let wanted = |row: &Row| {
            !row.context && (self.tables.marks.is_empty() || self.tables.marks.contains(&row.key))
        };
        let count = rows.len();
        let now = self.chosen(&rows);
        let next = (1..=count)
            .map(|step| {
                if by > 0 {
                    (now + step) % count
                } else {
                    (now + count - step % count) % count
                }
            })
            .find(|at| wanted(&rows[*at]));
        match next {
            Some(at) => self.put(&rows, at),
            None => self.message = Some("nothing matches".to_owned()),
        }
    }

    /// To the next line of a page that contains the searched text.
    pub(super) fn find_line(&mut self, core: &Core, by: isize) {
        let lines = super::detail::plain(core, self.page_of().as_ref(), &self.query());
        let wanted = self.found.to_lowercase();
        let matching: Vec<usize> = (0..lines.len())
            .filter(|at| !wanted.is_empty() && lines[*at].to_lowercase().contains(&wanted))
            .collect();
        let next = if by > 0 {
            let after = matching.iter().find(|at| **at > self.at.scroll);
            after.or(matching.first())
        } else {
            let before = matching.iter().rev().find(|at| **at < self.at.scroll);
            before.or(matching.last())
        };
        match next {
            Some(at) => self.at.scroll = *at,
            None => self.message = Some("nothing matches".to_owned()),
        }
    }

    /// Toggles the mark of the selected row, and moves to the next.
    pub(super) fn mark(&mut self, core: &Core) {
        let Some(key) = self.drawn.current.clone() else {
            return;
        };
        if !self.tables.marks.remove(&key) {
            self.tables.marks.insert(key);
        }
        self.go(core, 1);
        let count = self.tables.marks.len();
        self.message = (count > 0).then(|| format!("{count} marked"));
    }

    /// Folds and unfolds a tree; elsewhere scrolls the row's text.
    pub(super) fn sideways(&mut self, core: &Core, by: isize) {
        if !self.listing() {
            return;
        }
        if !self.tree() {
            let table = self.table_mut();
            let shift = isize::try_from(SHIFT).unwrap_or(1) * by;
            table.shift = table.shift.saturating_add_signed(shift).min(10_000);
            return;
        }
        let Some(RowKey::Process(pid)) = self.drawn.current else {
            return;
        };
        if by > 0 {
            self.tables.folded.remove(&pid);
            return;
        }
        let rows = self.outline(core);
        let at = self.chosen(&rows);
        let Some(row) = rows.get(at) else { return };
        let parent = rows[..at].iter().rposition(|above| above.depth < row.depth);
        let has_children = rows
            .get(at + 1)
            .is_some_and(|below| below.depth > row.depth);
        if has_children && !self.tables.folded.contains(&pid) {
            self.tables.folded.insert(pid);
        } else if let Some(parent) = parent {
            self.put(&rows, parent);
        }
    }
}
