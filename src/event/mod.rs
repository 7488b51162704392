//! The one stream: timestamped, container-attributed, self-contained facts.

mod bytes;
mod client;
mod connection;
mod container;
mod dns;
mod drift_scan;
mod file;
mod health;
mod own_form;
mod packed;
mod policy;
mod privilege;
mod process;
mod severity;
mod time;
mod wire;

pub use bytes::{Bytes, Escaped, escape};
pub use client::Client;
pub use connection::{Accept, Close, Connect, Endpoint, Listen, Outcome, Protocol, Socket};
pub use container::{
    Action, ContainerEvent, ContainerId, ContainerInfo, Limits, Mount, PublishedPort, Runtime,
    Security, Storage,
};
pub use dns::Dns;
pub use drift_scan::{
    Count, Difference, Differing, DriftScan, DriftScanCause, DriftScanSource, FileClass, NodeKind,
    PackageChange,
};
pub use file::{Compare, CompareClass, File, FileFacts, FileOp, Filesystem, Origin};
pub use health::{ContainerUsage, Lost, LostReason, ProcessUsage, Tick};
pub(crate) use packed::{pack, unpack};
pub use policy::{AgeLimit, Allow, Policy, PolicyChange, PolicySettings, Scope, Silence};
pub use privilege::{CAPABILITIES, Capability, Privilege};
pub use process::{Exec, ExecRefused, Exit, Fork, Process};
pub use severity::Severity;
pub use time::Timestamp;
pub use wire::{ContainerIds, EventError, KNOWN_TYPES};

/// One fact from the kernel or from a container runtime.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Position in the stream, from 1, without gaps.
    pub seq: u64,
    /// When it happened, UTC.
    pub ts: Timestamp,
    /// The container it belongs to; `None` is the host.
    pub container: Option<ContainerId>,
    /// Host process id (thread group id); 0 where the fact has no process.
    pub pid: u32,
    /// The same process as its own pid namespace numbers it; 0 if unknown.
    pub nspid: u32,
    /// What happened.
    pub kind: Kind,
}

/// What happened. Large kinds are boxed so that the enum stays small in queues.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A process replaced its image (`execve`).
    Exec(Box<Exec>),
    /// A process tried to replace its image and was refused.
    ExecRefused(Box<ExecRefused>),
    /// A process was created. The event's `pid` is the child's.
    Fork(Fork),
    /// The last thread of a process ended.
    Exit(Exit),
    /// A process that already ran when watching began, from `/proc`.
    Process(Box<Process>),
    /// An outbound connection attempt or, for UDP, the first datagram to a peer.
    Connect(Box<Connect>),
    /// An inbound connection was accepted.
    Accept(Box<Accept>),
    /// A TCP connection ended.
    Close(Box<Close>),
    /// A socket began to listen, or a UDP socket was bound.
    Listen(Listen),
    /// A socket that was already open when watching began, from `/proc`.
    Socket(Box<Socket>),
    /// An answer to a DNS query arrived.
    Dns(Box<Dns>),
    /// A file operation that changes something, or a read of a sensitive file.
    File(Box<File>),
    /// The content of a file was compared with the image's copy.
    Compare(Box<Compare>),
    /// A container's files were compared with its image.
    DriftScan(Box<DriftScan>),
    /// A privileged or escape-related system call, with its result.
    Privilege(Box<Privilege>),
    /// First use of a capability by a container.
    Capability(Capability),
    /// A container appeared, changed or ended, or facts about it arrived.
    Container(Box<ContainerEvent>),
    /// A program on this host asked an engine to run a command inside; the event's pid is its.
    Client(Box<Client>),
    /// One second passed: time, usage per container, loss totals.
    Tick(Box<Tick>),
    /// The policy file was read again.
    Policy(Box<PolicyChange>),
    /// Events were lost.
    Lost(Lost),
}

impl Kind {
    /// The `type` this kind carries in a session file.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Exec(_) => "exec",
            Self::ExecRefused(_) => "exec_refused",
            Self::Fork(_) => "fork",
            Self::Exit(_) => "exit",
            Self::Process(_) => "process",
            Self::Connect(_) => "connect",
            Self::Accept(_) => "accept",
            Self::Close(_) => "close",
            Self::Listen(_) => "listen",
            Self::Socket(_) => "socket",
            Self::Dns(_) => "dns",
            Self::File(_) => "file",
            Self::Compare(_) => "compare",
            Self::DriftScan(_) => "scan",
            Self::Privilege(_) => "privilege",
            Self::Capability(_) => "capability",
            Self::Container(_) => "container",
            Self::Client(_) => "client",
            Self::Tick(_) => "tick",
            Self::Policy(_) => "policy",
            Self::Lost(_) => "lost",
        }
    }
}
