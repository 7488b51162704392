//! Writes records to the ring buffer, and counts those that do not fit.

use aya_ebpf::{
    helpers::{bpf_get_current_task, bpf_ktime_get_boot_ns},
    macros::map,
    maps::{PerCpuHashMap, RingBuf},
};
use hullwatch_abi::{
    header::{ENTERED, HOST_MOUNTS, Header, RUNTIME},
    offsets as o,
};

use crate::{gate, kernel::field, marks, share};

/// No wake-up: user space polls.
const NO_WAKEUP: u64 = 1;

/// Bytes of the ring buffer.
const RING: u32 = 8 << 20;

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(RING, 0);

/// Records that did not fit, by cgroup.
#[map]
static LOST: PerCpuHashMap<u64, u64> = PerCpuHashMap::with_max_entries(4096, 0);

#[inline(always)]
fn read<T: Copy + Default>(base: u64, offset: usize) -> T {
    field(base, offset).unwrap_or_default()
}

/// The header of a record about `task`.
#[inline(always)]
pub fn header(kind: u16, task: u64, len: usize) -> Header {
    header_in(marks::scope(), kind, task, len)
}

/// The header for a task whose [`marks::scope`] is known.
#[inline(always)]
pub fn header_in(scope: u64, kind: u16, task: u64, len: usize) -> Header {
    let flags = flags(read(task, o::TASK_TGID), task);
    header_with(scope, flags, kind, task, len)
}

/// The header for a task whose [`marks::scope`] and [`flags`] are known.
#[inline(always)]
pub fn header_with(scope: u64, flags: u32, kind: u16, task: u64, len: usize) -> Header {
    let leader: u64 = read(task, o::TASK_LEADER);
    let pid: u32 = read(task, o::TASK_TGID);
    let number: u64 = read(leader, o::TASK_THREAD_PID);
    let level: u32 = read(number, o::PID_LEVEL);
    // struct upid: the number, then its namespace.
    let entry = number + u64::from(level & 31) * 16;
    let parent: u64 = read(leader, o::TASK_PARENT);
    Header {
        // SAFETY: no arguments.
        ts: unsafe { bpf_ktime_get_boot_ns() },
        cgroup: scope,
        pid,
        nspid: read(entry, o::PID_NUMBERS),
        ppid: read(parent, o::TASK_TGID),
        flags,
        kind,
        reserved: 0,
        len: len as u32,
    }
}

/// [`Header::flags`] of a task.
#[inline(always)]
pub fn flags(tgid: u32, task: u64) -> u32 {
    let mut flags = 0;
    if gate::runtime(tgid) {
        flags |= RUNTIME;
    }
    if marks::entered(tgid, task) {
        flags |= ENTERED;
        if gate::in_host_mounts(task) {
            flags |= HOST_MOUNTS;
        }
    }
    flags
}

/// The header of a record about the current task.
#[inline(always)]
pub fn current(kind: u16, len: usize) -> Header {
    // SAFETY: no arguments.
    header(kind, unsafe { bpf_get_current_task() }, len)
}

/// `len & MASK`, computed exactly here. The compiler removes a mask when it knows that the value is
/// smaller; the verifier of Linux 6.1 has lost that bound at this point.
#[inline(always)]
pub fn masked<const MASK: i32>(mut len: usize) -> usize {
    // SAFETY: changes this register alone.
    unsafe {
        core::arch::asm!(
            "{0} &= {mask}",
            inout(reg) len,
            mask = const MASK,
            options(pure, nomem, nostack)
        );
    };
    len
}

/// Sends `size` bytes from `data` on, which begin with space for a header.
///
/// # Safety
/// `data` must point to at least `size` bytes of this program's scratch, aligned to eight.
#[inline(always)]
pub unsafe fn send(data: *mut u8, header: Header, size: usize) {
    let (kind, cgroup, pid) = (header.kind, header.cgroup, header.pid);
    // SAFETY: the caller vouches for the room.
    let record = unsafe {
        data.cast::<Header>().write(header);
        core::slice::from_raw_parts(data, size)
    };
    let has_room = share::has_room(&EVENTS, RING.into(), kind, cgroup, pid, size as u64);
    if !has_room || EVENTS.output::<[u8]>(record, NO_WAKEUP).is_err() {
        count(&LOST, cgroup);
    }
}

/// Sends a record of fixed size, which begins with `header`. A loss is counted for `cgroup`.
#[inline(always)]
pub fn send_fixed<T>(record: &T, header: &Header, cgroup: u64) {
    let size = size_of::<T>() as u64;
    let has_room = share::has_room(&EVENTS, RING.into(), header.kind, cgroup, header.pid, size);
    if !has_room || EVENTS.output::<T>(record, NO_WAKEUP).is_err() {
        count(&LOST, cgroup);
    }
}

/// Counts one loss of a cgroup.
#[inline(always)]
pub fn count(losses: &PerCpuHashMap<u64, u64>, cgroup: u64) {
    if let Some(count) = losses.get_ptr_mut(&cgroup) {
        // SAFETY: this CPU's own value.
        unsafe { *count += 1 };
    } else if losses.insert(&cgroup, &1, 0).is_err() {
        // The table of cgroups is full: counted without a cgroup, in the entry that the loader
        // created.
        if let Some(count) = losses.get_ptr_mut(&0) {
            // SAFETY: as above.
            unsafe { *count += 1 };
        }
    }
}
