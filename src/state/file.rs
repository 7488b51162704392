//! File activity by path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::container::Owner;
use crate::event::{Bytes, CompareClass, FileFacts, FileOp, Filesystem, Timestamp};

/// One owner's path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileKey {
    /// The owner.
    pub owner: Owner,
    /// Path as the container sees it (the new name for a rename).
    pub path: Bytes,
}

/// The activity on a path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileActivity {
    /// Operations by kind.
    pub ops: BTreeMap<FileOp, u64>,
    /// Operations that were refused.
    pub refused: u64,
    /// Latest operation.
    pub last_op: FileOp,
    /// Latest errno, 0 when it succeeded.
    pub last_errno: u16,
    /// Host pid of the latest writer.
    pub pid: u32,
    /// Its short name.
    pub comm: Bytes,
    /// Host pid of the process that wrote or placed the content last; changes of mode do not count.
    pub writer: u32,
    /// When it did.
    pub written: Timestamp,
    /// Latest facts of the file.
    pub file: Option<FileFacts>,
    /// Comparison with the image, once made.
    pub class: Option<CompareClass>,
    /// First seen.
    pub first: Timestamp,
    /// Last seen.
    pub last: Timestamp,
}

impl FileActivity {
    /// How the file differs from the image, by the operations seen: `+` added, `~` changed, `-`
    /// deleted.
    #[must_use]
    pub fn differs(&self) -> Option<char> {
        let file = self.file?;
        if file.fs != Filesystem::Overlay || self.last_op == FileOp::Read {
            return None;
        }
        if self.last_op == FileOp::Unlink && self.last_errno == 0 {
            return file.lower.then_some('-');
        }
        match (file.upper, file.lower) {
            (true, true) => Some('~'),
            (true, false) => Some('+'),
            _ => None,
        }
    }
}
