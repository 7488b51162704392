//! File operations: the record, and the meaning of each system call's arguments.
#![allow(unsafe_code)]

use bytemuck::{Pod, Zeroable};

use crate::class;
use crate::compat::{arm, narrow};

/// Longest directory path kept per path, bytes.
pub const BASE_MAX: usize = 4096;
/// Longest string kept as the program passed it, bytes.
pub const NAME_MAX: usize = 4096;

/// Operation numbers in [`FileRecord::op`], in the order of the program's `FileOp`.
pub mod op {
    /// Created by an open.
    pub const CREATE: u8 = 0;
    /// Opened for writing.
    pub const WRITE: u8 = 1;
    /// Cut to a length.
    pub const TRUNCATE: u8 = 2;
    /// Sensitive file opened for reading.
    pub const READ: u8 = 3;
    /// Moved.
    pub const RENAME: u8 = 4;
    /// Removed.
    pub const UNLINK: u8 = 5;
    /// Hard link.
    pub const LINK: u8 = 6;
    /// Symbolic link.
    pub const SYMLINK: u8 = 7;
    /// Directory made.
    pub const MKDIR: u8 = 8;
    /// Directory removed.
    pub const RMDIR: u8 = 9;
    /// Mode changed.
    pub const CHMOD: u8 = 10;
    /// Owner changed.
    pub const CHOWN: u8 = 11;
    /// Device node or fifo made.
    pub const MKNOD: u8 = 12;
    /// Mapped executable.
    pub const MAP_EXEC: u8 = 13;
    /// A program start that was refused.
    pub const EXEC: u8 = 14;
    /// Extended attribute set.
    pub const SET_XATTR: u8 = 15;
    /// Extended attribute removed.
    pub const REMOVE_XATTR: u8 = 16;
    /// Inode flags set.
    pub const CHATTR: u8 = 17;
    /// Opened for reading by an interpreter, or its standard input at its start, and not a file of
    /// the image.
    pub const LOAD: u8 = 18;
    /// Times set; only to a past time.
    pub const SET_TIMES: u8 = 19;
    /// An open: the kernel program determines whether it was a create, write or read.
    pub const OPEN: u8 = 31;
}

/// Bits of [`FileRecord::flags`].
pub mod flag {
    /// [`super::FileRecord::facts`] is filled: the kernel resolved the file.
    pub const FACTS: u8 = 1;
    /// The first base is the file's complete path; nothing is appended.
    pub const WHOLE: u8 = 2;
    /// A string could not be read completely.
    pub const CUT: u8 = 4;
    /// The runtime's own set-up.
    pub const RUNTIME: u8 = 8;
    /// The first directory was unknown, or its path too long to be walked to the top.
    pub const BASE_CUT: u8 = 16;
    /// The second directory was unknown, or its path too long to be walked to the top.
    pub const BASE2_CUT: u8 = 32;
    /// The second base is the file's path inside its own file system.
    pub const INSIDE: u8 = 64;
    /// Requested through io_uring.
    pub const RING: u8 = 128;
}

/// Bits of [`FactsRecord::flags`].
pub mod fact {
    /// Overlay: has an upper dentry.
    pub const UPPER: u32 = 1;
    /// Overlay: a lower layer has this path.
    pub const LOWER: u32 = 2;
    /// Anonymous memory file.
    pub const MEMFD: u32 = 4;
    /// Deleted: no directory entry is left.
    pub const UNLINKED: u32 = 8;
}

/// What the kernel reports about a resolved file.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct FactsRecord {
    /// Inode number.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Last change of content, seconds since 1970.
    pub mtime_s: i64,
    /// Last change of the inode, seconds since 1970.
    pub ctime_s: i64,
    /// Nanoseconds of `mtime_s`.
    pub mtime_ns: u32,
    /// Nanoseconds of `ctime_s`.
    pub ctime_ns: u32,
    /// `s_dev`.
    pub dev: u32,
    /// `s_magic`, low 32 bits.
    pub magic: u32,
    /// `i_mode`.
    pub mode: u32,
    /// Bits of [`fact`].
    pub flags: u32,
}

