//! Processes that entered a container's namespaces from the host before watching began, as `nsenter`
//! does: they are in no cgroup of the container.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::LazyLock;

use super::cgroup_directory::FoundContainer;
use super::proc_files::pids;
use super::snapshot::Membership;

/// A namespace of the kernel by which a process is in a container, with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KernelNamespace {
    /// Its mounts.
    Mount(u32),
    /// Its processes.
    Pid(u32),
}

/// The mount and the pid namespace of a process, without those of this program.
#[must_use]
pub fn namespaces_of(pid: u32) -> Vec<KernelNamespace> {
    static OWN: LazyLock<[Option<KernelNamespace>; 2]> = LazyLock::new(|| of("self"));
    let found = of(&pid.to_string()).into_iter().zip(*OWN);
    found
        .filter_map(|(found, own)| found.filter(|_| found != own))
        .collect()
}

fn of(process: &str) -> [Option<KernelNamespace>; 2] {
    [
        number(process, "mnt").map(KernelNamespace::Mount),
        number(process, "pid").map(KernelNamespace::Pid),
    ]
}

fn number(process: &str, kind: &str) -> Option<u32> {
    let namespace = fs::metadata(format!("/proc/{process}/ns/{kind}")).ok()?;
    u32::try_from(namespace.ino()).ok()
}

/// Processes outside of every container's cgroup that are in a namespace of a container in `homes`.
#[must_use]
pub fn find<'a>(
    membership: &Membership<'_>,
    homes: &BTreeMap<KernelNamespace, &'a FoundContainer>,
) -> Vec<(u32, &'a FoundContainer)> {
    if homes.is_empty() {
        return Vec::new();
    }
    let found = pids().into_iter().filter_map(|pid| {
        let home = namespaces_of(pid)
            .iter()
            .find_map(|namespace| homes.get(namespace).copied())?;
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
