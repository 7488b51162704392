//! Processes that entered a container's namespaces from the host before watching began, as `nsenter`
//! does: they are in no cgroup of the container.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::LazyLock;

use super::cgroup_directory::FoundContainer;
use super::proc_files::pids;
use super::snapshot::Membership;

/// Kinds of namespaces by which a process is in a container.
const KINDS: [&str; 2] = ["mnt", "pid"];

/// Numbers of the mount and pid namespace of a process that are not this program's own.
#[must_use]
pub fn namespaces_of(pid: u32) -> Vec<u32> {
    static OWN: LazyLock<[Option<u32>; 2]> =
        LazyLock::new(|| KINDS.map(|kind| number("self", kind)));
    let pid = pid.to_string();
    let found = KINDS.map(|kind| number(&pid, kind));
    let others = found.into_iter().zip(*OWN);
    others
        .filter_map(|(found, own)| found.filter(|_| found != own))
        .collect()
}

fn number(process: &str, kind: &str) -> Option<u32> {
    let namespace = fs::metadata(format!("/proc/{process}/ns/{kind}")).ok()?;
    u32::try_from(namespace.ino()).ok()
}

/// Processes outside of every container's cgroup that are in a namespace of a container in `homes`.
#[must_use]
pub fn find<'a>(
    membership: &Membership<'_>,
    homes: &BTreeMap<u32, &'a FoundContainer>,
) -> Vec<(u32, &'a FoundContainer)> {
    if homes.is_empty() {
        return Vec::new();
    }
    let found = pids().into_iter().filter_map(|pid| {
        let home = namespaces_of(pid)
            .iter()
            .find_map(|number| homes.get(number).copied())?;
        membership.of(pid).is_none().then_some((pid, home))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_namespaces_and_missing_processes_give_none() {
        assert!(namespaces_of(std::process::id()).is_empty());
        assert!(namespaces_of(u32::MAX).is_empty());
    }
}
