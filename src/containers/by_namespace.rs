//! Containers whose cgroup does not identify them: of plain runc and crun in any cgroup, of Podman
//! without cgroups, of `ctr run --cgroup`. They are known by their pid namespace, and by the
//! supervisor or the state file that names its runtime.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::cgroup_directory::{CgroupDirectory, FoundByNamespace, FoundContainer, members};
use super::cgroup_name;
use super::containerd_answer::{container_id, is_dockers};
use super::pid_namespace::{in_namespace, members_of, namespace_of};
use super::proc_files::pids;
use super::runtime_state;
use super::snapshot::Membership;
use super::supervisor::{self, Shim, Supervisor, SupervisorKind};
use crate::event::{ContainerId, Runtime};
use crate::system;

/// The container of this process, when a supervisor or a state file of its runtime names it.
#[must_use]
pub fn identify(pid: u32) -> Option<FoundByNamespace> {
    let namespace = namespace_of(pid)?;
    let (runtime, id) = named(pid, namespace)?;
    let init = match in_namespace(pid)?.last() {
        Some(1) => pid,
        _ => members_of(namespace)
            .into_iter()
            .find(|pid| in_namespace(*pid).is_some_and(|pids| pids.last() == Some(&1)))
            .unwrap_or(0),
    };
    let (cgroup, path) = own_cgroup(pid, namespace).unwrap_or((namespace, String::new()));
    Some(FoundByNamespace {
        container: FoundContainer {
            cgroup,
            id,
            runtime,
            path,
        },
        namespace,
        init,
    })
}

/// The container of a process that has ended, by its parent at that time: its supervisor, which
/// lives a little longer. `init` is the process if it was the container's first.
#[must_use]
pub fn identify_ended(namespace: u64, parent: u32, init: u32) -> Option<FoundByNamespace> {
    let (runtime, id) = by_supervisor(&supervisor::of_process(parent)?, namespace)?;
    Some(FoundByNamespace {
        container: FoundContainer {
            cgroup: namespace,
            id,
            runtime,
            path: String::new(),
        },
        namespace,
        init,
    })
}

/// The cgroups of this host, and its containers: those that a cgroup identifies, then the others.
#[must_use]
pub fn scan() -> (CgroupDirectory, Vec<FoundContainer>) {
    let (mut directory, mut found) = CgroupDirectory::scan();
    for one in existing(&directory) {
        directory.adopt(&one);
        found.push(one.container);
    }
    (directory, found)
}

/// Running containers that no cgroup in `directory` identifies.
fn existing(directory: &CgroupDirectory) -> Vec<FoundByNamespace> {
    let membership = Membership::new(directory);
    let inits = pids().into_iter().filter(|pid| {
        in_namespace(*pid).is_some_and(|pids| pids.len() > 1 && pids.last() == Some(&1))
            && membership.of(*pid).is_none()
    });
    let found = inits.filter_map(identify);
    // One container may have several pid namespaces, one in another.
    let mut known = BTreeMap::new();
    for one in found {
        known.entry(one.container.id.clone()).or_insert(one);
    }
    known.into_values().collect()
}

fn named(pid: u32, namespace: u64) -> Option<(Runtime, ContainerId)> {
    if let Some(supervisor) = supervisor::of_process(pid) {
        return by_supervisor(&supervisor, namespace);
    }
    let state = runtime_state::find(|state| {
        state.init != 0
            && namespace_of(state.init) == Some(namespace)
            && (state.owner == 0 || supervisor::owns(state.owner, pid))
    })?;
    Some((state.runtime, state.id()))
}

fn by_supervisor(supervisor: &Supervisor, namespace: u64) -> Option<(Runtime, ContainerId)> {
    match &supervisor.kind {
        SupervisorKind::Shim(shim) => {
            let id = of_shim(shim, supervisor.pid, namespace);
            let runtime = match is_dockers(&shim.namespace) {
                true => Runtime::Docker,
                false => Runtime::Containerd,
            };
            let id = match runtime {
                Runtime::Docker => ContainerId::new(&id),
                _ => container_id(&shim.namespace, &id),
            };
            Some((runtime, id))
        }
        SupervisorKind::Conmon { id, .. } => {
            let known = cgroup_name::is_id(id);
            // The one of both that the facts name.
            known.then(|| (Runtime::Podman, ContainerId::new(id)))
        }
        SupervisorKind::Lxc { name } => {
            Some((Runtime::Lxc, ContainerId::new(&format!("lxc/{name}"))))
        }
        SupervisorKind::Nspawn { name } => {
            Some((Runtime::Nspawn, ContainerId::new(&format!("nspawn/{name}"))))
        }
    }
}

/// A shim serves a whole pod: finds the bundle next to its own whose init is in the namespace.
fn of_shim(shim: &Shim, pid: u32, namespace: u64) -> String {
    let bundles = format!("/proc/{pid}/cwd/..");
    let has_init = |id: &str| {
        let init = fs::read_to_string(format!("{bundles}/{id}/init.pid")).ok()?;
        (namespace_of(init.trim().parse().ok()?) == Some(namespace)).then_some(())
    };
    if has_init(&shim.id).is_some() {
        return shim.id.clone();
    }
    let beside = fs::read_dir(&bundles).into_iter().flatten().flatten();
    beside
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find(|id| has_init(id).is_some())
        .unwrap_or_else(|| shim.id.clone())
}

/// The cgroup of a process, if all processes in it are of this namespace or one within: only a
/// container's then. Not the root, nor the session of a user, which hold other processes.
fn own_cgroup(pid: u32, namespace: u64) -> Option<(u64, String)> {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = table.lines().find_map(|line| line.strip_prefix("0::"))?;
    if path == "/" || path.starts_with("/..") {
        return None;
    }
    let depth = in_namespace(pid)?.len();
    let alone = members(path).into_iter().all(|member| {
        namespace_of(member) == Some(namespace)
            || in_namespace(member).is_none_or(|pids| pids.len() > depth)
    });
    let directory = system::cgroup2_mount().ok()?.join(path.strip_prefix('/')?);
    let cgroup = fs::metadata(directory).ok()?.ino();
    alone.then(|| (cgroup, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hullwatch_abi::header::PID_NAMESPACE;

    #[test]
    fn a_process_of_the_hosts_namespace_is_no_containers() {
        assert_eq!(identify(std::process::id()), None);
        assert_eq!(
            identify_ended(PID_NAMESPACE | 1, std::process::id(), 0),
            None
        );
    }
}
