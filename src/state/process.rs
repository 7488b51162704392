//! Processes and their lineage.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::container::Owner;
use crate::event::{Bytes, FileFacts, Mapped, Stream, Timestamp};

/// The lineage of a process of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Lineage {
    /// The container's init (pid 1 of its own) or a descendant.
    Init,
    /// Entered from outside (docker exec, nsenter): the root process of that exec session.
    ExecSession(u32),
    /// Not known (it existed before watching began, or the fork was lost).
    #[default]
    Unknown,
}

/// A process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ProcessEntry {
    /// Host pid.
    pub pid: u32,
    /// Pid inside its namespace; 0 unknown.
    pub nspid: u32,
    /// Host pid of its parent.
    pub ppid: u32,
    /// The owner.
    pub owner: Owner,
    /// User id.
    pub uid: u32,
    /// Short name.
    pub comm: Bytes,
    /// Executable path inside the container; empty before an exec was seen.
    pub exe: Bytes,
    /// Arguments.
    pub argv: Vec<Bytes>,
    /// Working directory.
    pub cwd: Bytes,
    /// Script that the executable interprets.
    pub script: Option<Bytes>,
    /// The executable's file.
    pub file: FileFacts,
    /// First seen or started.
    pub started: Timestamp,
    /// It existed before watching began.
    pub existing: bool,
    /// The targets of its descriptors 0, 1 and 2 when it was found; empty for those seen to start.
    pub streams: Vec<Stream>,
    /// Code it had mapped when it was found, of files that no layer of its image holds.
    pub mapped: Vec<Mapped>,
    /// Number of further such files.
    pub mapped_more: u32,
    /// Another file was at its executable's path when it was found.
    pub replaced: bool,
    /// When it ended.
    pub exited: Option<Timestamp>,
    /// Exit code.
    pub exit_code: Option<u8>,
    /// Signal that ended it.
    pub exit_signal: Option<u8>,
    /// The lineage.
    pub lineage: Lineage,
    /// It has a terminal.
    pub tty: bool,
    /// It still runs its parent's program: forked, without an exec of its own.
    pub forked: bool,
    /// It is the runtime's own work.
    pub runtime: bool,
    /// It entered from the host without the container's cgroup, or one that it descends from did.
    pub entered: bool,
    /// Number of execs it did.
    pub execs: u32,
    /// Sequence number of its latest exec, for evidence.
    pub exec_seq: u64,
}

/// Start times read from `/proc` are rounded down.
const ROUNDING: Duration = Duration::from_secs(1);

impl ProcessEntry {
    /// Whether it can have started another process at this time; 0 is an unknown time. Ended
    /// processes stay listed until their pid is reused, so a pid alone does not tell whose child a
    /// process is.
    #[must_use]
    pub(crate) fn lived_at(&self, at: Timestamp) -> bool {
        at == Timestamp(0)
            || self.started <= at.plus(ROUNDING) && self.exited.is_none_or(|exited| at <= exited)
    }
}
