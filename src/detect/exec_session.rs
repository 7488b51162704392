//! Exec sessions: a process that entered a running container, and its descendants.

use std::collections::BTreeMap;

use super::rule_memory::RuleMemory;
use crate::event::Timestamp;

/// Maximum number of exec sessions, and of their rhythms, stored for one container.
const MAX_SESSIONS: usize = 256;

/// Maximum number of shells' commands remembered as findings of their own.
const MAX_SEPARATE: usize = 16;

/// The exec sessions of one container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions {
    /// By host pid of their root.
    by_root: BTreeMap<u32, Session>,
    /// Rhythm of commands run by exec, by command line.
    rhythms: BTreeMap<Vec<u8>, Rhythm>,
    /// Subjects of the first commands of shells, which are findings of their own.
    pub(crate) separate: Vec<Vec<u8>>,
}

impl Sessions {
    /// The session with this root.
    pub(crate) fn get(&self, root: u32) -> Option<&Session> {
        self.by_root.get(&root)
    }

    /// Adds a session; the one with the lowest pid is dropped if there are too many.
    pub(crate) fn begin(&mut self, root: u32, session: Session) {
        if self.by_root.len() >= MAX_SESSIONS {
            self.by_root.pop_first();
        }
        self.by_root.insert(root, session);
    }

    /// Roots of the sessions that began since, the latest first.
    pub(crate) fn since(&self, then: Timestamp) -> Vec<u32> {
        let all = self.by_root.iter().map(|(root, s)| (s.began, *root));
        let mut recent: Vec<_> = all.filter(|(began, _)| *began > then).collect();
        recent.sort_unstable_by(|a, b| b.cmp(a));
        recent.into_iter().map(|(_, root)| root).collect()
    }

    /// Remembers the subject of a finding about a shell's command, up to the bound.
    pub(crate) fn note_separate(&mut self, subject: &[u8]) {
        if self.separate.len() < MAX_SEPARATE {
            self.separate.push(subject.to_vec());
        }
    }

    /// The command ran once more; true once its rhythm is regular.
    pub(crate) fn beat(&mut self, command: &str, now: Timestamp) -> bool {
        let rhythm = self.rhythms.entry(command.as_bytes().to_vec()).or_default();
        let regular = rhythm.beat(now);
        if self.rhythms.len() > MAX_SESSIONS {
            self.rhythms.pop_first();
        }
        regular
    }
}

impl RuleMemory for Sessions {
    fn heap_bytes(&self) -> usize {
        self.by_root.len() * 64 + self.rhythms.len() * 192 + self.separate.len() * 256
    }
}

/// An exec session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    /// When it began.
    pub(crate) began: Timestamp,
}

/// Runs of one exec command: a probe is recognised by its rhythm.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rhythm {
    /// Begin of the latest run.
    pub(crate) last: Timestamp,
    /// Interval to the run before, nanoseconds.
    pub(crate) interval: u64,
    /// Runs in that rhythm.
    pub(crate) beats: u32,
}

impl Rhythm {
    /// Counts another run. True once the rhythm is regular: four runs, each interval within a
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
