//! Which process of this host started a process in a container: a client that requested it from its
//! engine, or one that entered its namespaces.

use serde::{Deserialize, Serialize};

use super::Bytes;

/// A program on this host that requested a command in a container from an engine, judging by its
/// command line; or one that entered the container's namespaces itself, as the kernel reported. The
/// event's pid is the program's.
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
    /// Where it entered itself, without an engine and without the container's cgroup: host pid of the
    /// first process that it brought in, which may be its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<u32>,
    /// Short name of the process that started it; empty unknown.
    #[serde(default, skip_serializing_if = "no_bytes")]
    pub parent: Bytes,
    /// Host pid of that process; 0 unknown.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ppid: u32,
}

fn no_bytes(bytes: &Bytes) -> bool {
    bytes.is_empty()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(pid: &u32) -> bool {
    *pid == 0
}
