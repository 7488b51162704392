//! Processes that entered a container's namespaces from the host before watching began, as `nsenter`
//! does: they are in no cgroup of the container.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::cgroup_directory::FoundContainer;
use super::proc_files::pids;
use super::snapshot::Membership;

/// Numbers of the mount and pid namespace of a process that are not this program's own.
#[must_use]
pub fn namespaces_of(pid: u32) -> Vec<u32> {
    let number = |of: &str, kind: &str| {
        let namespace = fs::metadata(format!("/proc/{of}/ns/{kind}")).ok()?;
        u32::try_from(namespace.ino()).ok()
    };
    ["mnt", "pid"]
        .into_iter()
        .filter_map(|kind| {
            let found = number(&pid.to_string(), kind)?;
            (number("self", kind) != Some(found)).then_some(found)
        })
        .collect()
}

/// The processes of no container that are in a namespace of one, by the numbers in `homes`.
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
    fn the_namespaces_of_this_program_tell_nothing() {
        assert!(namespaces_of(std::process::id()).is_empty());
        assert!(namespaces_of(u32::MAX).is_empty());
    }
}
