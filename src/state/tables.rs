//! The tables of the state and lookups in them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::connection::{Connection, ConnectionKey, Direction};
use super::container::{Container, Owner};
use super::file::{FileActivity, FileKey};
use super::process::ProcessEntry;
use super::recent::Recent;
use crate::event::{BaselineChange, ContainerId, Endpoint, ProcessUsage, Protocol, Timestamp};
use crate::memory::MemoryBudget;

/// Counts over the whole stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events applied.
    pub events: u64,
    /// Events lost, by the stream.
    pub lost: u64,
    /// Entries dropped from the state because a table was full.
    pub evicted: u64,
}

/// The state at time t. Clones (keyframes of a past, a frame of the screen) share the tables'
/// entries until they change.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Time of the latest event or tick.
    pub now: Timestamp,
    /// Time of the first event.
    pub began: Timestamp,
    /// Containers by id; ended ones are kept a while. The host is not among them.
    pub containers: BTreeMap<ContainerId, Arc<Container>>,
    /// Processes by host pid; exited ones are kept ten minutes, until their pid is reused.
    pub processes: BTreeMap<u32, Arc<ProcessEntry>>,
    /// Exited processes whose pid another process has now, by pid and start; kept ten minutes, too.
    pub(super) earlier: BTreeMap<(u32, Timestamp), Arc<ProcessEntry>>,
    /// CPU and memory of running processes by host pid, as last reported.
    pub usage: BTreeMap<u32, ProcessUsage>,
    /// Connections and listening sockets.
    pub connections: BTreeMap<ConnectionKey, Arc<Connection>>,
    /// File activity grouped by owner and path.
    pub files: BTreeMap<FileKey, Arc<FileActivity>>,
    /// The latest events and the per-second history.
    pub recent: Recent,
    /// The baselines in force, by file.
    pub baselines: BTreeMap<String, Arc<BaselineChange>>,
    /// Why the latest edit of the policy file was refused: file, line and cause.
    pub policy_refused: Option<String>,
    /// Difference of the host's wall clock to the stream's times, nanoseconds.
    pub clock_step: i64,
    /// Counts.
    pub totals: Totals,
    /// Bytes that the tables may hold.
    pub(super) memory: MemoryBudget,
    /// Maximum number of bytes that they hold, approximately.
    pub(super) used: UsedBytes,
    /// Exited processes, oldest first, for their removal.
    pub(super) exited: VecDeque<(Timestamp, u32)>,
    /// Open sockets by cookie, to match later events to their row. Never iterated.
    pub(super) sockets: FxHashMap<u64, ConnectionKey>,
}

/// Bytes of the tables: what was added since they were last counted included, what went not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct UsedBytes {
    pub(super) processes: usize,
    pub(super) files: usize,
    pub(super) connections: usize,
    pub(super) containers: usize,
}

impl State {
    /// Nothing yet, within this budget.
    #[must_use]
    pub fn within(memory: MemoryBudget) -> Self {
        Self {
            memory,
            ..Self::default()
        }
    }

    /// By how much the host's wall clock was set since watching began, e.g. `+1h`.
    #[must_use]
    pub fn clock_set(&self) -> Option<String> {
        let sign = match self.clock_step {
            0 => return None,
            1.. => '+',
            _ => '-',
        };
        let seconds = (self.clock_step.unsigned_abs() + 500_000_000) / 1_000_000_000;
        let step = humantime::format_duration(Duration::from_secs(seconds));
        Some(format!("{sign}{step}"))
    }

    /// The container an event or a row belongs to.
    #[must_use]
    pub fn container(&self, owner: &Owner) -> Option<&Container> {
        self.containers.get(owner.as_ref()?).map(|c| &**c)
    }
    /// The connections of one container and direction, without examining those of others.
    pub fn connections_of(
        &self,
        container: &ContainerId,
        direction: Direction,
    ) -> impl Iterator<Item = (&ConnectionKey, &Connection)> {
        // The least key of them: protocols and addresses in the order of their declarations.
        let least = ConnectionKey {
            owner: Some(container.clone()),
            direction,
            protocol: Protocol::Tcp,
            endpoint: Endpoint::Inet(SocketAddr::from(([0, 0, 0, 0], 0))),
        };
        let owner = least.owner.clone();
        self.connections
            .range(least..)
            .take_while(move |(key, _)| key.owner == owner && key.direction == direction)
            .map(|(key, row)| (key, &**row))
    }

    /// The process that had this pid at this time, if it is still known; at 0, an unknown time, the
    /// latest.
    #[must_use]
    pub(crate) fn process_at(&self, pid: u32, at: Timestamp) -> Option<&Arc<ProcessEntry>> {
        self.with_pid(pid).find(|process| process.lived_at(at))
    }

    /// The processes that had this pid, the latest first.
    pub(super) fn with_pid(&self, pid: u32) -> impl Iterator<Item = &Arc<ProcessEntry>> {
        let of_pid = (pid, Timestamp(i64::MIN))..=(pid, Timestamp(i64::MAX));
        let earlier = self.earlier.range(of_pid).rev().map(|(_, process)| process);
        self.processes.get(&pid).into_iter().chain(earlier)
    }

    /// `pid` and its ancestors inside the same owner, nearest first; at most 32.
    pub fn ancestry(&self, pid: u32) -> impl Iterator<Item = &ProcessEntry> {
        let mut next = self.processes.get(&pid);
        let mut left = 32_u8;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let process = next?;
            next = self.parent_of(process);
            Some(&**process)
        })
    }
}
