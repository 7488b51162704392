//! Paths from the kernel's directory entries, as components leaf first.

use aya_ebpf::{
    cty::c_void,
    helpers::{bpf_loop, bpf_probe_read_kernel_str_bytes},
};
use hullwatch_abi::{file::BASE_MAX, offsets as o};

use crate::{
    kernel::{at, field},
    path_start::PathStart,
    scratch::{Scratch, Walk, scratch},
};

/// Longest component, bytes, with its NUL.
const COMPONENT: usize = 256;
/// Maximum number of directories and mounts in a walk. The space for text ends earlier.
const DEPTH: u32 = 2100;

unsafe extern "C" fn step(_index: u32, _context: *mut c_void) -> i64 {
    let Some(scratch) = scratch() else {
        return 1;
    };
    // SAFETY: the slot is this CPU's and this program's alone.
    let walk = unsafe { &mut (*scratch).walk };
    let PathStart { mnt, dentry } = walk.here;
    let Some(parent) = field::<u64>(dentry, o::DENTRY_PARENT) else {
        return 1;
    };
    if walk.inside == 0 {
        let Some(top) = field::<u64>(mnt, o::MNT_ROOT) else {
            return 1;
        };
        if dentry == top {
            let mount = mnt.wrapping_sub(at(o::MOUNT_MNT));
            let Some(above) = field::<u64>(mount, o::MOUNT_PARENT) else {
                return 1;
            };
            let Some(point) = field::<u64>(mount, o::MOUNT_POINT) else {
                return 1;
            };
            if above != mount {
                walk.here = PathStart {
                    mnt: above + at(o::MOUNT_MNT),
                    dentry: point,
                };
                return 0;
            }
            // The top of the mount tree, or of a detached mount.
            walk.whole = 1;
            return 1;
        }
    } else if parent == dentry {
        walk.whole = 1;
        return 1;
    }
    let Some(name) = field::<u64>(dentry, o::DENTRY_NAME) else {
        return 1;
    };
    if walk.pos >= walk.limit {
        return 1;
    }
    let pos = (walk.pos & 0x3fff) as usize;
    // SAFETY: `pos` is below 16384 and a component takes 256 bytes of a larger area.
    let dst = unsafe {
        core::slice::from_raw_parts_mut((&raw mut (*scratch).text).cast::<u8>().add(pos), COMPONENT)
    };
    // SAFETY: the helper checks the address.
    match unsafe { bpf_probe_read_kernel_str_bytes(name as *const u8, dst) } {
        // The length leaves out the NUL, which stays as separator.
        Ok(text) => walk.pos += text.len() as u64 + 1,
        Err(_) => return 1,
    }
    if parent == dentry {
        // An entry outside of any tree, as of an anonymous memory file: only its name exists.
        walk.whole = 1;
        return 1;
    }
    walk.here.dentry = parent;
    0
}

#[inline(always)]
fn climb(scratch: *mut Scratch, from: PathStart, pos: usize, inside: u64) -> (usize, bool) {
    let walk = Walk {
        here: from,
        pos: pos as u64,
        limit: (pos + BASE_MAX - COMPONENT) as u64,
        whole: 0,
        inside,
    };
    // SAFETY: the slot is this CPU's; volatile because `step` reads it through the map.
    unsafe { core::ptr::write_volatile(&raw mut (*scratch).walk, walk) };
    // SAFETY: `step` has the signature that bpf_loop requires and uses no context.
    unsafe { bpf_loop(DEPTH, step as *mut c_void, core::ptr::null_mut(), 0) };
    // SAFETY: as above.
    let done = unsafe { core::ptr::read_volatile(&raw const (*scratch).walk) };
    (done.pos as usize & 0x3fff, done.whole != 0)
}

/// Writes the components from `from` up to the top of the mount tree, leaf first, at `pos`.
/// Returns the end, and whether the top was reached.
///
/// The top is that of the mount namespace, not the task's root directory: after a `chroot` the path
/// still shows where in the container the file is.
#[inline(always)]
pub fn walk(scratch: *mut Scratch, from: PathStart, pos: usize) -> (usize, bool) {
    climb(scratch, from, pos, 0)
}

/// The same up to the root of the file's own file system, wherever it is mounted.
#[inline(always)]
pub fn walk_inside(scratch: *mut Scratch, from: PathStart, pos: usize) -> (usize, bool) {
    climb(scratch, from, pos, 1)
}
