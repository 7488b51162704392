//! Process events into state: exec, fork, exit, and processes that were there before.

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
        self.process_at(ppid, at)
            .filter(|parent| parent.owner == *owner)
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
            if self.exited.is_empty() {
                return;
            }
            self.forget_oldest_exited();
        }
        if process.lineage == Lineage::Init
            && let Some(container) = process.owner.as_ref()
            && let Some(container) = self.containers.get_mut(container)
            && container.init.is_none()
        {
            Arc::make_mut(container).init = Some(process.pid);
        }
        self.used.processes += weight(&process);
        let started = process.started;
        let before = self.processes.insert(process.pid, Arc::new(process));
        // A process that still runs in the table is the same one, in another program.
        if let Some(before) = before.filter(|p| p.exited.is_some_and(|exited| exited <= started)) {
            self.earlier.insert((before.pid, before.started), before);
        }
        self.fit_processes();
    }

    /// Forgets processes until they fit into their share: those that ended first.
    fn fit_processes(&mut self) {
        let most = self.memory.of(Share::Processes);
        if self.used.processes <= most {
            return;
        }
        let held = |state: &Self| -> usize { state.listed().map(|process| weight(process)).sum() };
        self.used.processes = held(self);
        if self.used.processes <= most / 8 * 7 {
            return;
        }
        let entries = self.listed().map(|process| HeldEntry {
            key: (process.pid, process.started, process.owner.clone()),
            owner: &process.owner,
            worth: (process.exited.is_none(), process.started),
            bytes: weight(process),
        });
        for (pid, started, owner) in heaviest(entries, most / 8 * 7) {
            self.forgotten(&owner);
            self.forget_process(pid, |process| process.started == started);
        }
        self.used.processes = held(self);
    }

    /// All known processes, those whose pid another has now included.
    fn listed(&self) -> impl Iterator<Item = &Arc<ProcessEntry>> {
        self.processes.values().chain(self.earlier.values())
    }

    /// The process that had this pid and ended at this time.
    fn ended(&self, pid: u32, at: Timestamp) -> Option<&Arc<ProcessEntry>> {
        self.with_pid(pid)
            .find(|process| process.exited == Some(at))
    }

    /// Forgets the process with this pid that passes the test.
    fn forget_process(&mut self, pid: u32, test: impl Fn(&ProcessEntry) -> bool) {
        if self.processes.get(&pid).is_some_and(|p| test(p)) {
            self.processes.remove(&pid);
            return;
        }
        let found = self.with_pid(pid).find(|process| test(process));
        if let Some(key) = found.map(|process| (process.pid, process.started)) {
            self.earlier.remove(&key);
        }
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
            let process = self.ended(*pid, *at)?;
            Some(((*at, *pid), &process.owner, *at))
        });
        let gone = surplus(entries, MAX_EXITED / 8 * 7);
        let gone: Vec<_> = gone
            .into_iter()
            .map(|(key, owner)| (key, owner.clone()))
            .collect();
        for ((at, pid), owner) in gone {
            self.forgotten(&owner);
            self.forget_process(pid, |process| process.exited == Some(at));
        }
        let mut exited = std::mem::take(&mut self.exited);
        exited.retain(|(at, pid)| self.ended(*pid, *at).is_some());
        self.exited = exited;
    }

    pub(super) fn forget_oldest_exited(&mut self) {
        if let Some((at, pid)) = self.exited.pop_front() {
            self.forget_process(pid, |process| process.exited == Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ContainerId, Kind};

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000_000)
    }

    fn happens(state: &mut State, seconds: i64, who: &str, pid: u32, kind: Kind) {
        state.apply(&Arc::new(Event {
            seq: 1,
            ts: at(seconds),
            container: Some(ContainerId::new(who)),
            pid,
            nspid: 9,
            kind,
        }));
    }

    fn run(exe: &str, ppid: u32) -> Kind {
        Kind::Exec(Box::new(Exec {
            exe: exe.into(),
            ppid,
            ..Exec::default()
        }))
    }

    /// The program that had the pid 5 at this time.
    fn program(state: &State, seconds: i64) -> Option<String> {
        let process = state.process_at(5, at(seconds));
        process.map(|process| process.exe.escaped().to_string())
    }

    #[test]
    fn a_process_is_known_after_its_pid_was_reused() {
        let mut state = State::default();
        happens(&mut state, 1, "a", 4, run("/bin/sh", 1));
        happens(&mut state, 2, "a", 5, run("/bin/tar", 4));
        happens(&mut state, 3, "a", 6, run("/bin/gzip", 5));
        let exit = || Kind::Exit(Exit::default());
        happens(&mut state, 5, "a", 5, exit());
        happens(&mut state, 20, "b", 5, run("/bin/true", 1));
        happens(&mut state, 21, "b", 5, exit());
        happens(&mut state, 40, "b", 5, run("/bin/false", 1));
        let is = |state: &State, seconds, exe: &str| {
            assert_eq!(program(state, seconds).as_deref(), Some(exe));
        };
        let known = |state: &State| {
            is(state, 4, "/bin/tar");
            assert_eq!(program(state, 10), None);
            is(state, 21, "/bin/true");
            is(state, 50, "/bin/false");
            let above: Vec<u32> = state.ancestry(6).map(|process| process.pid).collect();
            assert_eq!(above, [6, 5, 4]);
        };
        known(&state);
        known(&state.freeze().unwrap().thaw().unwrap());
        // Ten minutes after its end it is forgotten, wherever it is listed.
        let tick = || Kind::Tick(Box::default());
        happens(&mut state, 606, "b", 0, tick());
        assert_eq!(program(&state, 4), None);
        is(&state, 21, "/bin/true");
        happens(&mut state, 622, "b", 0, tick());
        assert!(state.earlier.is_empty() && state.exited.is_empty());
        is(&state, 50, "/bin/false");
    }

    #[test]
    fn processes_whose_pid_was_reused_are_bounded() {
        let mut state = State::default();
        for number in 0..3 * MAX_EXITED {
            let (seconds, pid) = (number as i64 / 100, 5 + number as u32 % 500);
            happens(&mut state, seconds, "a", pid, run("/bin/true", 1));
            happens(&mut state, seconds, "a", pid, Kind::Exit(Exit::default()));
        }
        assert!(state.earlier.len() <= MAX_EXITED);
        assert!(state.exited.len() <= MAX_EXITED);
    }
}
