//! The rules' shared memory between events, per container and bounded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::file_links::FileLinks;
use super::finding::{Finding, FindingIndex};
use super::program_roles;
use super::seen_set::SeenSet;
use crate::event::{
    Bytes, ContainerAction, ContainerId, Endpoint, Event, Exec, File, FileOp, Kind,
    ProgramAdditions, Severity, Timestamp,
};
use crate::state::{FileKey, State};

/// Maximum number of remembered containers; the oldest is dropped.
const MAX_CONTAINERS: usize = 4096;
/// Maximum number of marked processes and of their connections.
const MAX_PROCESSES: usize = 65_536;
/// Maximum number of exec sessions of a container whose findings are remembered.
const MAX_SESSIONS: usize = 256;
/// Maximum number of ancestors of a process that are examined.
const MAX_ANCESTRY: usize = 12;
/// Maximum number of entries of each set of a container.
const MAX_SET: usize = 1024;

/// Processes that begin within this time of each other may be one pipe.
pub(crate) const BESIDE: Duration = Duration::from_secs(2);

/// The latest outbound connection of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outbound {
    /// The peer.
    pub(crate) to: SocketAddr,
    /// When.
    pub(crate) ts: Timestamp,
    /// The event.
    pub(crate) seq: u64,
}

/// The memory of one container.
#[derive(Debug, Clone, Default)]
pub(crate) struct ContainerMemory {
    /// When it was last seen to start; its first own exec once that happened.
    pub(crate) began: Option<Timestamp>,
    /// It started and has not run a program of its own yet.
    pub(crate) awaiting_first: bool,
    /// SHA-256 of files compared with the image, by path.
    hashes: BTreeMap<Bytes, String>,
    /// Files written by a package manager of the image.
    pub(crate) packaged: SeenSet,
    /// Files that were built inside and then moved or copied.
    pub(crate) built: SeenSet,
    /// Changed files of findings: an alert about running them later continues the finding.
    pub(crate) planted: BTreeMap<Bytes, FindingIndex>,
    /// Findings about exec sessions, by host pid of the session's root.
    pub(crate) session_findings: BTreeMap<u32, FindingIndex>,
    /// Processes that began recently with their parents, to find the other processes of a pipe.
    begun: VecDeque<(Timestamp, u32, u32)>,
}

impl ContainerMemory {
    /// Notes a process that began, or became a child of `ppid`.
    fn note_begun(&mut self, ts: Timestamp, pid: u32, ppid: u32) {
        while self
            .begun
            .front()
            .is_some_and(|(at, ..)| self.begun.len() >= MAX_SET || ts.since(*at) > BESIDE * 2)
        {
            self.begun.pop_front();
        }
        self.begun.push_back((ts, pid, ppid));
    }

    /// Approximate size in bytes: a hash in each set, a text or two in each map.
    fn bytes(&self) -> usize {
        let sets = [&self.packaged, &self.built];
        let hashes = sets.map(SeenSet::len).iter().sum::<usize>();
        let texts = self.hashes.len() + self.planted.len();
        size_of::<Self>()
            + hashes * 32
            + texts * 192
            + (self.session_findings.len() + self.begun.len()) * 64
    }

    /// Processes that may have begun within [`BESIDE`] of now as children of `ppid`, by pid.
    pub(crate) fn beside(&self, ppid: u32) -> BTreeSet<u32> {
        let of = |(_, pid, parent): &(Timestamp, u32, u32)| (*parent == ppid).then_some(*pid);
        self.begun.iter().filter_map(of).collect()
    }
}

/// The memory of all rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// Shared with clones until they change.
    containers: FxHashMap<ContainerId, Arc<ContainerMemory>>,
    /// Order of arrival, for the bound.
    order: VecDeque<ContainerId>,
    /// Processes that run executed drift, or descend from one, with the finding's index.
    pub(crate) marks: FxHashMap<u32, FindingIndex>,
    /// Processes of a package installation, with the package manager that each descends from.
    pub(crate) installing: FxHashMap<u32, u32>,
    /// Latest outbound connection by process.
    pub(crate) outbound: FxHashMap<u32, Outbound>,
    /// Other names of files.
    pub(crate) links: FileLinks,
    /// Worst severity added to the finding of a drifted program, by the finding's index.
    pub(crate) chained: FxHashMap<FindingIndex, Severity>,
}

impl ContainerMemory {
    /// Notes the finding about the exec session with this root; without a finding it is removed.
    pub(crate) fn note_session(&mut self, root: u32, index: Option<FindingIndex>) {
        let Some(index) = index else {
            self.session_findings.remove(&root);
            return;
        };
        if self.session_findings.len() >= MAX_SESSIONS {
            self.session_findings.pop_first();
        }
        self.session_findings.insert(root, index);
    }

    /// Notes that a finding is about a change of this file.
    pub(crate) fn plant(&mut self, path: &Bytes, index: FindingIndex) {
        if self.planted.len() < MAX_SET || self.planted.contains_key(path) {
            self.planted.insert(path.clone(), index);
        }
    }
}

