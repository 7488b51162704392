//! The last repeats of a file operation: the kernel programs count alike operations of a process
//! on one file for a second and report the count with the next one. When none comes, it is fetched
//! here.

use std::collections::VecDeque;

use aya::maps::{HashMap, Map, MapData};
use hullwatch_abi::file::{Alike, Seen, WINDOW_NS, op};
use rustc_hash::FxHashMap;

use super::object::load_error;
use super::{Loss, Observation, Observed, Presence, ProbeError};
use crate::event::{File, FileOp, Kind, LostReason, Timestamp};
use crate::system::SessionClock;

/// Maximum number of operations kept until their window is over, half the size of the kernel's map.
/// When processes write more files in a second, the oldest are fetched before.
const MAX_WAITING: usize = 16_384;
/// Grace period after the window for a record that is still in the buffer.
const SLACK_NS: i64 = 200_000_000;
/// How long removed counts are remembered, for records that were made before and are read later.
const OVERLAP_NS: i64 = 5_000_000_000;
/// Maximum number of them; of further ones repeats may be told as unknown that are not.
const MAX_REMOVED: usize = 65_536;

/// Which counts to fetch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Due<'a> {
    /// Operations reported more than a window ago.
    Over,
    /// Operations of a cgroup or pid namespace that ended, reported until now: later their
    /// container is unknown, and later ones are another's with that number.
    Cgroup(u64),
    /// Operations of this process that the kernel programs count as one with this.
    Operation(u32, &'a File),
    /// All: the end of watching.
    All,
}

/// The kernel's map, or a test's.
trait Counts {
    /// Operations since the reported one; `None` when the kernel knows of none.
    fn since(&self, key: Alike) -> Option<u64>;
    /// Removes the count; returns when that was done.
    fn forget(&mut self, key: Alike) -> Timestamp;
}

struct Kernel {
    counts: HashMap<MapData, Alike, Seen>,
    clock: SessionClock,
}

impl Counts for Kernel {
    fn since(&self, key: Alike) -> Option<u64> {
        self.counts.get(&key, 0).ok().map(|seen| seen.since)
    }

    fn forget(&mut self, key: Alike) -> Timestamp {
        // Fails only when the kernel has evicted it.
        let _ = self.counts.remove(&key);
        self.clock.now()
    }
}

/// A reported operation whose repetitions are not known yet.
struct Waiting {
    reported: Timestamp,
    cgroup: u64,
    nspid: u32,
    file: Box<File>,
    /// Whether its count was removed after it was reported and before the report was read.
    removed: bool,
}

/// Keeps reported operations until their repetitions are known.
pub(super) struct Repeats {
    kernel: Kernel,
    table: RepeatTable,
}

impl Repeats {
    pub(super) fn new(map: Map, clock: SessionClock) -> Result<Self, ProbeError> {
        let counts = HashMap::try_from(map).map_err(load_error)?;
        Ok(Self {
            kernel: Kernel { counts, clock },
            table: RepeatTable::default(),
        })
    }

    /// Notes every reported operation; returns the repetitions of those for which there is no more
    /// room.
    pub(super) fn reported(&mut self, observed: &mut Observed, sink: &mut dyn FnMut(Observed)) {
        self.table.reported(&mut self.kernel, observed, sink);
    }

    /// Returns the repetitions of operations reported at least a window ago.
    pub(super) fn due(&mut self, now: Timestamp, of: Due<'_>, sink: &mut dyn FnMut(Observed)) {
        self.table.due(&mut self.kernel, now, of, sink);
    }

    /// Operations whose repetitions will stay unknown.
    pub(super) fn lost(&mut self) -> Option<Loss> {
        let unknown = std::mem::take(&mut self.table.unknown);
        (unknown > 0).then(|| Loss {
            reason: LostReason::MapFull,
            // The number of repeats is lost.
            count: 0,
            cgroup: None,
            detail: format!(
                "repeats of {unknown} file operations, if there were any, were not counted"
            ),
        })
    }
}

#[derive(Default)]
struct RepeatTable {
    waiting: FxHashMap<Alike, Waiting>,
    /// In the order of their reports; an operation reported again is listed twice.
    order: VecDeque<(Timestamp, Alike)>,
    /// Counts removed recently, with the time.
    removed: FxHashMap<Alike, (u64, Timestamp)>,
    unknown: u64,
}

