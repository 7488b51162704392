//! Facts about processes: exec, fork, exit, and those that already ran.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::file::is_false;
use super::{Bytes, FileFacts, Timestamp};

/// A process replaced its image.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Exec {
    /// Host pid of the parent.
    pub ppid: u32,
    /// Real user id, as the host numbers it.
    pub uid: u32,
    /// Group id, as the host numbers it.
    pub gid: u32,
    /// Kernel's short name after the exec, at most 15 bytes.
    pub comm: Bytes,
    /// The executable's resolved path, as the container sees it.
    pub exe: Bytes,
    /// Arguments from argv[0] on, as far as captured.
    pub argv: Vec<Bytes>,
    /// Size of the whole argument area in bytes; larger than `argv` holds when it was cut.
    #[serde(default)]
    pub argv_bytes: u64,
    /// True when `argv` was cut to the capture limit.
    #[serde(default, skip_serializing_if = "is_false")]
    pub argv_cut: bool,
    /// Working directory, as the container sees it.
    #[serde(default)]
    pub cwd: Bytes,
    /// The script passed to the kernel when `exe` is its `#!` interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Bytes>,
    /// The kernel's facts about the executable's file.
    pub file: FileFacts,
    /// True when the process has a controlling terminal.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tty: bool,
    /// True for the runtime's own work inside the container (set-up, joining namespaces).
    #[serde(default, skip_serializing_if = "is_false")]
    pub runtime: bool,
    /// True when the process, or one that it descends from, entered the container's namespaces from
    /// the host and is in no cgroup of the container.
    #[serde(default, skip_serializing_if = "is_false")]
    pub entered: bool,
    /// For a shell or interpreter that reads its program from a pipe or fifo: host pids of the
    /// other processes of its pid namespace that write into it, read from `/proc` a moment later;
    /// at most 8, and for at most 8 starts a second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fed_by: Vec<u32>,
    /// The capabilities that the executable's file gives, as `getcap` writes them (`cap_net_raw=ep`), read
    /// from its attribute `security.capability` a moment later; empty without any, or if the file was not
    /// to be read any more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file_capabilities: String,
    /// For a downloader: the shell script that started it and whose text runs what it prints as commands,
    /// read a moment later; for at most 8 starts a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_by: Option<Bytes>,
}

/// A process tried to replace its image and was refused: no permission, a file system that forbids
/// it, an unknown format, a file still being written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ExecRefused {
    /// The path, made absolute where the directory was known.
    pub path: Bytes,
    /// True when `path` may lead elsewhere by symbolic links.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unresolved: bool,
    /// The errno of the refusal (positive).
    pub errno: u16,
    /// Short name of the process that tried.
    #[serde(default)]
    pub comm: Bytes,
}

/// A process was created; the event's pid is the child's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Fork {
    /// Host pid of the parent.
    pub ppid: u32,
    /// Host pid of the process that created it, which need not be its parent; 0 unknown. Only the
    /// collector needs it: it is in no recording.
    #[serde(skip)]
    pub creator: u32,
    /// User id of the child.
    #[serde(default)]
    pub uid: u32,
    /// Short name, inherited from the parent.
    #[serde(default)]
    pub comm: Bytes,
    /// True for the runtime's own work, before the container's program runs in it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub runtime: bool,
}

/// The last thread of a process ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status 0–255; `None` when a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// How long the process lived, nanoseconds.
    #[serde(with = "super::wide_number")]
    pub lived_ns: u64,
}

/// A process found in `/proc` when watching began, or one that entered a container and works there
/// without having started a program in it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Process {
    /// Host pid of the parent.
    pub ppid: u32,
    /// Real user id.
    pub uid: u32,
    /// Short name.
    pub comm: Bytes,
    /// The executable's path, as the container sees it.
    pub exe: Bytes,
    /// Command line.
    pub argv: Vec<Bytes>,
    /// Working directory, as the container sees it; empty when unreadable.
    #[serde(default)]
    pub cwd: Bytes,
    /// When it started.
    pub started: Timestamp,
    /// Facts of the executable's file, from `/proc` and the mounts.
    pub file: FileFacts,
    /// True when another file is at the path of an executable that was removed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub replaced: bool,
    /// True when the process has a controlling terminal.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tty: bool,
    /// The targets of its descriptors 0, 1 and 2; empty when unreadable.
    /// True when it entered the container's namespaces from the host and is in no cgroup of the
    /// container.
    #[serde(default, skip_serializing_if = "is_false")]
    pub entered: bool,
    /// The targets of its descriptors 0, 1 and 2; empty when unreadable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<Stream>,
    /// Files mapped as code that are in no lower layer of its image, without its executable;
    /// bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mapped: Vec<Mapped>,
    /// Number of further such files.
    #[serde(default, skip_serializing_if = "none_more")]
    pub mapped_more: u32,
}

/// Nothing was cut.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn none_more(count: &u32) -> bool {
    *count == 0
}

/// A file that a process has mapped as code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mapped {
    /// Its path, as the process sees it.
    pub path: Bytes,
    /// The facts about the file at that path now.
    pub file: FileFacts,
    /// The process's environment names it in `LD_PRELOAD` or `LD_AUDIT`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preloaded: bool,
}

/// The target of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Nothing: it is closed.
    Closed,
    /// A file, a device or something else without relevance.
    Other,
    /// A terminal.
    Terminal,
    /// A pipe or fifo, by its inode.
    Pipe(u64),
    /// A socket without an address.
    Socket,
    /// A TCP or UDP socket that is connected to this peer.
    Peer(SocketAddr),
}

impl Process {
    /// Whether it entered a container from the host at the time of this event, and was not found
    /// there when watching began.
    #[must_use]
    pub fn entered_at(&self, event: Timestamp) -> bool {
        self.entered && self.started == event
    }

    /// The start of its program in the form of an exec.
    #[must_use]
    pub fn as_exec(&self) -> Exec {
        Exec {
            ppid: self.ppid,
            uid: self.uid,
            comm: self.comm.clone(),
            exe: self.exe.clone(),
            argv: self.argv.clone(),
            cwd: self.cwd.clone(),
            file: self.file,
            tty: self.tty,
            entered: self.entered,
            ..Exec::default()
        }
    }
}
