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
    /// Values that pass through this memory, see [`forget`].
    pub forgotten: [u64; 4],
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

/// The same values, but unknown to the verifier. This joins the paths that lead here: the verifier
/// otherwise checks the rest once for each path.
#[inline(always)]
pub fn forget<const N: usize>(scratch: &mut Scratch, values: [u64; N]) -> [u64; N] {
    let space = (&raw mut scratch.forgotten).cast::<[u64; N]>();
    // SAFETY: the scratch is this CPU's and this program's alone, and at most four values fit.
    unsafe {
        const { assert!(N <= 4) };
        core::ptr::write_volatile(space, values);
        core::ptr::read_volatile(space)
    }
}

/// Clears a record, eight bytes at a time: the compiler's own function clears single bytes, in a
/// loop that the verifier follows.
#[inline(always)]
pub fn clear<T: bytemuck::Zeroable>(record: &mut T) {
    const { assert!(size_of::<T>() % 8 == 0 && align_of::<T>() == 8) };
    let words = (&raw mut *record).cast::<u64>();
    for word in 0..size_of::<T>() / 8 {
        // SAFETY: inside the record, for which zeros are valid.
        unsafe { core::ptr::write_volatile(words.add(word), 0) };
    }
}
