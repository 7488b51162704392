//! Attributes what a process of the host does inside a container to that container.

use std::path::Path;

use super::collector::Collector;
use crate::containers::pid_namespace;
use crate::event::{ContainerId, Exit, Kind, Process, Timestamp};
use crate::probe::{NamespaceEntry, Presence};
use crate::state::Owner;
use crate::system;

impl Collector<'_> {
    /// A process of the host entered a container's namespaces.
    pub(super) fn entry(&mut self, ts: Timestamp, place: u64, pid: u32, mut entry: NamespaceEntry) {
        let Some(container) = self.directory.lookup(place).cloned() else {
            return;
        };
        tracing::debug!(pid, comm = ?entry.comm, id = ?container, "entered from the host");
        let client = &mut entry.client;
        let user = system::user(client.login_uid.unwrap_or(client.uid));
        client.user = user.map(|user| user.name).unwrap_or_default();
        self.entries.begin(ts, pid, container, entry);
    }

    /// Handles an event of a process that entered, or of one of its descendants.
    pub(super) fn of_entered(
        &mut self,
        ts: Timestamp,
        place: u64,
        container: Owner,
        (pid, nspid): (u32, u32),
        presence: Presence,
        mut kind: Kind,
    ) {
        if let Kind::Fork(fork) = &kind {
            self.entries.fork(fork.creator, pid);
        }
        let started = !matches!(presence, Presence::Entered { started: false, .. });
        let is_runtime = self.entries.is_runtime(pid);
        if matches!(kind, Kind::Exit(_)) {
            self.entries.end(pid);
        }
        if is_runtime && !started {
            return;
        }
        match &mut kind {
            Kind::Exec(exec) => {
                // The runtime of a container without a cgroup has no cgroup to join.
                exec.entered = !(is_runtime && pid_namespace::is_namespace(place));
                let report = exec.entered && !exec.runtime;
                self.event(ts, container.clone(), pid, nspid, kind);
                if report && let Some((host, client)) = self.entries.report(pid) {
                    self.push_of(ts, container, host, 0, Kind::Client(Box::new(client)));
                }
                return;
            }
            Kind::Fork(fork) => {
                let in_place = self.entries.of(pid).is_some_and(|entry| entry.in_place);
                fork.runtime &= !in_place;
            }
            Kind::Exit(_) | Kind::Privilege(_) | Kind::Capability(_) | Kind::Syscall(_) => {}
            _ if started => {}
            // It acts there without executing a program.
            _ => {
                if let Some(id) = &container {
                    self.works_in_place(ts, pid, id.clone());
                }
            }
        }
        self.event(ts, container, pid, nspid, kind);
    }

    /// Reports a process that entered and acts inside without having executed a program.
    fn works_in_place(&mut self, ts: Timestamp, pid: u32, id: ContainerId) {
        let Some((host, client)) = self.entries.report(pid) else {
            return;
        };
        self.probe.gate.end_set_up(pid);
        let Some(known) = self.entries.of(pid) else {
            return;
        };
        known.in_place = known.pid == pid;
        let process = Process {
            ppid: client.ppid,
            uid: client.uid,
            comm: known.entry.comm.clone(),
            exe: client.argv.first().cloned().unwrap_or_default(),
            argv: client.argv.clone(),
            started: ts,
            tty: !client.tty.is_empty(),
            entered: true,
            ..Process::default()
        };
        let kind = Kind::Process(Box::new(process));
        self.push_of(ts, Some(id.clone()), pid, 0, kind);
        self.push_of(ts, Some(id), host, 0, Kind::Client(Box::new(client)));
    }

    /// Reports processes that stay inside, and the end of those reported as such.
    pub(super) fn look_at_entered(&mut self, now: Timestamp) {
        let lives = |pid: u32| Path::new("/proc").join(pid.to_string()).exists();
        let (stay, gone) = self.entries.due(now, lives);
        for (pid, id) in stay {
            self.works_in_place(now, pid, id);
        }
        for (pid, id) in gone {
            self.entries.end(pid);
            self.push_of(now, Some(id), pid, 0, Kind::Exit(Exit::default()));
        }
    }
}