/// One file operation. Four strings follow, `lens` long each: the first directory (components
/// leaf first, each followed by NUL), the first string as passed, and the same two of the second
/// path; for an extended attribute instead its value and name. For an absolute string the directory
/// is the process's root.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct FileRecord {
    /// The file, when [`flag::FACTS`] is set.
    pub facts: FactsRecord,
    /// New mode of chmod, mkdir, mknod, create; new flags of chattr; 1 for a shared mapping, and
    /// for a load of standard input; for a time that was set, the low half of the seconds since
    /// 1970.
    pub mode: u32,
    /// Number of equal operations that this record represents.
    pub count: u32,
    /// Lengths of the four strings.
    pub lens: [u16; 4],
    /// Errno of the refusal, positive; 0 for success.
    pub errno: u16,
    /// One of [`op`].
    pub op: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Low bits of the open flags, the device of mknod, the raw flags argument of the call, or the
    /// high half of a time that was set.
    pub call_flags: u32,
    /// Short name of the process.
    pub comm: [u8; 16],
}

/// Time in which equal operations of a process on one file are counted instead of reported,
/// nanoseconds.
pub const WINDOW_NS: u64 = 1_000_000_000;

/// The key by which operations count as equal. The kernel programs' map counts the operations after
/// a reported one; user space reads the last counts.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct Alike {
    /// Inode number.
    pub ino: u64,
    /// `s_dev`.
    pub dev: u32,
    /// Process, as the host numbers it.
    pub tgid: u32,
    /// One of [`op`].
    pub op: u32,
    /// Zero.
    pub reserved: u32,
}

/// The count of a reported operation.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Seen {
    /// Time of the report on `CLOCK_BOOTTIME`, nanoseconds.
    pub reported: u64,
    /// Number of equal operations since.
    pub since: u64,
}

#[cfg(feature = "user")]
// SAFETY: plain numbers without padding: it is `bytemuck::Pod`.
unsafe impl aya::Pod for Alike {}
#[cfg(feature = "user")]
// SAFETY: as above.
unsafe impl aya::Pod for Seen {}

/// Longest value kept of an extended attribute, bytes.
pub const VALUE_MAX: usize = 64;

/// `ioctl` commands that set inode flags; all others are ignored.
pub mod ioctl {
    /// `FS_IOC_SETFLAGS`.
    pub const SET_FLAGS: u32 = 0x4008_6602;
    /// `FS_IOC_SETFLAGS` of a 32-bit program.
    pub const SET_FLAGS32: u32 = 0x4004_6602;
    /// `FS_IOC_FSSETXATTR`: the flags have the numbers of XFS.
    pub const SET_XFLAGS: u32 = 0x401c_5820;
}

/// Memory layouts of the times that a call sets; in [`Shape::dir2`].
pub mod times {
    /// `struct utimbuf`: two numbers of seconds, the second is that of the content.
    pub const SECONDS: u8 = 0;
    /// `struct timeval[2]` or `struct timespec[2]`: the second is that of the content.
    pub const PAIRS: u8 = 1;
    /// [`SECONDS`] of 32 bits each.
    pub const SECONDS32: u8 = 2;
    /// [`PAIRS`] of 32 bits each.
    pub const PAIRS32: u8 = 3;
    /// Value of the nanoseconds that means the current time.
    pub const NOW: u64 = 0x3fff_ffff;
    /// Value of the nanoseconds that means unchanged.
    pub const OMIT: u64 = 0x3fff_fffe;
    /// Minimum age of a past time, seconds. Copies of recent files have younger times.
    pub const PAST: i64 = 86_400;
}

/// No such argument: the working directory, no path, no mode.
pub const NONE: u8 = 7;

