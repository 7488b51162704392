//! Facts about files: changes, sensitive reads, where content comes from.

use serde::{Deserialize, Serialize};

use super::{Bytes, Timestamp, Via};

/// The effect of an operation on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileEffect {
    /// Uses the content and changes nothing.
    Use,
    /// Changes the content.
    Content,
    /// Makes, moves or removes a name.
    Name,
    /// Changes mode, owner, flags or extended attributes; the content's author stays.
    Attribute,
}

/// Declares the operations: the kernel programs' number, its words ("created /tmp/x", "could not
/// create /tmp/x"), and the effect. All other code derives from this list.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $verb:literal, $do:literal, $effect:ident;)*) => {
        /// An operation on a file.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum FileOp {
            $($(#[$doc])* $name,)*
        }

        impl FileOp {
            /// The operation with this number in the kernel programs' records.
            #[must_use]
            pub fn of_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The words for a done operation: "created /tmp/x".
            #[must_use]
            pub fn verb(self) -> &'static str {
                match self {
                    $(Self::$name => $verb,)*
                }
            }

            /// The words for a refused operation: "could not create /tmp/x".
            #[must_use]
            pub fn infinitive(self) -> &'static str {
                match self {
                    $(Self::$name => $do,)*
                }
            }

            /// The effect on the file.
            #[must_use]
            pub fn effect(self) -> FileEffect {
                match self {
                    $(Self::$name => FileEffect::$effect,)*
                }
            }
        }
    };
}

operations! {
    /// Created by an open.
    Create = 0, "created", "create", Content;
    /// Opened for writing.
    Write = 1, "wrote", "write", Content;
    /// Cut to a length.
    Truncate = 2, "wrote", "write", Content;
    /// A sensitive file was opened for reading.
    Read = 3, "read", "read", Use;
    /// Moved; `path` is the old name, `target` the new.
    Rename = 4, "moved", "move", Name;
    /// Removed.
    Unlink = 5, "removed", "remove", Name;
    /// Hard link; `path` is the existing file, `target` the new name.
    Link = 6, "linked", "link", Name;
    /// Symbolic link; `path` is the new name, `target` its content.
    Symlink = 7, "linked", "link", Name;
    /// Directory made.
    Mkdir = 8, "made directory", "make directory", Name;
    /// Directory removed.
    Rmdir = 9, "removed", "remove", Name;
    /// Mode changed, see `mode`.
    Chmod = 10, "changed the mode of", "change the mode of", Attribute;
    /// Owner changed.
    Chown = 11, "changed the owner of", "change the owner of", Attribute;
    /// Device node or fifo made.
    Mknod = 12, "made node", "make node", Name;
    /// Mapped executable (a library load).
    MapExec = 13, "mapped", "map", Use;
    /// Extended attribute set, see `attribute`.
    SetXattr = 15, "changed an attribute of", "change an attribute of", Attribute;
    /// Extended attribute removed, see `attribute`.
    RemoveXattr = 16, "changed an attribute of", "change an attribute of", Attribute;
    /// Inode flags set, see `attribute`.
    Chattr = 17, "changed the flags of", "change the flags of", Attribute;
    /// Read by an interpreter that may run it.
    Load = 18, "loaded", "read", Use;
    /// The time of the last change was set to a past one, see `attribute`.
    SetTimes = 19, "set back the time of", "set back the time of", Attribute;
}

/// An extended attribute, the inode flags or the time of a file, as a change left them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAttribute {
    /// Name of the extended attribute, or [`FileAttribute::FLAGS`], or [`FileAttribute::TIME`].
    pub name: Bytes,
    /// Its value: capabilities as `getcap` writes them, flags by name with `|` between them, a
    /// time as RFC 3339 to the second, any other as it is, up to 64 bytes. Empty when it was
    /// removed.
    #[serde(default)]
    pub value: Bytes,
}

impl FileAttribute {
    /// The name used for the inode flags.
    pub const FLAGS: &'static [u8] = b"flags";
    /// The name used for the modification time.
    pub const TIME: &'static [u8] = b"mtime";
}

/// Number of a device, as the argument of `mknod` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceNumber {
    /// The driver's number.
    pub major: u32,
    /// The device's number within the driver.
    pub minor: u32,
}

impl DeviceNumber {
    /// Decodes the 32-bit form of user space (`new_decode_dev`).
    #[must_use]
    pub fn from_user(number: u32) -> Self {
        Self {
            major: (number >> 8) & 0xfff,
            minor: (number & 0xff) | ((number >> 12) & 0xf_ff00),
        }
    }
}

/// The file system of a file.
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

/// The kernel's facts about a file, without reading it.
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

/// The origin of a file's content, by the kernel's facts.
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

impl Origin {
    /// Whether it is a file of the image, changed or not, or may be one.
    #[must_use]
    pub fn is_or_may_be_the_images(self) -> bool {
        matches!(self, Self::Image | Self::CopiedUp | Self::Unknown)
    }
}

impl FileFacts {
    /// The origin of the content. The upper flag alone does not mean drift: see [`Compare`].
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
    /// The operation.
    pub op: FileOp,
    /// Resolved path as the container sees it.
    pub path: Bytes,
    /// Second path of rename, link, symlink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Bytes>,
    /// Path inside the file's own file system, if that makes a read file a secret: a mount gives it
    /// another name.
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
    /// The device of a new node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceNumber>,
    /// Whether a password file that was read holds password hashes; `None` if it was not examined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<bool>,
    /// The file, where the kernel resolved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileFacts>,
    /// Short name of the process.
    #[serde(default)]
    pub comm: Bytes,
    /// Number of equal operations that this record represents (at least 1).
    #[serde(default = "one")]
    pub count: u32,
    /// How it was requested, if not by its system call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
    /// The mapping is shared: writes to it change the file's content.
    #[serde(default, skip_serializing_if = "is_false")]
    pub shared: bool,
}

impl File {
    /// A successful operation without further facts.
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
            device: None,
            hashes: None,
            file: None,
            comm: Bytes::default(),
            count: 1,
            via: None,
            shared: false,
        }
    }
}

fn one() -> u32 {
    1
}

/// The result of comparing a file's content with the image.
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
    /// Unknown, for this reason.
    Unknown(String),
}

/// The comparison of a file's content with the image's: an event itself, so that a replay decides
/// in the same way.
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
