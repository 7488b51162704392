//! Facts about sockets: connect, accept, close, listen, and those already open.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Bytes, Timestamp, Via};

/// Transport of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP over IPv4 or IPv6.
    Tcp,
    /// UDP over IPv4 or IPv6.
    Udp,
    /// Unix domain socket.
    Unix,
    /// Raw or packet socket.
    Raw,
    /// Any other.
    Other,
}

/// The peer of a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// Address and port.
    Inet(SocketAddr),
    /// Path of a Unix socket; an abstract name starts with `@`.
    Unix(Bytes),
}

impl Endpoint {
    /// The endpoint as text, escaped.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Inet(address) => address.to_string(),
            Self::Unix(path) => super::escape(path).to_string(),
        }
    }

    /// The IP address, if it has one; an IPv4 address mapped into IPv6 is returned as IPv4.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Inet(a) => Some(a.ip().to_canonical()),
            Self::Unix(_) => None,
        }
    }
}

/// How a connection attempt ended so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Handshake completed, or the datagram socket got its peer.
    Established,
    /// Begun without waiting; a later event with the same cookie reports the outcome.
    InProgress,
    /// Failed with this errno (positive, e.g. 111 ECONNREFUSED).
    Failed(u16),
}

/// An outbound connection attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connect {
    /// Transport.
    pub protocol: Protocol,
    /// Local address, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<SocketAddr>,
    /// The peer.
    pub remote: Endpoint,
    /// The outcome.
    pub outcome: Outcome,
    /// Identity of the socket (kernel address hashed), to match later events; 0 unknown.
    #[serde(default, with = "super::wide_number")]
    pub cookie: u64,
    /// Short name of the process.
    #[serde(default)]
    pub comm: Bytes,
    /// The file descriptor in the process; -1 unknown.
    #[serde(default)]
    pub fd: i32,
    /// How it was requested, if not by its system call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
}

/// An inbound connection was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accept {
    /// Transport.
    pub protocol: Protocol,
    /// Own address.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
    /// Identity of the socket; 0 unknown.
    #[serde(default, with = "super::wide_number")]
    pub cookie: u64,
    /// Short name of the process.
    #[serde(default)]
    pub comm: Bytes,
    /// How it was requested, if not by its system call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
}

/// A TCP connection ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Close {
    /// Own address.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
    /// Payload bytes sent and acknowledged.
    pub tx_bytes: u64,
    /// Payload bytes received.
    pub rx_bytes: u64,
    /// From establishment to close, nanoseconds; 0 unknown.
    #[serde(default, with = "super::wide_number")]
    pub lasted_ns: u64,
    /// Identity of the socket; 0 unknown.
    #[serde(default, with = "super::wide_number")]
    pub cookie: u64,
    /// True when the peer connected to this side.
    #[serde(default)]
    pub inbound: bool,
}

/// A socket began to listen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listen {
    /// Transport.
    pub protocol: Protocol,
    /// Own address.
    pub local: SocketAddr,
    /// Short name of the process.
    #[serde(default)]
    pub comm: Bytes,
    /// How it was requested, if not by its system call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
}

/// A socket that was open when watching began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Socket {
    /// Transport.
    pub protocol: Protocol,
    /// Own address.
    pub local: SocketAddr,
    /// The peer; `None` for a listening socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<SocketAddr>,
    /// True when the local port is one this container listens on.
    #[serde(default)]
    pub inbound: bool,
    /// When the snapshot saw it (its beginning is not known).
    pub seen: Timestamp,
    /// Short name of the process that holds it.
    #[serde(default, skip_serializing_if = "unknown")]
    pub comm: Bytes,
}

fn unknown(name: &Bytes) -> bool {
    name.is_empty()
}
