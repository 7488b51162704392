//! The tables of a state, compressed, for keyframes. On a busy host every entry is replaced within
//! seconds, so sharing entries between keyframes would gain nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::connection::{Connection, ConnectionKey};
use super::container::{Container, Owner};
use super::file::{FileActivity, FileKey};
use super::process::ProcessEntry;
use super::recent::{Recent, Second};
use super::tables::State;
use crate::event::{Timestamp, pack, unpack};

/// Compression level.
const LEVEL: i32 = 1;

/// A state with its tables compressed.
#[derive(Debug)]
pub(crate) struct PackedState {
    /// The state without them.
    thin: State,
    tables: Vec<u8>,
    recent: Vec<u8>,
}

/// The tables: processes, processes whose pid was reused, connections, files, exited processes,
/// sockets.
type PackedTables = (
    Vec<ProcessEntry>,
    Vec<ProcessEntry>,
    Vec<(ConnectionKey, Arc<Connection>)>,
    Vec<(FileKey, Arc<FileActivity>)>,
    VecDeque<(i64, u32)>,
    Vec<(u64, ConnectionKey)>,
);

impl State {
    /// Compresses the state; `None` when that fails.
    pub(crate) fn freeze(&self) -> Option<PackedState> {
        let processes: Vec<_> = self.processes.values().collect();
        let earlier: Vec<_> = self.earlier.values().collect();
        let connections: Vec<_> = self.connections.iter().collect();
        let files: Vec<_> = self.files.iter().collect();
        let exited: Vec<_> = self.exited.iter().map(|(at, pid)| (at.0, pid)).collect();
        let sockets: Vec<_> = self.sockets.iter().collect();
        let tables = (processes, earlier, connections, files, exited, sockets);
        let mut packer = zstd::Encoder::new(Vec::new(), LEVEL).ok()?;
        serde_json::to_writer(std::io::BufWriter::new(&mut packer), &tables).ok()?;
        let recent = self.recent.events.iter().map(|event| &**event);
        Some(PackedState {
            tables: packer.finish().ok()?,
            recent: pack(recent)?,
            thin: State {
                now: self.now,
                began: self.began,
                containers: self.containers.clone(),
                processes: BTreeMap::new(),
                earlier: BTreeMap::new(),
                usage: self.usage.clone(),
                connections: BTreeMap::new(),
                files: BTreeMap::new(),
                recent: Recent {
                    events: VecDeque::new(),
                    seconds: self.recent.seconds.clone(),
                    bytes: self.recent.bytes,
                },
                baselines: self.baselines.clone(),
                policy_refused: self.policy_refused.clone(),
                clock_step: self.clock_step,
                totals: self.totals,
                memory: self.memory,
                used: self.used,
                exited: VecDeque::new(),
                sockets: FxHashMap::default(),
            },
        })
    }
}

impl PackedState {
    /// Restores the state; `None` when it was not packed here.
    pub(crate) fn thaw(&self) -> Option<State> {
        let mut state = self.thin.clone();
        let tables = zstd::decode_all(&self.tables[..]).ok()?;
        let (processes, earlier, connections, files, exited, sockets): PackedTables =
            serde_json::from_slice(&tables).ok()?;
        let containers = &self.thin.containers;
        // All entries of a container share its id again.
        let own = |owner: &mut Owner| {
            let known = owner.as_ref().and_then(|id| containers.get_key_value(id));
            if let Some((id, _)) = known {
                *owner = Some(id.clone());
            }
        };
        let process = |mut process: ProcessEntry| {
            own(&mut process.owner);
            Arc::new(process)
        };
        state.processes = processes
            .into_iter()
            .map(|entry| (entry.pid, process(entry)))
            .collect();
        state.earlier = earlier
            .into_iter()
            .map(|entry| ((entry.pid, entry.started), process(entry)))
            .collect();
        let connection = |mut key: ConnectionKey| {
            own(&mut key.owner);
            key
        };
        state.connections = connections
            .into_iter()
            .map(|(key, row)| (connection(key), row))
            .collect();
        state.files = files
            .into_iter()
            .map(|(mut key, activity)| {
                own(&mut key.owner);
                (key, activity)
            })
            .collect();
        state.exited = exited
            .into_iter()
            .map(|(at, pid)| (Timestamp(at), pid))
            .collect();
        state.sockets = sockets
            .into_iter()
            .map(|(cookie, key)| (cookie, connection(key)))
            .collect();
        state.recent.events = unpack(&self.recent)?.into_iter().map(Arc::new).collect();
        Some(state)
    }

    /// Approximate size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let names = |c: &Container| c.names.len() * 128;
        let containers = self.thin.containers.values();
        self.tables.len()
            + self.recent.len()
            + containers.map(|c| 8192 + names(c)).sum::<usize>()
            + self.thin.usage.len() * 64
            + self.thin.recent.seconds.len() * size_of::<Second>()
    }
}