impl RepeatTable {
    fn reported(
        &mut self,
        kernel: &mut dyn Counts,
        observed: &mut Observed,
        sink: &mut dyn FnMut(Observed),
    ) {
        let Observation::Event(Kind::File(file)) = &mut observed.fact else {
            return;
        };
        let Some(key) = key(observed.pid, file) else {
            return;
        };
        let mut before = false;
        if let Some((fetched, at)) = self.removed.get_mut(&key) {
            // There may be more that wait in the buffer.
            before = observed.ts <= *at;
            let fetched = std::mem::take(fetched);
            if fetched > 0 && u64::from(file.count) > fetched {
                // The record was made before the count was taken out of the kernel's map: it holds
                // the count once more.
                file.count -= u32::try_from(fetched).unwrap_or(0);
            }
        }
        let known = self.waiting.contains_key(&key);
        while !known && self.waiting.len() >= MAX_WAITING && !self.order.is_empty() {
            self.fetch_oldest(kernel, observed.ts, sink);
        }
        self.order.push_back((observed.ts, key));
        let waiting = Waiting {
            reported: observed.ts,
            cgroup: observed.cgroup,
            nspid: observed.nspid,
            file: file.clone(),
            removed: before,
        };
        self.waiting.insert(key, waiting);
    }

    fn due(
        &mut self,
        kernel: &mut dyn Counts,
        now: Timestamp,
        of: Due<'_>,
        sink: &mut dyn FnMut(Observed),
    ) {
        let over = |reported: Timestamp, after: i64| now.0.saturating_sub(reported.0) >= after;
        let window = i64::try_from(WINDOW_NS).unwrap_or(i64::MAX);
        if let Due::Operation(pid, file) = of {
            if let Some(key) = key(pid, file) {
                self.fetch(kernel, now, key, sink);
            }
            return;
        }
        if let Due::Cgroup(id) = of {
            let waits = |reported, key| {
                let waiting: Option<&Waiting> = self.waiting.get(key);
                waiting.is_some_and(|w| {
                    w.reported == reported && w.reported.0 <= now.0 && w.cgroup == id
                })
            };
            let order = self.order.iter();
            let keys: Vec<Alike> = order
                .filter(|(reported, key)| waits(*reported, key))
                .map(|(_, key)| *key)
                .collect();
            for key in keys {
                self.fetch(kernel, now, key, sink);
            }
            return;
        }
        while let Some((reported, _)) = self.order.front() {
            if of == Due::Over && !over(*reported, window + SLACK_NS) {
                break;
            }
            self.fetch_oldest(kernel, now, sink);
        }
        self.removed.retain(|_, (_, when)| !over(*when, OVERLAP_NS));
    }

    /// Takes the first entry of the queue, and fetches its count.
    fn fetch_oldest(
        &mut self,
        kernel: &mut dyn Counts,
        now: Timestamp,
        sink: &mut dyn FnMut(Observed),
    ) {
        let Some((reported, key)) = self.order.pop_front() else {
            return;
        };
        // Reported again since: it has a later entry in the queue.
        let waiting = self.waiting.get(&key);
        if waiting.is_some_and(|waiting| waiting.reported == reported) {
            self.fetch(kernel, now, key, sink);
        }
    }

    fn fetch(
        &mut self,
        kernel: &mut dyn Counts,
        now: Timestamp,
        key: Alike,
        sink: &mut dyn FnMut(Observed),
    ) {
        let Some(mut waiting) = self.waiting.remove(&key) else {
            return;
        };
        match kernel.since(key) {
            // Nothing was counted since this was removed: the next one is reported.
            None if waiting.removed => {}
            // The kernel evicted it, and with it the count.
            None => self.unknown += 1,
            // Kept, it would in the end evict one whose window is not over.
            Some(0) => self.remove(kernel, key, 0),
            Some(since) => {
                self.remove(kernel, key, since);
                waiting.file.count = u32::try_from(since).unwrap_or(u32::MAX);
                sink(Observed {
                    ts: now,
                    cgroup: waiting.cgroup,
                    pid: key.tgid,
                    nspid: waiting.nspid,
                    presence: Presence::default(),
                    fact: Observation::Event(Kind::File(waiting.file)),
                });
            }
        }
    }

    fn remove(&mut self, kernel: &mut dyn Counts, key: Alike, since: u64) {
        let at = kernel.forget(key);
        if self.removed.len() < MAX_REMOVED {
            self.removed.insert(key, (since, at));
        }
    }
}

