//! Events into state: one method per kind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::container::{Container, Owner};
use super::file::{FileActivity, FileKey};
use super::quota::{HeldEntry, heaviest, surplus};
use super::tables::State;
use crate::event::{
    BaselineChange, Bytes, ContainerAction, ContainerEvent, ContainerId, Event, Exec, File,
    FileEffect, FileOp, Kind, Tick, Timestamp,
};
use crate::memory::Share;

/// Time for which an exited process is kept.
const KEEP_EXITED: Duration = Duration::from_secs(600);
/// Time for which the facts of an ended container are kept.
const KEEP_ENDED: Duration = Duration::from_secs(3600);
/// Bounds of the tables.
const MAX_CONTAINERS: usize = 1024;
const MAX_FILES: usize = 16_384;
const MAX_BASELINES: usize = 1_024;
const CPU_HISTORY: usize = 600;

impl State {
    /// Applies one event.
    pub fn apply(&mut self, event: &Arc<Event>) {
        if self.totals.events == 0 {
            self.began = event.ts;
        }
        self.now = self.now.max(event.ts);
        self.totals.events += 1;
        if let Some(id) = &event.container
            && !self.containers.contains_key(id)
        {
            self.add_container(id, event.ts);
        }
        match &event.kind {
            Kind::Exec(exec) => {
                self.exec(event, exec);
                self.executed_file(event, exec);
            }
            Kind::Fork(fork) => self.fork(event, fork),
            Kind::Exit(exit) => self.exit(event, exit),
            Kind::Process(process) => self.existing_process(event, process),
            Kind::Connect(connect) => self.connect(event, connect),
            Kind::Accept(accept) => self.accept(event, accept),
            Kind::Close(close) => self.close(event, close),
            Kind::Listen(listen) => self.listen(event, listen),
            Kind::Socket(socket) => self.existing_socket(event, socket),
            Kind::Dns(dns) => self.dns(event, dns),
            Kind::File(file) => self.file(event, file),
            Kind::Compare(compare) => {
                let key = FileKey {
                    owner: event.container.clone(),
                    path: compare.path.clone(),
                };
                if let Some(activity) = self.files.get_mut(&key) {
                    let activity = Arc::make_mut(activity);
                    activity.class = Some(compare.class.clone());
                }
                if let Some(container) = self.own_container(event) {
                    container.note_comparison(event, compare);
                }
            }
            Kind::DriftScan(_) => {
                if let Some(container) = self.own_container(event) {
                    container.scan = Some(Arc::clone(event));
                }
            }
            Kind::Privilege(_) | Kind::ExecRefused(_) | Kind::Client(_) | Kind::Syscall(_) => {}
            Kind::Capability(capability) => {
                if let Some(container) = self.own_container(event) {
                    container.capabilities.insert(capability.name.clone());
                }
            }
            Kind::Container(change) => self.container_event(event, change),
            Kind::Tick(tick) => self.tick(event.ts, tick),
            Kind::Policy(change) => {
                let refused = change.refused.as_ref();
                self.policy_refused = refused.map(|why| format!("{}: {why}", change.file));
            }
            Kind::Response(_) => {
                if let Some(container) = self.own_container(event) {
                    container.respond(event);
                }
            }
            Kind::Baseline(change) => self.baseline(change),
            Kind::Lost(lost) => {
                self.totals.lost = self.totals.lost.saturating_add(lost.count);
                if let Some(container) = self.own_container(event) {
                    container.lost = container.lost.saturating_add(lost.count);
                }
            }
        }
        self.recent.apply(event, self.memory.of(Share::Recent));
    }

    fn baseline(&mut self, change: &BaselineChange) {
        if change.content.is_some() {
            if self.baselines.len() < MAX_BASELINES || self.baselines.contains_key(&change.file) {
                self.baselines
                    .insert(change.file.clone(), Arc::new(change.clone()));
            }
        } else if change.refused.is_none() {
            self.baselines.remove(&change.file);
        }
    }

    pub(super) fn own_container(&mut self, event: &Event) -> Option<&mut Container> {
        let container = self.containers.get_mut(event.container.as_ref()?)?;
        Some(Arc::make_mut(container))
    }

    fn add_container(&mut self, id: &ContainerId, at: Timestamp) {
        if self.containers.len() >= MAX_CONTAINERS {
            self.totals.evicted += 1;
            let ended = self.containers.values().filter(|c| c.ended.is_some());
            let oldest = ended.min_by(|a, b| (a.ended, &a.id).cmp(&(b.ended, &b.id)));
            let Some(oldest) = oldest.map(|c| c.id.clone()) else {
                // All of them run: none is dropped for a new one.
                return;
            };
            self.containers.remove(&oldest);
        }
        self.containers
            .insert(id.clone(), Arc::new(Container::new(id.clone(), at)));
    }

