//! The result of comparing a container's files with its image: one scan, bounded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::file::is_false;
use super::{Bytes, Timestamp};

/// The trigger of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftScanCause {
    /// The container existed before watching began.
    Attach,
    /// The user.
    #[default]
    Asked,
    /// The interval.
    Interval,
    /// The engine copied files into the container.
    CopiedIn,
}

/// The basis of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftScanSource {
    /// The writable layer was compared with the image's layers, by content.
    #[default]
    Layers,
    /// The engine listed changed paths; contents were not compared.
    Engine,
}

/// How a file differs from the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The image has no file at the path.
    Added,
    /// The image has another file at the path.
    Changed,
    /// The image's file was removed.
    Deleted,
    /// It could not be compared.
    Unread,
}

/// The class of a file, by its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileClass {
    /// Machine code that can be executed.
    Binary,
    /// Machine code that programs load.
    Library,
    /// Text that an interpreter runs.
    Script,
    /// Accounts, keys, tokens, and the right to become another user.
    Credentials,
    /// Files that run by themselves: cron tables, units, shell start-up files.
    Autostart,
    /// A device node.
    Device,
    /// Settings.
    Config,
    /// The package manager's database.
    Packages,
    /// Logs, caches, unimportant histories, files that the runtime itself writes.
    Log,
    /// Anything else.
    Data,
}

impl FileClass {
    /// Every class, the most important first.
    pub const ALL: [Self; 10] = [
        Self::Binary,
        Self::Library,
        Self::Script,
        Self::Credentials,
        Self::Autostart,
        Self::Device,
        Self::Config,
        Self::Packages,
        Self::Log,
        Self::Data,
    ];

    /// Its name as text.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Binary => "binaries",
            Self::Library => "libraries",
            Self::Script => "scripts",
            Self::Credentials => "credentials",
            Self::Autostart => "cron and autostart",
            Self::Device => "devices",
            Self::Config => "configuration",
            Self::Packages => "package database",
            Self::Log => "logs and caches",
            Self::Data => "data",
        }
    }

    /// Whether containers write such files in ordinary operation.
    #[must_use]
    pub fn is_ordinary(self) -> bool {
        matches!(self, Self::Log | Self::Data)
    }
}

/// The kind of directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// A regular file.
    #[default]
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device node.
    Device,
    /// A fifo.
    Fifo,
    /// A socket.
    Socket,
}

/// One file that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Differing {
    /// Path as the container sees it.
    pub path: Bytes,
    /// How it differs.
    pub difference: Difference,
    /// Its class.
    pub class: FileClass,
    /// Its kind; for a deleted one the kind in the image.
    #[serde(default)]
    pub kind: NodeKind,
    /// Only mode or owner differ; the content is the image's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub metadata_only: bool,
    /// Size in bytes.
    #[serde(default)]
    pub size: u64,
    /// Size in the image, of a changed or deleted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_before: Option<u64>,
    /// Mode bits (`st_mode`).
    #[serde(default)]
    pub mode: u32,
    /// Mode in the image, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_before: Option<u32>,
    /// Owner, in the host's numbering.
    #[serde(default)]
    pub uid: u32,
    /// Group.
    #[serde(default)]
    pub gid: u32,
    /// Last change of content, by the file's metadata.
    #[serde(default)]
    pub mtime: Timestamp,
    /// Last change of the inode (ctime), which programs cannot set.
    #[serde(default)]
    pub ctime: Timestamp,
    /// Target of a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Bytes>,
    /// SHA-256 of the content, hex, where it was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The package that the file belongs to, by the package database in the container, if that
    /// package was added or upgraded there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Bytes>,
    /// For a deleted or moved directory: files below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<u64>,
    /// A remark, e.g. why it could not be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Differing {
    /// Whether it runs with its owner's or group's rights.
    #[must_use]
    pub fn is_setuid(&self) -> bool {
        self.kind == NodeKind::File
            && self.difference != Difference::Deleted
            && (self.mode & 0o4000 != 0 || self.mode & 0o2010 == 0o2010)
    }

    /// Its rank: the most important file has the lowest.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match (self.is_setuid(), self.class) {
            (true, _) => 0,
            (_, FileClass::Credentials | FileClass::Autostart | FileClass::Device) => 1,
            (_, FileClass::Binary) => 2 + u8::from(self.difference == Difference::Deleted),
            (_, FileClass::Library) => 3,
            (_, FileClass::Script) => 4,
            (_, FileClass::Config) => 5,
            (_, FileClass::Packages) => 6,
            (_, FileClass::Log | FileClass::Data) => 7,
        }
    }
}

