//! Finds the request by which an intruder most likely came in: the connection that a server
//! accepted just before it started a shell or a foreign program.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::event::{Bytes, ContainerId, Endpoint, Timestamp};
use crate::state::{Direction, Lineage, State};

/// A closed connection older than this is no explanation.
const BEFORE: Duration = Duration::from_secs(5);

/// A connection accepted just before the first action of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// The peer.
    pub peer: SocketAddr,
    /// The container's own address and port.
    pub local: SocketAddr,
    /// Short name of the process that accepted it.
    pub server: Bytes,
    /// When it was last seen before the action.
    pub at: Timestamp,
    /// The accepting process is an ancestor of the acting process; otherwise only the time fits.
    pub by_ancestor: bool,
}

/// The latest connection accepted by an ancestor of `pid`, else by any process of the container,
/// at most five seconds before `at`.
pub(super) fn before(
    state: &State,
    container: &ContainerId,
    pid: u32,
    at: Timestamp,
) -> Option<Request> {
    let process = state.processes.get(&pid);
    if process.is_some_and(|process| matches!(process.lineage, Lineage::ExecSession(_))) {
        // A person came in through the engine, not by a request.
        return None;
    }
    let ancestors: Vec<u32> = state.ancestry(pid).map(|process| process.pid).collect();
    state
        .connections_of(container, Direction::Inbound)
        .filter(|(_, row)| row.last <= at && (row.open > 0 || at.since(row.last) <= BEFORE))
        .filter(|(_, row)| ancestors.contains(&row.pid) || at.since(row.last) <= BEFORE)
        .filter_map(|(key, row)| {
            let Endpoint::Inet(local) = key.endpoint else {
                return None;
            };
            Some(Request {
                peer: row.peer?,
                local,
                server: row.comm.clone(),
                at: row.last,
                by_ancestor: ancestors.contains(&row.pid),
            })
        })
        .max_by_key(|request| (request.by_ancestor, request.at, request.local))
}