/// The meaning of a call's arguments; packs into 32 bits for the kernel's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// One of [`op`].
    pub op: u8,
    /// Argument with the directory descriptor (the file itself when `path` is none).
    pub dir: u8,
    /// Argument with the first path.
    pub path: u8,
    /// Argument with the second directory descriptor, or with an attribute's name; or the layout of
    /// [`times`].
    pub dir2: u8,
    /// Argument with the second path.
    pub path2: u8,
    /// Argument with the mode, or a pointer to an attribute's value, to inode flags or to times.
    pub mode: u8,
    /// Argument with flags, with the length of an attribute's value, or with a node's device.
    pub flags: u8,
}

impl Shape {
    const fn new(op: u8, dir: u8, path: u8, dir2: u8, path2: u8, mode: u8, flags: u8) -> Self {
        Self {
            op,
            dir,
            path,
            dir2,
            path2,
            mode,
            flags,
        }
    }

    /// The shape in one word; never 0, so that 0 means "no file call".
    #[must_use]
    pub const fn pack(self) -> u32 {
        1 << 31
            | self.op as u32
            | (self.dir as u32) << 5
            | (self.path as u32) << 8
            | (self.dir2 as u32) << 11
            | (self.path2 as u32) << 14
            | (self.mode as u32) << 17
            | (self.flags as u32) << 20
    }

    /// The class of a call with this shape, with its flag.
    #[must_use]
    pub const fn class(self) -> u8 {
        match self.op {
            // `ioctl` is watched for some commands only.
            op::CHATTR if self.flags != NONE => class::ATTRIBUTE | class::IOCTL,
            op::CHATTR | op::SET_XATTR | op::REMOVE_XATTR | op::SET_TIMES => class::ATTRIBUTE,
            _ => class::FILE,
        }
    }

    /// Unpacks the result of [`Shape::pack`].
    #[must_use]
    pub const fn unpack(word: u32) -> Self {
        Self {
            op: (word & 31) as u8,
            dir: (word >> 5 & 7) as u8,
            path: (word >> 8 & 7) as u8,
            dir2: (word >> 11 & 7) as u8,
            path2: (word >> 14 & 7) as u8,
            mode: (word >> 17 & 7) as u8,
            flags: (word >> 20 & 7) as u8,
        }
    }
}

const N: u8 = NONE;

