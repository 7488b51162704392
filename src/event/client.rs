//! The client on this host that probably started a command inside a container.

use serde::{Deserialize, Serialize};

use super::Bytes;

/// A program on this host that made an engine run a command in a container, by its command line.
/// The event's pid is the program's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Client {
    /// Its command line.
    pub argv: Vec<Bytes>,
    /// User id.
    pub uid: u32,
    /// The user that logged in, before any `su` or `sudo`; `None` without a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_uid: Option<u32>,
    /// Name of that user, or of `uid`, on this host; empty unknown.
    #[serde(default)]
    pub user: Bytes,
    /// Its terminal, e.g. `pts/3`; empty without one.
    #[serde(default)]
    pub tty: Bytes,
}
