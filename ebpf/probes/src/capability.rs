//! First use of a capability by a cgroup.

use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_get_current_task, bpf_probe_read_kernel},
    macros::map,
    maps::LruHashMap,
};
use hullwatch_abi::{capability::CapabilityRecord, offsets as o};

/// `CAP_SYS_ADMIN`.
const SYS_ADMIN: u32 = 21;

#[repr(C)]
#[derive(Clone, Copy)]
struct Use {
    cgroup: u64,
    cap: u32,
    granted: u32,
}

#[map]
static CAPABILITY_SEEN: LruHashMap<Use, u8> = LruHashMap::with_max_entries(16384, 0);

/// Handles a check of `cap` with credentials `cred` and result `ret`. `quiet` tells that it
/// happened during a call, or page fault, in which the kernel asks for SYS_ADMIN only to reserve
/// memory, without the process having asked for anything.
#[inline(always)]
pub fn check(cgroup: u64, cred: u64, cap: u32, ret: i32, quiet: bool) -> Option<CapabilityRecord> {
    if cap == SYS_ADMIN && quiet {
        return None;
    }
    let key = Use {
        cgroup,
        cap,
        granted: u32::from(ret == 0),
    };
    // The common case first: told already.
    if CAPABILITY_SEEN.get_ptr(&key).is_some() {
        return None;
    }
    // Overlay acts with its mounter's credentials: that is not this process using a capability.
    // SAFETY: no arguments.
    let task = unsafe { bpf_get_current_task() };
    let own = task.wrapping_add(crate::kernel::at(o::TASK_REAL_CRED));
    // SAFETY: the helper checks the address.
    if unsafe { bpf_probe_read_kernel(own as *const u64) }.ok()? != cred {
        return None;
    }
    CAPABILITY_SEEN.insert(&key, &1, 0).ok()?;
    Some(CapabilityRecord {
        cap,
        granted: key.granted,
        comm: bpf_get_current_comm().unwrap_or_default(),
    })
}
