//! The capabilities this process holds, and those needed for watching.

/// A capability and its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NeededCapability {
    pub(super) name: &'static str,
    pub(super) bit: u32,
    /// The purpose that needs it.
    pub(super) purpose: &'static str,
    /// Nothing can be watched without it.
    pub(super) required: bool,
}

/// The capabilities needed for watching, most important first.
pub(super) const NEEDED: &[NeededCapability] = &[
    NeededCapability {
        name: "CAP_BPF",
        bit: 39,
        purpose: "load the kernel programs",
        required: true,
    },
    NeededCapability {
        name: "CAP_PERFMON",
        bit: 38,
        purpose: "attach them to tracepoints",
        required: true,
    },
    NeededCapability {
        name: "CAP_NET_ADMIN",
        bit: 12,
        purpose: "see DNS answers",
        required: false,
    },
    NeededCapability {
        name: "CAP_SYS_PTRACE",
        bit: 19,
        purpose: "describe processes and sockets that existed before",
        required: false,
    },
    NeededCapability {
        name: "CAP_DAC_READ_SEARCH",
        bit: 2,
        purpose: "compare files with the image",
        required: false,
    },
];

const CAP_SYS_ADMIN: u32 = 21;

/// The effective capabilities of this process, one bit each.
pub(super) fn effective() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

/// Those of [`NEEDED`] that `effective` lacks. `CAP_SYS_ADMIN` includes BPF and PERFMON.
pub(super) fn missing(effective: u64) -> impl Iterator<Item = &'static NeededCapability> {
    let has = move |bit: u32| effective >> bit & 1 == 1;
    NEEDED
        .iter()
        .filter(move |n| !(has(n.bit) || n.required && has(CAP_SYS_ADMIN)))
}

/// Whether this process may read containers' files, and the layers' attributes.
pub(super) fn may_read_files() -> bool {
    let has = |bit: u32| effective() >> bit & 1 == 1;
    // Overlay keeps what it notes about files in attributes that only CAP_SYS_ADMIN may read.
    has(2) && has(CAP_SYS_ADMIN)
}

/// The error message for a process that may not watch; `None` when it may.
pub(super) fn refusal() -> Option<String> {
    let missing: Vec<_> = missing(effective()).filter(|n| n.required).collect();
    if missing.is_empty() {
        return None;
    }
    let all: Vec<_> = NEEDED.iter().map(|n| n.name).collect();
    Some(format!(
        "watching containers needs root (try sudo hullwatch) or the capabilities {}; \
         hullwatch demo and hullwatch replay FILE need no privileges",
        all.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sys_admin_includes_the_newer_capabilities() {
        let names = |effective| missing(effective).map(|n| n.name).collect::<Vec<_>>();
        assert!(names(u64::MAX).is_empty());
        assert_eq!(names(0).len(), NEEDED.len());
        assert_eq!(
            names(1 << 21),
            ["CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]
        );
    }
}
