//! Counts differences and keeps the most important ones, in bounded memory.

use std::collections::BTreeMap;

use crate::event::{Bytes, Count, Differing, DriftScan, FileClass};

/// Differences listed in an event, and the bytes of their texts.
const MAX_LISTED: usize = 128;
const MAX_BYTES: usize = 64 << 10;
/// Packages listed in an event.
const MAX_PACKAGES: usize = 128;

/// The counts of all differences, and the first ones by weight and path.
#[derive(Debug)]
pub struct Tally {
    counts: BTreeMap<FileClass, Count>,
    kept: BTreeMap<(u8, Bytes), Differing>,
    bytes: usize,
    seen: u64,
    limit: usize,
}

fn weight(differing: &Differing) -> usize {
    let target = differing.target.as_ref().map_or(0, |t| t.len());
    let note = differing.note.as_ref().map_or(0, String::len);
    differing.path.len() + target + note
}

impl Default for Tally {
    fn default() -> Self {
        Self::new(MAX_LISTED)
    }
}

impl Tally {
    /// Keeps at most `limit`.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            counts: BTreeMap::new(),
            kept: BTreeMap::new(),
            bytes: 0,
            seen: 0,
            limit,
        }
    }

    /// Counts one.
    pub fn add(&mut self, differing: Differing) {
        let count = self.counts.entry(differing.class).or_default();
        count.add(differing.difference);
        self.seen += 1;
        self.bytes += weight(&differing);
        let key = (differing.rank(), differing.path.clone());
        if let Some(old) = self.kept.insert(key, differing) {
            self.bytes -= weight(&old);
        }
        while self.kept.len() > self.limit || (self.bytes > MAX_BYTES && self.kept.len() > 1) {
            match self.kept.pop_last() {
                Some((_, last)) => self.bytes -= weight(&last),
                None => break,
            }
        }
    }

    /// How many of each class.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<FileClass, Count> {
        &self.counts
    }

    /// The kept ones, the most important first.
    pub fn kept(&self) -> impl Iterator<Item = &Differing> {
        self.kept.values()
    }

    /// Number of differences that are not kept.
    #[must_use]
    pub fn unlisted(&self) -> u64 {
        self.seen - self.kept.len() as u64
    }

    /// Adds counts and differences to a scan's outcome, and limits its size.
    #[must_use]
    pub fn into_scan(self, mut scan: DriftScan) -> DriftScan {
        scan.unlisted = self.unlisted();
        scan.counts = self.counts;
        scan.entries = self.kept.into_values().collect();
        let beyond = scan.packages.len().saturating_sub(MAX_PACKAGES);
        scan.packages.truncate(MAX_PACKAGES);
        scan.packages_unlisted += beyond as u64;
        scan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Difference, NodeKind};

    fn differing(path: &str, class: FileClass) -> Differing {
        Differing {
            path: path.into(),
            difference: Difference::Added,
            class,
            kind: NodeKind::File,
            metadata_only: false,
            size: 0,
            size_before: None,
            mode: 0o100_644,
            mode_before: None,
            uid: 0,
            gid: 0,
            mtime: Default::default(),
            ctime: Default::default(),
            target: None,
            sha256: None,
            package: None,
            below: None,
            note: None,
        }
    }

    #[test]
    fn keeps_the_weightiest_and_counts_the_rest() {
        let mut tally = Tally::default();
        for n in 0..1000 {
            tally.add(differing(&format!("/data/{n:04}"), FileClass::Data));
        }
        tally.add(differing("/usr/bin/x", FileClass::Binary));
        let scan = tally.into_scan(DriftScan::default());
        assert_eq!(scan.entries.len(), MAX_LISTED);
        assert_eq!(scan.unlisted, 1001 - MAX_LISTED as u64);
        assert_eq!(
            scan.entries.first().map(|e| &e.path),
            Some(&"/usr/bin/x".into())
        );
        assert_eq!(
            scan.entries.get(1).map(|e| &e.path),
            Some(&"/data/0000".into())
        );
        assert_eq!(scan.total().added, 1001);
    }

    #[test]
    fn long_names_do_not_make_a_large_event() {
        let mut tally = Tally::default();
        for n in 0..128 {
            let long = format!("/{n}{}", "x".repeat(4000));
            tally.add(differing(&long, FileClass::Binary));
        }
        let bytes: usize = tally.kept().map(weight).sum();
        assert!(bytes <= MAX_BYTES);
        assert_eq!(tally.unlisted() + tally.kept().count() as u64, 128);
    }
}
