//! The world at time t: containers, processes, connections, files, and the recent past.
//!
//! A pure function of the stream: no clock, no I/O. Everything is bounded; what a bound removes
//! is counted in [`Totals::evicted`].

mod connection;
mod container;
mod file;
mod process;
mod recent;

pub use connection::{Connection, ConnectionKey, Direction, Phase};
pub use container::Container;
pub use file::{FileActivity, FileKey};
pub use process::{Lineage, ProcessEntry};
pub use recent::{Recent, Second};

use std::collections::BTreeMap;

use crate::event::{ContainerId, Event, Timestamp};

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

/// The world at time t.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Time of the latest event or tick.
    pub now: Timestamp,
    /// Time of the first event.
    pub began: Timestamp,
    /// Containers by id; ended ones are kept a while. The host is not among them.
    pub containers: BTreeMap<ContainerId, Container>,
    /// Processes by host pid; exited ones are kept ten minutes under their pid until it is reused.
    pub processes: BTreeMap<u32, ProcessEntry>,
    /// Connections and listening sockets.
    pub connections: BTreeMap<ConnectionKey, Connection>,
    /// File activity grouped by owner and path.
    pub files: BTreeMap<FileKey, FileActivity>,
    /// The latest events and the per-second history.
    pub recent: Recent,
    /// Counts.
    pub totals: Totals,
}

impl State {
    /// Applies one event.
    pub fn apply(&mut self, event: &Event) {
        if self.totals.events == 0 {
            self.began = event.ts;
        }
        self.now = self.now.max(event.ts);
        self.totals.events += 1;
    }
}
