//! The file record under construction, in memory of each CPU: it is larger than a program's stack.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use hullwatch_abi::file::FileRecord;

use crate::path_start::PathStart;

/// Space for the dispatcher's header before the record.
pub const HEADROOM: usize = 64;
/// Space for four texts of up to 4 KiB, and for one more after the largest masked position.
const TEXT: usize = 20_480;

/// State of a walk from a directory entry up to the top.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Walk {
    /// Where it is.
    pub here: PathStart,
    /// Position in the text of the next component.
    pub pos: u64,
    /// Components begin before this position.
    pub limit: u64,
    /// 1: the walk reached the top.
    pub whole: u64,
    /// 1: the walk ends at the root of the file system, wherever that is mounted.
    pub inside: u64,
}

/// A record under construction. Leading bytes are the dispatcher's.
#[repr(C)]
pub struct Scratch {
    /// The walk under way. It is in memory that the verifier does not track, so that it checks one
    /// iteration of the loop once instead of once per possible length.
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

/// The same value, but unknown to the verifier. This joins the paths that lead here: older
/// verifiers otherwise check the rest once for each path.
#[inline(always)]
pub fn forget(scratch: &mut Scratch, value: u64) -> u64 {
    // SAFETY: the scratch is this CPU's and this program's alone, and no walk is under way.
    unsafe {
        core::ptr::write_volatile(&raw mut scratch.walk.inside, value);
        core::ptr::read_volatile(&raw const scratch.walk.inside)
    }
}
