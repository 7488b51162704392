//! Opens paths of a container over its mounts, of file systems that answer by themselves: one that a
//! program or another host implements (FUSE, NFS) may never answer, and the collector must not wait.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::layers::{beneath, directory, relative};
use super::overlay::kind_of_mount;
use crate::catalog::path::is_below;
use crate::event::Bytes;

/// File systems that need no program and no other host.
const LOCAL: [&[u8]; 9] = [
    b"bcachefs",
    b"btrfs",
    b"ext2",
    b"ext3",
    b"ext4",
    b"f2fs",
    b"overlay",
    b"tmpfs",
    b"xfs",
];

/// The root of a process and the mounts below it that were entered on the way to one path.
#[derive(Debug)]
pub(super) struct MountedTree {
    pid: u32,
    root: OwnedFd,
    /// Paths of entered mounts and their roots; each is below the one before.
    entered: Vec<(Vec<u8>, OwnedFd)>,
}

impl MountedTree {
    /// The tree below `root`, the root of process `pid`.
    ///
    /// # Errors
    /// When the process has ended.
    pub(super) fn new(pid: u32, root: &Bytes) -> io::Result<Self> {
        Ok(Self {
            pid,
            root: directory(root)?,
            entered: Vec::new(),
        })
    }

    /// A handle of the entry at an absolute path without links, whose directory was opened before.
    ///
    /// # Errors
    /// When there is none, or it is on a mount of another file system.
    pub(super) fn entry(&mut self, at: &[u8]) -> io::Result<OwnedFd> {
        self.entered.retain(|(mount, _)| is_below(at, mount));
        let (mount, root) = self
            .entered
            .last()
            .map_or((&b""[..], &self.root), |(at, root)| (at, root));
        let rest = at.get(mount.len()..).unwrap_or_default();
        if rest.is_empty() {
            return root.try_clone();
        }
        let rest = relative(rest).ok_or(io::ErrorKind::InvalidInput)?;
        let entry = beneath(root, rest, OFlags::PATH, ResolveFlags::NO_XDEV);
        match entry {
            Err(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => {}
            entry => return entry,
        }
        // Opening the root of a mount by O_PATH asks its file system nothing. Its directory is opened
        // apart, so that no other mount is crossed if the container changes them meanwhile.
        let (parent, name) = (rest.parent(), rest.file_name());
        let name = Path::new(name.unwrap_or(OsStr::from_bytes(b".")));
        let parent = match parent.filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => &beneath(root, parent, OFlags::PATH, ResolveFlags::NO_XDEV)?,
            None => root,
        };
        let inside = beneath(parent, name, OFlags::PATH, ResolveFlags::empty())?;
        if !is_local(self.pid, &inside) {
            return Err(another_file_system());
        }
        self.entered.push((at.to_vec(), inside.try_clone()?));
        Ok(inside)
    }
}

/// The program that a process runs.
///
/// # Errors
/// When the process has ended, or its program is on a file system that may never answer.
pub(super) fn program_of(pid: u32) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let handle = rustix::fs::open(format!("/proc/{pid}/exe"), flags, Mode::empty())?;
    if !is_local(pid, &handle) {
        return Err(another_file_system());
    }
    // By the handle, whose file is a regular one since it is executed.
    File::open(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

fn another_file_system() -> io::Error {
    io::Error::other("another file system")
}

/// True when the mount of a handle is of a file system that answers by itself, among the mounts of a
/// process. Its number stays that mount's while the handle is open.
fn is_local(pid: u32, handle: &OwnedFd) -> bool {
    let facts = fs::read_to_string(format!("/proc/self/fdinfo/{}", handle.as_raw_fd()));
    let facts = facts.unwrap_or_default();
    let number = facts
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:").map(str::trim));
    let kind = number.and_then(|number| kind_of_mount(pid, number.as_bytes()));
    kind.is_some_and(|kind| LOCAL.contains(&&kind[..]))
}
