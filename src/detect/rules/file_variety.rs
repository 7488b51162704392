//! How varied the files are that something happened to. Encryption and wiping reach data of many kinds in
//! several directories; a service works on files of one or two kinds.

use bstr::ByteSlice as _;
use smallvec::SmallVec;

use crate::catalog::path::leaf;
use crate::event::Bytes;

/// Kinds of files, by their extension, from which on files are varied.
const KINDS: usize = 3;
/// Directories of these.
const DIRECTORIES: usize = 2;

/// The first kinds and directories of a set of files.
#[derive(Debug, Clone, Default)]
pub(super) struct FileVariety {
    kinds: SmallVec<[Bytes; KINDS]>,
    directories: SmallVec<[Bytes; DIRECTORIES]>,
}

impl FileVariety {
    pub(super) fn note_kind(&mut self, kind: &[u8]) {
        note(&mut self.kinds, kind);
    }

    pub(super) fn note_directory(&mut self, directory: &[u8]) {
        note(&mut self.directories, directory);
    }

    /// There are enough kinds and directories.
    pub(super) fn is_varied(&self) -> bool {
        self.kinds.len() >= KINDS && self.directories.len() >= DIRECTORIES
    }

    /// The files differ in kind or directory.
    pub(super) fn differs(&self) -> bool {
        self.kinds.len() > 1 || self.directories.len() > 1
    }
}

/// Adds a value to a list that need not be complete.
fn note<A: smallvec::Array<Item = Bytes>>(list: &mut SmallVec<A>, value: &[u8]) {
    if list.len() < A::size() && !list.iter().any(|known| **known == *value) {
        list.push(Bytes::new(value));
    }
}

/// The last extension of a name, without its dot. A dot at the beginning hides a file.
pub(super) fn extension(path: &[u8]) -> &[u8] {
    let name = leaf(path);
    let dot = name.rfind_byte(b'.').filter(|at| *at > 0);
    dot.and_then(|at| name.get(at + 1..)).unwrap_or_default()
}
