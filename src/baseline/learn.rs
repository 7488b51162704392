//! Learning: a pure fold of events and findings into a baseline for each container.

use std::collections::BTreeMap;
use std::time::Duration;

use super::item::{Facet, ItemField};
use super::learning::{Learning, Run};
use super::model::Baseline;
use super::observed_action::{self, ActingPart};
use super::subject::HEALTH_CHECK;
use crate::event::{
    Bytes, ContainerAction, ContainerId, ContainerInfo, Event, FileClass, Kind, LostReason,
    Severity, Tick, Timestamp,
};
use crate::state::{Container, Lineage, State};

/// Maximum number of containers.
const MOST_CONTAINERS: usize = 256;

/// A finding at this event.
#[derive(Debug, Clone)]
pub struct Suspicion {
    /// Rule and number of the finding.
    pub finding: String,
    /// Its severity.
    pub severity: Severity,
    /// Its container.
    pub container: ContainerId,
    /// The process it is about; 0 for none.
    pub pid: u32,
    /// The files it is about.
    pub files: Vec<Bytes>,
}

/// Learns from every container of a stream.
#[derive(Debug, Clone, Default)]
pub struct Learner {
    grace: Duration,
    containers: BTreeMap<ContainerId, Learning>,
    last_tick: Option<Timestamp>,
    /// Events of containers beyond the maximum.
    pub missed: u64,
}

impl Learner {
    /// An empty learner. `grace` is the start-up grace of a container.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self {
            grace,
            ..Self::default()
        }
    }

    /// Adds one event, after `state` applied it, with the findings at it.
    pub fn apply(&mut self, state: &State, event: &Event, found: &[Suspicion]) {
        if let Kind::Tick(tick) = &event.kind {
            self.tick(state, event.ts, tick);
        }
        if let Kind::Lost(lost) = &event.kind
            && event.container.is_none()
            && lost.reason != LostReason::Engine
        {
            // It may belong to any container.
            for learning in self.containers.values_mut() {
                learning.lost += lost.count.max(1);
            }
        }
        let Some(id) = &event.container else {
            return;
        };
        let Some(container) = state.containers.get(id) else {
            return;
        };
        if !self.containers.contains_key(id) {
            if self.containers.len() >= MOST_CONTAINERS {
                self.missed += 1;
                return;
            }
            self.containers
                .insert(id.clone(), Learning::new(id, event.ts));
        }
        let grace = self.grace;
        let Some(learning) = self.containers.get_mut(id) else {
            return;
        };
        learning.until = learning.until.max(event.ts);
        learning.settle(event.ts, grace);
        take(learning, state, event, container, found, grace);
    }

    fn tick(&mut self, state: &State, at: Timestamp, tick: &Tick) {
        // A gap of more than a few seconds was not observed.
        let passed = self.last_tick.map_or(Duration::ZERO, |last| at.since(last));
        let passed = passed.min(Duration::from_secs(5));
        self.last_tick = Some(at);
        for (id, learning) in &mut self.containers {
            if !state
                .containers
                .get(id)
                .is_some_and(|c| c.running && !c.paused)
            {
                continue;
            }
            learning.until = learning.until.max(at);
            learning.settle(at, self.grace);
            if learning.is_steady() {
                learning.observed += passed;
            }
        }
        for usage in &tick.usage {
            if let Some(learning) = self.containers.get_mut(&usage.id) {
                let peaks = &mut learning.peaks;
                peaks.0 = peaks.0.max(usage.memory);
                peaks.1 = peaks.1.max(usage.pids);
                peaks.2 = peaks.2.max(usage.cpu_milli);
            }
        }
    }

    /// The containers with their learned facts.
    pub fn containers(&self) -> impl Iterator<Item = (&ContainerId, &ContainerInfo)> {
        self.containers.iter().map(|(id, l)| (id, &*l.info))
    }

    /// The baseline of a container.
    #[must_use]
    pub fn baseline(&self, id: &ContainerId) -> Option<Baseline> {
        self.containers.get(id).map(Learning::baseline)
    }

    /// Number of items, and when the latest of them became known.
    #[must_use]
    pub fn progress(&self, id: &ContainerId) -> Option<(usize, Timestamp)> {
        let learning = self.containers.get(id)?;
        Some((learning.items.len(), learning.latest_item))
    }
}

