//! Names: answers to DNS queries.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Bytes;

/// An answer to a DNS query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dns {
    /// The queried name, lower case, without the final dot.
    pub name: Bytes,
    /// Query type, e.g. `A`, `AAAA`, `TXT`.
    pub qtype: String,
    /// Response code: 0 no error, 3 no such name.
    pub rcode: u8,
    /// Addresses in the answer, through CNAMEs.
    pub addresses: Vec<IpAddr>,
    /// Some answers are missing: the message was longer than what is read, or its server cut it.
    #[serde(default, skip_serializing_if = "super::file::is_false")]
    pub cut: bool,
    /// The server that answered, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<IpAddr>,
}