/// What the kernel programs count this operation as; `None` for those they always report.
fn key(pid: u32, file: &File) -> Option<Alike> {
    let facts = file.file.as_ref().filter(|_| file.errno == 0)?;
    let op = match file.op {
        FileOp::Write => op::WRITE,
        FileOp::Truncate => op::TRUNCATE,
        FileOp::Read => op::READ,
        FileOp::MapExec => op::MAP_EXEC,
        FileOp::Load => op::LOAD,
        _ => return None,
    };
    Some(Alike {
        ino: facts.ino,
        dev: facts.dev,
        tgid: pid,
        op: u32::from(op),
        reserved: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FileFacts;

    const SECOND: i64 = 1_000_000_000;

    /// Counts, and the present.
    #[derive(Default)]
    struct Fake(FxHashMap<Alike, u64>, i64);

    impl Counts for Fake {
        fn since(&self, key: Alike) -> Option<u64> {
            self.0.get(&key).copied()
        }

        fn forget(&mut self, key: Alike) -> Timestamp {
            self.0.remove(&key);
            Timestamp(self.1)
        }
    }

    fn observed(ts: i64, op: FileOp, count: u32) -> Observed {
        let file = File {
            file: Some(FileFacts {
                ino: 5,
                dev: 6,
                ..FileFacts::default()
            }),
            comm: "sh".into(),
            count,
            ..File::new(op, "/var/log/x".into())
        };
        Observed {
            ts: Timestamp(ts),
            cgroup: 9,
            pid: 7,
            nspid: 2,
            presence: Presence::default(),
            fact: Observation::Event(Kind::File(Box::new(file))),
        }
    }

    fn count(observed: &Observed) -> u32 {
        match &observed.fact {
            Observation::Event(Kind::File(file)) => file.count,
            other => panic!("{other:?}"),
        }
    }

    fn the_key() -> Alike {
        Alike {
            ino: 5,
            dev: 6,
            tgid: 7,
            op: u32::from(op::WRITE),
            reserved: 0,
        }
    }

    fn report(table: &mut RepeatTable, kernel: &mut Fake, observed: &mut Observed) -> usize {
        let mut fetched = 0;
        table.reported(kernel, observed, &mut |_| fetched += 1);
        fetched
    }

    fn due(table: &mut RepeatTable, kernel: &mut Fake, now: i64, of: Due<'_>) -> Vec<Observed> {
        let mut out = Vec::new();
        kernel.1 = now;
        table.due(kernel, Timestamp(now), of, &mut |o| out.push(o));
        out
    }

    #[test]
    fn repeats_of_an_ended_cgroup_are_reported_with_its_end() {
        let (mut table, mut kernel) = (RepeatTable::default(), Fake::default());
        report(&mut table, &mut kernel, &mut observed(0, FileOp::Write, 1));
        kernel.0.insert(the_key(), 3);
        assert!(due(&mut table, &mut kernel, 1, Due::Cgroup(8)).is_empty());
        assert!(due(&mut table, &mut kernel, -1, Due::Cgroup(9)).is_empty());
        let out = due(&mut table, &mut kernel, 1, Due::Cgroup(9));
        assert_eq!(out.iter().map(count).collect::<Vec<_>>(), [3]);
        assert!(due(&mut table, &mut kernel, 9 * SECOND, Due::Over).is_empty());
        assert!(table.order.is_empty() && table.unknown == 0);
    }

    #[test]
    fn the_repeats_of_one_operation_are_fetched_alone() {
        let (mut table, mut kernel) = (RepeatTable::default(), Fake::default());
        let mut seen = observed(0, FileOp::Write, 1);
        report(&mut table, &mut kernel, &mut seen);
        kernel.0.insert(the_key(), 3);
        let Observation::Event(Kind::File(file)) = &seen.fact else {
            panic!("{seen:?}");
        };
        assert!(due(&mut table, &mut kernel, 1, Due::Operation(8, file)).is_empty());
        let out = due(&mut table, &mut kernel, 1, Due::Operation(7, file));
        assert_eq!(out.iter().map(count).collect::<Vec<_>>(), [3]);
        assert!(due(&mut table, &mut kernel, 9 * SECOND, Due::Over).is_empty());
    }

    #[test]
    fn the_last_repeats_come_when_the_window_is_over() {
        let (mut table, mut kernel) = (RepeatTable::default(), Fake::default());
        report(&mut table, &mut kernel, &mut observed(0, FileOp::Write, 1));
        kernel.0.insert(the_key(), 41);
        assert!(due(&mut table, &mut kernel, SECOND, Due::Over).is_empty());
        let out = due(&mut table, &mut kernel, 2 * SECOND, Due::Over);
        assert_eq!(out.len(), 1);
        assert_eq!((count(&out[0]), out[0].pid, out[0].nspid), (41, 7, 2));
        assert!(kernel.0.is_empty(), "the next one is reported again");
        assert!(due(&mut table, &mut kernel, 9 * SECOND, Due::All).is_empty());
        assert_eq!(table.unknown, 0);
        assert!(table.removed.is_empty() && table.order.is_empty());
    }

    #[test]
    fn the_end_waits_for_no_window() {
        let (mut table, mut kernel) = (RepeatTable::default(), Fake::default());
        report(&mut table, &mut kernel, &mut observed(0, FileOp::Write, 1));
        kernel.0.insert(the_key(), 3);
        assert_eq!(due(&mut table, &mut kernel, 1, Due::All).len(), 1);
    }

    #[test]
    fn a_record_made_at_the_same_moment_is_not_counted_twice() {
        let (mut table, mut kernel) = (RepeatTable::default(), Fake::default());
        report(&mut table, &mut kernel, &mut observed(0, FileOp::Write, 1));
        kernel.0.insert(the_key(), 41);
        assert_eq!(due(&mut table, &mut kernel, 2 * SECOND, Due::Over).len(), 1);
        let mut raced = observed(2 * SECOND, FileOp::Write, 42);
        report(&mut table, &mut kernel, &mut raced);
        assert_eq!(count(&raced), 1);
        // One that started again after the count was read.
        let (mut table, mut kernel) = (RepeatTable::default(), Fake::default());
        report(&mut table, &mut kernel, &mut observed(0, FileOp::Write, 1));
        kernel.0.insert(the_key(), 41);
        due(&mut table, &mut kernel, 2 * SECOND, Due::Over);
        let mut anew = observed(2 * SECOND, FileOp::Write, 1);
        report(&mut table, &mut kernel, &mut anew);
        assert_eq!(count(&anew), 1);
    }

    #[test]
    fn an_operation_reported_again_waits_again() {
        let (mut table, mut kernel) = (RepeatTable::default(), Fake::default());
        report(&mut table, &mut kernel, &mut observed(0, FileOp::Write, 1));
        report(
            &mut table,
            &mut kernel,
            &mut observed(SECOND, FileOp::Write, 8),
        );
        kernel.0.insert(the_key(), 2);
        let at = SECOND + SECOND / 2;
        assert!(due(&mut table, &mut kernel, at, Due::Over).is_empty());
        let out = due(&mut table, &mut kernel, 3 * SECOND, Due::Over);
        assert_eq!(out.iter().map(count).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_record_that_is_read_after_its_count_was_removed_leaves_nothing_unknown() {
        for since in [0, 3] {
            let (mut table, mut kernel) = (RepeatTable::default(), Fake::default());
            report(&mut table, &mut kernel, &mut observed(0, FileOp::Write, 1));
            kernel.0.insert(the_key(), since);
            due(&mut table, &mut kernel, 2 * SECOND, Due::Over);
            // They were made before, and waited in the buffer.
            for at in [SECOND + SECOND / 3, SECOND + SECOND / 2] {
                report(&mut table, &mut kernel, &mut observed(at, FileOp::Write, 1));
            }
            due(&mut table, &mut kernel, 4 * SECOND, Due::Over);
            assert_eq!(table.unknown, 0, "{since}");
            // The next one was made after it.
            report(
                &mut table,
                &mut kernel,
                &mut observed(5 * SECOND, FileOp::Write, 1),
            );
            due(&mut table, &mut kernel, 7 * SECOND, Due::Over);
            assert_eq!(table.unknown, 1, "{since}");
        }
    }

    #[test]
    fn counts_that_the_kernel_evicted_are_reported_as_unknown() {
        let (mut table, mut kernel) = (RepeatTable::default(), Fake::default());
        report(&mut table, &mut kernel, &mut observed(0, FileOp::Write, 1));
        assert!(due(&mut table, &mut kernel, 2 * SECOND, Due::Over).is_empty());
        assert_eq!(table.unknown, 1);
    }

    #[test]
    fn operations_that_are_always_reported_do_not_wait() {
        let (mut table, mut kernel) = (RepeatTable::default(), Fake::default());
        report(&mut table, &mut kernel, &mut observed(0, FileOp::Create, 1));
        let mut refused = observed(0, FileOp::Write, 1);
        if let Observation::Event(Kind::File(file)) = &mut refused.fact {
            file.errno = 13;
        }
        report(&mut table, &mut kernel, &mut refused);
        assert!(table.waiting.is_empty());
    }

    #[test]
    fn more_operations_than_can_wait_are_fetched_before_and_none_is_unknown() {
        let (mut table, mut kernel) = (RepeatTable::default(), Fake::default());
        let of = |ino: u64| {
            let mut seen = observed(i64::try_from(ino).unwrap(), FileOp::Write, 1);
            if let Observation::Event(Kind::File(file)) = &mut seen.fact {
                file.file.as_mut().unwrap().ino = ino;
            }
            seen
        };
        let mut early = 0;
        for ino in 0..40_000 {
            // Every second file is written twice.
            let key = Alike { ino, ..the_key() };
            kernel.0.insert(key, ino % 2);
            early += report(&mut table, &mut kernel, &mut of(ino));
            assert!(table.waiting.len() <= MAX_WAITING && kernel.0.len() <= MAX_WAITING + 1);
        }
        let rest = due(&mut table, &mut kernel, 2 * SECOND, Due::Over);
        assert_eq!((early + rest.len(), table.unknown), (20_000, 0));
        assert!(kernel.0.is_empty() && table.order.is_empty());
    }
}
