//! The header in front of every record.

use bytemuck::{Pod, Zeroable};

/// Record kinds in [`Header::kind`].
pub mod kind {
    /// A process replaced its image.
    pub const EXEC: u16 = 1;
    /// A process was created.
    pub const FORK: u16 = 2;
    /// A process ended.
    pub const EXIT: u16 = 3;
    /// A cgroup of the v2 hierarchy was created.
    pub const CGROUP_BORN: u16 = 4;
    /// A cgroup of the v2 hierarchy was removed.
    pub const CGROUP_GONE: u16 = 5;
    /// A file operation.
    pub const FILE: u16 = 6;
    /// A privileged call.
    pub const PRIVILEGE: u16 = 7;
    /// First use of a capability.
    pub const CAPABILITY: u16 = 8;
    /// A socket fact.
    pub const NET: u16 = 9;
    /// A DNS answer.
    pub const DNS: u16 = 10;
    /// First use of a system call.
    pub const SYSCALL: u16 = 11;
    /// A process of the host entered a container's namespaces.
    pub const ENTRY: u16 = 12;
}

/// [`Header::flags`]: the task is still in the runtime's set-up.
pub const RUNTIME: u32 = 1;
/// [`Header::flags`]: the task entered the container's namespaces from the host and is not in a
/// cgroup of it. With [`RUNTIME`]: it has executed no program since.
pub const ENTERED: u32 = 2;
/// [`Header::flags`]: such a task still sees the host's mounts, so its files are the host's.
pub const HOST_MOUNTS: u32 = 4;

/// In [`Header::cgroup`]: the other bits are the number of a pid namespace, since the container has
/// no cgroup of its own. Cgroup ids never use this bit.
pub const PID_NAMESPACE: u64 = 1 << 61;

/// Id, among namespaces of the same number, of a mount namespace that was found by its number alone.
pub const ANY_MOUNT_NAMESPACE: u64 = u64::MAX;
/// Id of a pid namespace, which kernels before 6.18 do not number apart.
pub const ANY_PID_NAMESPACE: u64 = 0;

/// Time, cgroup and process.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Header {
    /// Time since boot, nanoseconds (`CLOCK_BOOTTIME`).
    pub ts: u64,
    /// Id of the task's cgroup in the v2 hierarchy, or [`PID_NAMESPACE`] and a number.
    pub cgroup: u64,
    /// Process id (thread group id) in the initial pid namespace.
    pub pid: u32,
    /// The same in the task's own pid namespace.
    pub nspid: u32,
    /// Thread group id of the parent.
    pub ppid: u32,
    /// [`RUNTIME`], [`ENTERED`], [`HOST_MOUNTS`].
    pub flags: u32,
    /// One of [`kind`].
    pub kind: u16,
    /// Zero.
    pub reserved: u16,
    /// Bytes that follow.
    pub len: u32,
}
