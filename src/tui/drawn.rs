//! The content of the last frame: drawing returns it, and the next key depends on it.

use std::sync::Arc;

use ratatui::layout::Rect;

use super::damping::DampedNumbers;
use super::pane::Pane;
use super::rows::{Listing, RowCounts, RowKey};
use crate::core::Core;

/// The result of drawing a frame.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// Lines of its page.
    pub(super) page: usize,
    /// First line shown of a page or of help.
    pub(super) scroll: usize,
    /// The row under the cursor.
    pub(super) current: Option<RowKey>,
    /// How many rows match the filter, and how many there are.
    pub(super) counted: RowCounts,
    /// The rows, reused while the keys only move among them.
    pub(super) listing: Option<Arc<Listing>>,
    /// The preview is shown.
    pub(super) previewed: bool,
    /// The row that the preview explains.
    pub(super) explained: Option<RowKey>,
    /// The damped numbers, as they were shown.
    pub(super) numbers: DampedNumbers,
    /// The guide of the demo is shown.
    pub(super) guided: bool,
    /// Areas that can be clicked.
    pub(super) clickable: Clickable,
    /// Position of the screen's table.
    pub(super) table: Option<TableDrawn>,
}

/// Rows that were made before a frame is drawn, for its timeline.
#[derive(Debug, Clone)]
pub(super) struct FrameRows {
    /// Number of events of the core that they were made from.
    events: u64,
    pub(super) listing: Arc<Listing>,
}

impl FrameRows {
    pub(super) fn new(core: &Core, listing: Arc<Listing>) -> Self {
        Self {
            events: core.state.totals.events,
            listing,
        }
    }

    /// The rows, unless the core has applied events since.
    pub(super) fn of(&self, core: &Core) -> Option<Arc<Listing>> {
        (self.events == core.state.totals.events).then(|| Arc::clone(&self.listing))
    }
}

/// Position of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableDrawn {
    /// The first row of the page.
    pub(super) first: usize,
    /// The row under the cursor, by its index.
    pub(super) at: usize,
    /// Whether that row was shown as current, not dim.
    pub(super) lit: bool,
}

/// Areas that can be clicked.
#[derive(Debug, Clone, Default)]
pub(super) struct Clickable {
    /// Views and tabs.
    pub(super) tabs: Vec<(Rect, Pane)>,
    /// Titles of columns, with the columns' names.
    pub(super) titles: Vec<(Rect, &'static str)>,
    /// Rows.
    pub(super) rows: Vec<(Rect, RowKey)>,
}

impl Default for Drawn {
    fn default() -> Self {
        Self {
            page: 10,
            scroll: 0,
            current: None,
            counted: RowCounts::default(),
            listing: None,
            previewed: false,
            explained: None,
            numbers: DampedNumbers::default(),
            guided: false,
            clickable: Clickable::default(),
            table: None,
        }
    }
}

impl Drawn {
    /// The starting point of the next frame: a screen without a table keeps the row, the counts and
    /// the numbers of the table below it.
    pub(super) fn next(&self, scroll: usize) -> Self {
        Self {
            scroll,
            guided: false,
            clickable: Clickable::default(),
            table: None,
            page: self.page,
            current: self.current.clone(),
            counted: self.counted,
            listing: self.listing.clone(),
            previewed: self.previewed,
            explained: self.explained.clone(),
            numbers: self.numbers.clone(),
        }
    }
}
