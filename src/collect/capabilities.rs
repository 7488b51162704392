//! Drops capabilities once the probes are attached.
//!
//! Data from containers is decoded, compared and drawn only after that. Attaching needs CAP_PERFMON
//! and CAP_NET_ADMIN; what stays attached needs neither. Then seccomp restricts the system calls, and
//! Landlock the changes of files, where the kernel has them.

use rustix::thread::CapabilitySet;

use crate::system::{confine_calls, confine_files, keep_capabilities};

/// Capabilities needed while watching.
const KEPT: CapabilitySet = CapabilitySet::BPF
    // Facts of processes, and files as they see them.
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    // Overlay's extended attributes, which need this capability.
    .union(CapabilitySet::SYS_ADMIN)
    // The engine's socket.
    .union(CapabilitySet::DAC_OVERRIDE);

/// Drops, for this thread and those it starts from now on, every capability that watching does not
/// need, the possibility to regain one by executing a program, and the calls that watching does not
/// need. The thread that opens the user's files must run already.
pub fn give_up() {
    // Dropping cannot be refused; if it were, watching would continue as before.
    let _ = keep_capabilities(KEPT);
    if let Err(why) = confine_calls() {
        tracing::warn!(why, "seccomp is not in force");
    }
}

/// Drops, for this thread and those it starts from now on, the rights that only threads need which
/// read containers' processes. The screen, rules and recorder need none of them.
pub fn give_up_files() {
    if let Err(why) = confine_files() {
        tracing::warn!(why, "Landlock is not in force");
    }
}

/// Drops all rights: for a thread that only waits and ends others.
pub fn give_up_everything() {
    let _ = keep_capabilities(CapabilitySet::empty());
    let _ = confine_calls();
    give_up_files();
}

#[cfg(test)]
mod tests {
    use rustix::thread::capabilities;

    use super::*;

    #[test]
    fn nothing_but_what_is_needed_is_left() {
        // In a thread of its own, since the other tests need their rights.
        let left = std::thread::spawn(|| {
            give_up();
            let inherited = std::thread::spawn(|| capabilities(None).unwrap());
            inherited.join().unwrap()
        });
        let left = left.join().unwrap();
        assert!(KEPT.contains(left.permitted), "{:?}", left.permitted);
        assert!(left.inheritable.is_empty());
        let here = capabilities(None).unwrap();
        let had = here.permitted & KEPT;
        assert_eq!(left.permitted, had);
    }
}
