//! Chooses which events a full queue drops, so that one noisy container does not hide the others.
//!
//! The least important events are dropped first, and of these the oldest of the container with
//! most.

use std::collections::BTreeMap;

use crate::catalog::paths;
use crate::event::{ContainerId, Event, File, FileOp, Kind};

/// The weight of an event, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// One of very many that look alike: a fork, an exit, the end of a connection.
    Bulk,
    /// An ordinary event.
    Common,
    /// An event that raises findings on its own.
    Vital,
    /// An event that the state needs: containers, policy, ticks, losses.
    Essential,
}

const WEIGHTS: [Weight; 4] = [
    Weight::Bulk,
    Weight::Common,
    Weight::Vital,
    Weight::Essential,
];

fn weight(event: &Event) -> Weight {
    match &event.kind {
        Kind::Fork(_) | Kind::Exit(_) | Kind::Close(_) | Kind::Accept(_) => Weight::Bulk,
        Kind::File(file) if is_vital(file) => Weight::Vital,
        Kind::File(_) | Kind::Connect(_) | Kind::Dns(_) | Kind::Process(_) | Kind::Socket(_) => {
            Weight::Common
        }
        Kind::Exec(_)
        | Kind::ExecRefused(_)
        | Kind::Listen(_)
        | Kind::Privilege(_)
        | Kind::Capability(_)
        | Kind::Syscall(_)
        | Kind::Compare(_) => Weight::Vital,
        Kind::DriftScan(_)
        | Kind::Container(_)
        | Kind::Client(_)
        | Kind::Tick(_)
        | Kind::Policy(_)
        | Kind::Baseline(_)
        | Kind::Response(_)
        | Kind::Lost(_) => Weight::Essential,
    }
}

fn is_vital(file: &File) -> bool {
    match file.op {
        FileOp::Read | FileOp::MapExec | FileOp::Load | FileOp::SetXattr | FileOp::Chattr => true,
        _ => [Some(&file.path), file.target.as_ref()]
            .into_iter()
            .flatten()
            .any(|path| paths::of(path).is_some()),
    }
}

/// Removes entries until at most `keep` are left, and passes each removed one to `dropped`. The
/// rest keeps its order. `event` gives the event in an entry; an entry without one stays.
pub(crate) fn shed<T>(
    entries: &mut Vec<T>,
    keep: usize,
    event: impl Fn(&T) -> Option<&Event>,
    mut dropped: impl FnMut(T),
) {
    for weight in WEIGHTS {
        let Some(surplus) = entries.len().checked_sub(keep).filter(|more| *more > 0) else {
            return;
        };
        drop_of_weight(entries, weight, surplus, &event, &mut dropped);
    }
}

/// Removes up to `surplus` entries of one weight.
fn drop_of_weight<T>(
    entries: &mut Vec<T>,
    class: Weight,
    surplus: usize,
    event: &impl Fn(&T) -> Option<&Event>,
    dropped: &mut impl FnMut(T),
) {
    // Its container and process; no process for bulk events, since each fork has a new one.
    let producer = |entry: &T| -> Option<(Option<ContainerId>, u32)> {
        let event = event(entry).filter(|event| weight(event) == class)?;
        let process = if class == Weight::Bulk { 0 } else { event.pid };
        Some((event.container.clone(), process))
    };
    let mut counts: BTreeMap<Option<ContainerId>, BTreeMap<u32, usize>> = BTreeMap::new();
    for (container, process) in entries.iter().filter_map(&producer) {
        *counts
            .entry(container)
            .or_default()
            .entry(process)
            .or_default() += 1;
    }
    let totals: Vec<usize> = counts.values().map(|of| of.values().sum()).collect();
    let room = totals.iter().sum::<usize>().saturating_sub(surplus);
    let share = equal_share(&totals, room);
    // The number of entries to drop of each producer.
    for (of, total) in counts.values_mut().zip(totals) {
        let sizes: Vec<usize> = of.values().copied().collect();
        let level = equal_share(&sizes, total.min(share));
        for count in of.values_mut() {
            *count = count.saturating_sub(level);
        }
    }
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries.drain(..) {
        let excess = producer(&entry)
            .and_then(|(container, process)| counts.get_mut(&container)?.get_mut(&process))
            .filter(|excess| **excess > 0);
        match excess {
            Some(excess) => {
                *excess -= 1;
                dropped(entry);
            }
            None => kept.push(entry),
        }
    }
    *entries = kept;
}

