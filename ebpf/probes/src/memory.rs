//! Files behind the memory of the current task.

use aya_ebpf::{
    cty::c_void,
    helpers::{bpf_find_vma, bpf_get_current_task_btf},
};
use hullwatch_abi::offsets as o;

use crate::kernel::field;

/// Maximum number of areas examined from the start of a range.
const AREAS: u32 = 4;
/// The area is shared with others.
const SHARED: u64 = 8;

/// A mapped file.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MappedFile {
    /// The open file, 0 for none.
    pub file: u64,
    /// Where the area ends.
    end: u64,
    /// Shared: writes go to the file.
    pub shared: bool,
    reserved: [u8; 7],
}

unsafe extern "C" fn area(_task: *mut c_void, area: *mut c_void, context: *mut c_void) -> i64 {
    // SAFETY: the caller's own structure, which outlives the call.
    let found = unsafe { &mut *context.cast::<MappedFile>() };
    let area = area as u64;
    found.file = field(area, o::VMA_FILE).unwrap_or(0);
    found.end = field(area, o::VMA_END).unwrap_or(0);
    found.shared = field::<u64>(area, o::VMA_FLAGS).unwrap_or(0) & SHARED != 0;
    0
}

/// The first file mapped in this range of the current task's memory.
#[inline(always)]
pub fn file_behind(start: u64, length: u64) -> Option<MappedFile> {
    let mut at = start;
    let stop = start.wrapping_add(length);
    for _ in 0..AREAS {
        let mut found = MappedFile {
            file: 0,
            end: 0,
            shared: false,
            reserved: [0; 7],
        };
        // SAFETY: `area` has the signature that the helper requires; the structure outlives the
        // call.
        let outcome = unsafe {
            bpf_find_vma(
                bpf_get_current_task_btf(),
                at,
                area as *mut c_void,
                (&raw mut found).cast(),
                0,
            )
        };
        // SAFETY: the callback may have written it.
        let found = unsafe { core::ptr::read_volatile(&raw const found) };
        if outcome != 0 {
            return None;
        }
        if found.file != 0 {
            return Some(found);
        }
        if found.end <= at || found.end >= stop {
            return None;
        }
        at = found.end;
    }
    None
}
