//! The screens, one file each, and their rows: filtered, sorted and counted for every use.

pub(super) mod belonging;
mod builds;
mod containers;
mod drift_class;
mod events;
mod files;
mod findings;
mod flagged;
mod image;
mod images;
mod incidents;
mod network;
mod normal;
mod overview;
mod peer_groups;
mod processes;
mod query;
pub(super) mod row;
mod screen;
mod short;
mod tally;
mod words;

use std::borrow::Cow;
use std::sync::Arc;

use belonging::belonging;
pub(super) use belonging::container_of;
pub(super) use builds::open_findings;
pub(super) use drift_class::DriftClass;
pub(in crate::tui) use flagged::FlaggedTargets;
pub(super) use image::{ImageKey, images};
pub(super) use query::Query;
pub(super) use row::{Row, RowKey};
pub(super) use screen::ScreenDef;
pub(super) use words::{
    command, container_state, endpoint, inside_uid, name, origin, source, source_explained, what,
    word,
};

use super::filter::Filter;
use super::pane::Pane;
use super::table::Column;
use crate::core::Core;

/// Every screen, one file each.
pub(in crate::tui) const SCREENS: [&ScreenDef; Pane::COUNT] = [
    &incidents::SCREEN,
    &containers::SCREEN,
    &findings::SCREEN,
    &processes::SCREEN,
    &network::SCREEN,
    &files::SCREEN,
    &images::SCREEN,
    &events::SCREEN,
    &overview::SCREEN,
    &normal::BASELINE,
    &normal::HARDEN,
    &normal::POSTURE,
];

/// The definition of a screen.
pub(super) fn screen(pane: Pane) -> &'static ScreenDef {
    let mut all = SCREENS.into_iter();
    // A test holds that every one is listed.
    all.find(|screen| screen.pane == pane)
        .unwrap_or(&overview::SCREEN)
}

impl Pane {
    /// Its name on the command line and in file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        screen(self).name
    }

    /// Its title.
    #[must_use]
    pub fn title(self) -> &'static str {
        screen(self).title
    }

    /// Its title on narrow terminals.
    #[must_use]
    pub fn short(self) -> &'static str {
        screen(self).short
    }

    /// The word for its inactive rows: ended, closed, silenced.
    pub(super) fn over(self) -> &'static str {
        screen(self).over
    }
}

/// The columns of a screen.
pub(super) fn columns(pane: Pane) -> &'static [Column] {
    screen(pane).columns
}

/// How many rows match the filter, and how many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RowCounts {
    pub(super) matching: usize,
    pub(super) all: usize,
}

/// Rows, and the number of rows left out.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    rows: Vec<Row>,
    pub(super) counted: RowCounts,
}

impl std::ops::Deref for Listing {
    type Target = [Row];

    fn deref(&self) -> &[Row] {
        &self.rows
    }
}

/// The rows of a screen, filtered and sorted.
pub(super) fn rows(core: &Core, query: &Query<'_>) -> Vec<Row> {
    let mut rows = collect(core, query).rows;
    rows.iter_mut().for_each(|row| write(core, query, row));
    rows
}

/// The rows of a screen, filtered and sorted; [`write`] adds the text of those that are drawn.
///
/// There are thousands of rows, a page shows a few of them, and text is most of the work.
pub(super) fn outline(core: &Core, query: &Query<'_>) -> Arc<Listing> {
    Arc::new(collect(core, query))
}

fn collect(core: &Core, query: &Query<'_>) -> Listing {
    let screen = screen(query.pane);
    let mut rows = (screen.outline)(core, query);
    if query.hide_ended {
        rows.retain(|row| !row.faded);
    }
    let all = rows.len();
    let mut filter = Cow::Borrowed(query.filter);
    if !filter.is_empty() || query.sort.is_some() {
        rows.iter_mut().for_each(|row| write(core, query, row));
    }
    if filter.asks_belonging() {
        for row in &mut rows {
            row.belonging = Some(Box::new(belonging(core, &row.key)));
        }
    }
    if let Some((text, wrong)) = query.typing
        && !rows.iter().any(|row| filter.matches(row))
        && let Some(begun) = Filter::begun(text, wrong, screen.columns)
    {
        // An incomplete word does not empty the table.
        filter = Cow::Owned(begun);
    }
    if !filter.is_empty() {
        keep(&mut rows, |row| filter.matches(row));
    }
    let mut names = screen.columns.iter().map(|column| Some(column.name));
    if let Some(by) = names.position(|name| name == query.sort) {
        sort(&mut rows, by, query.reverse);
    } else if query.reverse && !query.tree() {
        rows.reverse();
    }
    let matching = rows.iter().filter(|row| !row.context).count();
    let counted = RowCounts { matching, all };
    Listing { rows, counted }
}

/// Sorts by a column: numbers from the largest, text in its own order.
fn sort(rows: &mut [Row], by: usize, reverse: bool) {
    rows.sort_by(|a, b| {
        let order = match (a.numbers[by], b.numbers[by]) {
            (Some(a), Some(b)) => b.cmp(&a),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => a.cells[by].cmp(&b.cells[by]),
        };
        if reverse { order.reverse() } else { order }
    });
}

/// Adds the text of a row where it is missing.
pub(super) fn write(core: &Core, query: &Query<'_>, row: &mut Row) {
    if !row.cells.is_empty() {
        return;
    }
    let screen = screen(query.pane);
    (screen.write)(core, query, row);
    // An event of a damaged recording may not be found by its number.
    while row.cells.len() < screen.columns.len() {
        row.text("");
    }
}

/// Keeps matching rows, and in a tree their ancestors.
fn keep(rows: &mut Vec<Row>, matches: impl Fn(&Row) -> bool) {
    // From the end: a row of lower depth than the last one kept is its ancestor.
    let mut below = 0;
    let mut kept: Vec<bool> = Vec::with_capacity(rows.len());
    for row in rows.iter_mut().rev() {
        let matching = matches(row);
        row.context = !matching && row.depth < below;
        kept.push(matching || row.context);
        if matching || row.context {
            below = row.depth;
        }
    }
    rows.retain(|_| kept.pop().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_screen_is_listed_once() {
        for pane in Pane::ALL.into_iter().chain(Pane::PAGES) {
            let listed = SCREENS.iter().filter(|screen| screen.pane == pane);
            assert_eq!(listed.count(), 1, "{pane:?}");
        }
    }

    #[test]
    fn columns_of_a_screen_have_names_of_their_own() {
        for screen in SCREENS {
            let names: std::collections::BTreeSet<&str> =
                screen.columns.iter().map(|column| column.name).collect();
            assert_eq!(names.len(), screen.columns.len(), "{}", screen.title);
        }
    }
}
