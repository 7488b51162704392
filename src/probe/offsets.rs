//! Offsets, in structures of the running kernel, of the fields that the kernel programs read.

use std::path::Path;

use hullwatch_abi::offsets::{self as o, ABSENT, COUNT, FIELDS, Field};

use super::ProbeError;
use super::type_info::{Structures, TypeInfo};

/// Type information of the overlay file system where it is a loaded module.
const OVERLAY: &str = "/sys/kernel/btf/overlay";

/// The helper that walks paths (5.17; some distributions' older kernels have it as well).
const LOOP: &str = "BPF_FUNC_loop";

/// Offset of each of [`FIELDS`] in bytes, and the optional ones that are missing.
pub(super) struct Offsets {
    pub(super) table: [u32; COUNT],
    pub(super) missing: Vec<String>,
}

/// Looks up every field.
///
/// # Errors
/// When a required field or helper is missing, or a module's type information cannot be read.
pub(super) fn resolve(kernel: &TypeInfo<'_>) -> Result<Offsets, ProbeError> {
    if !has_helper(kernel, LOOP) {
        return Err(ProbeError::MissingHelper {
            helper: "bpf_loop",
            since: "5.17",
            kernel: super::kernel_release(),
        });
    }
    let names = || FIELDS.iter().map(|field| field.structure);
    let structures = kernel.structures(names());
    if !Path::new(OVERLAY).exists() && find(&structures, &FIELDS[o::OVL_INODE]).is_none() {
        // The kernel loads the module, and with it its types, when the first container needs it.
        // Asking for the file system loads it, as the start of an engine does; where that is not
        // permitted, or there is no such module, the fields are reported as missing.
        let _ = rustix::mount::fsopen("overlay", rustix::mount::FsOpenFlags::FSOPEN_CLOEXEC);
    }
    let overlay = Path::new(OVERLAY)
        .exists()
        .then(|| TypeInfo::read(OVERLAY, Some(kernel)))
        .transpose()
        .map_err(|e| ProbeError::NoBtf(format!("{OVERLAY}: {e}")))?;
    let of_overlay = overlay.as_ref().map(|info| info.structures(names()));
    let mut offsets = Offsets {
        table: [ABSENT; COUNT],
        missing: Vec::new(),
    };
    for (place, field) in FIELDS.iter().enumerate() {
        let found =
            find(&structures, field).or_else(|| of_overlay.as_ref().and_then(|of| find(of, field)));
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
    // A kernel has one of two fields that identify a lower layer's file.
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

/// Whether the kernel's list of helpers names this one; a missing list proves nothing.
fn has_helper(kernel: &TypeInfo<'_>, helper: &str) -> bool {
    kernel
        .enumeration_has("bpf_func_id", helper)
        .unwrap_or(true)
}

fn find(structures: &Structures<'_>, field: &Field) -> Option<u32> {
    let mut names = field.member.split('|');
    names.find_map(|member| structures.offset(field.structure, member))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel() -> TypeInfo<'static> {
        TypeInfo::read(super::super::type_info::KERNEL, None).unwrap()
    }

    #[test]
    fn knows_which_helpers_the_running_kernel_has() {
        let kernel = kernel();
        assert!(has_helper(&kernel, LOOP));
        assert!(!has_helper(&kernel, "BPF_FUNC_no_such_helper"));
    }

    #[test]
    fn finds_every_required_field_of_the_running_kernel() {
        let offsets = resolve(&kernel()).unwrap();
        // Fixed by the definition of the structure: the number follows nothing but the count.
        assert_ne!(offsets.table[o::TASK_TGID], offsets.table[o::TASK_PID]);
        assert_eq!(
            offsets.table[o::TASK_TGID],
            offsets.table[o::TASK_PID] + 4,
            "tgid follows pid in task_struct"
        );
    }
}
