//! The capabilities that each response needs, and no more.

use rustix::thread::CapabilitySet;

use super::suggestion::ResponseWork;
use crate::system::keep_capabilities;

/// Capabilities that any response may need.
pub(super) const ANY: CapabilitySet = ENGINE.union(KILL).union(FILES).union(NETWORK);
/// An engine's socket that belongs to another user.
const ENGINE: CapabilitySet = CapabilitySet::DAC_OVERRIDE;
/// A signal to a process of any user.
const KILL: CapabilitySet = CapabilitySet::KILL.union(CapabilitySet::SYS_PTRACE);
/// Files of any user, and the root directory and program of a process.
const FILES: CapabilitySet = CapabilitySet::DAC_READ_SEARCH.union(CapabilitySet::SYS_PTRACE);
/// Joining a network namespace, its rules and its packets.
const NETWORK: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::NET_RAW);

/// The capabilities that this work needs.
pub(super) fn needed(work: &ResponseWork) -> CapabilitySet {
    match work {
        ResponseWork::Commands(_, None) => ENGINE,
        ResponseWork::Commands(_, Some(_)) | ResponseWork::Output(..) => NETWORK,
        ResponseWork::Kill(_) => KILL,
        ResponseWork::CopyOut(_) => FILES,
        ResponseWork::ByHand(_) => CapabilitySet::empty(),
    }
}

/// Keeps only these of the calling thread's capabilities, also for programs it starts.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn keep(wanted: CapabilitySet) -> Result<(), String> {
    keep_capabilities(wanted).map_err(|error| format!("dropping privileges: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::process::run;
    use crate::response::{CommandLine, FileSources};

    #[test]
    fn programs_get_what_their_response_needs_and_no_more() {
        let held = |work: ResponseWork| {
            let line = CommandLine::new(["grep", "CapEff", "/proc/self/status"]);
            let thread = std::thread::spawn(move || {
                keep(ANY)?;
                keep(needed(&work))?;
                run(&line, None, std::time::Duration::from_secs(10))
            });
            let line = thread.join().unwrap().unwrap();
            let hex = line.rsplit(['\t', ' ']).next().unwrap().to_owned();
            u64::from_str_radix(&hex, 16).unwrap()
        };
        let engine = held(ResponseWork::Commands(Vec::new(), None));
        assert_eq!(engine & !ENGINE.bits(), 0);
        let copy = held(ResponseWork::CopyOut(FileSources::default()));
        assert_eq!(copy & !FILES.bits(), 0);
        if rustix::process::geteuid().is_root() {
            assert_eq!(engine, ENGINE.bits());
            assert_eq!(copy, FILES.bits());
        }
    }
}
