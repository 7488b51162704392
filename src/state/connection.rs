//! Connections and listening sockets.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::container::Owner;
use crate::event::{Bytes, Endpoint, Protocol, Timestamp};

/// The direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The container connected out.
    Outbound,
    /// A peer connected in.
    Inbound,
    /// A listening socket.
    Listening,
}

/// State of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Begun.
    Connecting,
    /// Open.
    Open,
    /// Ended.
    Closed,
    /// Refused, timed out or denied, with the errno.
    Failed(u16),
}

/// Connections of one owner to one peer and port are one row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConnectionKey {
    /// The owner.
    pub owner: Owner,
    /// The direction.
    pub direction: Direction,
    /// Transport.
    pub protocol: Protocol,
    /// The peer; for a listening or inbound one the own address and port.
    pub endpoint: Endpoint,
}

/// A row of connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connection {
    /// Latest local address.
    pub local: Option<SocketAddr>,
    /// Latest peer (for inbound rows).
    pub peer: Option<SocketAddr>,
    /// Host pid of the latest process; 0 unknown.
    pub pid: u32,
    /// Its short name.
    pub comm: Bytes,
    /// The peer's name from the container's own DNS answers.
    pub name: Option<Bytes>,
    /// State of the latest connection.
    pub phase: Phase,
    /// Attempts or accepted connections.
    pub count: u64,
    /// Open now.
    pub open: u32,
    /// Failed attempts.
    pub failed: u64,
    /// Payload bytes sent (counted at close).
    pub tx_bytes: u64,
    /// Payload bytes received (counted at close).
    pub rx_bytes: u64,
    /// First seen.
    pub first: Timestamp,
    /// Last seen.
    pub last: Timestamp,
    /// It existed before watching began.
    pub existing: bool,
}

impl Connection {
    /// Whether its bytes are not known yet: they are counted at close.
    #[must_use]
    pub fn is_uncounted(&self) -> bool {
        self.phase == Phase::Open && self.tx_bytes == 0 && self.rx_bytes == 0
    }
}