/// The number of differing files of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Count {
    /// Not in the image.
    #[serde(skip_serializing_if = "is_zero")]
    pub added: u64,
    /// Other content, mode or owner than the image's.
    #[serde(skip_serializing_if = "is_zero")]
    pub changed: u64,
    /// Gone.
    #[serde(skip_serializing_if = "is_zero")]
    pub deleted: u64,
    /// Not compared.
    #[serde(skip_serializing_if = "is_zero")]
    pub unread: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Count {
    /// Counts one more.
    pub fn add(&mut self, difference: Difference) {
        *match difference {
            Difference::Added => &mut self.added,
            Difference::Changed => &mut self.changed,
            Difference::Deleted => &mut self.deleted,
            Difference::Unread => &mut self.unread,
        } += 1;
    }

    /// The sum.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.added + self.changed + self.deleted + self.unread
    }
}

/// A package whose version differs from the image's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PackageChange {
    /// Its name.
    pub name: Bytes,
    /// Version in the image; `None`: not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Bytes>,
    /// Version now; `None`: removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Bytes>,
}

/// The outcome of one scan of one container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DriftScan {
    /// The trigger.
    pub cause: DriftScanCause,
    /// The basis.
    pub source: DriftScanSource,
    /// Why there is no outcome, or only part of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Entries of the writable layer examined.
    pub examined: u64,
    /// Of these, copied up without any change.
    pub unchanged: u64,
    /// New directories; they are not among the entries.
    pub directories: u64,
    /// Files that differ, by class.
    pub counts: BTreeMap<FileClass, Count>,
    /// The most important of them.
    pub entries: Vec<Differing>,
    /// Number of differences that are not in `entries`.
    pub unlisted: u64,
    /// Packages added, upgraded or removed, by name.
    pub packages: Vec<PackageChange>,
    /// Number of packages that are not in `packages`.
    pub packages_unlisted: u64,
    /// Errors as text; bounded.
    pub problems: Vec<String>,
    /// Number of errors.
    pub unreadable: u64,
    /// Duration, milliseconds.
    pub took_ms: u64,
}

impl DriftScan {
    /// Added, changed, deleted and not compared over all classes.
    #[must_use]
    pub fn total(&self) -> Count {
        self.counts.values().fold(Count::default(), |mut all, c| {
            all.added += c.added;
            all.changed += c.changed;
            all.deleted += c.deleted;
            all.unread += c.unread;
            all
        })
    }

    /// A summary of the differences.
    #[must_use]
    pub fn headline(&self) -> String {
        let total = self.total();
        let mut parts: Vec<String> = [
            (total.added, "added"),
            (total.changed, "changed"),
            (total.deleted, "deleted"),
            (total.unread, "not compared"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
        if parts.is_empty() {
            let word = match self.failed {
                Some(_) => "not compared with the image",
                None => "nothing differs from the image",
            };
            parts.push(word.to_owned());
        }
        let packages = self.packages.len() as u64 + self.packages_unlisted;
        if packages > 0 {
            parts.push(match packages {
                1 => "1 package differs".to_owned(),
                n => format!("{n} packages differ"),
            });
        }
        if let Some(why) = &self.failed {
            parts.push(format!("FAILED: {why}"));
        }
        parts.join(", ")
    }

    /// Differences other than logs, caches and data.
    #[must_use]
    pub fn notable(&self) -> u64 {
        self.counts
            .iter()
            .filter(|(class, _)| !class.is_ordinary())
            .map(|(_, count)| count.total())
            .sum()
    }
}
