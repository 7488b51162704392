//! Where the fields the kernel programs read lie in the structures of the running kernel.

use std::path::Path;

use btf_rs::{Btf, Type};
use hullwatch_abi::offsets::{self as o, ABSENT, COUNT, FIELDS, Field};

use super::ProbeError;

/// Type information of the running kernel.
const KERNEL: &str = "/sys/kernel/btf/vmlinux";
/// Type information of the overlay file system where it is a loaded module.
const OVERLAY: &str = "/sys/kernel/btf/overlay";

/// The helper that walks paths (5.17; some distributions' older kernels have it as well).
const LOOP: &str = "BPF_FUNC_loop";

/// Offset of each of [`FIELDS`] in bytes, and the optional ones that are missing.
pub(super) struct Offsets {
    pub(super) table: [u32; COUNT],
    pub(super) missing: Vec<String>,
}

/// Reads the kernel's type information once and drops it again.
pub(super) fn resolve() -> Result<Offsets, ProbeError> {
    let kernel = Btf::from_file(KERNEL).map_err(|e| ProbeError::NoBtf(e.to_string()))?;
    if !has_helper(&kernel, LOOP) {
        return Err(ProbeError::MissingHelper {
            helper: "bpf_loop",
            since: "5.17",
            kernel: super::kernel_release(),
        });
    }
    if !Path::new(OVERLAY).exists() && find(&kernel, &FIELDS[o::OVL_INODE]).is_none() {
        // The module is not loaded before the first container needs it, and its types come with
        // it. Asking for the file system has the kernel load it, as an engine's start does; where
        // that may not be, or there is none, the fields are missing and told to be.
        let _ = rustix::mount::fsopen("overlay", rustix::mount::FsOpenFlags::FSOPEN_CLOEXEC);
    }
    let overlay = Path::new(OVERLAY)
        .exists()
        .then(|| Btf::from_split_file(OVERLAY, &kernel))
        .transpose()
        .map_err(|e| ProbeError::NoBtf(format!("{OVERLAY}: {e}")))?;
    let mut offsets = Offsets {
        table: [ABSENT; COUNT],
        missing: Vec::new(),
    };
    for (place, field) in FIELDS.iter().enumerate() {
        let found =
            find(&kernel, field).or_else(|| overlay.as_ref().and_then(|btf| find(btf, field)));
        match found {
            Some(offset) => offsets.table[place] = offset,
            None if field.required => {
                return Err(ProbeError::MissingField {
                    structure: field.structure,
                    member: field.member,
                    kernel: super::kernel_release(),
                });
            }
            None => offsets.missing.push(name(place)),
        }
    }
    // Of the two ways to know a lower layer's file a kernel has one.
    let has = |field: usize| offsets.table[field] != ABSENT;
    if has(o::OVL_OE) && has(o::OE_LOWERS) || has(o::OVL_LOWER) {
        let ways = [o::OVL_OE, o::OE_LOWERS, o::OVL_LOWER].map(name);
        offsets.missing.retain(|missing| !ways.contains(missing));
    }
    Ok(offsets)
}

fn name(field: usize) -> String {
    format!("{}.{}", FIELDS[field].structure, FIELDS[field].member)
}

/// Whether the kernel's list of helpers names this one; a list that is not there is no proof.
fn has_helper(btf: &Btf, helper: &str) -> bool {
    let Ok(lists) = btf.resolve_types_by_name("bpf_func_id") else {
        return true;
    };
    lists.iter().all(|list| match list {
        Type::Enum(list) => list
            .members
            .iter()
            .any(|member| btf.resolve_name(member).is_ok_and(|name| name == helper)),
        _ => true,
    })
}

fn find(btf: &Btf, field: &Field) -> Option<u32> {
    field.member.split('|').find_map(|path| {
        btf.resolve_types_by_name(field.structure)
            .ok()?
            .into_iter()
            .find_map(|structure| {
                let mut offset = 0;
                let mut here = structure;
                for name in path.split('.') {
                    let (at, next) = member(btf, &here, name)?;
                    offset += at;
                    here = next;
                }
                Some(offset)
            })
    })
}

/// Offset and type of a member, also inside anonymous structures and unions.
fn member(btf: &Btf, of: &Type, name: &str) -> Option<(u32, Type)> {
    let (Type::Struct(structure) | Type::Union(structure)) = of else {
        return None;
    };
    for member_ in &structure.members {
        let member_name = btf.resolve_name(member_).unwrap_or_default();
        if member_name != name && !member_name.is_empty() {
            continue;
        }
        let mut kind = btf.resolve_chained_type(member_).ok()?;
        loop {
            kind = match &kind {
                Type::Typedef(t) => btf.resolve_chained_type(t).ok()?,
                Type::Const(t) | Type::Volatile(t) => btf.resolve_chained_type(t).ok()?,
                Type::TypeTag(t) => btf.resolve_chained_type(t).ok()?,
                _ => break,
            };
        }
        let at = member_.bit_offset() / 8;
        if member_name == name {
            return Some((at, kind));
        }
        if let Some((inner, kind)) = member(btf, &kind, name) {
            return Some((at + inner, kind));
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn knows_which_helpers_the_running_kernel_has() {
        let kernel = Btf::from_file(KERNEL).unwrap();
        assert!(has_helper(&kernel, LOOP));
        assert!(!has_helper(&kernel, "BPF_FUNC_no_such_helper"));
    }

    #[test]
    fn finds_every_required_field_of_the_running_kernel() {
        let offsets = resolve().unwrap();
        // Fixed by the definition of the structure: the number follows nothing but the count.
        assert_ne!(offsets.table[o::TASK_TGID], offsets.table[o::TASK_PID]);
        assert_eq!(
            offsets.table[o::TASK_TGID],
            offsets.table[o::TASK_PID] + 4,
            "tgid follows pid in task_struct"
        );
    }
}
