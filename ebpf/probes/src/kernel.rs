//! Reads of kernel memory at the offsets that the loader looked up.

use aya_ebpf::helpers::{bpf_get_current_task, bpf_ktime_get_boot_ns, bpf_probe_read_kernel};
use hullwatch_abi::offsets as o;

/// Offsets of [`o::FIELDS`] in bytes; set by the loader.
#[unsafe(no_mangle)]
static FIELD_OFFSETS: [u32; o::COUNT] = [o::ABSENT; o::COUNT];

/// Boot time by the clock of the host, seconds since 1970; set by the loader.
#[unsafe(no_mangle)]
static BOOT_SECONDS: i64 = 0;

/// Reads from a static, volatile because the loader writes it after compilation.
macro_rules! load {
    ($($variable:tt)+) => {
        // SAFETY: a static, inside its bounds.
        unsafe { core::ptr::read_volatile(&raw const $($variable)+) }
    };
}
pub(crate) use load;

/// Offset of a field of [`o::FIELDS`], [`o::ABSENT`] when this kernel does not have it.
#[inline(always)]
pub fn at(field: usize) -> u64 {
    u64::from(load!(FIELD_OFFSETS[field]))
}

/// True when this kernel has the field.
#[inline(always)]
pub fn has(field: usize) -> bool {
    at(field) != u64::from(o::ABSENT)
}

/// The value at `offset` bytes after `base`.
#[inline(always)]
pub fn read<T: Copy>(base: u64, offset: u64) -> Option<T> {
    // SAFETY: the helper checks the address and fails instead of faulting.
    unsafe { bpf_probe_read_kernel(base.wrapping_add(offset) as *const T) }.ok()
}

/// A field of [`o::FIELDS`] of the structure at `base`.
#[inline(always)]
pub fn field<T: Copy>(base: u64, field: usize) -> Option<T> {
    read(base, at(field))
}

/// The current time, seconds since 1970, by the host's clock when the loader set it.
#[inline(always)]
pub fn seconds_now() -> i64 {
    // SAFETY: no arguments.
    load!(BOOT_SECONDS) + (unsafe { bpf_ktime_get_boot_ns() } / 1_000_000_000) as i64
}

/// The current task.
#[inline(always)]
pub fn task() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_get_current_task() }
}

/// The open file behind a descriptor of the current task.
#[inline(always)]
pub fn file_of(fd: i32) -> Option<u64> {
    if fd < 0 {
        return None;
    }
    let files: u64 = field(task(), o::TASK_FILES)?;
    let table: u64 = field(files, o::FILES_FDT)?;
    let max: u32 = field(table, o::FDT_MAX)?;
    if fd as u32 >= max {
        return None;
    }
    let slots: u64 = field(table, o::FDT_FD)?;
    let file: u64 = read(slots, fd as u64 * 8)?;
    (file != 0).then_some(file)
}
