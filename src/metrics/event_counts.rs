//! Events by type.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::event::{KNOWN_TYPES, Kind};

/// How many events of each type came, in the order of [`KNOWN_TYPES`].
#[derive(Debug)]
pub struct EventCounts(Vec<AtomicU64>);

impl Default for EventCounts {
    fn default() -> Self {
        Self(KNOWN_TYPES.iter().map(|_| AtomicU64::new(0)).collect())
    }
}

impl EventCounts {
    /// Counts one event.
    pub fn count(&self, kind: &Kind) {
        let name = kind.type_name();
        let at = KNOWN_TYPES.iter().position(|known| *known == name);
        if let Some(counter) = at.and_then(|at| self.0.get(at)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The types with their counts.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        KNOWN_TYPES.iter().copied().zip(counts)
    }
}
