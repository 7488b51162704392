//! Recognises containers that a runtime is still setting up when watching them begins: the runtime's
//! work is not the container's.
//!
//! The kernel programs see a runtime's process join the container's cgroup, and know it by that.
//! One that joined before they were attached, or before the cgroup's name was read, differs from the container's own processes in
//! properties that it cannot choose: it is young, its parent is in no container, and its program is
//! not of the container's file systems.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use super::snapshot::{FoundProcess, Membership};
use crate::event::Timestamp;

/// No set-up takes longer.
const YOUNG: Duration = Duration::from_secs(10);

/// Whether this process still does the runtime's work.
#[must_use]
pub fn is_runtime(found: &FoundProcess, membership: &Membership<'_>, now: Timestamp) -> bool {
    found.container.is_some()
        && found.process.started >= now.minus(YOUNG)
        && membership.of(found.process.ppid).is_none()
        && foreign(found.pid, &found.process.comm)
}

/// Whether this process of a container that was made just now still does the runtime's work.
#[must_use]
pub fn sets_up(pid: u32) -> bool {
    let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    foreign(pid, &comm)
}

/// Whether the program is not the container's: the process still has the host's root, or a
/// runtime's name and a program of another file system than its root.
fn foreign(pid: u32, comm: &[u8]) -> bool {
    let Ok(root) = fs::metadata(format!("/proc/{pid}/root")) else {
        return false;
    };
    if fs::metadata("/proc/self/root").is_ok_and(|own| same(&own, &root)) {
        return true;
    }
    // A process may choose such a name, but not the file system of its program; and with a program
    // on a volume it would have to be the first process of its container, too.
    let named = comm.starts_with(b"runc") || comm.starts_with(b"crun");
    named && fs::metadata(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.dev() != root.dev())
}

fn same(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::CgroupDirectory;
    use crate::event::{ContainerId, Process};

    #[test]
    fn a_process_with_the_hosts_root_sets_up() {
        assert!(sets_up(std::process::id()));
        assert!(!sets_up(0), "gone");
    }

    #[test]
    fn a_runtime_is_young_from_outside_and_has_a_foreign_root() {
        let now = Timestamp(100_000_000_000);
        let found = |pid, age: u64, container: Option<&str>| FoundProcess {
            container: container.map(ContainerId::new),
            pid,
            nspid: 1,
            process: Process {
                // The parent of this test is in no container that it could recognise.
                ppid: 1,
                started: now.minus(Duration::from_secs(age)),
                ..Process::default()
            },
        };
        let own = std::process::id();
        let none = CgroupDirectory::default();
        let membership = Membership::new(&none);
        if membership.of(1).is_some() {
            return;
        }
        assert!(is_runtime(&found(own, 1, Some("a")), &membership, now));
        assert!(
            !is_runtime(&found(own, 11, Some("a")), &membership, now),
            "old"
        );
        assert!(
            !is_runtime(&found(own, 1, None), &membership, now),
            "the host's"
        );
        assert!(
            !is_runtime(&found(0, 1, Some("a")), &membership, now),
            "gone"
        );
    }
}
