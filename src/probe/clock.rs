//! Kernel time to wall-clock time.

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::event::Timestamp;
use crate::system::now;

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}

/// Distance from the time since boot to the wall clock. Taken once: a session's times do not
/// jump when somebody sets the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(i64);

impl Clock {
    pub(crate) fn start() -> Self {
        let boot = nanoseconds(clock_gettime(ClockId::Boottime));
        Self(now().0.saturating_sub(boot))
    }

    /// Nanoseconds since boot as wall-clock time.
    pub(crate) fn at(self, since_boot: u64) -> Timestamp {
        Timestamp(self.0.saturating_add_unsigned(since_boot))
    }

    /// The present on the session's clock.
    pub(crate) fn present(self) -> Timestamp {
        self.at(nanoseconds(clock_gettime(ClockId::Boottime)).unsigned_abs())
    }
}
