//! The first use of each system call by a container, if that is enabled. Calls of exec sessions are
//! counted separately, since they must not hide the service's own.

use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid},
    macros::map,
    maps::LruHashMap,
};
use hullwatch_abi::syscall::SyscallRecord;

use crate::{call::NUMBERS, capability, gate, kernel};

/// A byte for each call: first of the container's own processes, then of exec sessions.
type SeenCalls = [u8; 2 * NUMBERS];

/// The calls seen, by cgroup. The loader enlarges it only if the option is set.
#[map]
static CALLS_SEEN: LruHashMap<u64, SeenCalls> = LruHashMap::with_max_entries(1024, 0);

/// No call seen yet.
static NONE: SeenCalls = [0; 2 * NUMBERS];

/// 1: first calls are reported; set by the loader. While it is 0 the verifier removes the code that
/// depends on it.
#[unsafe(no_mangle)]
static REPORT_CALLS: u32 = 0;

/// True when first calls are to be reported.
#[inline(always)]
pub fn wanted() -> bool {
    // SAFETY: reads a static; volatile because the loader writes it after compilation.
    unsafe { core::ptr::read_volatile(&raw const REPORT_CALLS) != 0 }
}

/// An index into [`SeenCalls`]. The compiler knows that a number is small enough and would remove
/// the mask that proves the bounds to the verifier.
#[inline(always)]
fn index(nr: u32) -> usize {
    let mut index = u64::from(nr);
    // SAFETY: changes one register.
    unsafe { core::arch::asm!("{0} &= 1023", inout(reg) index) };
    index as usize
}

/// True when the service of the current container has not made this call before, or is unknown.
#[inline(always)]
pub fn is_new(cgroup: u64, nr: u32) -> bool {
    match CALLS_SEEN.get_ptr(&cgroup) {
        // SAFETY: inside the value: the index is bounded.
        Some(seen) => unsafe { seen.cast::<u8>().add(index(nr)).read_volatile() == 0 },
        None => gate::member(cgroup),
    }
}

/// Notes a call of the current task; returns the record if it is the first one. The runtime's
/// set-up does not count.
#[inline(always)]
pub fn note(cgroup: u64, nr: u32, ret: i64) -> Option<SyscallRecord> {
    if gate::runtime((bpf_get_current_pid_tgid() >> 32) as u32) {
        return None;
    }
    let seen = match CALLS_SEEN.get_ptr_mut(&cgroup) {
        Some(seen) => seen,
        None => {
            CALLS_SEEN.insert(&cgroup, &NONE, 0).ok()?;
            CALLS_SEEN.get_ptr_mut(&cgroup)?
        }
    };
    let session = capability::session(kernel::task()).unwrap_or(0);
    let index = index(nr | u32::from(session) << 9);
    // SAFETY: inside the value: the index is bounded.
    unsafe {
        let byte = seen.cast::<u8>().add(index);
        if byte.read_volatile() != 0 {
            return None;
        }
        byte.write_volatile(1);
    }
    Some(SyscallRecord {
        nr,
        errno: if (-4095..0).contains(&ret) {
            (-ret) as u32
        } else {
            0
        },
        comm: bpf_get_current_comm().unwrap_or_default(),
    })
}
