//! Processes of the host that entered a container's namespaces. The process that entered is reported
//! once, with the first action there.
//!
//! A runtime enters, too, before it joins the container's cgroup; that is not reported.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::{Client, ContainerId, Timestamp};
use crate::probe::NamespaceEntry;

/// Maximum number of processes remembered; those of the oldest entry are evicted.
const MAX_PROCESSES: usize = 4096;
/// A process that is inside for this time without executing a program is reported.
const PATIENCE: Duration = Duration::from_secs(2);
/// Names of runtime programs that join a container's cgroup after its namespaces.
const RUNTIMES: &[&[u8]] = &[b"runc", b"crun", b"youki", b"lxc-attach"];

/// A process inside, and its container.
pub(super) type Entered = (u32, ContainerId);

/// An entry, with the processes that descend from it.
#[derive(Debug)]
pub(super) struct HostEntry {
    /// Host pid of the process that entered.
    pub(super) pid: u32,
    at: Timestamp,
    container: ContainerId,
    pub(super) entry: NamespaceEntry,
    /// It was reported.
    pub(super) reported: bool,
    /// It acts inside without having executed a program, and is listed as a process.
    pub(super) in_place: bool,
    /// Number of its processes that run.
    processes: u32,
}

impl HostEntry {
    pub(super) fn is_runtime(&self) -> bool {
        RUNTIMES
            .iter()
            .any(|name| self.entry.comm.starts_with(name))
    }
}

/// The entries with a running process.
#[derive(Debug, Default)]
pub(super) struct HostEntries {
    by_pid: BTreeMap<u32, u64>,
    entries: BTreeMap<u64, HostEntry>,
    next: u64,
}

impl HostEntries {
    pub(super) fn begin(
        &mut self,
        at: Timestamp,
        pid: u32,
        container: ContainerId,
        entry: NamespaceEntry,
    ) {
        self.end(pid);
        self.next += 1;
        let known = HostEntry {
            pid,
            at,
            container,
            entry,
            reported: false,
            in_place: false,
            processes: 0,
        };
        self.entries.insert(self.next, known);
        self.belongs(pid, self.next);
    }

    fn belongs(&mut self, pid: u32, number: u64) {
        if self.by_pid.len() >= MAX_PROCESSES
            && let Some((oldest, _)) = self.entries.pop_first()
        {
            self.by_pid.retain(|_, of| *of != oldest);
        }
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.processes += 1;
            self.by_pid.insert(pid, number);
        }
    }

    /// Notes the child of a process.
    pub(super) fn fork(&mut self, parent: u32, child: u32) {
        if let Some(number) = self.by_pid.get(&parent).copied() {
            self.end(child);
            self.belongs(child, number);
        }
    }

    /// Notes the end of a process.
    pub(super) fn end(&mut self, pid: u32) {
        let Some(number) = self.by_pid.remove(&pid) else {
            return;
        };
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.processes -= 1;
            if entry.processes == 0 {
                self.entries.remove(&number);
            }
        }
    }

    pub(super) fn of(&mut self, pid: u32) -> Option<&mut HostEntry> {
        self.entries.get_mut(self.by_pid.get(&pid)?)
    }

    pub(super) fn is_runtime(&mut self, pid: u32) -> bool {
        self.of(pid).is_some_and(|entry| entry.is_runtime())
    }

    /// The process that entered, of which this one descends: host pid and facts. Once for each entry.
    pub(super) fn report(&mut self, pid: u32) -> Option<(u32, Client)> {
        let known = self.of(pid).filter(|entry| !entry.reported)?;
        known.reported = true;
        let mut client = known.entry.client.clone();
        client.entered = Some(pid);
        Some((known.pid, client))
    }

    /// Processes that have been inside for a while without executing a program, and those reported as
    /// such that ended.
    pub(super) fn due(
        &self,
        now: Timestamp,
        lives: impl Fn(u32) -> bool,
    ) -> (Vec<Entered>, Vec<Entered>) {
        let (mut stay, mut gone) = (Vec::new(), Vec::new());
        for known in self.entries.values() {
            let is_alive = || lives(known.pid);
            if known.in_place && !is_alive() {
                gone.push((known.pid, known.container.clone()));
            } else if !known.reported
                && known.entry.inside
                && !known.is_runtime()
                && now.since(known.at) > PATIENCE
                && is_alive()
            {
                stay.push((known.pid, known.container.clone()));
            }
        }
        (stay, gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(comm: &str, inside: bool) -> NamespaceEntry {
        NamespaceEntry {
            client: Client::default(),
            comm: comm.into(),
            inside,
        }
    }

    fn begun(comm: &str, pid: u32, inside: bool) -> HostEntries {
        let mut entries = HostEntries::default();
        entries.begin(
            Timestamp(0),
            pid,
            ContainerId::new("a"),
            entry(comm, inside),
        );
        entries
    }

    #[test]
    fn the_process_that_entered_is_reported_once() {
        let mut entries = begun("nsenter", 7, false);
        entries.fork(7, 8);
        entries.fork(8, 9);
        let (host, client) = entries.report(8).unwrap();
        assert_eq!((host, client.entered), (7, Some(8)));
        assert!(entries.report(9).is_none(), "it descends from that one");
        for pid in [7, 8, 9] {
            entries.end(pid);
        }
        assert!(entries.entries.is_empty() && entries.by_pid.is_empty());
        assert!(entries.report(8).is_none());
    }

    #[test]
    fn a_process_that_stays_inside_without_a_program_is_reported_later() {
        let later = Timestamp(0).plus(PATIENCE).plus(Duration::from_secs(1));
        let staying = |entries: &HostEntries, at| entries.due(at, |pid| pid == 7).0.len();
        assert_eq!(staying(&begun("python3", 7, true), later), 1);
        assert_eq!(staying(&begun("python3", 7, true), Timestamp(0)), 0);
        assert_eq!(staying(&begun("python3", 5, true), later), 0, "it is gone");
        assert_eq!(staying(&begun("nsenter", 7, false), later), 0, "it waits");
        assert_eq!(staying(&begun("runc:[1:CHILD]", 7, true), later), 0);
        let mut entered = begun("nsenter", 7, true);
        entered.fork(7, 8);
        entered.report(8).unwrap();
        assert_eq!(staying(&entered, later), 0, "its child is reported");
    }

    #[test]
    fn a_flood_of_processes_is_remembered_within_the_bound() {
        let mut entries = begun("sh", 1, true);
        for pid in 2..10_000 {
            entries.fork(pid - 1, pid);
        }
        assert!(entries.by_pid.len() <= MAX_PROCESSES);
        for pid in 20_000..30_000 {
            entries.begin(Timestamp(0), pid, ContainerId::new("a"), entry("sh", true));
        }
        assert!(entries.by_pid.len() <= MAX_PROCESSES);
        assert!(entries.entries.len() <= MAX_PROCESSES);
    }
}
