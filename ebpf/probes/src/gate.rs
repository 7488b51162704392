//! Whose events are wanted: containers by their cgroup, the host's only when asked for.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::map,
    maps::{HashMap, LruHashMap},
};

/// Cgroups of containers, and cgroups below them.
#[map]
static CGROUPS: HashMap<u64, u8> = HashMap::with_max_entries(16384, 0);

/// Processes that joined a container's cgroup from outside and did not exec there yet: the
/// runtime's set-up.
#[map]
static JOINED: LruHashMap<u32, u8> = LruHashMap::with_max_entries(8192, 0);

/// 1: the host's own processes are wanted as well.
#[unsafe(no_mangle)]
static WATCH_HOST: u32 = 0;

/// The program's own process, never reported.
#[unsafe(no_mangle)]
static OWN_PID: u32 = 0;

/// Number of the host's mount namespace.
#[unsafe(no_mangle)]
static HOST_MOUNTS: u32 = 0;

/// Number of the host's mount namespace.
#[inline(always)]
pub fn host_mounts() -> u32 {
    // SAFETY: reads a static; volatile because the loader writes it after compilation.
    unsafe { core::ptr::read_volatile(&raw const HOST_MOUNTS) }
}

/// True when events of this cgroup are wanted.
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

/// True when packets to sockets of this cgroup are wanted. A packet arrives in nobody's context,
/// so there is no process to ask for.
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

/// Lets a cgroup in.
#[inline(always)]
pub fn admit(cgroup: u64) {
    // A full map is seen by the program, which counts cgroups as well.
    let _ = CGROUPS.insert(&cgroup, &1, 0);
}

/// Forgets a cgroup.
#[inline(always)]
pub fn dismiss(cgroup: u64) {
    let _ = CGROUPS.remove(&cgroup);
}

/// The process joined from outside.
#[inline(always)]
pub fn joined(tgid: u32) {
    let _ = JOINED.insert(&tgid, &1, 0);
}

/// True while the process has not done an exec of its own since it joined.
#[inline(always)]
pub fn runtime(tgid: u32) -> bool {
    JOINED.get_ptr(&tgid).is_some()
}

/// The process runs the container's own program from now on, or ended.
#[inline(always)]
pub fn own(tgid: u32) {
    let _ = JOINED.remove(&tgid);
}