    fn container_event(&mut self, event: &Event, change: &ContainerEvent) {
        let Some(container) = self.own_container(event) else {
            return;
        };
        if let Some(info) = &change.info {
            let before = container.info.weight();
            container.info = (**info).clone();
            let held = self.used.containers.saturating_sub(before);
            self.used.containers = held + info.weight();
            self.fit_containers();
        }
        let Some(container) = self.own_container(event) else {
            return;
        };
        match &change.action {
            ContainerAction::Existing => {
                container.existing = true;
                container.running = true;
            }
            ContainerAction::Appeared | ContainerAction::Started => {
                container.running = true;
                container.ended = None;
                container.exit_code = None;
            }
            ContainerAction::Gone | ContainerAction::Removed => {
                container.running = false;
                container.ended.get_or_insert(event.ts);
            }
            ContainerAction::Died(code) => {
                container.running = false;
                container.exit_code = Some(*code);
                container.ended.get_or_insert(event.ts);
                // A restart runs its entrypoint again: start-up begins again.
                container.first_exec = None;
            }
            ContainerAction::Oom => container.oom_kills += 1,
            ContainerAction::Paused => container.paused = true,
            ContainerAction::Unpaused => container.paused = false,
            ContainerAction::Health(health) => container.info.health.clone_from(health),
            // Its first event: it runs nothing yet.
            ContainerAction::Created if container.is_new(event.ts) => container.running = false,
            ContainerAction::Created
            | ContainerAction::Renamed
            | ContainerAction::ExecStarted(_)
            | ContainerAction::CopiedIn
            | ContainerAction::Info => {}
        }
    }

    /// Notes the facts of a changed file that a process executes: its mode may have been set by a
    /// change that is not reported.
    fn executed_file(&mut self, event: &Event, exec: &Exec) {
        let key = FileKey {
            owner: event.container.clone(),
            path: exec.exe.clone(),
        };
        if exec.file.ino != 0
            && let Some(activity) = self.files.get_mut(&key)
        {
            Arc::make_mut(activity).file = Some(exec.file);
        }
    }

    fn file(&mut self, event: &Event, file: &File) {
        if file.errno == 0
            && file.op.effect() != FileEffect::Use
            && let Some(container) = self.own_container(event)
        {
            container.writes.add(file.count);
        }
        let path = match (file.op, &file.target) {
            (FileOp::Rename | FileOp::Link, Some(target)) => target,
            _ => &file.path,
        };
        let key = FileKey {
            owner: event.container.clone(),
            path: path.clone(),
        };
        if !self.files.contains_key(&key) {
            if self.files.len() >= MAX_FILES {
                self.shrink_files();
            }
            self.fit_files(file_weight(&key));
        }
        let begin = || FileActivity {
            ops: BTreeMap::new(),
            refused: 0,
            last_op: file.op,
            last_errno: 0,
            pid: event.pid,
            writer: event.pid,
            written: event.ts,
            comm: Bytes::default(),
            file: None,
            class: None,
            first: event.ts,
            last: event.ts,
        };
        let activity = self.files.entry(key).or_insert_with(|| Arc::new(begin()));
        let activity = Arc::make_mut(activity);
        *activity.ops.entry(file.op).or_default() += u64::from(file.count);
        if file.errno != 0 {
            activity.refused += u64::from(file.count);
        }
        // The last change of a file is kept longer than the reads of it.
        let looks = |op: &FileOp| op.effect() == FileEffect::Use;
        if looks(&file.op) && activity.ops.keys().any(|op| !looks(op)) {
            return;
        }
        activity.last_op = file.op;
        activity.last_errno = file.errno;
        activity.pid = event.pid;
        // The author of the content does not change with the mode.
        if file.op.effect() != FileEffect::Attribute {
            activity.writer = event.pid;
            activity.written = event.ts;
        }
        if activity.comm != file.comm {
            activity.comm.clone_from(&file.comm);
        }
        activity.file = file.file.or(activity.file);
        activity.last = activity.last.max(event.ts);
    }

