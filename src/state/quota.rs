//! Chooses the entries to drop when a table is full: those of the container that holds the most, so
//! that a noisy one cannot push out the facts about others.

use std::collections::BTreeMap;

use super::container::Owner;

/// The keys to forget so that at most `keep` entries stay, or somewhat fewer. An entry is the key,
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
            // What has worth is old.
            (at, owner, at % 100 != 50)
        });
        let gone = surplus(entries, 500);
        assert_eq!(gone.len(), 500);
        assert!(gone.iter().all(|(_, owner)| **owner == noisy));
        assert!(gone.iter().any(|(at, _)| at % 100 == 50));
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
