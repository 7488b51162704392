//! The collector thread: records, engine messages and comparisons → attributed events.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::comparisons::Comparisons;
use super::container_facts::ContainerFacts;
use super::drift_scan::ScanQueue;
use super::event_queue::EventQueue;
use super::fetching_scripts::FetchingScripts;
use super::host_entries::HostEntries;
use super::lifecycle::Lifecycle;
use super::older_links::OlderLinks;
use super::password_hashes;
use super::program_files::ProgramFiles;
use super::root_files::RootFiles;
use super::shared::LiveShared;
use super::standard_input::StandardInputs;
use super::unreported::UnreportedContainers;
use super::unwatched::UnwatchedContainers;
use crate::containers::compare::Comparer;
use crate::containers::usage::UsageSampler;
use crate::containers::{
    self, CgroupDirectory, FoundContainer, ProcessSampler, RuntimeMessage, RuntimeOptions,
    Runtimes, by_namespace, runtime_setup,
};
use crate::event::{
    BaselineChange, Compare, ContainerAction, ContainerEvent, ContainerId, ContainerInfo,
    DriftScanCause, Event, Kind, Lost, LostReason, PolicyChange, Runtime, Timestamp,
};
use crate::memory::Share;
use crate::probe::{Due, Observation, Observed, Presence, Probe};
use crate::response::ResponseResult;
use crate::state::Owner;
use crate::system::{self, OwnProcess};

/// Interval at which the kernel's buffer is read.
const POLL: Duration = Duration::from_millis(20);
/// Maximum number of queued engine messages.
const MAX_MESSAGES: usize = 1024;
/// Maximum number of responses that wait to be shown; further ones are only in the stream.
const MAX_ANSWERED: usize = 16;
const SECOND: Duration = Duration::from_secs(1);

/// The collector's thread with its state between two rounds.
pub(super) struct Collector<'a> {
    pub(super) probe: Probe,
    pub(super) directory: CgroupDirectory,
    pub(super) lifecycle: Lifecycle,
    pub(super) root_files: RootFiles,
    pub(super) unreported: UnreportedContainers,
    pub(super) unwatched: UnwatchedContainers,
    inputs: StandardInputs,
    scripts: FetchingScripts,
    links: OlderLinks,
    programs: ProgramFiles,
    pub(super) entries: HostEntries,
    pub(super) facts: ContainerFacts,
    pub(super) sampler: UsageSampler,
    pub(super) processes: ProcessSampler,
    pub(super) comparisons: Option<Comparisons>,
    compared: Receiver<(ContainerId, Compare)>,
    policy: Receiver<PolicyChange>,
    responses: Receiver<ResponseResult>,
    baselines: Receiver<BaselineChange>,
    engine: Option<(Runtimes, Receiver<RuntimeMessage>)>,
    pub(super) queue: EventQueue<'a>,
    pub(super) scans: Option<ScanQueue>,
    pub(super) lost_total: u64,
    /// Pid namespaces excluded since the last tick, and the owners of their events.
    pub(super) refused: BTreeMap<u64, Option<Owner>>,
    /// The host's own processes are watched as well.
    pub(super) host: bool,
    /// This program's process.
    own: OwnProcess,
    pub(super) shared: &'a LiveShared,
}

/// Further sources of events besides the probes.
pub(super) struct CollectorInputs {
    pub(super) engine: Option<RuntimeOptions>,
    pub(super) policy: Receiver<PolicyChange>,
    pub(super) baselines: Receiver<BaselineChange>,
    pub(super) scans: Option<ScanQueue>,
    pub(super) responses: Receiver<ResponseResult>,
}