/// The largest share such that all producers, limited to it, together fit into `room`.
fn equal_share(sizes: &[usize], mut room: usize) -> usize {
    let mut sorted = sizes.to_vec();
    sorted.sort_unstable();
    let mut left = sorted.len();
    for size in sorted {
        let share = room / left;
        if size > share {
            return share;
        }
        room -= size;
        left -= 1;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Exit, Fork, Timestamp};

    fn event(seq: u64, container: &str, pid: u32, kind: Kind) -> Event {
        Event {
            seq,
            ts: Timestamp(seq.cast_signed()),
            container: Some(ContainerId::new(container)),
            pid,
            nspid: 0,
            kind,
        }
    }

    fn fork() -> Kind {
        Kind::Fork(Fork::default())
    }

    fn write(path: &str) -> Kind {
        Kind::File(Box::new(File {
            comm: "sh".into(),
            ..File::new(FileOp::Create, path.into())
        }))
    }

    /// The numbers of those that stay, and how many went.
    fn left(mut events: Vec<Event>, keep: usize) -> (Vec<u64>, usize) {
        let mut count = 0;
        shed(&mut events, keep, |event| Some(event), |_| count += 1);
        (events.iter().map(|event| event.seq).collect(), count)
    }

    const NOISY: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const QUIET: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn a_noisy_container_loses_its_own_events() {
        let events: Vec<_> = (0..100)
            .map(|n| event(n, if n % 10 == 0 { QUIET } else { NOISY }, 1, fork()))
            .collect();
        let (stay, gone) = left(events, 30);
        assert_eq!(gone, 70);
        assert_eq!(stay.iter().filter(|n| *n % 10 == 0).count(), 10);
        assert!(stay.is_sorted());
        assert_eq!(stay.iter().rfind(|n| *n % 10 != 0), Some(&99));
    }

    #[test]
    fn a_noisy_process_does_not_hide_another_one_of_its_container() {
        let events: Vec<_> = (0..100)
            .map(|n| event(n, NOISY, if n == 3 { 7 } else { 8 }, write("/tmp/x")))
            .collect();
        let (stay, _) = left(events, 10);
        assert!(stay.contains(&3), "{stay:?}");
        assert_eq!(stay.len(), 10);
    }

    #[test]
    fn forks_go_before_files_and_files_before_a_cron_table() {
        let mut events: Vec<_> = (0..50).map(|n| event(n, NOISY, 1, fork())).collect();
        events.extend((50..100).map(|n| event(n, NOISY, 1, write("/tmp/x"))));
        events.push(event(100, NOISY, 1, write("/etc/cron.d/job")));
        events.push(event(101, NOISY, 1, Kind::Exit(Exit::default())));
        let (stay, _) = left(events.clone(), 60);
        assert!((50..=100).all(|n| stay.contains(&n)), "{stay:?}");
        assert_eq!(left(events, 1).0, [100]);
    }

    #[test]
    fn events_that_the_state_needs_are_dropped_last() {
        let tick = event(0, QUIET, 0, Kind::Tick(Box::default()));
        let mut events = vec![tick];
        events.extend((1..9).map(|n| event(n, QUIET, 1, write("/etc/passwd"))));
        assert_eq!(left(events, 1).0, [0]);
    }

    #[test]
    fn nothing_is_dropped_below_the_limit() {
        let events = vec![event(0, QUIET, 1, fork())];
        assert_eq!(left(events, 1), (vec![0], 0));
    }

    proptest::proptest! {
        #[test]
        fn exactly_the_surplus_is_evicted_or_a_little_more(
            of in proptest::collection::vec((0..4_u8, 0..3_u32, proptest::bool::ANY), 0..200),
            keep in 0..100_usize,
        ) {
            let events: Vec<_> = of
                .iter()
                .enumerate()
                .map(|(n, (container, pid, bulk))| {
                    let id = char::from(b'a' + container).to_string().repeat(64);
                    let kind = if *bulk { fork() } else { write("/tmp/x") };
                    event(n as u64, &id, *pid, kind)
                })
                .collect();
            let total = events.len();
            let (stay, gone) = left(events, keep);
            proptest::prop_assert_eq!(stay.len() + gone, total);
            proptest::prop_assert!(stay.len() <= keep);
            // Shares are whole numbers: rounding costs less than one entry a producer.
            proptest::prop_assert!(stay.len() + 4 * 3 + 4 >= keep.min(total));
        }
    }
}