    /// Files that differ from the image are dropped last, so that many writes cannot hide a
    /// container's drift.
    fn shrink_files(&mut self) {
        let entries = self.files.iter().map(|(key, activity)| {
            let worth = (activity.differs().is_some(), activity.last);
            (key, &key.owner, worth)
        });
        let gone = surplus(entries, MAX_FILES / 8 * 7);
        let gone: Vec<_> = gone.into_iter().map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.forgotten(&key.owner);
            self.files.remove(&key);
        }
    }

    /// Makes room for a path of `more` bytes within the share of all.
    fn fit_files(&mut self, more: usize) {
        let most = self.memory.of(Share::Files);
        self.used.files += more;
        if self.used.files <= most {
            return;
        }
        let count = |files: &BTreeMap<FileKey, Arc<FileActivity>>| -> usize {
            files.keys().map(file_weight).sum()
        };
        self.used.files = count(&self.files) + more;
        let keep = most / 8 * 7;
        if self.used.files <= keep {
            return;
        }
        let entries = self.files.iter().map(|(key, activity)| HeldEntry {
            key,
            owner: &key.owner,
            worth: (activity.differs().is_some(), activity.last),
            bytes: file_weight(key),
        });
        let gone = heaviest(entries, keep.saturating_sub(more));
        let gone: Vec<_> = gone.into_iter().cloned().collect();
        for key in gone {
            self.forgotten(&key.owner);
            self.files.remove(&key);
        }
        self.used.files = count(&self.files) + more;
    }

    /// Leaves out what engines report at length of containers, those that have most first, until all
    /// fits into its share.
    fn fit_containers(&mut self) {
        let most = self.memory.of(Share::Containers);
        if self.used.containers <= most {
            return;
        }
        let weights = self.containers.values().map(|c| (c.info.weight(), &c.id));
        let mut heaviest: Vec<_> = weights.map(|(weight, id)| (weight, id.clone())).collect();
        heaviest.sort_unstable_by(|a, b| b.cmp(a));
        self.used.containers = heaviest.iter().map(|(weight, _)| weight).sum();
        for (before, id) in heaviest {
            if self.used.containers <= most / 8 * 7 {
                return;
            }
            if let Some(container) = self.containers.get_mut(&id) {
                let container = Arc::make_mut(container);
                container.info.shorten();
                let less = before.saturating_sub(container.info.weight());
                self.used.containers -= less;
            }
            self.forgotten(&Some(id));
        }
    }

    /// Counts an entry that went because a table was full.
    pub(super) fn forgotten(&mut self, owner: &Owner) {
        self.totals.evicted += 1;
        if let Some(container) = owner.as_ref().and_then(|id| self.containers.get_mut(id)) {
            Arc::make_mut(container).forgotten += 1;
        }
    }

    fn tick(&mut self, at: Timestamp, tick: &Tick) {
        self.clock_step = tick.clock_step;
        for usage in &tick.usage {
            if let Some(container) = self.containers.get_mut(&usage.id) {
                let container = Arc::make_mut(container);
                container.cpu_milli = usage.cpu_milli;
                container.memory = usage.memory;
                container.pids = usage.pids;
                push_bounded(&mut container.cpu_history, usage.cpu_milli, CPU_HISTORY);
            }
        }
        if let Some(processes) = &tick.processes {
            for usage in self.usage.values_mut() {
                usage.cpu_milli = 0;
            }
            self.usage.extend(processes.iter().map(|p| (p.pid, *p)));
            let running = &self.processes;
            self.usage.retain(|pid, _| {
                let process = running.get(pid);
                process.is_some_and(|process| process.exited.is_none())
            });
        }
        for container in self.containers.values_mut().filter(|c| c.running) {
            let container = Arc::make_mut(container);
            container.writes.tick();
            container.execs.tick();
            container.connects.tick();
        }
        while self
            .exited
            .front()
            .is_some_and(|(exited, _)| at.since(*exited) > KEEP_EXITED)
        {
            self.forget_oldest_exited();
        }
        let old: BTreeSet<ContainerId> = self
            .containers
            .values()
            .filter(|c| c.ended.is_some_and(|ended| at.since(ended) > KEEP_ENDED))
            .map(|c| c.id.clone())
            .collect();
        if !old.is_empty() {
            let kept = |owner: &Owner| owner.as_ref().is_none_or(|id| !old.contains(id));
            self.containers.retain(|id, _| !old.contains(id));
            self.processes.retain(|_, process| kept(&process.owner));
            self.earlier.retain(|_, process| kept(&process.owner));
            self.connections.retain(|key, _| kept(&key.owner));
            self.files.retain(|key, _| kept(&key.owner));
        }
    }
}

/// Approximate bytes of an entry of the files.
fn file_weight(key: &FileKey) -> usize {
    384 + key.path.len()
}

fn push_bounded(history: &mut VecDeque<u32>, value: u32, bound: usize) {
    if history.len() >= bound {
        history.pop_front();
    }
    history.push_back(value);
}
