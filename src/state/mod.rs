//! The world at time t: containers, processes, connections, files, and the recent past.
//!
//! A pure function of the stream: no clock, no I/O. Everything is bounded; what a bound removes
//! is counted in [`Totals::evicted`].

mod apply;
mod connection;
mod container;
mod file;
mod frozen;
mod process;
mod quota;
mod recent;
mod snapshot;
mod sockets;

pub use connection::{Connection, ConnectionKey, Direction, Phase};
pub use container::Container;
pub use file::{FileActivity, FileKey};
pub(crate) use frozen::Frozen;
pub use process::{Lineage, ProcessEntry};
pub use recent::{Recent, Second};
pub use snapshot::snapshot;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::event::{ContainerId, ProcessUsage, Timestamp};

/// Whose fact it is: a container, or the host (`None`).
pub type Owner = Option<ContainerId>;

/// Counts over the whole stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events applied.
    pub events: u64,
    /// Events lost, as the stream says.
    pub lost: u64,
    /// Entries removed from the state because a bound was reached.
    pub evicted: u64,
}

/// The world at time t. What the tables hold is shared with clones (the keyframes of a past, a
/// picture of the moment) until it changes.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Time of the latest event or tick.
    pub now: Timestamp,
    /// Time of the first event.
    pub began: Timestamp,
    /// Containers by id; ended ones are kept a while. The host is not among them.
    pub containers: BTreeMap<ContainerId, Arc<Container>>,
    /// Processes by host pid; exited ones are kept ten minutes under their pid until it is reused.
    pub processes: BTreeMap<u32, Arc<ProcessEntry>>,
    /// What running processes use, by host pid, as last told.
    pub usage: BTreeMap<u32, ProcessUsage>,
    /// Connections and listening sockets.
    pub connections: BTreeMap<ConnectionKey, Arc<Connection>>,
    /// File activity grouped by owner and path.
    pub files: BTreeMap<FileKey, Arc<FileActivity>>,
    /// The latest events and the per-second history.
    pub recent: Recent,
    /// Why the latest edit of the policy file was not taken: file, line and cause.
    pub policy_refused: Option<String>,
    /// Counts.
    pub totals: Totals,
    /// Exited processes, oldest first, for their removal.
    exited: VecDeque<(Timestamp, u32)>,
    /// Open sockets by cookie, to match later events to their row. Never iterated.
    sockets: FxHashMap<u64, ConnectionKey>,
}

impl State {
    /// The container an event or a row belongs to.
    #[must_use]
    pub fn container(&self, owner: &Owner) -> Option<&Container> {
        self.containers.get(owner.as_ref()?).map(|c| &**c)
    }

    /// `pid` and its ancestors inside the same owner, nearest first; at most 32.
    pub fn ancestry(&self, pid: u32) -> impl Iterator<Item = &ProcessEntry> {
        let owner = self.processes.get(&pid).map(|p| p.owner.clone());
        let mut next = Some(pid);
        let mut left = 32_u8;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let process = self.processes.get(&next?)?;
            if Some(&process.owner) != owner.as_ref() {
                return None;
            }
            next = (process.ppid != process.pid).then_some(process.ppid);
            Some(&**process)
        })
    }
}
