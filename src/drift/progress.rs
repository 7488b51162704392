//! Progress and cancelling of a drift scan.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Progress of a drift scan, and the request to cancel it.
#[derive(Debug, Default)]
pub struct ScanProgress {
    examined: AtomicU64,
    cancelled: AtomicBool,
}

impl ScanProgress {
    /// Entries examined.
    #[must_use]
    pub fn examined(&self) -> u64 {
        self.examined.load(Ordering::Relaxed)
    }

    /// Ends the scan soon.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it should end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn step(&self) {
        self.examined.fetch_add(1, Ordering::Relaxed);
    }
}