/// Learns from an event of a container.
fn take(
    learning: &mut Learning,
    state: &State,
    event: &Event,
    container: &Container,
    found: &[Suspicion],
    grace: Duration,
) {
    match &event.kind {
        Kind::Container(change) => {
            if let Some(info) = &change.info {
                learning.adopt(container, info);
            }
            match change.action {
                ContainerAction::Existing => learning.existing = true,
                ContainerAction::Created => learning.compared = true,
                ContainerAction::Died(_) => learning.end(event.ts, grace),
                ContainerAction::Gone if learning.run.is_some() || learning.existing => {
                    learning.end(event.ts, grace);
                }
                _ => {}
            }
            return;
        }
        Kind::Lost(lost) => {
            learning.lost += lost.count.max(1);
            return;
        }
        Kind::DriftScan(scan) => {
            let runs = [FileClass::Binary, FileClass::Library, FileClass::Script];
            let differs = runs.iter().any(|class| scan.counts.contains_key(class));
            learning.compared |= scan.failed.is_none() && !differs;
            return;
        }
        Kind::Exec(exec) if !exec.runtime && learning.run.is_none() && !learning.existing => {
            let process = observed_action::process(state, event);
            if process.is_some_and(|p| p.lineage == Lineage::Init) {
                learning.run = Some(Run {
                    began: event.ts,
                    steady: false,
                });
            }
        }
        Kind::Exit(_) => {
            learning.sessions.remove(&event.pid);
            learning.tainted.remove(&event.pid);
            return;
        }
        Kind::Fork(fork) => {
            learning.tainted.remove(&event.pid);
            if let Some(why) = learning.tainted.get(&fork.ppid).cloned() {
                learning.tainted.insert(event.pid, why);
            }
            return;
        }
        _ => {}
    }
    let process = observed_action::process(state, event);
    let acting_part = observed_action::acting_part(container, process, state);
    if let (ActingPart::Session, Some(process)) = (acting_part, process) {
        learning.sessions.insert(process.pid);
    }
    let own = |s: &&Suspicion| s.container == container.id && !s.finding.starts_with("base.");
    let grave = found
        .iter()
        .filter(own)
        .filter(|s| s.severity >= Severity::High);
    for suspicion in grave.filter(|s| s.pid != 0) {
        let process = state.processes.get(&suspicion.pid);
        // Exec sessions are not learned in any case.
        if process.is_some_and(|p| {
            observed_action::acting_part(container, Some(p), state) != ActingPart::Session
        }) {
            learning.taint(state, &container.id, suspicion.pid, &suspicion.finding);
        }
    }
    // A file may be written long before a finding shows what it is for.
    for suspicion in found.iter().filter(own) {
        if suspicion.severity >= Severity::Medium {
            learning.suspect_files(&suspicion.files, &suspicion.finding);
        }
    }
    // Name answers have no process: during an exec session they may belong to it.
    let learned = match (acting_part, &event.kind) {
        (ActingPart::Service | ActingPart::HealthCheck, _) => true,
        (ActingPart::Unknown, Kind::Dns(_)) => learning.sessions.is_empty(),
        _ => false,
    };
    if !learned {
        return;
    }
    let flagged = found
        .iter()
        .filter(own)
        .find(|s| s.severity >= Severity::Medium);
    let tainted = process.and_then(|p| learning.tainted.get(&p.pid).cloned());
    let foreign = process.is_some_and(|p| !observed_action::is_of_image(&p.file));
    for mut action in observed_action::observed_actions(state, event) {
        if acting_part == ActingPart::HealthCheck && action.item.facet == Facet::Exec {
            let by = action.item.get(ItemField::By);
            if by == b"init" {
                action.item = action.item.with(ItemField::By, HEALTH_CHECK);
            }
        }
        let why = flagged
            .map(|s| s.finding.as_str())
            .or(tainted.as_deref())
            .or(learning.suspected(&action.item))
            .or(foreign.then_some("its program is not in the image"));
        match why {
            Some(why) => {
                let item = super::general::fixed(&action.item);
                if !learning.items.contains_key(&item) {
                    let why = why.to_owned();
                    learning.hold(item, &why);
                }
            }
            None => {
                let actor = process.map(|p| (p.pid, p.exec_seq));
                learning.learn(action, actor, event.ts);
            }
        }
    }
}