impl Memory {
    /// The memory of a container, created if missing.
    pub(crate) fn container(&mut self, id: &ContainerId) -> &mut ContainerMemory {
        if !self.containers.contains_key(id) {
            if self.order.len() >= MAX_CONTAINERS
                && let Some(oldest) = self.order.pop_front()
            {
                self.containers.remove(&oldest);
                self.links.forget(&oldest);
            }
            self.order.push_back(id.clone());
        }
        Arc::make_mut(self.containers.entry(id.clone()).or_default())
    }

    /// The memory of a container, if there is one.
    #[must_use]
    pub(crate) fn get(&self, id: &ContainerId) -> Option<&ContainerMemory> {
        self.containers.get(id).map(|c| &**c)
    }

    /// Approximate size in bytes.
    pub(super) fn bytes(&self) -> usize {
        let own = self.containers.values().map(|own| own.bytes());
        let processes = self.marks.len() + self.installing.len() + self.outbound.len();
        own.sum::<usize>() + (processes + self.chained.len()) * 48 + self.links.len() * 160
    }

    /// SHA-256 of the file a finding is about, where a comparison found it.
    #[must_use]
    pub(crate) fn hash_of(&self, finding: &Finding) -> Option<&str> {
        let own = self.get(finding.container.as_ref()?)?;
        own.hashes.get(&finding.subject).map(String::as_str)
    }

    /// Updates processes and container life, before any rule runs.
    pub(crate) fn observe(&mut self, names: &ProgramAdditions, state: &State, event: &Event) {
        if let Some(id) = &event.container {
            let begun = match &event.kind {
                Kind::Fork(k) => Some((event.ts, k.ppid)),
                Kind::Exec(k) => {
                    let known = state.processes.get(&event.pid);
                    Some((event.ts, known.map_or(k.ppid, |p| p.ppid)))
                }
                Kind::Process(k) => Some((k.started, k.ppid)),
                _ => None,
            };
            if let Some((at, ppid)) = begun {
                self.container(id).note_begun(at, event.pid, ppid);
            }
        }
        match &event.kind {
            Kind::Fork(fork) => {
                if let Some(&mark) = self.marks.get(&fork.ppid) {
                    if self.marks.len() < MAX_PROCESSES {
                        self.marks.insert(event.pid, mark);
                    }
                } else if !self.marks.is_empty() {
                    self.marks.remove(&event.pid);
                }
                self.outbound.remove(&event.pid);
                if let Some(&root) = self.installing.get(&fork.ppid) {
                    if self.installing.len() < MAX_PROCESSES {
                        self.installing.insert(event.pid, root);
                    }
                } else if !self.installing.is_empty() {
                    self.installing.remove(&event.pid);
                }
            }
            // Processes below drifted code belong to its finding.
            Kind::Process(process) => {
                if let Some(&mark) = self.marks.get(&process.ppid) {
                    self.mark(event.pid, mark);
                }
                self.join_installation(names, state, event.pid);
            }
            Kind::Exit(_) => {
                self.installing.remove(&event.pid);
                self.marks.remove(&event.pid);
                self.outbound.remove(&event.pid);
            }
            Kind::Container(change) => {
                let Some(id) = &event.container else { return };
                match change.action {
                    ContainerAction::Appeared | ContainerAction::Started => {
                        let own = self.container(id);
                        // The engine reports the start after the first program may have run.
                        let recent = own.began.is_some_and(|b| event.ts.since(b).as_secs() < 5);
                        if !recent {
                            own.began = Some(event.ts);
                            own.awaiting_first = true;
                        }
                    }
                    ContainerAction::Removed => {
                        self.containers.remove(id);
                        self.order.retain(|o| o != id);
                        self.links.forget(id);
                    }
                    _ => {}
                }
            }
            // Entries that the state has dropped are dropped here as well.
            Kind::Tick(_) if self.containers.len() > state.containers.len() => {
                let kept = |id: &ContainerId| state.containers.contains_key(id);
                self.containers.retain(|id, _| kept(id));
                self.order.retain(kept);
                self.links.retain(kept);
            }
            Kind::Compare(compare) => {
                if let (Some(id), Some(hash)) = (&event.container, &compare.sha256) {
                    let hashes = &mut self.container(id).hashes;
                    if hashes.len() >= MAX_SET && !hashes.contains_key(&compare.path) {
                        hashes.pop_first();
                    }
                    hashes.insert(compare.path.clone(), hash.clone());
                }
            }
            Kind::Connect(connect) => {
                if let Endpoint::Inet(to) = connect.remote {
                    let outbound = Outbound {
                        to,
                        ts: event.ts,
                        seq: event.seq,
                    };
                    self.connected(event.pid, outbound);
                }
            }
            Kind::File(file) => self.note_packaged(state, event, file),
            Kind::Exec(exec) if !exec.runtime => {
                if !self.installing.contains_key(&event.pid)
                    && self.installing.len() < MAX_PROCESSES
                    && (program_roles::is_packager(names, &**exec)
                        || self.runs_installed_packager(names, state, event, exec))
                {
                    self.installing.insert(event.pid, event.pid);
                }
                if let Some(id) = &event.container
                    && let Some(own) = self.containers.get_mut(id)
                    && own.awaiting_first
                {
                    let own = Arc::make_mut(own);
                    own.awaiting_first = false;
                    own.began = Some(event.ts);
                }
            }
            _ => {}
        }
    }

