//! The starting point of a path: the working directory, a descriptor, the root.

use hullwatch_abi::offsets as o;

use crate::kernel::{at, field, file_of, task};

/// AT_FDCWD: the working directory in the `…at` calls.
pub const AT_FDCWD: i32 = -100;
/// The task's root directory, where absolute paths begin; no call knows this number.
pub const ROOT: i32 = i32::MIN;

/// A mount and a directory entry in it.
#[derive(Clone, Copy)]
pub struct PathStart {
    /// The mount.
    pub mnt: u64,
    /// Directory entry.
    pub dentry: u64,
}

impl PathStart {
    /// The mount point, if the file is the root of a mount: usually a single mounted file.
    #[inline(always)]
    pub fn mounted_at(self) -> Option<u64> {
        if field::<u64>(self.mnt, o::MNT_ROOT)? != self.dentry {
            return None;
        }
        field(self.mnt.wrapping_sub(at(o::MOUNT_MNT)), o::MOUNT_POINT)
    }
}

/// The `struct path` at this address.
#[inline(always)]
pub fn path_start(path: u64) -> Option<PathStart> {
    Some(PathStart {
        mnt: field(path, o::PATH_MNT)?,
        dentry: field(path, o::PATH_DENTRY)?,
    })
}

/// A directory: a descriptor, the working directory ([`AT_FDCWD`]) or the root ([`ROOT`]).
#[inline(always)]
pub fn directory(fd: i32) -> Option<PathStart> {
    if fd == AT_FDCWD || fd == ROOT {
        let fs: u64 = field(task(), o::TASK_FS)?;
        let of = if fd == ROOT {
            at(o::FS_ROOT)
        } else {
            at(o::FS_PWD)
        };
        path_start(fs + of)
    } else {
        path_start(file_of(fd)? + at(o::FILE_PATH))
    }
}
