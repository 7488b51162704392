//! The file record under construction, in memory of each CPU: it is larger than a program's stack.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use hullwatch_abi::file::FileRecord;

use crate::path_start::PathStart;

/// Room for the dispatcher's own header in front of the record.
pub const HEADROOM: usize = 64;
/// Room for four texts of up to 4 KiB, and for one more behind the largest masked position.
const TEXT: usize = 20_480;

/// A walk from a directory entry up to the top.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Walk {
    /// Where it is.
    pub here: PathStart,
    /// Where in the text the next component goes.
    pub pos: u64,
    /// No component begins behind this.
    pub limit: u64,
    /// 1: it reached the top.
    pub whole: u64,
    /// 1: the walk ends at the root of the file system, whatever that is mounted on.
    pub inside: u64,
}

/// A record under construction. Leading bytes are the dispatcher's.
#[repr(C)]
pub struct Scratch {
    /// The walk under way. It is in memory the verifier does not track, so that it looks at
    /// one round of the loop once instead of once per possible length.
    pub walk: Walk,
    /// For the dispatcher's header.
    pub head: [u8; HEADROOM],
    /// The record.
    pub record: FileRecord,
    /// Its strings.
    pub text: [u8; TEXT],
}

#[map]
static FILE_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// This CPU's record under construction. Tracing programs run with preemption off and do not
/// nest, so the exec program shares it.
#[inline(always)]
pub fn scratch() -> Option<*mut Scratch> {
    FILE_SCRATCH.get_ptr_mut(0)
}

/// The same value, of which the verifier knows nothing any more. What was found out by many ways
/// goes on as one: older verifiers look at all that follows once for each way otherwise.
#[inline(always)]
pub fn forget(scratch: &mut Scratch, value: u64) -> u64 {
    // SAFETY: the scratch is this CPU's and this program's alone, and no walk is under way.
    unsafe {
        core::ptr::write_volatile(&raw mut scratch.walk.inside, value);
        core::ptr::read_volatile(&raw const scratch.walk.inside)
    }
}