/// Runs until stopped; then handles the queued messages.
pub(super) fn run(
    probe: Probe,
    host: bool,
    from: CollectorInputs,
    events: &Sender<Vec<Event>>,
    shared: &LiveShared,
) {
    let (found, compared) = crossbeam_channel::bounded(1024);
    let comparisons = Comparer::start(found).ok().map(Comparisons::new);
    // After the probes are attached: anything that begins meanwhile is seen by both, never by
    // neither.
    let (directory, existing) = by_namespace::scan();
    let memory = shared.core.lock().detector.settings().memory;
    let mut collector = Collector {
        probe,
        directory,
        lifecycle: Lifecycle::default(),
        root_files: RootFiles::default(),
        unreported: UnreportedContainers::default(),
        unwatched: UnwatchedContainers::default(),
        inputs: StandardInputs::default(),
        scripts: FetchingScripts::default(),
        links: OlderLinks::new(system::wall_now()),
        programs: ProgramFiles::default(),
        entries: HostEntries::default(),
        facts: ContainerFacts::default(),
        sampler: UsageSampler::new(),
        processes: ProcessSampler::default(),
        comparisons,
        compared,
        policy: from.policy,
        responses: from.responses,
        baselines: from.baselines,
        scans: from.scans,
        engine: None,
        // The other half is on its way to the core thread.
        queue: EventQueue::new(events, memory.of(Share::Queue) / 2),
        lost_total: 0,
        refused: BTreeMap::new(),
        host,
        own: OwnProcess::find(),
        shared,
    };
    tracing::info!(containers = existing.len(), "listing existing containers");
    collector.begin(host, &existing);
    collector.engine = from.engine.map(|options| {
        // When full it blocks the engine's thread only.
        let (out, messages) = crossbeam_channel::bounded(MAX_MESSAGES);
        (containers::start(options, out), messages)
    });
    let mut ticked = Instant::now();
    loop {
        let stop = shared.stop.load(Ordering::Relaxed);
        collector.take();
        if ticked.elapsed() >= SECOND || stop {
            let due = if stop { Due::All } else { Due::Over };
            collector.repeats(collector.probe.now(), due);
            collector.tick(ticked.elapsed());
            ticked = Instant::now();
        }
        collector.queue.hand_on(stop);
        if stop {
            break;
        }
        std::thread::sleep(POLL);
    }
    if let Some((runtimes, _)) = collector.engine.take() {
        runtimes.stop();
    }
}

