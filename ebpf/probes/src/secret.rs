//! Names of secret files: whether a read of a file may be worth an event.

use aya_ebpf::{cty::c_void, helpers::bpf_loop};
use hullwatch_abi::{
    offsets as o,
    secret::{LENGTHS, NAMES_MAX, SecretKey, SecretNames},
};

use crate::{
    facts::name_key,
    kernel::{field, load},
    path_start::PathStart,
};

/// The patterns; set by the loader.
#[unsafe(no_mangle)]
static SECRET_NAMES: SecretNames = SecretNames::NONE;

/// Whether a read of this file may be of interest, by the first bytes of its last two names alone;
/// user space confirms it by the whole path. A mounted file has two such names.
#[inline(always)]
pub fn maybe_secret(file: PathStart) -> bool {
    named(file.dentry) || file.mounted_at().is_some_and(named)
}

/// The names that are compared with each pattern.
#[repr(C)]
struct SecretLookup {
    leaf: u64,
    parent: u64,
    candidates: u64,
    length: u32,
    parent_length: u32,
    found: u64,
}

/// Compares with one pattern. A callback, so that the verifier checks one iteration only.
unsafe extern "C" fn compare(index: u32, names: *mut c_void) -> i64 {
    // SAFETY: the caller's own structure, which outlives the loop.
    let names = unsafe { &mut *names.cast::<SecretLookup>() };
    let at = (index & (NAMES_MAX as u32 - 1)) as usize;
    if names.candidates >> at & 1 == 0 {
        return 0;
    }
    let key: SecretKey = load!(SECRET_NAMES.keys[at]);
    let here = names.leaf & key.leaf_mask == key.leaf
        && names.parent & key.parent_mask == key.parent
        && (key.leaf_len == 0 || key.leaf_len == names.length)
        && (key.parent_len == 0 || key.parent_len == names.parent_length);
    names.found = u64::from(here);
    i64::from(here)
}

/// Whether an entry's name and its directory's match a pattern.
#[inline(always)]
fn named(dentry: u64) -> bool {
    let Some((leaf, length)) = name_key(dentry) else {
        return false;
    };
    let parent = field::<u64>(dentry, o::DENTRY_PARENT).and_then(name_key);
    let (parent, parent_length) = parent.unwrap_or((0, 0));
    let slot = if (length as usize) < LENGTHS {
        length as usize
    } else {
        LENGTHS - 1
    };
    let candidates = load!(SECRET_NAMES.by_leaf[(leaf & 255) as usize])
        & load!(SECRET_NAMES.by_parent[(parent & 255) as usize])
        & load!(SECRET_NAMES.by_length[slot & (LENGTHS - 1)]);
    // Most files are rejected here.
    if candidates == 0 {
        return false;
    }
    let mut names = SecretLookup {
        leaf,
        parent,
        candidates,
        length,
        parent_length,
        found: 0,
    };
    // SAFETY: `compare` has the signature that bpf_loop requires; the structure outlives the loop.
    unsafe {
        bpf_loop(
            NAMES_MAX as u32,
            compare as *mut c_void,
            (&raw mut names).cast(),
            0,
        )
    };
    // SAFETY: the loop may have written it.
    unsafe { core::ptr::read_volatile(&raw const names.found) != 0 }
}
