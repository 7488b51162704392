//! Names of the kernel's numbers: clone and mount flags, ptrace requests.

/// Flags of clone, unshare and setns that make or join a namespace.
pub const NAMESPACES: &[(u64, &str)] = &[
    (0x80, "CLONE_NEWTIME"),
    (0x2_0000, "CLONE_NEWNS"),
    (0x0200_0000, "CLONE_NEWCGROUP"),
    (0x0400_0000, "CLONE_NEWUTS"),
    (0x0800_0000, "CLONE_NEWIPC"),
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
];

/// Other flags `unshare` takes.
pub const UNSHARE: &[(u64, &str)] = &[
    (0x100, "CLONE_VM"),
    (0x200, "CLONE_FS"),
    (0x400, "CLONE_FILES"),
    (0x800, "CLONE_SIGHAND"),
    (0x1_0000, "CLONE_THREAD"),
    (0x4_0000, "CLONE_SYSVSEM"),
];

/// Flags of `mount`.
pub const MOUNT: &[(u64, &str)] = &[
    (1, "MS_RDONLY"),
    (2, "MS_NOSUID"),
    (4, "MS_NODEV"),
    (8, "MS_NOEXEC"),
    (16, "MS_SYNCHRONOUS"),
    (32, "MS_REMOUNT"),
    (0x1000, "MS_BIND"),
    (0x2000, "MS_MOVE"),
    (0x4000, "MS_REC"),
    (0x8000, "MS_SILENT"),
    (0x2_0000, "MS_UNBINDABLE"),
    (0x4_0000, "MS_PRIVATE"),
    (0x8_0000, "MS_SLAVE"),
    (0x10_0000, "MS_SHARED"),
    (0x20_0000, "MS_RELATIME"),
    (0x100_0000, "MS_STRICTATIME"),
];

/// Flags of `umount2`.
pub const UMOUNT: &[(u64, &str)] = &[
    (1, "MNT_FORCE"),
    (2, "MNT_DETACH"),
    (4, "MNT_EXPIRE"),
    (8, "UMOUNT_NOFOLLOW"),
];

/// Flags of `memfd_create`.
pub const MEMFD: &[(u64, &str)] = &[
    (1, "MFD_CLOEXEC"),
    (2, "MFD_ALLOW_SEALING"),
    (4, "MFD_HUGETLB"),
    (8, "MFD_NOEXEC_SEAL"),
    (16, "MFD_EXEC"),
];

/// Flags of an inode, as `chattr` sets them.
pub const INODE_FLAGS: &[(u64, &str)] = &[
    (0x1, "secure-deletion"),
    (0x2, "undeletable"),
    (0x4, "compressed"),
    (0x8, "synchronous"),
    (0x10, "immutable"),
    (0x20, "append-only"),
    (0x40, "no-dump"),
    (0x80, "no-atime"),
    (0x80000, "extents"),
    (0x80_0000, "no-copy-on-write"),
];

/// Inode flags, as XFS numbers them.
pub const INODE_XFLAGS: &[(u64, &str)] = &[
    (0x8, "immutable"),
    (0x10, "append-only"),
    (0x20, "synchronous"),
    (0x40, "no-atime"),
    (0x80, "no-dump"),
];

const PTRACE: &[(u64, &str)] = &[
    (0, "PTRACE_TRACEME"),
    (1, "PTRACE_PEEKTEXT"),
    (2, "PTRACE_PEEKDATA"),
    (3, "PTRACE_PEEKUSER"),
    (4, "PTRACE_POKETEXT"),
    (5, "PTRACE_POKEDATA"),
    (6, "PTRACE_POKEUSER"),
    (7, "PTRACE_CONT"),
    (8, "PTRACE_KILL"),
    (9, "PTRACE_SINGLESTEP"),
    (12, "PTRACE_GETREGS"),
    (13, "PTRACE_SETREGS"),
    (16, "PTRACE_ATTACH"),
    (17, "PTRACE_DETACH"),
    (24, "PTRACE_SYSCALL"),
    (0x4200, "PTRACE_SETOPTIONS"),
    (0x4204, "PTRACE_GETREGSET"),
    (0x4205, "PTRACE_SETREGSET"),
    (0x4206, "PTRACE_SEIZE"),
    (0x4207, "PTRACE_INTERRUPT"),
];

