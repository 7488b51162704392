//! Notes the capabilities of an executed program's file in the event of the exec, since the kernel's facts
//! about the file do not hold them.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;

use crate::containers::open_on_root;
use crate::event::{Exec, FileFacts, Kind, file_capabilities};

/// Maximum number of files whose capabilities are remembered; then all are forgotten and read again.
const MAX_FILES: usize = 4_096;
/// `sizeof(struct vfs_ns_cap_data)`, the longest value.
const MAX_BYTES: usize = 24;

/// Identifies a file until it changes: device, inode and time of the last change, in nanoseconds.
type ProgramVersion = (u32, u64, i64);

/// Remembers the capabilities of executed files.
#[derive(Debug, Default)]
pub(super) struct ProgramFiles {
    known: HashMap<ProgramVersion, String>,
}

impl ProgramFiles {
    /// Notes the capabilities of the file of an exec. `pid` is the container's init, or else the process.
    pub(super) fn note(&mut self, pid: u32, kind: &mut Kind) {
        if let Kind::Exec(exec) = kind
            && !exec.runtime
        {
            let of = |facts: &FileFacts| (facts.dev, facts.ino, facts.ctime.0);
            exec.file_capabilities = self.of(of(&exec.file), || read(pid, exec));
        }
    }

    fn of(&mut self, file: ProgramVersion, read: impl FnOnce() -> Option<String>) -> String {
        if let Some(known) = self.known.get(&file) {
            return known.clone();
        }
        let Some(text) = read() else {
            return String::new();
        };
        if self.known.len() >= MAX_FILES {
            self.known.clear();
        }
        self.known.insert(file, text.clone());
        text
    }
}

/// Empty without capabilities; `None` when the file cannot be examined, is on a volume, or was replaced
/// meanwhile.
fn read(pid: u32, exec: &Exec) -> Option<String> {
    let file = open_on_root(pid, &exec.exe).ok()?;
    let now = file.metadata().ok()?;
    if now.size() != exec.file.size || now.mode() != exec.file.mode {
        return None;
    }
    let mut value = [0; MAX_BYTES];
    match rustix::fs::fgetxattr(&file, c"security.capability", &mut value) {
        Ok(length) => file_capabilities(value.get(..length)?),
        // None, or a file system without attributes.
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Some(String::new()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_and_one_that_was_not_readable_again() {
        let mut files = ProgramFiles::default();
        let text = || Some("cap_net_raw=ep".to_owned());
        assert_eq!(files.of((1, 2, 3), || None), "");
        assert_eq!(files.of((1, 2, 3), text), "cap_net_raw=ep");
        assert_eq!(files.of((1, 2, 3), || unreachable!()), "cap_net_raw=ep");
        // It was changed since.
        assert_eq!(files.of((1, 2, 4), || Some(String::new())), "");
    }

    #[test]
    fn a_flood_of_files_is_remembered_within_the_bound() {
        let mut files = ProgramFiles::default();
        for n in 0..10_000 {
            files.of((0, n, 0), || Some(String::new()));
            assert!(files.known.len() <= MAX_FILES);
        }
    }
}