/// File calls of x86_64.
pub const X86_64: &[(u16, Shape)] = &[
    (2, Shape::new(op::OPEN, N, 0, N, N, 2, 1)),
    (85, Shape::new(op::OPEN, N, 0, N, N, 1, N)),
    (257, Shape::new(op::OPEN, 0, 1, N, N, 3, 2)),
    // openat2 passes flags and mode in a structure: the flags argument is a pointer.
    (437, Shape::new(op::OPEN, 0, 1, N, N, N, 2)),
    // The descriptor is the fifth argument, the protection the third.
    (9, Shape::new(op::MAP_EXEC, 4, N, N, N, N, 2)),
    // Neither descriptor nor path: the file is the one mapped at that address.
    (10, Shape::new(op::MAP_EXEC, N, N, N, N, N, 2)),
    (329, Shape::new(op::MAP_EXEC, N, N, N, N, N, 2)),
    (76, Shape::new(op::TRUNCATE, N, 0, N, N, N, N)),
    (77, Shape::new(op::TRUNCATE, 0, N, N, N, N, N)),
    (82, Shape::new(op::RENAME, N, 0, N, 1, N, N)),
    (264, Shape::new(op::RENAME, 0, 1, 2, 3, N, N)),
    (316, Shape::new(op::RENAME, 0, 1, 2, 3, N, 4)),
    (87, Shape::new(op::UNLINK, N, 0, N, N, N, N)),
    (263, Shape::new(op::UNLINK, 0, 1, N, N, N, 2)),
    (84, Shape::new(op::RMDIR, N, 0, N, N, N, N)),
    (86, Shape::new(op::LINK, N, 0, N, 1, N, N)),
    (265, Shape::new(op::LINK, 0, 1, 2, 3, N, 4)),
    // The link's content is the second string: it is not resolved against anything.
    (88, Shape::new(op::SYMLINK, N, 1, N, 0, N, N)),
    (266, Shape::new(op::SYMLINK, 1, 2, N, 0, N, N)),
    (83, Shape::new(op::MKDIR, N, 0, N, N, 1, N)),
    (258, Shape::new(op::MKDIR, 0, 1, N, N, 2, N)),
    (90, Shape::new(op::CHMOD, N, 0, N, N, 1, N)),
    (91, Shape::new(op::CHMOD, 0, N, N, N, 1, N)),
    (268, Shape::new(op::CHMOD, 0, 1, N, N, 2, N)),
    (452, Shape::new(op::CHMOD, 0, 1, N, N, 2, 3)),
    (92, Shape::new(op::CHOWN, N, 0, N, N, N, N)),
    (93, Shape::new(op::CHOWN, 0, N, N, N, N, N)),
    (94, Shape::new(op::CHOWN, N, 0, N, N, N, N)),
    (260, Shape::new(op::CHOWN, 0, 1, N, N, N, 4)),
    (133, Shape::new(op::MKNOD, N, 0, N, N, 1, 2)),
    (259, Shape::new(op::MKNOD, 0, 1, N, N, 2, 3)),
    (59, Shape::new(op::EXEC, N, 0, N, N, N, N)),
    (322, Shape::new(op::EXEC, 0, 1, N, N, N, 4)),
    (188, Shape::new(op::SET_XATTR, N, 0, 1, N, 2, 3)),
    (189, Shape::new(op::SET_XATTR, N, 0, 1, N, 2, 3)),
    (190, Shape::new(op::SET_XATTR, 0, N, 1, N, 2, 3)),
    // setxattrat passes value and length in a structure.
    (463, Shape::new(op::SET_XATTR, 0, 1, 3, N, 4, N)),
    (197, Shape::new(op::REMOVE_XATTR, N, 0, 1, N, N, N)),
    (198, Shape::new(op::REMOVE_XATTR, N, 0, 1, N, N, N)),
    (199, Shape::new(op::REMOVE_XATTR, 0, N, 1, N, N, N)),
    (466, Shape::new(op::REMOVE_XATTR, 0, 1, 3, N, N, N)),
    (16, Shape::new(op::CHATTR, 0, N, N, N, 2, 1)),
    (469, Shape::new(op::CHATTR, 0, 1, N, N, 2, N)),
    (
        132,
        Shape::new(op::SET_TIMES, N, 0, times::SECONDS, N, 1, N),
    ),
    (235, Shape::new(op::SET_TIMES, N, 0, times::PAIRS, N, 1, N)),
    (261, Shape::new(op::SET_TIMES, 0, 1, times::PAIRS, N, 2, N)),
    (280, Shape::new(op::SET_TIMES, 0, 1, times::PAIRS, N, 2, 3)),
    // Calls of 32-bit programs, with 32-bit times.
    (
        narrow::UTIME,
        Shape::new(op::SET_TIMES, N, 0, times::SECONDS32, N, 1, N),
    ),
    (
        narrow::UTIMES,
        Shape::new(op::SET_TIMES, N, 0, times::PAIRS32, N, 1, N),
    ),
    (
        narrow::UTIMEAT,
        Shape::new(op::SET_TIMES, 0, 1, times::PAIRS32, N, 2, N),
    ),
];