const BPF: [&str; 37] = [
    "MAP_CREATE",
    "MAP_LOOKUP_ELEM",
    "MAP_UPDATE_ELEM",
    "MAP_DELETE_ELEM",
    "MAP_GET_NEXT_KEY",
    "PROG_LOAD",
    "OBJ_PIN",
    "OBJ_GET",
    "PROG_ATTACH",
    "PROG_DETACH",
    "PROG_TEST_RUN",
    "PROG_GET_NEXT_ID",
    "MAP_GET_NEXT_ID",
    "PROG_GET_FD_BY_ID",
    "MAP_GET_FD_BY_ID",
    "OBJ_GET_INFO_BY_FD",
    "PROG_QUERY",
    "RAW_TRACEPOINT_OPEN",
    "BTF_LOAD",
    "BTF_GET_FD_BY_ID",
    "TASK_FD_QUERY",
    "MAP_LOOKUP_AND_DELETE_ELEM",
    "MAP_FREEZE",
    "BTF_GET_NEXT_ID",
    "MAP_LOOKUP_BATCH",
    "MAP_LOOKUP_AND_DELETE_BATCH",
    "MAP_UPDATE_BATCH",
    "MAP_DELETE_BATCH",
    "LINK_CREATE",
    "LINK_UPDATE",
    "LINK_GET_FD_BY_ID",
    "LINK_GET_NEXT_ID",
    "ENABLE_STATS",
    "ITER_CREATE",
    "LINK_DETACH",
    "PROG_BIND_MAP",
    "TOKEN_CREATE",
];

const KEYCTL: [&str; 8] = [
    "KEYCTL_GET_KEYRING_ID",
    "KEYCTL_JOIN_SESSION_KEYRING",
    "KEYCTL_UPDATE",
    "KEYCTL_REVOKE",
    "KEYCTL_CHOWN",
    "KEYCTL_SETPERM",
    "KEYCTL_DESCRIBE",
    "KEYCTL_CLEAR",
];

/// Name of a ptrace request.
#[must_use]
pub fn ptrace(request: u64) -> String {
    PTRACE
        .iter()
        .find(|(number, _)| *number == request)
        .map_or_else(
            || format!("PTRACE_{request:#x}"),
            |(_, name)| (*name).to_owned(),
        )
}

/// Name of a bpf command.
#[must_use]
pub fn bpf(command: u64) -> String {
    usize::try_from(command)
        .ok()
        .and_then(|n| BPF.get(n))
        .map_or_else(|| format!("BPF_{command}"), |name| format!("BPF_{name}"))
}

/// Name of a keyctl operation.
#[must_use]
pub fn keyctl(operation: u64) -> String {
    usize::try_from(operation)
        .ok()
        .and_then(|n| KEYCTL.get(n))
        .map_or_else(|| format!("KEYCTL_{operation}"), |name| (*name).to_owned())
}

/// The set flags joined by `|`, lowest first; bits without a name as one hexadecimal rest.
#[must_use]
pub fn flags(value: u64, names: &[(u64, &str)]) -> String {
    let mut left = value;
    let mut parts = Vec::new();
    for (bit, name) in names {
        if left & bit != 0 {
            parts.push((*name).to_owned());
            left &= !bit;
        }
    }
    if left != 0 {
        parts.push(format!("{left:#x}"));
    }
    parts.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        assert_eq!(ptrace(0x4206), "PTRACE_SEIZE");
        assert_eq!(bpf(5), "BPF_PROG_LOAD");
        assert_eq!(bpf(28), "BPF_LINK_CREATE");
        assert_eq!(keyctl(1), "KEYCTL_JOIN_SESSION_KEYRING");
        assert_eq!(keyctl(11), "KEYCTL_11");
    }

    #[test]
    fn flags_keep_what_has_no_name() {
        assert_eq!(
            flags(0x1000_0000 | 0x2_0000, NAMESPACES),
            "CLONE_NEWNS|CLONE_NEWUSER"
        );
        assert_eq!(flags(0x1000 | 0x8000_0000, MOUNT), "MS_BIND|0x80000000");
        assert_eq!(flags(0, MOUNT), "");
    }
}
