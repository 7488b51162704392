//! Chooses the entries to drop when a table is full: those of the container that holds the most, so
//! that a noisy one cannot push out the facts about others.

use std::collections::BTreeMap;

use super::container::Owner;

/// Bytes that one owner holds, and its entries with their bytes.
type HeldByOwner<W, K> = (usize, Vec<(W, K, usize)>);

/// The keys to evict so that at most `keep` entries stay, or somewhat fewer. An entry is the key,
/// its owner, and a worth: of one owner the least worth go first.
pub(super) fn surplus<'a, K, W: Ord>(
    entries: impl Iterator<Item = (K, &'a Owner, W)>,
    keep: usize,
) -> Vec<(K, &'a Owner)> {
    let mut held: BTreeMap<&Owner, Vec<(W, K)>> = BTreeMap::new();
    for (key, owner, worth) in entries {
        held.entry(owner).or_default().push((worth, key));
    }
    let most = fair(held.values().map(Vec::len).collect(), keep);
    let mut gone = Vec::new();
    for (owner, mut entries) in held {
        let over = entries.len().saturating_sub(most);
        if over > 0 {
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            gone.extend(entries.into_iter().take(over).map(|(_, key)| (key, owner)));
        }
    }
    gone
}

/// An entry of a table that holds too many bytes.
pub(super) struct HeldEntry<'a, K, W> {
    pub(super) key: K,
    pub(super) owner: &'a Owner,
    /// Of one owner those of least worth are evicted first.
    pub(super) worth: W,
    pub(super) bytes: usize,
}

/// The keys to evict so that the rest has at most `keep` bytes: of the owners that hold most bytes.
pub(super) fn heaviest<'a, K, W: Ord>(
    entries: impl Iterator<Item = HeldEntry<'a, K, W>>,
    keep: usize,
) -> Vec<K> {
    let mut held: BTreeMap<&Owner, HeldByOwner<W, K>> = BTreeMap::new();
    for entry in entries {
        let (bytes, of) = held.entry(entry.owner).or_default();
        *bytes += entry.bytes;
        of.push((entry.worth, entry.key, entry.bytes));
    }
    let most = fair(held.values().map(|(bytes, _)| *bytes).collect(), keep);
    let mut gone = Vec::new();
    for (bytes, mut of) in held.into_values() {
        let mut over = bytes.saturating_sub(most);
        if over > 0 {
            of.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        }
        for (_, key, bytes) in of {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(bytes);
            gone.push(key);
        }
    }
    gone
}

