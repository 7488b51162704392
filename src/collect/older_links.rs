//! Follows symbolic links that are older than the watch: of a path that a program passed the kernel
//! reports only the text, and nobody saw such a link being made.

use std::collections::BTreeMap;

use super::look_limit::LookLimit;
use crate::catalog::path::directory;
use crate::containers::{lead_older, started_at};
use crate::event::{Bytes, File, FileOp, Kind, Timestamp};

/// Maximum number of paths examined within a second.
const MAX_LOOKS: u32 = 64;
/// Maximum number of answers that are kept for the rest of a second.
const MAX_KNOWN: usize = 512;

/// Resolves paths of containers that ran before the watch, within a bound. In other containers every
/// link is the image's, or its making was reported.
#[derive(Debug)]
pub(super) struct OlderLinks {
    began: Timestamp,
    limit: LookLimit,
    /// Answers of this second, by container's init and path.
    known: BTreeMap<(u32, Bytes), Option<Bytes>>,
    /// Whether a container's init started before the watch, of this second.
    older: BTreeMap<u32, bool>,
    second: i64,
}

impl OlderLinks {
    /// For a watch that begins now.
    pub(super) fn new(began: Timestamp) -> Self {
        Self {
            began,
            limit: LookLimit::of(MAX_LOOKS),
            known: BTreeMap::new(),
            older: BTreeMap::new(),
            second: 0,
        }
    }

    /// Replaces the paths of a file event that lead through such a link. Beyond the bound, and where the
    /// file system may not answer, the text stays, and the event still says that it is unresolved.
    pub(super) fn follow(&mut self, ts: Timestamp, init: u32, kind: &mut Kind) {
        let Kind::File(file) = kind else {
            return;
        };
        if !file.unresolved {
            return;
        }
        if let Some(path) = self.path(ts, init, file, &file.path) {
            file.path = path;
        }
        if matches!(file.op, FileOp::Rename | FileOp::Link)
            && let Some(target) = file.target.clone()
            && let Some(path) = self.path(ts, init, file, &target)
        {
            file.target = Some(path);
        }
    }

    fn path(&mut self, ts: Timestamp, init: u32, file: &File, path: &Bytes) -> Option<Bytes> {
        if !path.starts_with(b"/") {
            return None;
        }
        // Only changes of attributes and content act on what the last component leads to.
        let whole = matches!(
            file.op,
            FileOp::Chmod | FileOp::Chown | FileOp::Truncate | FileOp::SetXattr
        );
        if whole {
            return self.lead(ts, init, path);
        }
        let folder = directory(path);
        let leaf = path.get(folder.len()..).unwrap_or_default();
        let real = self.lead(ts, init, &Bytes::new(folder))?;
        let real = real.strip_suffix(b"/").unwrap_or(&real);
        let leaf = leaf.strip_prefix(b"/").unwrap_or(leaf);
        Some(Bytes::from([real, b"/", leaf].concat()))
    }

    fn lead(&mut self, ts: Timestamp, init: u32, path: &Bytes) -> Option<Bytes> {
        if self.second != ts.seconds() {
            self.second = ts.seconds();
            self.known.clear();
            self.older.clear();
        }
        // Before the bound: what containers born since then do must not use it up.
        let began = self.began;
        let older = self.older.entry(init);
        if !*older.or_insert_with(|| started_at(init).is_some_and(|started| started < began)) {
            return None;
        }
        let key = (init, path.clone());
        if let Some(answer) = self.known.get(&key) {
            return answer.clone();
        }
        if !self.limit.allows(ts) || self.known.len() >= MAX_KNOWN {
            return None;
        }
        let answer = lead_older(init, path, self.began);
        self.known.insert(key, answer.clone());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_that_are_younger_than_the_watch_do_not_use_up_the_bound() {
        let ts = Timestamp(7_000_000_000);
        let renames = |links: &mut OlderLinks| {
            for n in 0..1000 {
                let path = Bytes::from(format!("/nosuch/{n}/x").as_str());
                assert_eq!(links.lead(ts, std::process::id(), &path), None);
            }
            links.limit.allows(ts)
        };
        let mut links = OlderLinks::new(Timestamp(0));
        assert!(renames(&mut links));
        let mut links = OlderLinks::new(Timestamp(i64::MAX));
        assert!(!renames(&mut links));
    }
}
