//! Process events into state: exec, fork, exit, and processes that were there before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::container::Owner;
use super::process::{Lineage, ProcessEntry};
use super::quota::{HeldEntry, heaviest, surplus};
use super::tables::State;
use crate::event::{Event, Exec, Exit, Fork, Process, Timestamp, weight_of};
use crate::memory::Share;

const MAX_EXITED: usize = 8192;
const MAX_PROCESSES: usize = 65_536;

/// Approximate bytes of a process. A forked one shares the texts of its parent.
fn weight(process: &ProcessEntry) -> usize {
    let words = match process.forked {
        true => process.argv.len() * 16,
        false => {
            let own = [&process.comm, &process.exe, &process.cwd];
            weight_of(own) + weight_of(&process.argv) + weight_of(&process.script)
        }
    };
    448 + words + weight_of(process.mapped.iter().map(|mapped| &mapped.path))
}

impl State {
    /// The process that started `process` inside the same container, if it is known.
    #[must_use]
    pub(crate) fn parent_of(&self, process: &ProcessEntry) -> Option<&Arc<ProcessEntry>> {
        self.parent_at(&process.owner, process.ppid, process.started)
            .filter(|parent| parent.pid != process.pid)
    }

    /// The process with the pid `ppid` of a container, if it can have started another at this time.
    #[must_use]
    pub(crate) fn parent_at(
        &self,
        owner: &Owner,
        ppid: u32,
        at: Timestamp,
    ) -> Option<&Arc<ProcessEntry>> {
        let parent = self.processes.get(&ppid)?;
        (parent.owner == *owner && parent.lived_at(at)).then_some(parent)
    }

    /// The lineage of a process with parent `ppid` that started at this time, at its exec or in a
    /// snapshot.
    fn lineage(&self, event: &Event, ppid: u32, started: Timestamp) -> Lineage {
        let (owner, pid, nspid) = (&event.container, event.pid, event.nspid);
        let Some(container) = self.container(owner) else {
            return Lineage::Unknown;
        };
        if (nspid == 1 && nspid != pid) || (pid != 0 && container.info.init_pid == pid) {
            return Lineage::Init;
        }
        if let Some(parent) = self.parent_at(owner, ppid, started)
            && !parent.runtime
            && (parent.execs > 0 || parent.existing)
        {
            return parent.lineage;
        }
        // The first program of a container that shares the host's pid namespace has no pid 1.
        let is_init = |p: &ProcessEntry| {
            p.lineage == Lineage::Init && p.owner == *owner && p.exited.is_none()
        };
        // Usually the noted process is it; without a note there was none, and no search is needed.
        let has_init = || {
            container.init.is_some_and(|noted| {
                self.processes.get(&noted).is_some_and(|p| is_init(p))
                    || self.processes.values().any(|p| is_init(p))
            })
        };
        if container.first_exec.is_some() || has_init() {
            Lineage::ExecSession(pid)
        } else {
            Lineage::Init
        }
    }

    pub(super) fn exec(&mut self, event: &Event, exec: &Exec) {
        let known = self
            .processes
            .get(&event.pid)
            .filter(|p| p.exited.is_none() && p.owner == event.container);
        let lineage = match known {
            _ if exec.runtime => Lineage::Unknown,
            Some(process) if process.lineage != Lineage::Unknown => process.lineage,
            _ => self.lineage(event, exec.ppid, event.ts),
        };
        let (started, execs, existing) =
            known.map_or((event.ts, 0, false), |p| (p.started, p.execs, p.existing));
        // The process that forked it stays its parent, even after that ended and init became the
        // parent.
        let ppid = known
            .filter(|p| !p.runtime && p.ppid != 0)
            .map_or(exec.ppid, |p| p.ppid);
        if !exec.runtime
            && let Some(container) = self.own_container(event)
        {
            container.running = true;
            container.execs.add(1);
            if container.first_exec.is_none() && !container.existing {
                container.first_exec = Some(event.ts);
            }
        }
        self.insert_process(ProcessEntry {
            pid: event.pid,
            nspid: event.nspid,
            ppid,
            owner: event.container.clone(),
            uid: exec.uid,
            comm: exec.comm.clone(),
            exe: exec.exe.clone(),
            argv: exec.argv.clone(),
            cwd: exec.cwd.clone(),
            script: exec.script.clone(),
            file: exec.file,
            started,
            existing,
            lineage,
            tty: exec.tty,
            runtime: exec.runtime,
            entered: exec.entered,
            execs: execs + u32::from(!exec.runtime),
            exec_seq: event.seq,
            ..ProcessEntry::default()
        });
    }