/// Entries each owner may hold, so that all together hold at most `keep`; owners with few keep
/// theirs.
fn fair(mut counts: Vec<usize>, keep: usize) -> usize {
    counts.sort_unstable();
    let mut left = keep;
    for (at, count) in counts.iter().enumerate() {
        let share = left / (counts.len() - at);
        if *count > share {
            return share;
        }
        left -= count;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ContainerId;

    #[test]
    fn owners_with_few_entries_keep_them() {
        assert_eq!(fair(vec![10, 1000, 5], 515), 500);
        assert_eq!(fair(vec![300, 300, 300], 600), 200);
        assert_eq!(fair(vec![1, 2], 100), usize::MAX);
        let (quiet, noisy) = (ContainerId::new("quiet"), ContainerId::new("noisy"));
        let (quiet, noisy) = (Some(quiet), Some(noisy));
        let entries = (0..1000).map(|at| {
            let owner = if at < 10 { &quiet } else { &noisy };
            // Entries of high worth are old.
            (at, owner, at % 100 != 50)
        });
        let gone = surplus(entries, 500);
        assert_eq!(gone.len(), 500);
        assert!(gone.iter().all(|(_, owner)| **owner == noisy));
        assert!(gone.iter().any(|(at, _)| at % 100 == 50));
    }

    #[test]
    fn long_words_cost_only_their_owner() {
        use crate::event::{Bytes, Event, Exec, File, FileOp, Kind, Timestamp};
        use crate::memory::{MemoryBudget, Share};
        use crate::state::State;
        use std::sync::Arc;

        let memory: MemoryBudget = "16MiB".parse().unwrap();
        let mut state = State::within(memory);
        let mut seq = 0;
        let mut happens = |state: &mut State, who: &str, kind: Kind| {
            seq += 1;
            state.apply(&Arc::new(Event {
                seq,
                ts: Timestamp(i64::try_from(seq).unwrap_or(0)),
                container: Some(ContainerId::new(who)),
                pid: u32::try_from(seq).unwrap_or(0),
                nspid: 9,
                kind,
            }));
        };
        let run = |words: Bytes| {
            Kind::Exec(Box::new(Exec {
                argv: vec![words],
                ..Exec::default()
            }))
        };
        happens(&mut state, "quiet", run("serve".into()));
        for number in 0..200 {
            let word = Bytes::from(format!("{number}{}", "x".repeat(100_000)).as_str());
            happens(&mut state, "noisy", run(word.clone()));
            happens(
                &mut state,
                "noisy",
                Kind::File(Box::new(File::new(FileOp::Create, word))),
            );
        }
        let words: usize = state
            .processes
            .values()
            .flat_map(|p| &p.argv)
            .map(|w| w.len())
            .sum();
        assert!(words <= memory.of(Share::Processes), "{words}");
        let paths: usize = state.files.keys().map(|key| key.path.len()).sum();
        assert!(paths <= memory.of(Share::Files), "{paths}");
        let recent: usize = state.recent.events.iter().map(|event| event.weight()).sum();
        assert!(recent <= memory.of(Share::Recent), "{recent}");
        assert!(
            state.processes.contains_key(&1),
            "the quiet one's process is gone"
        );
        let forgotten = |id| state.containers[&ContainerId::new(id)].forgotten;
        assert!(forgotten("noisy") > 300 && forgotten("quiet") == 0);
        assert_eq!(forgotten("noisy"), state.totals.evicted);
    }

    #[test]
    fn a_noisy_container_hides_nothing_of_another_nor_its_own_drift() {
        use crate::event::{Event, File, FileFacts, FileOp, Filesystem, Kind, Timestamp};
        use crate::state::{FileKey, State};
        use std::sync::Arc;

        let mut state = State::default();
        let mut seq = 0;
        let mut write = |state: &mut State, who: &ContainerId, path: &str, fs| {
            seq += 1;
            let file = FileFacts {
                fs,
                upper: true,
                ..FileFacts::default()
            };
            let kind = Kind::File(Box::new(File {
                file: Some(file),
                comm: "sh".into(),
                ..File::new(FileOp::Create, path.into())
            }));
            state.apply(&Arc::new(Event {
                seq,
                ts: Timestamp(i64::try_from(seq).unwrap_or(0)),
                container: Some(who.clone()),
                pid: 1,
                nspid: 1,
                kind,
            }));
        };
        let (quiet, noisy) = (ContainerId::new("quiet"), ContainerId::new("noisy"));
        write(&mut state, &quiet, "/etc/passwd", Filesystem::Overlay);
        write(&mut state, &quiet, "/dev/shm/x", Filesystem::Tmpfs);
        write(&mut state, &noisy, "/etc/cron.d/x", Filesystem::Overlay);
        for number in 0..50_000 {
            let path = format!("/tmp/{number}");
            write(&mut state, &noisy, &path, Filesystem::Tmpfs);
        }
        let kept = |owner: &ContainerId, path: &str| {
            let (owner, path) = (Some(owner.clone()), path.into());
            state.files.contains_key(&FileKey { owner, path })
        };
        assert!(kept(&quiet, "/etc/passwd") && kept(&quiet, "/dev/shm/x"));
        assert!(kept(&noisy, "/etc/cron.d/x") && kept(&noisy, "/tmp/49999"));
        assert!(!kept(&noisy, "/tmp/0"));
        let forgotten = |id| state.containers[id].forgotten;
        assert_eq!(forgotten(&quiet), 0);
        assert_eq!(forgotten(&noisy), state.totals.evicted);
        assert!(forgotten(&noisy) > 30_000);
    }
}
