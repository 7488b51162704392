//! System call tables of this machine, written into the kernel programs before they load.

use hullwatch_abi::secret::{SecretKey, SecretNames};
use hullwatch_abi::{class, compat, file, net, privilege, uring};

use super::ProbeError;
use crate::catalog::secrets;

/// How many system call numbers a table covers.
pub const CALLS: usize = 512;

/// For the kernel's `FILE_SHAPES`: the packed shape of each file call, 0 for every other.
#[must_use]
pub fn file_shapes() -> [u32; CALLS] {
    let shapes = if cfg!(target_arch = "aarch64") {
        file::AARCH64
    } else {
        file::X86_64
    };
    let mut table = [0; CALLS];
    for (number, shape) in shapes {
        table[usize::from(*number)] = shape.pack();
    }
    table
}

/// For the kernel's `PRIVILEGE_CALLS`: place in [`privilege::CALLS`] plus one, 0 for every other.
#[must_use]
pub fn privilege_calls() -> [u8; CALLS] {
    let mut table = [0; CALLS];
    for (place, call) in (1..).zip(privilege::CALLS) {
        let number = if cfg!(target_arch = "aarch64") {
            call.aarch64
        } else {
            call.x86_64
        };
        if let Some(number) = number {
            table[usize::from(number)] = place;
        }
    }
    table
}

/// For the kernel's `NET_CALLS`: the operation of each socket call, 0 for every other.
#[must_use]
pub fn net_calls() -> [u8; CALLS] {
    let calls = if cfg!(target_arch = "aarch64") {
        net::AARCH64
    } else {
        net::X86_64
    };
    let mut table = [0; CALLS];
    for (number, operation) in calls {
        table[usize::from(*number)] = *operation;
    }
    table
}

/// For the kernel's `RING_CALLS`: number of the native call for each request of `io_uring`, 0 for
/// one that is not watched.
#[must_use]
pub fn ring_calls() -> [u16; uring::OPCODES] {
    let mut table = [0; uring::OPCODES];
    for (opcode, x86_64, aarch64) in uring::REQUESTS {
        table[usize::from(*opcode)] = if cfg!(target_arch = "aarch64") {
            *aarch64
        } else {
            *x86_64
        };
    }
    table
}

/// For the kernel's `REGS`: the offsets of a call's number and six arguments in `struct pt_regs`,
/// in bytes. The result replaces the first argument on aarch64, so that is read from the kernel's
/// copy of the original.
#[must_use]
pub fn registers() -> [u32; 7] {
    if cfg!(target_arch = "aarch64") {
        // syscallno, orig_x0, x1 to x5.
        [280, 272, 8, 16, 24, 32, 40]
    } else {
        // orig_rax, rdi, rsi, rdx, r10, r8, r9.
        [120, 112, 104, 96, 56, 72, 64]
    }
}

/// For the kernel's `MEMORY_CALLS`: 1 for each call in which the kernel checks a capability only
/// to reserve memory.
#[must_use]
pub fn memory_calls() -> [u8; CALLS] {
    let numbers: &[usize] = if cfg!(target_arch = "aarch64") {
        // brk, mremap, clone, execve, mmap, mprotect, execveat, clone3.
        &[214, 216, 220, 221, 222, 226, 281, 435]
    } else {
        // mmap, mprotect, brk, mremap, clone, fork, vfork, execve, execveat, clone3.
        &[9, 10, 12, 25, 56, 57, 58, 59, 322, 435]
    };
    let mut table = [0; CALLS];
    for number in numbers {
        table[*number] = 1;
    }
    table
}

/// For the kernel's `SECRET_NAMES`: the names of secret files, of which each is listed once.
///
/// # Errors
/// When the catalogue has more than the kernel programs can hold.
pub fn secret_names() -> Result<Box<SecretNames>, ProbeError> {
    let mut keys: Vec<SecretKey> = Vec::new();
    for name in secrets::kernel_names() {
        let key = SecretKey::new(name.parent, name.leaf);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    SecretNames::new(keys)
        .map(Box::new)
        .ok_or_else(|| ProbeError::Load("too many names of secret files".to_owned()))
}

/// For the kernel's `CLASSES`: the class of each call, 0 for one that is not watched.
#[must_use]
pub fn classes() -> [u8; CALLS] {
    let mut table = [0; CALLS];
    for (number, (shape, call)) in file_shapes().into_iter().zip(privilege_calls()).enumerate() {
        if call == privilege::id::SETNS + 1 {
            table[number] = class::ENTER;
        } else if call != 0 {
            table[number] = class::PRIVILEGE;
        } else if shape != 0 {
            table[number] = file::Shape::unpack(shape).class();
        }
    }
    for (number, operation) in net_calls().into_iter().enumerate() {
        if operation != 0 {
            table[number] = class::NET;
        }
    }
    for (number, _) in compat_list() {
        table[usize::from(*number)] |= class::WATCHED32;
    }
    table
}

fn compat_list() -> &'static [compat::CompatCall] {
    if cfg!(target_arch = "aarch64") {
        compat::ARM
    } else {
        compat::I386
    }
}

