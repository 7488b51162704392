//! Pid namespaces, by which containers are known that have no cgroup of their own.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use hullwatch_abi::header::PID_NAMESPACE;
use procfs::process::{Process, StatFlags};

use super::proc_files::{pids, status_field};

/// Whether the kernel programs report this number in place of a cgroup: a pid namespace.
#[must_use]
pub fn is_namespace(place: u64) -> bool {
    place & PID_NAMESPACE != 0
}

/// The pid namespace of a process, in the kernel programs' encoding; `None` when the process has
/// ended or is in this program's own.
#[must_use]
pub fn namespace_of(pid: u32) -> Option<u64> {
    let number = |of: &str| {
        let meta = fs::metadata(format!("/proc/{of}/ns/pid")).ok()?;
        Some(PID_NAMESPACE | meta.ino())
    };
    let found = number(&pid.to_string())?;
    (number("self") != Some(found)).then_some(found)
}

/// Host pids of the processes in a namespace.
#[must_use]
pub fn members_of(namespace: u64) -> Vec<u32> {
    let all = pids().into_iter();
    all.filter(|pid| namespace_of(*pid) == Some(namespace))
        .collect()
}

/// Whether the kernel will still report the end of the namespace's first process, and with it that
/// the namespace's number may be reused; `pid` is one of its processes. That report is made when
/// the process has the flag `PF_EXITING`, and before it leaves its namespaces.
#[must_use]
pub fn will_end(namespace: u64, pid: u32) -> bool {
    let is_inside = |pid: u32| namespace_of(pid) == Some(namespace);
    if !is_inside(pid) {
        // Another namespace may have the number already.
        return false;
    }
    let is_first = |pid: &u32| in_namespace(*pid).is_some_and(|pids| pids.last() == Some(&1));
    let first = match is_first(&pid) {
        true => Some(pid),
        false => members_of(namespace).into_iter().find(is_first),
    };
    first.is_some_and(|first| !is_exiting(first) && is_inside(first))
}

fn is_exiting(pid: u32) -> bool {
    let flags = || {
        let process = Process::new(i32::try_from(pid).ok()?).ok()?;
        Some(process.stat().ok()?.flags)
    };
    // They cannot be read after its end.
    flags().is_none_or(|flags| flags & StatFlags::PF_EXITING.bits() != 0)
}

/// The pids of a process, from the host's namespace to its own.
pub(super) fn in_namespace(pid: u32) -> Option<Vec<u32>> {
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let pids = status_field(&status, "NSpid")?.split_ascii_whitespace();
    Some(pids.filter_map(|pid| pid.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_is_exiting() {
        assert!(!is_exiting(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        // A process that is not reaped yet has all of its files in /proc.
        let ended = || fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        while !ended().contains(") Z") {}
        assert!(is_exiting(child.id()));
        child.wait().unwrap();
        assert!(is_exiting(child.id()));
    }

    #[test]
    fn this_process_is_in_the_hosts_namespace() {
        assert_eq!(namespace_of(std::process::id()), None);
        assert_eq!(namespace_of(u32::MAX), None);
        assert!(!will_end(PID_NAMESPACE | 1, std::process::id()));
        let own = in_namespace(std::process::id()).unwrap();
        assert!(own.contains(&std::process::id()));
        assert!(is_namespace(PID_NAMESPACE | 4_026_531_836) && !is_namespace(1 << 40));
    }
}