impl Collector<'_> {
    pub(super) fn push(&mut self, ts: Timestamp, container: Option<ContainerId>, kind: Kind) {
        self.push_of(ts, container, 0, 0, kind);
    }

    pub(super) fn push_of(
        &mut self,
        ts: Timestamp,
        container: Option<ContainerId>,
        pid: u32,
        nspid: u32,
        kind: Kind,
    ) {
        if pid != 0
            && let Some(id) = &container
        {
            match self.lifecycle.entered(id) {
                Some(found) => self.report(ts, &found, pid, ContainerAction::Appeared),
                None if !self.unreported.is_empty() => self.look_again(ts, &id.clone(), pid),
                None => {}
            }
        }
        let event = Event {
            // The core thread numbers events, so that a dropped one leaves no gap.
            seq: 0,
            ts,
            container,
            pid,
            nspid,
            kind,
        };
        if let Some(comparisons) = &mut self.comparisons {
            comparisons.look(&event, &self.facts);
        }
        self.queue.push(event);
    }

    /// Reports a container that has a process in it, `pid` where one is known.
    pub(super) fn report(
        &mut self,
        ts: Timestamp,
        found: &FoundContainer,
        pid: u32,
        action: ContainerAction,
    ) {
        let info = self.unreported.begin(found, pid);
        if info.runtime == Runtime::Containerd
            && let Some((runtimes, _)) = &self.engine
        {
            runtimes.look_for_containerd();
        }
        if !info.command.is_empty() {
            self.know(&found.id, &info);
        }
        self.report_container(ts, &found.id, action, Some(info));
    }

    fn look_again(&mut self, ts: Timestamp, id: &ContainerId, pid: u32) {
        if let Some(info) = self.unreported.look_again(id, pid) {
            self.know(id, &info);
            self.report_container(ts, id, ContainerAction::Info, Some(info));
        }
    }

    pub(super) fn report_container(
        &mut self,
        ts: Timestamp,
        id: &ContainerId,
        action: ContainerAction,
        info: Option<ContainerInfo>,
    ) {
        let event = ContainerEvent {
            action,
            info: info.map(Box::new),
        };
        self.push(ts, Some(id.clone()), Kind::Container(Box::new(event)));
    }

    /// A container's cgroup appeared: includes its events, however the kernel programs judged its
    /// name.
    pub(super) fn born(&mut self, ts: Timestamp, found: FoundContainer) {
        tracing::debug!(id = ?found.id, path = found.path, "cgroup of a container");
        let late = !self.probe.gate.admits(found.cgroup);
        if late {
            self.note_set_up(&found);
        }
        if let Err(error) = self.probe.gate.admit(found.cgroup) {
            let id = Some(found.id.clone());
            self.lost(ts, id, LostReason::MapFull, 0, error.to_string());
        }
        if late {
            // Those that joined meanwhile.
            self.note_set_up(&found);
        }
        self.lifecycle.born(found);
    }

    /// Processes that joined a cgroup before its name was read: the kernel programs see only later
    /// ones join.
    fn note_set_up(&mut self, found: &FoundContainer) {
        for pid in found.members() {
            if runtime_setup::sets_up(pid) {
                self.probe.gate.set_up(pid);
            }
        }
    }

    fn take(&mut self) {
        let mut seen = Vec::new();
        self.probe.drain(&mut |observed| seen.push(observed));
        for observed in seen {
            self.observed(observed);
        }
        let messages: Vec<_> = self
            .engine
            .iter()
            .flat_map(|(_, messages)| messages.try_iter())
            .collect();
        for message in messages {
            self.message(message);
        }
        let changes: Vec<_> = self.policy.try_iter().collect();
        for change in changes {
            self.push(self.probe.now(), None, Kind::Policy(Box::new(change)));
        }
        let made: Vec<_> = self.responses.try_iter().collect();
        for result in made {
            let mut answered = self.shared.answered.lock();
            if answered.len() < MAX_ANSWERED {
                answered.push_back(result.response.clone());
            }
            drop(answered);
            let kind = Kind::Response(Box::new(result.response));
            self.push_of(result.at, Some(result.container), result.pid, 0, kind);
        }
        let changes: Vec<_> = self.baselines.try_iter().collect();
        for change in changes {
            self.push(self.probe.now(), None, Kind::Baseline(Box::new(change)));
        }
        let requested = std::mem::take(&mut *self.shared.scan_requests.lock());
        let scanned = self.scans.as_mut().map_or(Vec::new(), |scans| {
            for id in &requested {
                scans.ask(id, DriftScanCause::Asked, &self.facts);
            }
            scans.take()
        });
        for (container, scan) in scanned {
            let now = self.probe.now();
            self.push(now, Some(container), Kind::DriftScan(Box::new(scan)));
        }
        let compared: Vec<_> = self.compared.try_iter().collect();
        for (container, compare) in compared {
            let now = self.probe.now();
            self.push(now, Some(container), Kind::Compare(Box::new(compare)));
        }
    }

    /// Reports counts of repeated file operations that no later record carries.
    pub(super) fn repeats(&mut self, now: Timestamp, of: Due<'_>) {
        let mut counted = Vec::new();
        self.probe
            .repeats(now, of, &mut |observed| counted.push(observed));
        for observed in counted {
            self.observed(observed);
        }
    }

    fn observed(&mut self, observed: Observed) {
        let Observed {
            ts,
            cgroup,
            pid,
            nspid,
            presence,
            fact,
        } = observed;
        match fact {
            Observation::Event(kind) => {
                if self.directory.is_selftest(cgroup) {
                    return;
                }
                let Some(container) = self.owner(ts, cgroup, pid, nspid, &kind) else {
                    return;
                };
                // This program's own work inside a container would look like an attack.
                if self.own.is(cgroup, pid, nspid) {
                    return;
                }
                match presence {
                    Presence::Own => self.event(ts, container, pid, nspid, kind),
                    Presence::Entered { .. } => {
                        self.of_entered(ts, cgroup, container, (pid, nspid), presence, kind);
                    }
                }
            }
            Observation::Entry(entry) => self.entry(ts, cgroup, pid, *entry),
            Observation::CgroupBorn { id, parent, name } => {
                if let Some(found) = self.directory.born(id, parent, &name) {
                    self.born(ts, found);
                } else if self.directory.lookup(id).is_none() {
                    self.probe.gate.dismiss(id);
                }
            }
            Observation::CgroupGone { id } => {
                self.gone(ts, id);
            }
        }
    }

    /// A cgroup was removed, or the pid namespace by which a container is known ended.
    pub(super) fn gone(&mut self, ts: Timestamp, place: u64) {
        self.repeats(ts, Due::Cgroup(place));
        if self.directory.lookup(place).is_some() {
            // Later the owner of their losses would be unknown.
            self.report_losses(ts);
        }
        if let Some(container) = self.directory.gone(place)
            && self.lifecycle.gone(&container, place)
        {
            self.unreported.remove(&container);
            self.facts.forget(&container);
            self.root_files.forget(&container);
            if let Some(comparisons) = &mut self.comparisons {
                comparisons.forget(&container);
            }
            if let Some(scans) = &mut self.scans {
                scans.forget(&container);
            }
            self.report_container(ts, &container, ContainerAction::Gone, None);
        }
    }

    /// An event of the kernel about a process.
    pub(super) fn event(
        &mut self,
        ts: Timestamp,
        container: Option<ContainerId>,
        pid: u32,
        nspid: u32,
        mut kind: Kind,
    ) {
        let mut ended = None;
        if let Some(id) = &container {
            match &kind {
                Kind::Exec(exec) if nspid == 1 && pid != 1 && !exec.runtime => {
                    self.lifecycle.may_be_init(id, pid);
                    self.map_ids(ts, id, pid);
                }
                Kind::Exit(exit) => ended = self.lifecycle.exited(id, pid, exit),
                _ => {}
            }
            let init = self.lifecycle.init(id);
            self.links.follow(ts, init.unwrap_or(pid), &mut kind);
            self.root_files.correct(id, init, &mut kind, &self.facts);
            password_hashes::note(init.unwrap_or(pid), &mut kind);
            self.programs.note(init.unwrap_or(pid), &mut kind);
            self.inputs.note(ts, pid, &mut kind);
            self.scripts.note(ts, init.unwrap_or(pid), &mut kind);
        }
        self.push_of(ts, container.clone(), pid, nspid, kind);
        if let Some(code) = ended {
            let died = ContainerEvent {
                action: ContainerAction::Died(code),
                info: None,
            };
            self.push(ts, container, Kind::Container(Box::new(died)));
        }
    }

    /// Facts of a container arrived.
    pub(super) fn know(&mut self, id: &ContainerId, info: &ContainerInfo) {
        self.facts.know(id, info);
        if info.init_pid != 0 {
            self.lifecycle.set_init(id, info.init_pid);
        }
        if let Some(scans) = &mut self.scans {
            scans.know(id, &self.facts);
        }
    }

    pub(super) fn lost(
        &mut self,
        ts: Timestamp,
        container: Option<ContainerId>,
        reason: LostReason,
        count: u64,
        detail: String,
    ) {
        tracing::warn!(container = ?container, ?reason, count, detail, "events lost");
        self.lost_total += count;
        let lost = Lost {
            reason,
            count,
            detail,
        };
        self.push(ts, container, Kind::Lost(lost));
    }
}
