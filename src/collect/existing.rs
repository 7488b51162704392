//! Reports containers, processes and sockets that existed when watching began.

use std::collections::BTreeMap;

use super::collector::Collector;
use crate::containers::entered::{self, KernelNamespace};
use crate::containers::{FoundContainer, runtime_setup, snapshot};
use crate::event::{ContainerAction, Kind, LostReason};

impl Collector<'_> {
    /// Reports everything that existed before.
    pub(super) fn begin(&mut self, host: bool, existing: &[FoundContainer]) {
        let now = self.probe.now();
        let members: Vec<u64> = self.directory.members().map(|(cgroup, _)| cgroup).collect();
        for cgroup in members {
            if let Err(error) = self.probe.gate.admit(cgroup) {
                let id = self.directory.lookup(cgroup).cloned();
                self.lost(now, id, LostReason::MapFull, 0, error.to_string());
            }
        }
        let mut homes = BTreeMap::new();
        for found in existing {
            // An empty cgroup is a leftover, or a pod's.
            let Some(pid) = found.members().first().copied() else {
                self.lifecycle.born(found.clone());
                continue;
            };
            self.lifecycle.begin(found);
            for namespace in entered::namespaces_of(pid) {
                match namespace {
                    KernelNamespace::Mount(number) => {
                        self.probe.gate.mount_namespace(number, found.cgroup);
                    }
                    KernelNamespace::Pid(number) => {
                        self.probe.gate.pid_namespace(number, found.cgroup)
                    }
                }
                homes.insert(namespace, found);
            }
            if let Some(scans) = &mut self.scans {
                scans.existing(&found.id);
            }
            self.report(now, found, pid, ContainerAction::Existing);
        }
        let mut membership = snapshot::Membership::new(&self.directory);
        for (pid, found) in entered::find(&membership, &homes) {
            self.probe.gate.entered(pid, found.cgroup);
            membership.entered(pid, &found.id);
        }
        // At once: a process that ends before it is read leaves its children without a parent.
        let mut processes = snapshot::processes(host, &membership);
        let sockets = snapshot::sockets(host, &membership);
        snapshot::add_streams(&mut processes, &sockets);
        for found in &processes {
            if runtime_setup::is_runtime(found, &membership, now) {
                self.probe.gate.set_up(found.pid);
            }
        }
        // Before the processes: rules judge them by their connections.
        for found in sockets {
            let kind = Kind::Socket(Box::new(found.socket));
            self.push_of(now, found.container, found.pid, 0, kind);
        }
        // Parents first, so that a descendant finds its ancestors.
        processes.sort_by_key(|found| (found.process.started, found.pid));
        for found in processes {
            if let Some(id) = found.container.as_ref().filter(|_| found.nspid == 1) {
                self.lifecycle.may_be_init(id, found.pid);
            }
            let mut kind = Kind::Process(Box::new(found.process));
            if let Some(id) = &found.container {
                let init = self.lifecycle.init(id);
                self.root_files.correct(id, init, &mut kind, &self.facts);
            }
            self.push_of(now, found.container, found.pid, found.nspid, kind);
        }
        self.push(now, None, Kind::Tick(Box::default()));
        self.queue.hand_on(true);
    }
}
