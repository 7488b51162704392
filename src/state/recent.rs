//! The recent past: the latest events, and counts per second for the timeline.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::{Event, Kind};

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
    /// Approximate bytes of the events.
    pub(super) bytes: usize,
}

/// Bounds: events kept, and seconds of history.
const MAX_EVENTS: usize = 8192;
const MAX_SECONDS: usize = 900;

impl Recent {
    /// Adds an event; evicts others so that all together have about `most` bytes.
    pub(super) fn apply(&mut self, event: &Arc<Event>, most: usize) {
        let at = event.ts.seconds();
        if self.seconds.back().is_none_or(|second| second.at < at) {
            if self.seconds.len() >= MAX_SECONDS {
                self.seconds.pop_front();
            }
            self.seconds.push_back(Second {
                at,
                ..Second::default()
            });
        }
        if let Some(second) = self.seconds.back_mut() {
            match &event.kind {
                Kind::Tick(_) => return,
                Kind::Lost(lost) => {
                    second.lost = second
                        .lost
                        .saturating_add(u32::try_from(lost.count).unwrap_or(u32::MAX));
                }
                _ => second.events = second.events.saturating_add(1),
            }
        }
        let weight = event.weight();
        while self.events.len() >= MAX_EVENTS || self.bytes + weight > most {
            let Some(oldest) = self.events.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.weight());
        }
        self.bytes += weight;
        self.events.push_back(Arc::clone(event));
    }

    /// The event with that number, while it is kept.
    #[must_use]
    pub fn event(&self, seq: u64) -> Option<&Arc<Event>> {
        let at = self.events.partition_point(|event| event.seq < seq);
        self.events.get(at).filter(|event| event.seq == seq)
    }

    /// Events in the last whole second before `now_seconds`.
    #[must_use]
    pub fn rate(&self, now_seconds: i64) -> u32 {
        self.seconds
            .iter()
            .rev()
            .find(|second| second.at < now_seconds)
            .filter(|second| second.at == now_seconds - 1)
            .map_or(0, |second| second.events)
    }
}
