//! The mark by which a running watch recognises the self-test's container: a file, named by the
//! container's random id, that the self-test's own process on this host keeps open.
//!
//! A container cannot create such a mark for itself: the process must be in this program's own pid
//! and mount namespaces.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::event::ContainerId;

/// Directory of the marks; only root may write there.
const FOLDER: &str = "/run/hullwatch/selftest";

/// A mark, removed when it is dropped.
#[derive(Debug)]
pub struct SelftestMarker {
    path: PathBuf,
    /// Kept open: the proof that its process lives.
    _file: File,
}

impl SelftestMarker {
    /// Marks a container that this process is about to create.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(id: &ContainerId) -> io::Result<Self> {
        Self::create_in(Path::new(FOLDER), id)
    }

    fn create_in(folder: &Path, id: &ContainerId) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        let path = folder.join(id.as_str());
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        write!(file, "{}", std::process::id())?;
        Ok(Self { path, _file: file })
    }
}

impl Drop for SelftestMarker {
    fn drop(&mut self) {
        // If it stays, its process has ended, so it has no meaning.
        let _ = fs::remove_file(&self.path);
    }
}

/// True when this container is the self-test of another process that runs on this host.
#[must_use]
pub fn marks(id: &ContainerId) -> bool {
    marked_by(Path::new(FOLDER), id).is_some_and(|pid| pid != std::process::id())
}

/// The process whose self-test the container is.
fn marked_by(folder: &Path, id: &ContainerId) -> Option<u32> {
    // An id here is never a path of several components.
    if id.as_str().contains('/') {
        return None;
    }
    let mut file = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(folder.join(id.as_str()))
        .ok()?;
    let mark = file.metadata().ok()?;
    if !mark.is_file() || mark.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    let mut text = String::new();
    (&mut file).take(16).read_to_string(&mut text).ok()?;
    let pid: u32 = text.parse().ok()?;
    let process = PathBuf::from(format!("/proc/{pid}"));
    let same = |namespace: &str| {
        let of = |process: &Path| fs::read_link(process.join("ns").join(namespace)).ok();
        let own = of(Path::new("/proc/self"));
        own.is_some() && own == of(&process)
    };
    let holds = || {
        let open = fs::read_dir(process.join("fd")).into_iter().flatten();
        open.flatten()
            .filter_map(|entry| fs::metadata(entry.path()).ok())
            .any(|open| (open.dev(), open.ino()) == (mark.dev(), mark.ino()))
    };
    (same("pid") && same("mnt") && holds()).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_living_process_of_this_host_marks_a_container() {
        let folder = tempfile::tempdir().unwrap();
        let id = ContainerId::new(&"ab".repeat(32));
        assert_eq!(marked_by(folder.path(), &id), None);
        let mark = SelftestMarker::create_in(folder.path(), &id).unwrap();
        assert_eq!(marked_by(folder.path(), &id), Some(std::process::id()));
        let path = mark.path.clone();
        drop(mark);
        assert!(!path.exists());
        // Files that name a process that does not have them open, no process, or nonsense.
        for text in ["1", "4294967295", "x", ""] {
            fs::write(&path, text).unwrap();
            assert_eq!(marked_by(folder.path(), &id), None, "{text:?}");
        }
    }
}
