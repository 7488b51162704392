//! Compares a container's files, as they are now, with its image: what was added, changed and
//! deleted, also before anybody watched and without anybody having run it.
//!
//! Everything in the writable layer may be made by an attacker. Nothing there is followed, no
//! fifo or device is opened, and what is kept in memory is bounded.

mod class;
mod engine;
mod packages;
mod tally;
mod text;
mod tree;
mod walk;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use rustc_hash::FxHashSet;

use crate::containers::compare::{Cache, Stamp};
use crate::event::{Bytes, ContainerInfo, Differing, DriftScan, DriftScanSource, PackageChange};

pub use engine::from_engine;
pub use tally::Tally;
pub use text::{TextDiff, diff};

/// Pairs of equal files remembered; all are dropped when there are more.
const MAX_REMEMBERED: usize = 16_384;

/// How far a scan is, and whether it is to end.
#[derive(Debug, Default)]
pub struct Progress {
    examined: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// Entries looked at.
    #[must_use]
    pub fn examined(&self) -> u64 {
        self.examined.load(Ordering::Relaxed)
    }

    /// Ends the scan soon.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// It is to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn step(&self) {
        self.examined.fetch_add(1, Ordering::Relaxed);
    }
}

/// Scans containers, and remembers what it read between scans.
#[derive(Debug, Default)]
pub struct Scanner {
    equal: FxHashSet<(Stamp, Stamp)>,
    hashes: Cache,
}

impl Scanner {
    /// Compares a container's writable layer with its image. Every difference goes to `out` as
    /// it is found; the outcome returned holds none of them, but all else.
    ///
    /// # Errors
    /// When the layers are not known or cannot be opened.
    pub fn scan(
        &mut self,
        info: &ContainerInfo,
        progress: &Progress,
        out: &mut dyn FnMut(Differing),
    ) -> Result<DriftScan, String> {
        let began = Instant::now();
        let tree = tree::Tree::open(&info.storage)?;
        let found = packages::compare(&tree);
        let mut mounts: Vec<Bytes> = info.mounts.iter().map(|m| m.destination.clone()).collect();
        mounts.sort();
        let mut walk = walk::Walk::new(&tree, self, &found.owned, &mounts, progress, out);
        let done = walk.run();
        let walked = walk.walked;
        let mut problems = walked.problems;
        problems.extend(found.problems);
        Ok(DriftScan {
            source: DriftScanSource::Layers,
            failed: (!done).then(|| "cancelled before it was done".to_owned()),
            examined: walked.examined,
            unchanged: walked.unchanged,
            directories: walked.directories,
            packages: found.changes,
            packages_unlisted: found.unlisted,
            problems,
            unreadable: walked.unreadable,
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..DriftScan::default()
        })
    }
}

/// A package change for people: `+ curl 8.1`, `~ curl 8.0 → 8.1`, `- curl 8.0`.
#[must_use]
pub fn package_line(change: &PackageChange) -> String {
    let name = change.name.escaped();
    match (&change.before, &change.after) {
        (None, Some(after)) => format!("+ {name} {}", after.escaped()),
        (Some(before), Some(after)) => {
            format!("~ {name} {} → {}", before.escaped(), after.escaped())
        }
        (Some(before), None) => format!("- {name} {}", before.escaped()),
        (None, None) => name.to_string(),
    }
}

/// Lets everything else on this machine go first: for the calling thread.
pub fn be_modest() {
    // Refused at worst: then it runs like any other thread.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