/// File calls of aarch64.
pub const AARCH64: &[(u16, Shape)] = &[
    (56, Shape::new(op::OPEN, 0, 1, N, N, 3, 2)),
    (437, Shape::new(op::OPEN, 0, 1, N, N, N, 2)),
    (222, Shape::new(op::MAP_EXEC, 4, N, N, N, N, 2)),
    (226, Shape::new(op::MAP_EXEC, N, N, N, N, N, 2)),
    (288, Shape::new(op::MAP_EXEC, N, N, N, N, N, 2)),
    (45, Shape::new(op::TRUNCATE, N, 0, N, N, N, N)),
    (46, Shape::new(op::TRUNCATE, 0, N, N, N, N, N)),
    (38, Shape::new(op::RENAME, 0, 1, 2, 3, N, N)),
    (276, Shape::new(op::RENAME, 0, 1, 2, 3, N, 4)),
    (35, Shape::new(op::UNLINK, 0, 1, N, N, N, 2)),
    (37, Shape::new(op::LINK, 0, 1, 2, 3, N, 4)),
    (36, Shape::new(op::SYMLINK, 1, 2, N, 0, N, N)),
    (34, Shape::new(op::MKDIR, 0, 1, N, N, 2, N)),
    (52, Shape::new(op::CHMOD, 0, N, N, N, 1, N)),
    (53, Shape::new(op::CHMOD, 0, 1, N, N, 2, N)),
    (452, Shape::new(op::CHMOD, 0, 1, N, N, 2, 3)),
    (55, Shape::new(op::CHOWN, 0, N, N, N, N, N)),
    (54, Shape::new(op::CHOWN, 0, 1, N, N, N, 4)),
    (33, Shape::new(op::MKNOD, 0, 1, N, N, 2, 3)),
    (221, Shape::new(op::EXEC, N, 0, N, N, N, N)),
    (281, Shape::new(op::EXEC, 0, 1, N, N, N, 4)),
    (5, Shape::new(op::SET_XATTR, N, 0, 1, N, 2, 3)),
    (6, Shape::new(op::SET_XATTR, N, 0, 1, N, 2, 3)),
    (7, Shape::new(op::SET_XATTR, 0, N, 1, N, 2, 3)),
    (463, Shape::new(op::SET_XATTR, 0, 1, 3, N, 4, N)),
    (14, Shape::new(op::REMOVE_XATTR, N, 0, 1, N, N, N)),
    (15, Shape::new(op::REMOVE_XATTR, N, 0, 1, N, N, N)),
    (16, Shape::new(op::REMOVE_XATTR, 0, N, 1, N, N, N)),
    (466, Shape::new(op::REMOVE_XATTR, 0, 1, 3, N, N, N)),
    (29, Shape::new(op::CHATTR, 0, N, N, N, 2, 1)),
    (469, Shape::new(op::CHATTR, 0, 1, N, N, 2, N)),
    (88, Shape::new(op::SET_TIMES, 0, 1, times::PAIRS, N, 2, 3)),
    // Calls of 32-bit programs, with 32-bit times.
    (
        narrow::UTIMES,
        Shape::new(op::SET_TIMES, N, 0, times::PAIRS32, N, 1, N),
    ),
    (
        narrow::UTIMEAT,
        Shape::new(op::SET_TIMES, 0, 1, times::PAIRS32, N, 2, N),
    ),
    // Calls of 32-bit programs without a native call on aarch64.
    (arm::OPEN, Shape::new(op::OPEN, N, 0, N, N, 2, 1)),
    (arm::CREAT, Shape::new(op::OPEN, N, 0, N, N, 1, N)),
    (arm::LINK, Shape::new(op::LINK, N, 0, N, 1, N, N)),
    (arm::UNLINK, Shape::new(op::UNLINK, N, 0, N, N, N, N)),
    (arm::MKNOD, Shape::new(op::MKNOD, N, 0, N, N, 1, 2)),
    (arm::CHMOD, Shape::new(op::CHMOD, N, 0, N, N, 1, N)),
    (arm::LCHOWN, Shape::new(op::CHOWN, N, 0, N, N, N, N)),
    (arm::CHOWN, Shape::new(op::CHOWN, N, 0, N, N, N, N)),
    (arm::RENAME, Shape::new(op::RENAME, N, 0, N, 1, N, N)),
    (arm::MKDIR, Shape::new(op::MKDIR, N, 0, N, N, 1, N)),
    (arm::RMDIR, Shape::new(op::RMDIR, N, 0, N, N, N, N)),
    (arm::SYMLINK, Shape::new(op::SYMLINK, N, 1, N, 0, N, N)),
];
