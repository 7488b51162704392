//! Decides which events are recorded: those of containers by their cgroup, the host's only if
//! enabled.

use aya_ebpf::{
    helpers::{bpf_get_current_cgroup_id, bpf_get_current_pid_tgid},
    macros::map,
    maps::{Array, HashMap, LruHashMap},
};
use hullwatch_abi::{header::PID_NAMESPACE, offsets as o};

use crate::kernel::{at, field, load, read, task};

/// Cgroups of containers, and cgroups below them; pid namespaces of containers that their cgroup
/// does not identify.
#[map]
static CGROUPS: HashMap<u64, u8> = HashMap::with_max_entries(16384, 0);

/// Processes that joined a container's cgroup from outside and have not executed a program there:
/// the runtime's set-up.
#[map]
static JOINED: LruHashMap<u32, u8> = LruHashMap::with_max_entries(8192, 0);

/// 1 while a pid namespace may be in [`CGROUPS`]; else namespaces of tasks are not looked up.
#[map]
static BY_NAMESPACE: Array<u32> = Array::with_max_entries(1, 0);

/// Pid namespaces that belong to no container (sandboxes of browsers, of builds).
#[map]
static REFUSED: LruHashMap<u64, u8> = LruHashMap::with_max_entries(4096, 0);

/// Maximum number of nested namespaces examined, from a task's own outwards: a container's
/// processes may create further ones.
const NESTED: u32 = 3;

/// 1: processes of the host are recorded as well.
#[unsafe(no_mangle)]
static WATCH_HOST: u32 = 0;

/// hullwatch's own process, never reported.
#[unsafe(no_mangle)]
static OWN_PID: u32 = 0;

/// Number of the host's mount namespace.
#[unsafe(no_mangle)]
static HOST_MOUNTS: u32 = 0;

/// Number of the host's mount namespace.
#[inline(always)]
pub fn host_mounts() -> u32 {
    load!(HOST_MOUNTS)
}

/// True for hullwatch's own process.
#[inline(always)]
pub fn is_own(tgid: u32) -> bool {
    tgid == load!(OWN_PID)
}

/// True when the task sees the host's mounts, which no process of a container does.
#[inline(always)]
pub fn in_host_mounts(task: u64) -> bool {
    mounts(task) == Some(host_mounts())
}

/// A task's mount namespace.
#[inline(always)]
pub fn mount_namespace(task: u64) -> Option<u64> {
    field(field(task, o::TASK_NSPROXY)?, o::NSPROXY_MNT)
}

/// The number of a task's mount namespace.
#[inline(always)]
pub fn mounts(task: u64) -> Option<u32> {
    field(mount_namespace(task)?, o::MNT_NS_NUMBER)
}

/// True when events of this cgroup are recorded.
#[inline(always)]
pub fn wanted(cgroup: u64) -> bool {
    if member(cgroup) {
        return true;
    }
    // SAFETY: reads statics; volatile because the loader writes them after compilation.
    let (host, own) = unsafe {
        (
            core::ptr::read_volatile(&raw const WATCH_HOST),
            core::ptr::read_volatile(&raw const OWN_PID),
        )
    };
    host != 0 && (bpf_get_current_pid_tgid() >> 32) as u32 != own
}

/// The current task's own scope: its cgroup, or the pid namespace of its container if that is what
/// identifies the container.
#[inline(always)]
pub fn own_scope() -> u64 {
    // SAFETY: no arguments.
    within(task(), unsafe { bpf_get_current_cgroup_id() })
}

/// The gate's answer for a task in this cgroup.
#[inline(always)]
pub fn within(task: u64, cgroup: u64) -> u64 {
    let by_namespace = BY_NAMESPACE.get(0).copied().unwrap_or(0) != 0;
    if !by_namespace || member(cgroup) {
        return cgroup;
    }
    for out in 0..NESTED {
        match namespace(task, out) {
            Some(key) if member(key) => return key,
            Some(_) => {}
            None => break,
        }
    }
    cgroup
}

/// The pid namespace of a task, or the one that many levels outside of it; `None` for the host's.
#[inline(always)]
pub fn namespace(task: u64, out: u32) -> Option<u64> {
    let number: u64 = field(task, o::TASK_THREAD_PID)?;
    let level: u32 = field(number, o::PID_LEVEL)?;
    if level <= out {
        return None;
    }
    // struct upid: the number, then its namespace.
    let entry = number + u64::from((level - out) & 31) * 16;
    let namespace: u64 = read(entry, at(o::PID_NUMBERS) + 8)?;
    let inode: u32 = field(namespace, o::PID_NS_NUMBER)?;
    Some(PID_NAMESPACE | u64::from(inode))
}

/// A task of an unknown cgroup that runs in a pid namespace and with mounts of its own may be a
/// container's: includes the namespace, and returns it. User space identifies the container; it
/// excludes the namespace again if it belongs to none, or includes the cgroup instead.
#[inline(always)]
pub fn admit_namespace(task: u64) -> Option<u64> {
    let key = namespace(task, 0)?;
    if REFUSED.get_ptr(&key).is_some() || in_host_mounts(task) {
        return None;
    }
    admit(key);
    if let Some(flag) = BY_NAMESPACE.get_ptr_mut(0) {
        // SAFETY: a value of the map, only ever written as a whole.
        unsafe { flag.write_volatile(1) };
    }
    Some(key)
}

/// A process ended: if it was the first one of a pid namespace, that ends too, and its number may
/// be reused. Returns that number.
#[inline(always)]
pub fn ended(task: u64) -> Option<u32> {
    let key = namespace(task, 0)?;
    let number: u64 = field(task, o::TASK_THREAD_PID)?;
    let level: u32 = field(number, o::PID_LEVEL)?;
    let entry = number + u64::from(level & 31) * 16;
    if read::<u32>(entry, at(o::PID_NUMBERS))? != 1 {
        return None;
    }
    let _ = REFUSED.remove(&key);
    Some(key as u32)
}

/// True when packets to sockets of this cgroup are recorded. A packet does not arrive in the
/// context of a process, so none is checked.
#[inline(always)]
pub fn receives(cgroup: u64) -> bool {
    // SAFETY: reads a static; volatile because the loader writes it after compilation.
    member(cgroup) || unsafe { core::ptr::read_volatile(&raw const WATCH_HOST) } != 0
}

/// True when the cgroup is a container's.
#[inline(always)]
pub fn member(cgroup: u64) -> bool {
    CGROUPS.get_ptr(&cgroup).is_some()
}

/// Includes a cgroup.
#[inline(always)]
pub fn admit(cgroup: u64) {
    // User space detects a full map, since it also counts cgroups.
    let _ = CGROUPS.insert(&cgroup, &1, 0);
}

/// Excludes a cgroup.
#[inline(always)]
pub fn dismiss(cgroup: u64) {
    let _ = CGROUPS.remove(&cgroup);
}

/// The process joined from outside.
#[inline(always)]
pub fn joined(tgid: u32) {
    let _ = JOINED.insert(&tgid, &1, 0);
}

/// True while the process has executed no program since it joined.
#[inline(always)]
pub fn runtime(tgid: u32) -> bool {
    JOINED.get_ptr(&tgid).is_some()
}

/// The process runs the container's own program from now on, or ended.
#[inline(always)]
pub fn own(tgid: u32) {
    let _ = JOINED.remove(&tgid);
}
