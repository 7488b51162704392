//! The stream's clock: the wall clock at the program's start, advanced by the time since boot.
//! Setting the wall clock later neither reorders the stream nor makes it jump; every tick reports
//! their difference.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::event::Timestamp;

/// Maximum difference at which the two clocks count as equal: time servers correct a clock by less.
const APART: i64 = 500_000_000;

/// The stream's clock of this program.
static SESSION: LazyLock<SessionClock> = LazyLock::new(|| SessionClock {
    offset: wall_now().0.saturating_sub(since_boot()),
});

/// Turns times of the kernel and of the wall clock into times of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionClock {
    /// Distance from the time since boot to the stream's time, nanoseconds.
    offset: i64,
}

impl SessionClock {
    pub(crate) fn of_this_program() -> Self {
        *SESSION
    }

    /// Nanoseconds since boot (`CLOCK_BOOTTIME`) as the stream's time.
    pub(crate) fn at(self, since_boot: u64) -> Timestamp {
        Timestamp(self.offset.saturating_add_unsigned(since_boot))
    }

    /// The stream's time from which `/proc` counts when processes started: as this program's time
    /// namespace has it.
    pub(crate) fn start_of_proc(self) -> Timestamp {
        Timestamp(self.offset.saturating_sub(*ADDED))
    }

    /// The current time.
    pub(crate) fn now(self) -> Timestamp {
        Timestamp(self.offset.saturating_add(since_boot()))
    }

    /// The wall clock minus this clock, nanoseconds; 0 when it was not set since.
    pub(crate) fn step(self) -> i64 {
        self.step_of(wall_now(), since_boot())
    }

    fn step_of(self, wall: Timestamp, since_boot: i64) -> i64 {
        let step = wall.0.saturating_sub(since_boot) - self.offset;
        if step.abs() < APART { 0 } else { step }
    }

    /// Converts a time that the wall clock stamped just now.
    pub(crate) fn just_stamped(self, wall: Timestamp) -> Timestamp {
        Timestamp(wall.0.saturating_sub(self.step()))
    }
}

/// The wall clock, for comparison with times that others read from it now.
pub(crate) fn wall_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(i64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX))
}

/// Nanoseconds since boot, as the kernel programs see it: without what a time namespace adds.
fn since_boot() -> i64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Boottime);
    let here = tv_sec.saturating_mul(1_000_000_000).saturating_add(tv_nsec);
    here.saturating_sub(*ADDED)
}

/// What this program's time namespace adds to the time since boot, nanoseconds.
static ADDED: LazyLock<i64> = LazyLock::new(|| {
    // Kernels without time namespaces have no such file.
    let offsets = std::fs::read_to_string("/proc/self/timens_offsets");
    added(&offsets.unwrap_or_default())
});

fn added(offsets: &str) -> i64 {
    let fields = offsets.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        matches!(fields.next(), Some("boottime" | "7")).then_some(fields)
    });
    let mut numbers = fields.into_iter().flatten().map(|f| f.parse::<i64>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(seconds)), Some(Ok(rest))) => {
            seconds.saturating_mul(1_000_000_000).saturating_add(rest)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;

    #[test]
    fn a_clock_that_is_set_changes_no_time_of_the_session_and_is_reported() {
        let clock = SessionClock { offset: 100 * HOUR };
        assert_eq!(clock.at(5), Timestamp(100 * HOUR + 5));
        for step in [HOUR, -HOUR, APART, -APART] {
            assert_eq!(clock.step_of(Timestamp(103 * HOUR + step), 3 * HOUR), step);
        }
        for slewed in [0, 1_000_000, -400_000_000] {
            assert_eq!(clock.step_of(Timestamp(103 * HOUR + slewed), 3 * HOUR), 0);
        }
    }

    #[test]
    fn what_a_time_namespace_adds_is_read() {
        let file = "monotonic        5000         0\nboottime       100000       500\n";
        assert_eq!(added(file), 100_000_000_000_500);
        assert_eq!(added("boottime  -3600  0\n"), -HOUR);
        assert_eq!(added(""), 0);
    }

    #[test]
    fn the_present_is_the_wall_clock_until_it_is_set() {
        let clock = SessionClock::of_this_program();
        assert!((wall_now().0 - clock.now().0).abs() < APART);
        assert_eq!(clock.just_stamped(Timestamp(7)), Timestamp(7));
    }
}
