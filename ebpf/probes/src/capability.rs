//! First use of a capability by a cgroup: by the container's own processes, and separately by exec
//! sessions, which must not hide a later use by the service.

use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_get_current_task, bpf_probe_read_kernel},
    macros::map,
    maps::LruHashMap,
};
use hullwatch_abi::{capability::CapabilityRecord, offsets as o};

use crate::kernel::field;

/// `CAP_SYS_ADMIN`.
const SYS_ADMIN: u32 = 21;

#[repr(C)]
#[derive(Clone, Copy)]
struct Use {
    cgroup: u64,
    cap: u32,
    granted: u16,
    /// 1: by a process that does not descend from the container's init.
    session: u16,
}

/// Maximum number of ancestors that are examined.
const MAX_ANCESTRY: usize = 16;

/// 1 when the task came into its pid namespace from outside: its chain of ancestors leaves it
/// without passing its init. 0 otherwise, also in the host's namespace and where there are too
/// many.
#[inline(always)]
pub fn session(task: u64) -> Option<u16> {
    let mut leader: u64 = field(task, o::TASK_LEADER)?;
    let number: u64 = field(leader, o::TASK_THREAD_PID)?;
    let inside: u32 = field(number, o::PID_LEVEL)?;
    for _ in 0..MAX_ANCESTRY {
        let number: u64 = field(leader, o::TASK_THREAD_PID)?;
        let level: u32 = field(number, o::PID_LEVEL)?;
        if level < inside {
            return Some(1);
        }
        // struct upid: the number, then its namespace.
        let entry = number + u64::from(level & 31) * 16;
        if field::<u32>(entry, o::PID_NUMBERS)? == 1 {
            return Some(0);
        }
        let parent: u64 = field(leader, o::TASK_PARENT)?;
        leader = field(parent, o::TASK_LEADER)?;
    }
    Some(0)
}

#[map]
static CAPABILITY_SEEN: LruHashMap<Use, u8> = LruHashMap::with_max_entries(16384, 0);

/// Handles a check of `cap` with credentials `cred` and result `ret`. `quiet` means that it
/// happened during a call, or page fault, in which the kernel checks SYS_ADMIN only to reserve
/// memory, not on behalf of the process.
#[inline(always)]
pub fn check(cgroup: u64, cred: u64, cap: u32, ret: i32, quiet: bool) -> Option<CapabilityRecord> {
    if cap == SYS_ADMIN && quiet {
        return None;
    }
    let mut key = Use {
        cgroup,
        cap,
        granted: u16::from(ret == 0),
        session: 0,
    };
    // The common case first: the service used it, and that was reported.
    if CAPABILITY_SEEN.get_ptr(&key).is_some() {
        return None;
    }
    // Overlayfs uses the credentials of the mounting process: this process does not use the
    // capability. SAFETY: no arguments.
    let task = unsafe { bpf_get_current_task() };
    let own = task.wrapping_add(crate::kernel::at(o::TASK_REAL_CRED));
    // SAFETY: the helper checks the address.
    if unsafe { bpf_probe_read_kernel(own as *const u64) }.ok()? != cred {
        return None;
    }
    key.session = session(task).unwrap_or(0);
    if key.session == 1 && CAPABILITY_SEEN.get_ptr(&key).is_some() {
        return None;
    }
    CAPABILITY_SEEN.insert(&key, &1, 0).ok()?;
    Some(CapabilityRecord {
        cap,
        granted: u32::from(key.granted),
        comm: bpf_get_current_comm().unwrap_or_default(),
    })
}
