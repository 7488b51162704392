//! Exec sessions: a process brought into a container from outside, and what descends from it.

use super::finding::FindingIndex;
use crate::event::Timestamp;

/// An exec session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    /// Its finding, unless it is the container's own health check.
    pub(crate) index: Option<FindingIndex>,
    /// Commands, files and connections told so far.
    pub(crate) commands: u32,
    /// Files told so far.
    pub(crate) files: u32,
    /// Connections told so far.
    pub(crate) connections: u32,
    /// When it began.
    pub(crate) began: Timestamp,
}

/// Runs of one command from outside: a probe is told by its rhythm.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rhythm {
    /// Begin of the latest run.
    pub(crate) last: Timestamp,
    /// Distance to the one before, nanoseconds.
    pub(crate) interval: u64,
    /// Runs in that rhythm.
    pub(crate) beats: u32,
}

impl Rhythm {
    /// Another run begins. True once the rhythm is regular: four runs, each distance within a
    /// quarter of the one before, or within a second of it.
    pub(crate) fn beat(&mut self, now: Timestamp) -> bool {
        let distance = u64::try_from(now.since(self.last).as_nanos()).unwrap_or(u64::MAX);
        let slack = (self.interval / 4).max(1_000_000_000);
        if self.last != Timestamp(0) && distance.abs_diff(self.interval) <= slack {
            self.beats += 1;
        } else {
            self.beats = 1;
        }
        self.interval = distance;
        self.last = now;
        self.beats >= 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_has_a_rhythm_and_a_person_has_not() {
        let mut probe = Rhythm::default();
        let regular = (0..5)
            .filter(|n| probe.beat(Timestamp(1 + n * 30_000_000_000)))
            .count();
        assert_eq!(regular, 2);
        let mut person = Rhythm::default();
        assert!(
            ![1, 20, 25, 300, 310, 900]
                .iter()
                .any(|s| person.beat(Timestamp(s * 1_000_000_000)))
        );
    }
}
