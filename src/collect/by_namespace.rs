//! Containers whose cgroup does not identify them: recognised, and ended, by the pid namespace of a
//! process.

use super::collector::Collector;
use crate::containers::{FoundByNamespace, by_namespace, is_selftest, pid_namespace, snapshot};
use crate::event::{ContainerAction, ContainerId, Kind, LostReason, Timestamp};
use crate::probe::Due;
use crate::state::Owner;

impl Collector<'_> {
    /// The owner of an event by its cgroup or pid namespace; `None`: the event is not wanted.
    pub(super) fn owner(
        &mut self,
        ts: Timestamp,
        place: u64,
        pid: u32,
        nspid: u32,
        kind: &Kind,
    ) -> Option<Owner> {
        if !pid_namespace::is_namespace(place) {
            return Some(self.directory.lookup(place).cloned());
        }
        let owner = self.owner_by_namespace(ts, place, pid, nspid, kind);
        if !matches!(owner, Some(Some(_)))
            && let Kind::File(file) = kind
        {
            // If fetched later, its repeats would be counted for the container that has the number
            // then.
            self.repeats(ts, Due::Operation(pid, file));
        }
        owner
    }

    /// The owner of an event that the kernel programs included by its pid namespace: a container,
    /// or the host, as for a browser's sandbox. `None`: the event is not wanted. A namespace that
    /// belongs to no container is excluded; its earlier events belong to the host.
    fn owner_by_namespace(
        &mut self,
        ts: Timestamp,
        namespace: u64,
        pid: u32,
        nspid: u32,
        kind: &Kind,
    ) -> Option<Owner> {
        let mut known = self.directory.lookup(namespace).cloned();
        // The kernel reuses the number of an ended namespace.
        let is_first = matches!(kind, Kind::Exec(exec) if !exec.runtime && nspid == 1);
        if let Some(id) = &known {
            if is_first && self.is_over(id, namespace) {
                self.gone(ts, namespace);
                known = None;
            } else if !is_first && self.lifecycle.has_ended(id) && !matches!(kind, Kind::Exit(_)) {
                // All its processes were killed with its init: this one set up the next namespace
                // with that number, as its first exec shows.
                return self.host.then_some(None);
            } else if !is_first || self.lifecycle.init(id) == Some(pid) {
                return Some(known);
            }
        }
        if let Some(owner) = self.refused.get(&namespace).filter(|_| !is_first) {
            return owner.clone();
        }
        // Its cgroup was reported meanwhile, or will be in a moment.
        let by_cgroup = snapshot::Membership::new(&self.directory).by_cgroup(pid);
        if by_cgroup.as_ref().is_some_and(is_selftest) {
            return self.refuse(namespace, pid, None);
        }
        if let Some(id) = by_cgroup {
            if known.is_some_and(|known| known != id) {
                self.gone(ts, namespace);
            }
            self.directory.alias(namespace, &id);
            self.probe.gate.dismiss(namespace);
            return Some(Some(id));
        }
        let lives = pid_namespace::namespace_of(pid) == Some(namespace);
        let parent = match kind {
            Kind::Exec(exec) => exec.ppid,
            _ => 0,
        };
        let found = match lives {
            true => by_namespace::identify(pid),
            false => {
                by_namespace::identify_ended(namespace, parent, if nspid == 1 { pid } else { 0 })
            }
        };
        let Some(found) = found.filter(|found| found.namespace == namespace) else {
            if known.is_some() {
                return Some(known);
            }
            // It belongs to the host, while that is watched.
            return self.refuse(namespace, pid, self.host.then_some(None));
        };
        let id = found.container.id.clone();
        if let Some(known) = known {
            if known == id && !self.lifecycle.has_ended(&id) {
                return Some(Some(id));
            }
            self.gone(ts, namespace);
        }
        self.begin_by_namespace(ts, &found, if lives { pid } else { parent });
        Some(Some(id))
    }

    /// Whether the container's init ended, and with it the pid namespace.
    fn is_over(&self, id: &ContainerId, namespace: u64) -> bool {
        let lives = |init| pid_namespace::namespace_of(init) == Some(namespace);
        self.lifecycle.has_ended(id) || self.lifecycle.init(id).is_some_and(|init| !lives(init))
    }

    /// Excludes a pid namespace, of which this is a process; `owner` owns its earlier events.
    fn refuse(&mut self, namespace: u64, pid: u32, owner: Option<Owner>) -> Option<Owner> {
        let ends = || pid_namespace::will_end(namespace, pid);
        self.probe.gate.refuse(namespace, ends);
        self.refused.insert(namespace, owner.clone());
        owner
    }

    /// Reports a container whose cgroup does not identify it; `pid` is a process of it, or its
    /// supervisor.
    fn begin_by_namespace(&mut self, ts: Timestamp, found: &FoundByNamespace, pid: u32) {
        self.directory.adopt(found);
        self.born(ts, found.container.clone());
        let by_cgroup = found.container.cgroup != found.namespace;
        if by_cgroup {
            let inside = self.directory.members();
            let inside = inside.filter(|(place, id)| {
                **id == found.container.id && !pid_namespace::is_namespace(*place)
            });
            let inside: Vec<u64> = inside.map(|(place, _)| place).collect();
            for cgroup in inside {
                if let Err(error) = self.probe.gate.admit(cgroup) {
                    let id = Some(found.container.id.clone());
                    self.lost(ts, id, LostReason::MapFull, 0, error.to_string());
                }
            }
            self.probe.gate.dismiss(found.namespace);
        } else if let Err(error) = self.probe.gate.admit(found.namespace) {
            // Included already, unless a sandbox that had the number before was excluded meanwhile.
            let id = Some(found.container.id.clone());
            self.lost(ts, id, LostReason::MapFull, 0, error.to_string());
        }
        if let Some(found) = self.lifecycle.entered(&found.container.id.clone()) {
            self.report(ts, &found, pid, ContainerAction::Appeared);
        }
        if found.init != 0 {
            self.lifecycle.may_be_init(&found.container.id, found.init);
        }
    }

    /// Containers known by a pid namespace that ended.
    pub(super) fn end_namespaces(&mut self, now: Timestamp) {
        self.refused.clear();
        let known = self.directory.by_namespace();
        let mut ended = Vec::new();
        let mut lasting = 0;
        for (namespace, id) in known {
            if self.directory.is_by_cgroup(namespace) {
                continue;
            }
            let lives = |pid| pid_namespace::namespace_of(pid) == Some(namespace);
            let over = match self.lifecycle.init(id) {
                Some(init) => !lives(init),
                None => pid_namespace::members_of(namespace).is_empty(),
            };
            if over {
                ended.push(namespace);
            } else {
                lasting += 1;
            }
        }
        if lasting == 0 && !ended.is_empty() {
            self.probe.gate.no_namespaces();
        }
        for namespace in ended {
            self.gone(now, namespace);
            self.probe.gate.dismiss(namespace);
        }
    }
}
