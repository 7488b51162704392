//! A container's activity in each second of the last minute, for charts.

use std::collections::VecDeque;

/// Number of seconds kept.
const WINDOW: usize = 60;

/// A count of each second of the last minute; the latest second is not over yet.
#[derive(Debug, Clone)]
pub struct PerSecond(VecDeque<u32>);

impl Default for PerSecond {
    fn default() -> Self {
        Self(VecDeque::from([0]))
    }
}

impl PerSecond {
    /// Adds to the current second.
    pub(super) fn add(&mut self, count: u32) {
        if let Some(now) = self.0.back_mut() {
            *now = now.saturating_add(count);
        }
    }

    /// Begins the next second.
    pub(super) fn tick(&mut self) {
        if self.0.len() >= WINDOW {
            self.0.pop_front();
        }
        self.0.push_back(0);
    }

    /// The counts, the latest last.
    pub fn counts(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_kept() {
        let mut counts = PerSecond::default();
        counts.add(2);
        for _ in 0..WINDOW - 1 {
            counts.tick();
        }
        assert_eq!(counts.counts().next(), Some(2));
        counts.add(1);
        counts.tick();
        assert_eq!(counts.counts().sum::<u32>(), 1);
        assert_eq!(counts.counts().count(), WINDOW);
    }
}
