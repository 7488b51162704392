//! The event stream: timestamped, container-attributed, self-contained facts.

mod baseline;
mod bytes;
mod client;
mod common_fields;
mod connection;
mod container;
mod dns;
mod drift_scan;
mod file;
mod file_capabilities;
mod health;
mod kind;
mod packed;
mod policy;
mod privilege;
mod process;
mod response;
mod severity;
mod time;
mod via;
mod weight;
mod wide_number;
mod wire;

pub use baseline::BaselineChange;
pub use bytes::{Bytes, Escaped, escape, escape_json};
pub use client::Client;
pub use connection::{Accept, Close, Connect, Endpoint, Listen, Outcome, Protocol, Socket};
pub use container::{
    Confinement, ContainerAction, ContainerEvent, ContainerId, ContainerInfo, IdRange, Limits,
    Mount, Pod, PublishedPort, Role, Runtime, Security, Storage,
};
pub use dns::Dns;
pub use drift_scan::{
    Count, Difference, Differing, DriftScan, DriftScanCause, DriftScanSource, FileClass, NodeKind,
    PackageChange,
};
pub use file::{
    Compare, CompareClass, DeviceNumber, File, FileAttribute, FileEffect, FileFacts, FileOp,
    Filesystem, Origin,
};
pub use file_capabilities::{file_capabilities, gained_capabilities};
pub use health::{ContainerUsage, Lost, LostReason, ProcessUsage, Tick};
pub use kind::{KNOWN_TYPES, Kind};
pub(crate) use packed::{pack, unpack};
pub use policy::{
    AgeLimit, Allow, PathAdditions, Policy, PolicyChange, PolicySettings, ProgramAdditions, Scope,
    Silence,
};
pub use privilege::{CAPABILITIES, Capability, Privilege, Syscall};
pub use process::{Exec, ExecRefused, Exit, Fork, Mapped, Process, Stream};
pub use response::{Response, ResponseAction, ResponseOutcome};
pub use severity::Severity;
pub use time::Timestamp;
pub use via::Via;
pub(crate) use weight::weight_of;
pub use wire::{ContainerIds, EventError};

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
    /// The pid in the process's own pid namespace; 0 if unknown.
    pub nspid: u32,
    /// The kind with its fields.
    pub kind: Kind,
}
