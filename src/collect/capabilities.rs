//! Drops capabilities once the probes are attached.
//!
//! Data from containers is decoded, compared and drawn only after that. Attaching needs CAP_PERFMON
//! and CAP_NET_ADMIN; what stays attached needs neither.

use rustix::thread::CapabilitySet;

use crate::system::keep_capabilities;

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
/// need, and prevents regaining one by running a program.
pub fn give_up() {
    // Dropping cannot be refused; if it were, watching would continue as before.
    let _ = keep_capabilities(KEPT);
}

#[cfg(test)]
mod tests {
    use rustix::thread::capabilities;

    use super::*;

    #[test]
    fn nothing_but_what_is_needed_is_left() {
        // In a thread of its own: the other tests need theirs.
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
