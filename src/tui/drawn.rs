//! What the last frame showed: a value that drawing returns and the next key is judged by.

use std::sync::Arc;

use ratatui::layout::Rect;

use super::damping::DampedNumbers;
use super::pane::Pane;
use super::rows::{Listing, RowCounts, RowKey};

/// What a frame showed.
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
    /// The rows, while nothing was asked since but to move among them.
    pub(super) listing: Option<Arc<Listing>>,
    /// The preview is shown.
    pub(super) previewed: bool,
    /// The row that the preview explains.
    pub(super) explained: Option<RowKey>,
    /// The numbers that move all the time, as they were shown.
    pub(super) numbers: DampedNumbers,
    /// Where what can be clicked was drawn.
    pub(super) clickable: Clickable,
    /// Where the table of the screen stood.
    pub(super) table: Option<TableDrawn>,
}

/// Where a table stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableDrawn {
    /// The first row of the page.
    pub(super) first: usize,
    /// The row under the cursor, by its index.
    pub(super) at: usize,
    /// That row was not faded.
    pub(super) lit: bool,
}

/// Where what can be clicked was drawn.
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
            clickable: Clickable::default(),
            table: None,
        }
    }
}

impl Drawn {
    /// The beginning of the frame after this one: a screen without a table keeps the row, the
    /// counts and the numbers of the table below it.
    pub(super) fn next(&self, scroll: usize) -> Self {
        Self {
            scroll,
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
