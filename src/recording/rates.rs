//! Event rates over the time of a recording, for the timeline.

use std::collections::VecDeque;

use crate::event::Timestamp;

/// Number of events per step of time; the number of steps is bounded, so steps grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rates {
    /// Length of a step in seconds.
    pub step: i64,
    /// Number of the first step; it begins at second `first * step`.
    pub first: i64,
    /// Number of events in each step.
    pub counts: VecDeque<u32>,
}

/// Maximum number of steps; beyond it they are joined in pairs.
pub(super) const STEPS: usize = 4096;

impl Default for Rates {
    fn default() -> Self {
        Self {
            step: 1,
            first: 0,
            counts: VecDeque::new(),
        }
    }
}

impl Rates {
    pub(super) fn add(&mut self, at: Timestamp) {
        let second = at.seconds();
        if self.counts.is_empty() {
            self.first = second.div_euclid(self.step);
        }
        loop {
            let number = (second.div_euclid(self.step) - self.first).max(0);
            let place = usize::try_from(number).unwrap_or(usize::MAX);
            if place < STEPS {
                if place >= self.counts.len() {
                    self.counts.resize(place + 1, 0);
                }
                self.counts[place] = self.counts[place].saturating_add(1);
                return;
            }
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        let mut joined = VecDeque::with_capacity(STEPS);
        let from = self.first.div_euclid(2);
        for (number, count) in (self.first..).zip(&self.counts) {
            let place = usize::try_from(number.div_euclid(2) - from).unwrap_or(0);
            if place >= joined.len() {
                joined.resize(place + 1, 0_u32);
            }
            joined[place] = joined[place].saturating_add(*count);
        }
        self.counts = joined;
        self.first = from;
        self.step *= 2;
    }

    /// Adds the counts of others; the longer step of both is taken.
    pub(super) fn join(&mut self, others: &Self) {
        if others.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.clone_from(others);
            return;
        }
        let mut others = others.clone();
        while others.step < self.step {
            others.coarsen();
        }
        while self.step < others.step {
            self.coarsen();
        }
        while others.first < self.first {
            self.counts.push_front(0);
            self.first -= 1;
        }
        for (number, count) in (others.first..).zip(&others.counts) {
            let place = usize::try_from(number - self.first).unwrap_or(0);
            if place >= self.counts.len() {
                self.counts.resize(place + 1, 0);
            }
            self.counts[place] = self.counts[place].saturating_add(*count);
        }
    }

    pub(super) fn forget(&mut self, before: Timestamp) {
        while self.counts.len() > 1 && (self.first + 1) * self.step <= before.seconds() {
            self.counts.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_others_are_added_in_the_longer_step() {
        let at = |second: i64| Timestamp(second * 1_000_000_000);
        let mut some = Rates::default();
        let mut others = Rates::default();
        for second in [10, 11, 11] {
            some.add(at(second));
        }
        for second in [8, 11, 13] {
            others.add(at(second));
        }
        some.join(&others);
        assert_eq!((some.first, some.step), (8, 1));
        assert_eq!(some.counts, [1, 0, 1, 3, 0, 1]);
        others.coarsen();
        some.join(&others);
        assert_eq!((some.first, some.step), (4, 2));
        assert_eq!(some.counts, [2, 5, 2]);
        some.join(&Rates::default());
        assert_eq!(some.counts, [2, 5, 2]);
    }
}
