//! Whether two files have the same content, remembered between scans.

use std::fs::File;
use std::io::{self, Read as _};

use rustc_hash::FxHashSet;

use super::progress::ScanProgress;
use crate::containers::compare::{ContentCache, FileStamp};

/// Larger files of equal size are not compared.
const MAX_COMPARED: u64 = 1 << 30;
/// Maximum number of remembered pairs of equal files; beyond it all are dropped.
const MAX_REMEMBERED: usize = 16_384;

/// Pairs of files found equal, and hashes of files.
#[derive(Debug, Default)]
pub(super) struct ContentMemory {
    equal: FxHashSet<(FileStamp, FileStamp)>,
    pub(super) hashes: ContentCache,
}

impl ContentMemory {
    /// Pairs of files remembered as equal.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.equal.len()
    }

    /// Whether two files have the same content: by size, by remembered pairs, by reading.
    pub(super) fn same(
        &mut self,
        new: &File,
        old: &File,
        progress: &ScanProgress,
    ) -> Result<bool, String> {
        let stamps = |new: &File, old: &File| -> io::Result<(FileStamp, FileStamp)> {
            Ok((
                FileStamp::of(&new.metadata()?),
                FileStamp::of(&old.metadata()?),
            ))
        };
        let text = |e: io::Error| e.to_string();
        let before = stamps(new, old).map_err(text)?;
        if before.0.size() != before.1.size() {
            return Ok(false);
        }
        if self.equal.contains(&before) {
            return Ok(true);
        }
        if before.0.size() > MAX_COMPARED {
            let limit = MAX_COMPARED >> 20;
            return Err(format!(
                "of the same size as the image's, but larger than {limit} MiB"
            ));
        }
        let same = equal(new, old, progress).map_err(text)?;
        if stamps(new, old).map_err(text)? != before {
            return Err("it changed while it was read".to_owned());
        }
        if same && before.0.is_settled() {
            if self.equal.len() >= MAX_REMEMBERED {
                self.equal.clear();
            }
            self.equal.insert(before);
        }
        Ok(same)
    }
}

fn equal(new: &File, old: &File, progress: &ScanProgress) -> io::Result<bool> {
    // One byte more than the size shows that a file grows while it is read.
    let mut new = new.take(MAX_COMPARED + 1);
    let mut old = old.take(MAX_COMPARED + 1);
    let (mut a, mut b) = (vec![0_u8; 128 << 10], vec![0_u8; 128 << 10]);
    loop {
        if progress.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let n = fill(&mut new, &mut a)?;
        let m = fill(&mut old, &mut b)?;
        if a.get(..n) != b.get(..m) {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

fn fill(file: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
