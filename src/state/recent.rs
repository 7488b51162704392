//! The recent past: the latest events, and counts per second for the timeline.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Event;

/// Counts of one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// Seconds since the epoch.
    pub at: i64,
    /// Events.
    pub events: u32,
    /// Events lost.
    pub lost: u32,
}

/// The latest events, and counts per second.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    /// The latest events except ticks, oldest first; bounded.
    pub events: VecDeque<Arc<Event>>,
    /// The last 15 minutes, oldest first, one entry a second that had events.
    pub seconds: VecDeque<Second>,
}
