//! The kernel side: loads the probes, reads the ring buffer, decodes records.

pub mod convert;
mod dns_streams;
#[cfg(test)]
mod dns_streams_tests;
#[cfg(test)]
mod fuzz;
mod gate;
mod hooks;
mod io_uring;
mod load;
mod loading;
mod losses;
mod object;
mod offsets;
mod record;
mod repeats;
mod ring;
pub mod tables;
mod type_info;

pub use gate::Gate;
pub use load::Probe;
pub use repeats::Due;

use crate::event::{Bytes, Client, Kind, LostReason, Timestamp};

/// Options of the probes.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProbeConfig {
    /// Also report the host's own processes.
    pub host: bool,
    /// Maximum number of TCP connections followed to their end; 0: 65,536.
    pub connections: u32,
    /// Also report the first use of each system call by each container.
    pub syscalls: bool,
}

/// A fact, not yet attributed to a container.
#[derive(Debug)]
pub struct Observed {
    /// When.
    pub ts: Timestamp,
    /// Id of the task's cgroup in the v2 hierarchy.
    pub cgroup: u64,
    /// Host pid; 0 where the fact has no process.
    pub pid: u32,
    /// Pid in the process's own namespace.
    pub nspid: u32,
    /// How the process belongs there.
    pub presence: Presence,
    /// The fact.
    pub fact: Observation,
}

/// How a process belongs to the container that a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// By its cgroup, or by the pid namespace of a container without one.
    #[default]
    Own,
    /// It entered the container's namespaces from the host, or one that it descends from did.
    Entered {
        /// It ran a program since.
        started: bool,
        /// The files that it sees are the host's.
        host_files: bool,
    },
}

/// What was observed.
#[derive(Debug)]
pub enum Observation {
    /// An event of the stream.
    Event(Kind),
    /// A cgroup of the v2 hierarchy was created.
    CgroupBorn {
        /// Its id.
        id: u64,
        /// Its parent's.
        parent: u64,
        /// Its name.
        name: Bytes,
    },
    /// A process of the host entered a container's namespaces.
    Entry(Box<NamespaceEntry>),
    /// A cgroup was removed.
    CgroupGone {
        /// Its id.
        id: u64,
    },
}

/// A process of the host that entered a container's namespaces.
#[derive(Debug, Clone, PartialEq)]
pub struct NamespaceEntry {
    /// The process.
    pub client: Client,
    /// Its short name.
    pub comm: Bytes,
    /// It is inside itself; else only its future children are.
    pub inside: bool,
}

/// Events lost since the last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Why.
    pub reason: LostReason,
    /// Their number.
    pub count: u64,
    /// Their cgroup, where it is known.
    pub cgroup: Option<u64>,
    /// The place as text.
    pub detail: String,
}

/// Attached and refused programs.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Programs that run.
    pub attached: Vec<String>,
    /// Programs this kernel refused, each with the reason.
    pub refused: Vec<(String, String)>,
    /// Optional kernel fields that are missing.
    pub missing: Vec<String>,
}

/// Why nothing can be observed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The kernel has no type information (BTF).
    #[error(
        "cannot read the kernel's type information ({0}); hullwatch needs Linux 5.17 or later \
         built with CONFIG_DEBUG_INFO_BTF"
    )]
    NoBtf(String),
    /// A field the programs cannot do without.
    #[error("kernel {kernel} has no field {member} in struct {structure}, which hullwatch needs")]
    MissingField {
        /// Structure.
        structure: &'static str,
        /// Member.
        member: &'static str,
        /// Release.
        kernel: String,
    },
    /// A helper function the programs cannot do without.
    #[error("kernel {kernel} has no {helper}, which hullwatch needs: use Linux {since} or later")]
    MissingHelper {
        /// Its name.
        helper: &'static str,
        /// The version that introduced it.
        since: &'static str,
        /// Release.
        kernel: String,
    },
    /// A program that is needed was refused.
    #[error("the kernel refused the program {program}: {reason}")]
    Refused {
        /// Its name.
        program: &'static str,
        /// The kernel's message.
        reason: String,
    },
    /// The object could not be loaded.
    #[error("cannot load the kernel programs: {0}")]
    Load(String),
}

/// Release of the running kernel, as `uname -r` prints it.
#[must_use]
pub fn kernel_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}
