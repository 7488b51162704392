//! Processes and where they come from.

use serde::{Deserialize, Serialize};

use super::container::Owner;
use crate::event::{Bytes, FileFacts, Mapped, Stream, Timestamp};

/// Where a process of a container descends from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Lineage {
    /// The container's init (pid 1 of its own) or a descendant.
    Init,
    /// Brought in from outside (docker exec, nsenter): the root process of that exec session.
    ExecSession(u32),
    /// Not known (it was there before watching began, or the fork was lost).
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
    /// Whose it is.
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
    /// It was there before watching began.
    pub existing: bool,
    /// What its descriptors 0, 1 and 2 were when it was found; empty of those seen to start.
    pub streams: Vec<Stream>,
    /// Code it had mapped when it was found, of files that no layer of its image holds.
    pub mapped: Vec<Mapped>,
    /// How many more of them there were.
    pub mapped_more: u32,
    /// Another file lay at its executable's path when it was found.
    pub replaced: bool,
    /// When it ended.
    pub exited: Option<Timestamp>,
    /// Exit code.
    pub exit_code: Option<u8>,
    /// Signal that ended it.
    pub exit_signal: Option<u8>,
    /// Where it descends from.
    pub lineage: Lineage,
    /// It has a terminal.
    pub tty: bool,
    /// It runs its parent's program still: forked, without an exec of its own.
    pub forked: bool,
    /// It is the runtime's own work.
    pub runtime: bool,
    /// Number of execs it did.
    pub execs: u32,
    /// Sequence number of its latest exec, for evidence.
    pub exec_seq: u64,
}
