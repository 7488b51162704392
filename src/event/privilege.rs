//! Privileged and escape-related system calls, and capability use.

use serde::{Deserialize, Serialize};

use super::Bytes;

/// A privileged system call, whether it succeeded or was refused.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Privilege {
    /// Name of the system call, e.g. `mount`.
    pub call: String,
    /// First four arguments, raw.
    #[serde(default, with = "super::wide_number::list")]
    pub args: Vec<u64>,
    /// The arguments as text, e.g. `CLONE_NEWUSER`, a path, a file system type.
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
    #[serde(default, skip_serializing_if = "super::file::is_false")]
    pub runtime: bool,
}

/// First use of a capability by a container's own processes, or by those of exec sessions before
/// the service used it.
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

/// First use of a system call by a container's own processes, or by those of exec sessions; only if
/// that is enabled.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Syscall {
    /// Its name, e.g. `openat`.
    pub name: String,
    /// 0, or the errno of the refusal (positive).
    #[serde(default)]
    pub errno: u16,
    /// Short name of the process.
    #[serde(default)]
    pub comm: Bytes,
}

/// The kernel's names of capabilities, without prefix, by number.
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

impl Capability {
    /// The name of the capability with this number.
    #[must_use]
    pub fn name_of(number: u32) -> String {
        usize::try_from(number)
            .ok()
            .and_then(|n| CAPABILITIES.get(n))
            .map_or_else(|| format!("CAP_{number}"), |name| (*name).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_has_its_name_or_else_its_number() {
        assert_eq!(Capability::name_of(40), "CHECKPOINT_RESTORE");
        assert_eq!(Capability::name_of(12), "NET_ADMIN");
        assert_eq!(Capability::name_of(99), "CAP_99");
    }
}
