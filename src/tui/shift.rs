//! Finds rows that moved up or down between two frames, as when a table scrolls.

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};
use std::ops::RangeInclusive;

use ratatui::buffer::{Buffer, Cell};
use rustc_hash::FxHasher;

/// Cells at the start of a row that show the selection and marks: they do not move with the row.
const MARKERS: usize = 2;
/// Minimum number of cells that a shift must save: the sequences that scroll cost about as much.
const MIN_SAVED: i64 = 24;
/// Minimum number of rows that change where rows move.
const MIN_ROWS: usize = 3;

/// Rows of the terminal that scroll together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shift {
    /// The rows, counted from 0.
    pub(super) rows: RangeInclusive<u16>,
    /// By so many rows.
    pub(super) by: u16,
    /// Upwards; else downwards.
    pub(super) up: bool,
}

/// The shift after which most cells of `shown` are those of `next`, if it is worth its sequences.
pub(super) fn find(shown: &Buffer, next: &Buffer) -> Option<Shift> {
    let width = usize::from(next.area.width).max(1);
    let before: Vec<&[Cell]> = shown.content.chunks(width).collect();
    let after: Vec<&[Cell]> = next.content.chunks(width).collect();
    let distance = likely(&before, &after)?;
    // The row that row `at` of the next frame comes from.
    let source = |at: usize| {
        at.checked_add_signed(distance)
            .filter(|from| *from < before.len())
    };
    let mut best: (i64, usize, usize) = (0, 0, 0);
    let (mut sum, mut begin) = (0, 0);
    for at in 0..after.len() {
        let Some(from) = source(at) else {
            continue;
        };
        if sum <= 0 {
            (sum, begin) = (0, at);
        }
        sum += difference(before[at], after[at]) - difference(before[from], after[at]);
        if sum > best.0 {
            best = (sum, begin, at);
        }
    }
    let (saved, begin, end) = best;
    let by = distance.unsigned_abs();
    let up = distance > 0;
    // The rows that become blank.
    let (first, last, blank) = if up {
        (begin, end + by, end + 1..=end + by)
    } else {
        (begin.checked_sub(by)?, end, begin - by..=begin - 1)
    };
    let written: i64 = blank
        .map(|at| difference(&[], after[at]) - difference(before[at], after[at]))
        .sum();
    let row = |at: usize| u16::try_from(at).ok();
    (saved - written > MIN_SAVED).then_some(Shift {
        rows: row(first)?..=row(last)?,
        by: row(by)?,
        up,
    })
}

impl Shift {
    /// Moves the rows as a terminal does; those that become free are blank.
    pub(super) fn apply(&self, buffer: &mut Buffer) {
        let width = usize::from(buffer.area.width);
        let start = usize::from(*self.rows.start()) * width;
        let end = (usize::from(*self.rows.end()) + 1) * width;
        let Some(cells) = buffer.content.get_mut(start..end) else {
            return;
        };
        let moved = (usize::from(self.by) * width).min(cells.len());
        let free = if self.up {
            cells.rotate_left(moved);
            let kept = cells.len() - moved;
            &mut cells[kept..]
        } else {
            cells.rotate_right(moved);
            &mut cells[..moved]
        };
        free.fill(Cell::default());
    }
}

/// By how many rows most rows that changed moved; positive: upwards.
fn likely(before: &[&[Cell]], after: &[&[Cell]]) -> Option<isize> {
    let rows = before.iter().zip(after).enumerate();
    let changed: Vec<(usize, &[Cell])> = rows
        .filter(|(_, (before, after))| before != after)
        .map(|(at, (_, after))| (at, *after))
        .collect();
    // Most frames change a number or two.
    if changed.len() < MIN_ROWS {
        return None;
    }
    let before: Vec<Option<u64>> = before.iter().map(|row| text(row)).collect();
    let mut votes: BTreeMap<isize, usize> = BTreeMap::new();
    for (at, row) in changed {
        let text = text(row);
        if text.is_none() || before.get(at) == Some(&text) {
            continue;
        }
        for (from, _) in before.iter().enumerate().filter(|(_, b)| **b == text) {
            *votes
                .entry(from.cast_signed() - at.cast_signed())
                .or_default() += 1;
        }
    }
    // A single row may well be a coincidence.
    let (distance, rows) = votes.into_iter().max_by_key(|(_, rows)| *rows)?;
    (rows > 1).then_some(distance)
}

/// A hash of a row's text behind the markers; `None` for a blank one.
fn text(row: &[Cell]) -> Option<u64> {
    let cells = row.get(MARKERS..)?;
    let mut hasher = FxHasher::default();
    let mut blank = true;
    for cell in cells {
        blank &= cell.symbol() == " ";
        cell.symbol().hash(&mut hasher);
    }
    (!blank).then(|| hasher.finish())
}

/// The number of cells that differ; where `before` has none, it is blank.
fn difference(before: &[Cell], after: &[Cell]) -> i64 {
    let blank = Cell::default();
    let differs = |(at, cell): &(usize, &Cell)| before.get(*at).unwrap_or(&blank) != *cell;
    let count = after.iter().enumerate().filter(differs).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(lines: &[&str]) -> Buffer {
        Buffer::with_lines(lines.iter().map(|line| format!("{line:40}")))
    }

    fn rows(from: usize) -> Vec<String> {
        let mut lines = vec!["a head that stays in its row".to_owned()];
        let row = |n: usize| {
            format!(
                "  {}",
                ["web", "mail", "cron", "api", "db"][n % 5].repeat(5 + n / 5)
            )
        };
        lines.extend((from..from + 6).map(row));
        lines.push("a foot that stays in its row".to_owned());
        lines
    }

    fn found(before: &[String], after: &[String]) -> Option<Shift> {
        let of = |lines: &[String]| buffer(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let (before, after) = (of(before), of(after));
        let shift = find(&before, &after)?;
        let mut moved = before;
        shift.apply(&mut moved);
        let differ = moved
            .content
            .iter()
            .zip(&after.content)
            .filter(|(a, b)| a != b);
        // All that is left are the rows that came into sight.
        let new = usize::from(shift.by) * 40;
        assert!(differ.count() <= new);
        Some(shift)
    }

    #[test]
    fn a_table_that_scrolls_moves_between_head_and_foot() {
        for (from, to, by, up) in [(0, 2, 2, true), (3, 0, 3, false), (0, 4, 4, true)] {
            let expected = Shift {
                rows: 1..=6,
                by,
                up,
            };
            assert_eq!(found(&rows(from), &rows(to)), Some(expected));
        }
    }

    #[test]
    fn other_changes_are_no_shift() {
        assert_eq!(found(&rows(0), &rows(0)), None);
        assert_eq!(found(&rows(0), &rows(20)), None);
        let mut changed = rows(0);
        changed[3] = "  another text".to_owned();
        assert_eq!(found(&rows(0), &changed), None);
        let blank = vec![String::new(); 8];
        assert_eq!(found(&rows(0), &blank), None);
        assert_eq!(found(&blank, &rows(0)), None);
    }
}
