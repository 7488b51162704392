//! Privileged and escape-related system calls, and capability use.

use serde::{Deserialize, Serialize};

use super::Bytes;

/// A privileged system call, whether it succeeded or was refused.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Privilege {
    /// Name of the system call, e.g. `mount`.
    pub call: String,
    /// First four arguments, raw.
    #[serde(default)]
    pub args: Vec<u64>,
    /// What the arguments mean, e.g. `CLONE_NEWUSER`, a path, a file system type.
    #[serde(default)]
    pub detail: Bytes,
    /// 0, or the errno of the refusal (positive).
    #[serde(default)]
    pub errno: u16,
    /// Result where it is not an error.
    #[serde(default)]
    pub ret: i64,
    /// User id of the caller.
    #[serde(default)]
    pub uid: u32,
    /// Short name of the process.
    #[serde(default)]
    pub comm: Bytes,
    /// True for the runtime's own set-up.
    #[serde(default, skip_serializing_if = "super::process::is_false")]
    pub runtime: bool,
}

/// First use of a capability by a container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Capability {
    /// Name without prefix, e.g. `SYS_ADMIN`.
    pub name: String,
    /// True when the check succeeded.
    pub granted: bool,
    /// Short name of the process.
    #[serde(default)]
    pub comm: Bytes,
}