/// For the kernel's `COMPAT_CALLS`: the entry of each 32-bit call, 0 for every other.
#[must_use]
pub fn compat_calls() -> [u16; CALLS] {
    let mut table = [0; CALLS];
    for (number, entry) in compat_list() {
        table[usize::from(*number)] = *entry;
    }
    table
}

/// For the kernel's `COMPAT_REGS`: the offsets of the six arguments of a 32-bit call in `struct
/// pt_regs`, in bytes.
#[must_use]
pub fn compat_registers() -> [u32; 6] {
    if cfg!(target_arch = "aarch64") {
        // orig_x0, x1 to x5.
        [272, 8, 16, 24, 32, 40]
    } else {
        // rbx, rcx, rdx, rsi, rdi, rbp.
        [40, 88, 96, 104, 112, 32]
    }
}

/// For the kernel's `COMPAT_BIT`: `TIF_32BIT` on Arm, `TS_COMPAT` on x86.
#[must_use]
pub fn compat_bit() -> u32 {
    if cfg!(target_arch = "aarch64") {
        1 << 22
    } else {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_name_has_its_place_in_the_kernels_table() {
        let table = secret_names().unwrap();
        for name in secrets::kernel_names() {
            let key = SecretKey::new(name.parent, name.leaf);
            let place = table.keys.iter().position(|other| *other == key).unwrap();
            let first = |name: &[u8]| usize::from(name[0]);
            let longest = name.leaf.len().min(hullwatch_abi::secret::LENGTHS - 1);
            let sets = [
                table.by_leaf[first(name.leaf)],
                table.by_parent[first(name.parent)],
                table.by_length[longest],
            ];
            for set in sets {
                assert!(set >> place & 1 == 1, "{name:?}");
            }
        }
        assert_eq!(
            table.by_leaf[usize::from(b'.')] & table.by_parent[0] & table.by_length[3],
            0
        );
    }

    #[test]
    fn a_32_bit_call_maps_to_a_watched_call_or_one_that_reserves_memory() {
        let (classes, memory) = (classes(), memory_calls());
        for (number, entry) in compat_list() {
            let native = usize::from(entry & compat::NUMBER);
            assert!(usize::from(*number) < CALLS);
            assert_ne!(classes[usize::from(*number)] & class::WATCHED32, 0);
            if entry & compat::SOCKETCALL == 0 {
                let watched = classes[native] & class::CLASS != 0;
                assert!(watched || memory[native] != 0, "{number} maps to {native}");
            }
        }
        let by_number: std::collections::BTreeSet<u16> =
            compat_list().iter().map(|(number, _)| *number).collect();
        assert_eq!(by_number.len(), compat_list().len());
    }

    /// Every watched call that i386 has is listed, so that none can be made unseen.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_watched_call_has_its_32_bit_twin() {
        // kexec_file_load and the calls of x86_64 alone: i386 has none of them.
        let none = [320];
        let sockets: Vec<u16> = compat::SOCKET_CALLS.to_vec();
        for (number, flags) in classes().into_iter().enumerate() {
            let number = u16::try_from(number).unwrap();
            let twin = compat::narrow::TWINS.iter().find(|twin| twin.0 == number);
            let twin = twin.map_or(number, |twin| twin.1);
            let listed = compat_list()
                .iter()
                .any(|(_, entry)| entry & compat::NUMBER == twin)
                || sockets.contains(&number);
            assert!(
                flags & class::CLASS == 0 || listed || none.contains(&number),
                "{number} has no 32-bit number"
            );
        }
    }

    #[test]
    fn a_request_of_a_ring_maps_to_a_call_that_has_a_program() {
        let classes = classes();
        for number in ring_calls().into_iter().filter(|number| *number != 0) {
            let class = classes[usize::from(number)] & class::CLASS;
            assert!(
                [class::FILE, class::NET, class::ATTRIBUTE].contains(&class),
                "{number}"
            );
        }
    }

    #[test]
    fn no_call_is_of_two_classes() {
        let privileged = privilege_calls();
        for (number, operation) in net_calls().into_iter().enumerate() {
            let other = privileged[number] != 0 || file_shapes()[number] != 0;
            assert!(operation == 0 || !other, "{number}");
        }
        for (number, shape) in file_shapes().into_iter().enumerate() {
            assert!(shape == 0 || privileged[number] == 0, "{number}");
        }
        assert_eq!(
            privileged.iter().filter(|place| **place != 0).count(),
            privilege::CALLS
                .iter()
                .filter(|c| if cfg!(target_arch = "aarch64") {
                    c.aarch64.is_some()
                } else {
                    c.x86_64.is_some()
                })
                .count()
        );
    }
}
