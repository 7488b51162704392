//! The query of rows and pages: the screen, its scope, filter and order.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::image::ImageKey;
use super::row::RowKey;
use crate::event::ContainerId;
use crate::machine::MachineFacts;
use crate::state::Owner;
use crate::tui::filter::Filter;
use crate::tui::keymap::Keymap;
use crate::tui::learned::{BaselineComparison, ScreenLearner};
use crate::tui::pane::Pane;
use crate::tui::zone::Zone;

/// A query to the core: the rows of a screen, their order and display.
#[derive(Debug, Clone, Copy)]
pub(in crate::tui) struct Query<'a> {
    /// The screen.
    pub(in crate::tui) pane: Pane,
    /// Only rows of this container.
    pub(in crate::tui) container: Option<&'a ContainerId>,
    /// Only containers of this image.
    pub(in crate::tui) image: Option<&'a ImageKey>,
    /// Only rows that match this filter.
    pub(in crate::tui) filter: &'a Filter,
    /// The filter that is being typed, and whether it is incomplete.
    pub(in crate::tui) typing: Option<(&'a str, bool)>,
    /// Sorted by the column of this name; `None`: the screen's own order.
    pub(in crate::tui) sort: Option<&'static str>,
    /// The order is reversed.
    pub(in crate::tui) reverse: bool,
    /// Processes are listed, not shown as a tree.
    pub(in crate::tui) flat: bool,
    /// Inactive rows (ended, closed, removed, silenced) are left out.
    pub(in crate::tui) hide_ended: bool,
    /// Marked rows: they are never merged with others.
    pub(in crate::tui) marks: &'a BTreeSet<RowKey>,
    /// Processes whose children are not shown.
    pub(in crate::tui) folded: &'a BTreeSet<u32>,
    /// The time zone of all times.
    pub(in crate::tui) zone: &'a Zone,
    /// Secrets are shown, not masked.
    pub(in crate::tui) reveal: bool,
    /// The machine that is watched, or was recorded.
    pub(in crate::tui) machine: Option<&'a MachineFacts>,
    /// The keys that pages mention.
    pub(in crate::tui) keys: &'a Keymap,
    /// Items learned from the screen.
    pub(in crate::tui) learner: Option<&'a ScreenLearner>,
    /// The latest comparison with a baseline.
    pub(in crate::tui) compared: Option<&'a BaselineComparison>,
}

impl Query<'_> {
    /// Processes are shown as a tree.
    pub(in crate::tui) fn tree(&self) -> bool {
        self.pane == Pane::Processes && !self.flat && self.sort.is_none()
    }

    /// Whether the query includes rows of this container, or of the host.
    pub(in crate::tui) fn wants(&self, owner: &Owner) -> bool {
        self.container.is_none() || self.container == owner.as_ref()
    }

    /// A text for display: secrets masked unless they should be shown.
    pub(in crate::tui) fn masked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.reveal {
            text.into()
        } else {
            crate::masking::mask(text)
        }
    }
}
