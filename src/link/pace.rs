//! How much may be sent now: a limit in bytes per second, and no more than the link carries.

use std::time::{Duration, Instant};

/// The lowest useful limit in bytes per second: each second of an idle host takes about 200.
pub const LEAST_RATE: u32 = 300;

/// Bytes that may be on their way on a link whose speed is not known.
const LEAST_WINDOW: usize = 16 << 10;
/// The same on a fast link.
const MOST_WINDOW: usize = 256 << 10;
/// Interval of the measurements of the speed.
const MEASURED: Duration = Duration::from_secs(1);
/// A limit is kept over this time: so much may be sent at once.
const BURST: Duration = Duration::from_millis(500);
/// Seconds of a limited link for which data may wait in each queue; more is dropped.
const DELAY: u32 = 4;
/// Compressed bytes of a usual event.
const EVENT: u32 = 48;
/// So many events wait in any case: the containers of a host are reported at once.
const LEAST_EVENTS: usize = 1024;

/// The pace of a sender.
#[derive(Debug)]
pub(super) struct SendingPace {
    limit: Option<u32>,
    /// Bytes that may be sent now by the limit; below zero after a large frame.
    credit: f64,
    counted: Instant,
    window: usize,
    confirmed: usize,
    measured: Instant,
}

impl SendingPace {
    pub(super) fn new(limit: Option<u32>, now: Instant) -> Self {
        Self {
            limit,
            credit: 0.0,
            counted: now,
            window: LEAST_WINDOW,
            confirmed: 0,
            measured: now,
        }
    }

    /// Maximum number of events that wait for a link with this limit.
    pub(super) fn waiting(limit: Option<u32>) -> usize {
        let events = limit.map_or(u32::MAX, |limit| limit.saturating_mul(DELAY) / EVENT);
        usize::try_from(events)
            .unwrap_or(usize::MAX)
            .max(LEAST_EVENTS)
    }

    /// Maximum number of bytes that are held.
    pub(super) fn held(limit: Option<u32>) -> usize {
        let bytes = limit.map_or(u32::MAX, |limit| limit.saturating_mul(DELAY));
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        bytes.clamp(4 << 10, MOST_WINDOW)
    }

    /// Bytes that may be sent now, while so many are on their way.
    pub(super) fn room(&mut self, in_flight: usize, now: Instant) -> usize {
        let window = self.window.saturating_sub(in_flight);
        let Some(limit) = self.limit else {
            return window;
        };
        let rate = f64::from(limit);
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        self.counted = now;
        self.credit = (self.credit + passed * rate).min(rate * BURST.as_secs_f64());
        match self.credit >= 1.0 {
            // At least a short frame, so that its header does not matter.
            true => (self.credit.ceil() as usize).max(128).min(window),
            false => 0,
        }
    }

    /// So many bytes were sent.
    pub(super) fn spend(&mut self, bytes: usize) {
        if self.limit.is_some() {
            self.credit -= bytes as f64;
        }
    }

    /// So many bytes were confirmed.
    pub(super) fn confirmed(&mut self, bytes: usize, now: Instant) {
        self.confirmed += bytes;
        if now.saturating_duration_since(self.measured) >= MEASURED {
            self.window = (self.confirmed * 2).clamp(LEAST_WINDOW, MOST_WINDOW);
            self.confirmed = 0;
            self.measured = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_any_time_no_more_is_sent_than_allowed() {
        let start = Instant::now();
        let mut pace = SendingPace::new(Some(2000), start);
        let mut sent = 0;
        for step in 0..2000 {
            let now = start + Duration::from_millis(step * 10);
            let room = pace.room(0, now);
            pace.spend(room);
            sent += room;
        }
        assert!((38_000..=42_000).contains(&sent), "{sent}");
    }

    #[test]
    fn no_more_is_on_its_way_than_the_link_carries() {
        let start = Instant::now();
        let mut pace = SendingPace::new(None, start);
        assert_eq!(pace.room(0, start), LEAST_WINDOW);
        assert_eq!(pace.room(LEAST_WINDOW, start), 0);
        let later = start + MEASURED;
        pace.confirmed(100 << 10, later);
        assert_eq!(pace.room(0, later), 200 << 10);
        pace.confirmed(10, later + MEASURED);
        assert_eq!(pace.room(0, later), LEAST_WINDOW);
    }

    #[test]
    fn a_limited_link_keeps_few_events_waiting() {
        assert_eq!(SendingPace::waiting(Some(24_000)), 2000);
        assert_eq!(SendingPace::waiting(Some(1)), LEAST_EVENTS);
        assert!(SendingPace::waiting(None) > 1 << 20);
        assert_eq!(SendingPace::held(Some(2400)), 9600);
        assert_eq!(SendingPace::held(None), MOST_WINDOW);
    }
}