    /// A process that existed before watching began belongs to an installation when a package
    /// manager is among its ancestors, which are listed before it.
    fn join_installation(&mut self, names: &ProgramAdditions, state: &State, pid: u32) {
        let root = installation(names, state, pid);
        if let Some(root) = root.filter(|_| self.installing.len() < MAX_PROCESSES) {
            self.installing.insert(pid, root);
        }
    }

    /// Notes a file that a package installation wrote.
    fn note_packaged(&mut self, state: &State, event: &Event, file: &File) {
        let written = matches!(
            file.op,
            FileOp::Create
                | FileOp::Write
                | FileOp::Truncate
                | FileOp::Rename
                | FileOp::Link
                | FileOp::Symlink
        );
        if file.errno != 0 || !written || !self.is_installing(state, event) {
            return;
        }
        let path = match (file.op, &file.target) {
            (FileOp::Rename | FileOp::Link, Some(target)) => target,
            _ => &file.path,
        };
        if let Some(id) = &event.container {
            self.container(id).packaged.insert(&***path);
        }
    }

    /// Whether the event's process belongs to an installation by a package manager of the image
    /// that still runs, or ended a moment ago.
    #[must_use]
    pub(crate) fn is_installing(&self, state: &State, event: &Event) -> bool {
        let Some(root) = self.installing.get(&event.pid) else {
            return false;
        };
        state
            .processes
            .get(root)
            .is_some_and(|p| p.exited.is_none_or(|at| event.ts.since(at).as_secs() < 10))
    }

    /// The process runs a package manager as a script that an installation or the image itself
    /// contains: no other process was seen writing it.
    fn runs_installed_packager(
        &self,
        names: &ProgramAdditions,
        state: &State,
        event: &Event,
        exec: &Exec,
    ) -> bool {
        let Some(script) = program_roles::environments_packager(names, exec) else {
            return false;
        };
        let installed = event
            .container
            .as_ref()
            .and_then(|id| self.get(id))
            .is_some_and(|own| own.packaged.contains(script));
        let key = FileKey {
            owner: event.container.clone(),
            path: script.into(),
        };
        script.starts_with(b"/") && (installed || !state.files.contains_key(&key))
    }

    /// Stores the process's latest outbound connection.
    fn connected(&mut self, pid: u32, outbound: Outbound) {
        if self.outbound.len() < MAX_PROCESSES || self.outbound.contains_key(&pid) {
            self.outbound.insert(pid, outbound);
        }
    }

    /// Marks a process as running the subject of a finding.
    pub(crate) fn mark(&mut self, pid: u32, index: FindingIndex) {
        if self.marks.len() < MAX_PROCESSES || self.marks.contains_key(&pid) {
            self.marks.insert(pid, index);
        }
    }
}

/// The outermost package manager among a process and its ancestors in the container.
fn installation(names: &ProgramAdditions, state: &State, pid: u32) -> Option<u32> {
    let mut process = state.processes.get(&pid)?;
    process.owner.as_ref()?;
    let mut found = None;
    for _ in 0..MAX_ANCESTRY {
        if program_roles::is_packager(names, &**process) {
            found = Some(process.pid);
        }
        match state.parent_of(process) {
            Some(parent) => process = parent,
            None => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ContainerEvent, Tick};
    use std::sync::Arc;

    #[test]
    fn containers_that_no_engine_removes_are_forgotten_with_the_state() {
        let (mut memory, mut state) = (Memory::default(), State::default());
        let mut seq = 0;
        let mut see = |minute: i64, id: Option<&ContainerId>, kind: Kind| {
            seq += 1;
            let event = Arc::new(Event {
                seq,
                ts: Timestamp(minute * 60_000_000_000),
                container: id.cloned(),
                pid: 0,
                nspid: 0,
                kind,
            });
            state.apply(&event);
            memory.observe(&ProgramAdditions::default(), &state, &event);
            assert!(memory.order.len() == memory.containers.len());
            (memory.containers.len(), state.containers.len())
        };
        let life = |action| {
            let event = ContainerEvent { action, info: None };
            Kind::Container(Box::new(event))
        };
        let mut most = 0;
        for minute in 0..3000 {
            let id = ContainerId::new(&minute.to_string());
            see(minute, Some(&id), life(ContainerAction::Appeared));
            see(minute, Some(&id), life(ContainerAction::Gone));
            let (own, states) = see(minute, None, Kind::Tick(Box::<Tick>::default()));
            assert!(own <= states);
            most = most.max(own);
        }
        assert!((60..=62).contains(&most), "those of the last hour: {most}");
    }
}
