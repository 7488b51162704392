//! Facts about files: changes, sensitive reads, where content comes from.

use serde::{Deserialize, Serialize};

use super::{Bytes, Timestamp};

/// What was done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOp {
    /// Created by an open.
    Create,
    /// Opened for writing.
    Write,
    /// Cut to a length.
    Truncate,
    /// A sensitive file was opened for reading.
    Read,
    /// Moved; `path` is the old name, `target` the new.
    Rename,
    /// Removed.
    Unlink,
    /// Hard link; `path` is the existing file, `target` the new name.
    Link,
    /// Symbolic link; `path` is the new name, `target` its content.
    Symlink,
    /// Directory made.
    Mkdir,
    /// Directory removed.
    Rmdir,
    /// Mode changed, see `mode`.
    Chmod,
    /// Owner changed.
    Chown,
    /// Device node or fifo made.
    Mknod,
    /// Mapped executable (a library load).
    MapExec,
    /// Extended attribute set, see `attribute`.
    SetXattr,
    /// Extended attribute removed, see `attribute`.
    RemoveXattr,
    /// Inode flags set, see `attribute`.
    Chattr,
}

impl FileOp {
    /// What was done, for people: "created /tmp/x".
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Write | Self::Truncate => "wrote",
            Self::Read => "read",
            Self::Rename => "moved",
            Self::Unlink | Self::Rmdir => "removed",
            Self::Link | Self::Symlink => "linked",
            Self::Mkdir => "made directory",
            Self::Chmod => "changed the mode of",
            Self::Chown => "changed the owner of",
            Self::Mknod => "made node",
            Self::MapExec => "mapped",
            Self::SetXattr | Self::RemoveXattr => "changed an attribute of",
            Self::Chattr => "changed the flags of",
        }
    }
}

/// An extended attribute or the inode flags of a file, as a change left them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAttribute {
    /// Name of the extended attribute, or [`FileAttribute::FLAGS`].
    pub name: Bytes,
    /// Its value: capabilities as `getcap` writes them, flags by name with `|` between them, any
    /// other as it is, up to 64 bytes. Empty when it was removed.
    #[serde(default)]
    pub value: Bytes,
}

impl FileAttribute {
    /// The name that stands for the inode flags.
    pub const FLAGS: &'static [u8] = b"flags";
}

/// The file system a file lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filesystem {
    /// Overlay: the container's root.
    Overlay,
    /// tmpfs or ramfs.
    Tmpfs,
    /// procfs.
    Proc,
    /// sysfs.
    Sysfs,
    /// cgroupfs, v1 or v2.
    Cgroup,
    /// devtmpfs, devpts, mqueue.
    Dev,
    /// A disk file system: a volume or a bind mount when seen from a container.
    Disk,
    /// Not determined.
    #[default]
    Unknown,
}

/// What the kernel tells about a file, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct FileFacts {
    /// Inode number.
    #[serde(with = "super::wide_number")]
    pub ino: u64,
    /// Device number as the kernel encodes it (`s_dev`).
    pub dev: u32,
    /// File system kind.
    pub fs: Filesystem,
    /// Overlay: the inode has an upper dentry (it was created or copied up in the container).
    #[serde(default, skip_serializing_if = "is_false")]
    pub upper: bool,
    /// Overlay: a lower layer holds something at this path.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lower: bool,
    /// An anonymous memory file.
    #[serde(default, skip_serializing_if = "is_false")]
    pub memfd: bool,
    /// No directory entry is left.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unlinked: bool,
    /// Size in bytes; 0 unknown.
    #[serde(default)]
    pub size: u64,
    /// Last change of content; zero unknown.
    #[serde(default)]
    pub mtime: Timestamp,
    /// Last change of the inode; zero unknown.
    #[serde(default)]
    pub ctime: Timestamp,
    /// Mode bits (`st_mode`).
    #[serde(default)]
    pub mode: u32,
}

/// Where a file's content comes from, as far as the kernel's facts tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An image layer.
    Image,
    /// The container's writable layer, nothing at that path below: not in the image.
    Upper,
    /// The writable layer over an image file: copied up, changed or not.
    CopiedUp,
    /// tmpfs.
    Tmpfs,
    /// A volume or bind mount.
    Volume,
    /// Anonymous memory.
    Memfd,
    /// Unlinked.
    Deleted,
    /// Not determined (other storage driver, or a special file system).
    Unknown,
}

impl FileFacts {
    /// Where the content comes from. The upper flag alone does not mean drift: see [`Compare`].
    #[must_use]
    pub fn origin(&self) -> Origin {
        if self.memfd {
            return Origin::Memfd;
        }
        if self.unlinked {
            return Origin::Deleted;
        }
        match (self.fs, self.upper, self.lower) {
            (Filesystem::Overlay, false, _) => Origin::Image,
            (Filesystem::Overlay, true, false) => Origin::Upper,
            (Filesystem::Overlay, true, true) => Origin::CopiedUp,
            (Filesystem::Tmpfs, ..) => Origin::Tmpfs,
            (Filesystem::Disk, ..) => Origin::Volume,
            _ => Origin::Unknown,
        }
    }
}

/// A file operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// What was done.
    pub op: FileOp,
    /// Resolved path as the container sees it.
    pub path: Bytes,
    /// Second path of rename, link, symlink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Bytes>,
    /// Path inside the file's own file system, when that is what makes a read file a secret: a
    /// mount gives it another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Bytes>,
    /// True when `path` is the string the program passed, not what the kernel resolved.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unresolved: bool,
    /// 0, or the errno of the refusal (positive).
    #[serde(default)]
    pub errno: u16,
    /// New mode bits of chmod, create and mkdir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// The attribute that was set or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<FileAttribute>,
    /// The file, where the kernel resolved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileFacts>,
    /// Short name of the process.
    #[serde(default)]
    pub comm: Bytes,
    /// How many alike operations this record stands for (at least 1).
    #[serde(default = "one")]
    pub count: u32,
}

impl File {
    /// A successful operation of which nothing else is known.
    #[must_use]
    pub fn new(op: FileOp, path: Bytes) -> Self {
        Self {
            op,
            path,
            target: None,
            source: None,
            unresolved: false,
            errno: 0,
            mode: None,
            attribute: None,
            file: None,
            comm: Bytes::default(),
            count: 1,
        }
    }
}

fn one() -> u32 {
    1
}

/// How a file's content compares with the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompareClass {
    /// Nothing at that path in the image.
    New,
    /// The image has other content at that path.
    Modified,
    /// Same content as this other image file.
    Relocated(Bytes),
    /// Same content as the image at the same path.
    CopiedUp,
    /// Could not be told, for this reason.
    Unknown(String),
}

/// A file's content was compared with the image's: itself an event, so that a replay decides alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compare {
    /// Path as the container sees it.
    pub path: Bytes,
    /// Inode of the compared file.
    #[serde(with = "super::wide_number")]
    pub ino: u64,
    /// Device of the compared file.
    pub dev: u32,
    /// The result.
    pub class: CompareClass,
    /// SHA-256 of the content, hex; `None` when not read (too large, gone).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Size in bytes.
    #[serde(default)]
    pub size: u64,
}

pub(super) fn is_false(value: &bool) -> bool {
    !*value
}