    pub(super) fn fork(&mut self, event: &Event, fork: &Fork) {
        let parent = self.parent_at(&event.container, fork.ppid, event.ts);
        let child = match parent {
            Some(parent) => ProcessEntry {
                pid: event.pid,
                nspid: event.nspid,
                ppid: fork.ppid,
                started: event.ts,
                existing: false,
                streams: Vec::new(),
                mapped: Vec::new(),
                mapped_more: 0,
                replaced: false,
                exited: None,
                exit_code: None,
                exit_signal: None,
                forked: true,
                runtime: fork.runtime || parent.runtime,
                execs: if parent.runtime { 0 } else { parent.execs },
                ..(**parent).clone()
            },
            None => ProcessEntry {
                pid: event.pid,
                nspid: event.nspid,
                ppid: fork.ppid,
                owner: event.container.clone(),
                uid: fork.uid,
                comm: fork.comm.clone(),
                started: event.ts,
                forked: true,
                runtime: fork.runtime,
                ..ProcessEntry::default()
            },
        };
        self.insert_process(child);
    }

    pub(super) fn existing_process(&mut self, event: &Event, process: &Process) {
        if self
            .processes
            .get(&event.pid)
            .is_some_and(|p| p.exited.is_none() && p.execs > 0)
        {
            return; // Its exec arrived before the snapshot: the live fact is the better one.
        }
        let lineage = self.lineage(event, process.ppid, process.started);
        let entered_now = process.entered_at(event.ts);
        self.insert_process(ProcessEntry {
            pid: event.pid,
            nspid: event.nspid,
            ppid: process.ppid,
            owner: event.container.clone(),
            uid: process.uid,
            comm: process.comm.clone(),
            exe: process.exe.clone(),
            argv: process.argv.clone(),
            cwd: process.cwd.clone(),
            file: process.file,
            started: process.started,
            existing: !entered_now,
            execs: u32::from(entered_now),
            streams: process.streams.clone(),
            mapped: process.mapped.clone(),
            mapped_more: process.mapped_more,
            replaced: process.replaced,
            lineage,
            tty: process.tty,
            entered: process.entered,
            exec_seq: event.seq,
            ..ProcessEntry::default()
        });
    }

    fn insert_process(&mut self, process: ProcessEntry) {
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&process.pid) {
            self.totals.evicted += 1;
            let Some((_, pid)) = self.exited.pop_front() else {
                return;
            };
            self.processes.remove(&pid);
        }
        if process.lineage == Lineage::Init
            && let Some(container) = process.owner.as_ref()
            && let Some(container) = self.containers.get_mut(container)
            && container.init.is_none()
        {
            Arc::make_mut(container).init = Some(process.pid);
        }
        self.used.processes += weight(&process);
        self.processes.insert(process.pid, Arc::new(process));
        self.fit_processes();
    }

    /// Forgets processes until they fit into their share: those that ended first.
    fn fit_processes(&mut self) {
        let most = self.memory.of(Share::Processes);
        if self.used.processes <= most {
            return;
        }
        let count = |processes: &BTreeMap<u32, Arc<ProcessEntry>>| -> usize {
            processes.values().map(|process| weight(process)).sum()
        };
        self.used.processes = count(&self.processes);
        if self.used.processes <= most / 8 * 7 {
            return;
        }
        let entries = self.processes.values().map(|process| HeldEntry {
            key: (process.pid, process.owner.clone()),
            owner: &process.owner,
            worth: (process.exited.is_none(), process.started),
            bytes: weight(process),
        });
        for (pid, owner) in heaviest(entries, most / 8 * 7) {
            self.forgotten(&owner);
            self.processes.remove(&pid);
        }
        self.used.processes = count(&self.processes);
    }

    pub(super) fn exit(&mut self, event: &Event, exit: &Exit) {
        if let Some(process) = self.processes.get_mut(&event.pid) {
            let process = Arc::make_mut(process);
            process.exited = Some(event.ts);
            process.exit_code = exit.code;
            process.exit_signal = exit.signal;
            self.exited.push_back((event.ts, event.pid));
            if self.exited.len() > MAX_EXITED {
                self.shrink_exited();
            }
        }
    }

    fn shrink_exited(&mut self) {
        let entries = self.exited.iter().filter_map(|(at, pid)| {
            let process = self.processes.get(pid).filter(|p| p.exited == Some(*at))?;
            Some(((*at, *pid), &process.owner, *at))
        });
        let gone = surplus(entries, MAX_EXITED / 8 * 7);
        let gone: Vec<_> = gone
            .into_iter()
            .map(|((_, pid), owner)| (pid, owner.clone()))
            .collect();
        for (pid, owner) in gone {
            self.forgotten(&owner);
            self.processes.remove(&pid);
        }
        let processes = &self.processes;
        self.exited.retain(|(at, pid)| {
            let process = processes.get(pid);
            process.is_some_and(|process| process.exited == Some(*at))
        });
    }

    pub(super) fn forget_oldest_exited(&mut self) {
        if let Some((at, pid)) = self.exited.pop_front()
            && self
                .processes
                .get(&pid)
                .is_some_and(|p| p.exited == Some(at))
        {
            self.processes.remove(&pid);
        }
    }
}
