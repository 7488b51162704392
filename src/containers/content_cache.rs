//! Hashes of file contents, and the programs of each image: read once, and remembered.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::catalog::paths::PROGRAM_TREES;
use crate::event::Bytes;
use crate::system;

/// Maximum number of hashes and image indexes; beyond it all are dropped.
const MAX_HASHES: usize = 4096;
const MAX_INDEXES: usize = 32;
/// Bounds of the search for a moved or copied program, per image.
const MAX_ENTRIES: usize = 50_000;
const MAX_DEPTH: usize = 5;

/// A file's content cannot change without one of these changing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileStamp {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl FileStamp {
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.size(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// False while a second change could still have the same times: file systems use the kernel's
    /// coarse clock (1–10 ms), so the hash of such a recent file must not be kept.
    pub(crate) fn is_settled(&self) -> bool {
        let changed = system::timestamp(self.ctime.0, self.ctime.1);
        system::wall_now().since(changed) > Duration::from_millis(100)
    }
}

pub(crate) type ContentHash = [u8; 32];
/// Size → paths of image programs.
pub(super) type ProgramIndex = BTreeMap<u64, Vec<Bytes>>;

/// Remembered hashes and indexes.
#[derive(Debug, Default)]
pub(crate) struct ContentCache {
    hashes: BTreeMap<FileStamp, ContentHash>,
    indexes: BTreeMap<Vec<Bytes>, Arc<ProgramIndex>>,
}

impl ContentCache {
    /// The content's hash, read once for each state of a file.
    ///
    /// # Errors
    /// When it cannot be read, or changes meanwhile.
    pub(crate) fn hash(&mut self, file: &File) -> Result<ContentHash, String> {
        let before = FileStamp::of(&file.metadata().map_err(|e| e.to_string())?);
        if let Some(hash) = self.hashes.get(&before) {
            return Ok(*hash);
        }
        let mut hasher = Sha256::new();
        // One byte more than the size shows that a file grows while it is read.
        let mut reader = file.take(before.size + 1);
        let mut buffer = vec![0_u8; 128 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => hasher.update(buffer.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("reading it: {e}")),
            }
        }
        let after = FileStamp::of(&file.metadata().map_err(|e| e.to_string())?);
        if before != after {
            return Err("it changed while it was read".to_owned());
        }
        let hash: ContentHash = hasher.finalize().into();
        if after.is_settled() {
            if self.hashes.len() >= MAX_HASHES {
                self.hashes.clear();
            }
            self.hashes.insert(after, hash);
        }
        Ok(hash)
    }

    /// The image's programs by size.
    pub(super) fn index(&mut self, lower: &[Bytes]) -> Arc<ProgramIndex> {
        if let Some(index) = self.indexes.get(lower) {
            return Arc::clone(index);
        }
        let mut index = ProgramIndex::new();
        let mut left = MAX_ENTRIES;
        for layer in lower {
            let layer = Path::new(std::ffi::OsStr::from_bytes(layer));
            for dir in PROGRAM_TREES {
                let dir = std::ffi::OsStr::from_bytes(dir);
                walk(layer, &layer.join(dir), 0, &mut left, &mut index);
            }
        }
        // Shortest first: /bin/busybox rather than a copy far down.
        for paths in index.values_mut() {
            paths.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
            paths.dedup();
        }
        if self.indexes.len() >= MAX_INDEXES {
            self.indexes.clear();
        }
        let index = Arc::new(index);
        self.indexes.insert(lower.to_vec(), Arc::clone(&index));
        index
    }
}

fn walk(layer: &Path, at: &Path, depth: usize, left: &mut usize, index: &mut ProgramIndex) {
    // A link such as /bin → usr/bin is searched at its target.
    if !fs::symlink_metadata(at).is_ok_and(|m| m.is_dir()) {
        return;
    }
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() && depth < MAX_DEPTH {
            walk(layer, &entry.path(), depth + 1, left, index);
        } else if meta.is_file()
            && meta.size() > 0
            && let Ok(inside) = entry.path().strip_prefix(layer)
        {
            let mut path = vec![b'/'];
            path.extend(inside.as_os_str().as_bytes());
            index.entry(meta.size()).or_default().push(path.into());
        }
    }
}
