//! Work of the collector once a second: losses, usage, containers that no engine reports.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::collector::Collector;
use super::comparisons::Comparisons;
use crate::containers::{EngineKind, EngineState, FoundContainer, proc_facts};
use crate::event::{
    Confinement, ContainerAction, ContainerId, ContainerInfo, Kind, LostReason, Tick, Timestamp,
};
use crate::system::SessionClock;

impl Collector<'_> {
    /// Reads the facts of containers that no engine reports from /proc.
    fn describe(&mut self, now: Timestamp) {
        let answers = matches!(
            self.shared.engines.lock().get(&EngineKind::Docker),
            Some(EngineState::Connecting | EngineState::Connected { .. })
        );
        for (id, info) in self.unreported.due(answers, &self.facts) {
            self.know(&id, &info);
            self.report_container(now, &id, ContainerAction::Info, Some(info));
        }
    }

    /// Reports how the inits of containers are confined: they run their own program by now, under
    /// all settings of the runtime.
    fn confine(&mut self, now: Timestamp) {
        let due = self.lifecycle.running().filter_map(|(id, _)| {
            let known = self.facts.get(id)?;
            let pid = self.lifecycle.init(id)?;
            let is_known = known.confinement.as_ref().is_some_and(|c| c.pid == pid);
            (!is_known).then(|| (id.clone(), pid, Arc::clone(known)))
        });
        let due: Vec<_> = due.collect();
        for (id, pid, known) in due {
            // It has ended: its end is reported.
            if let Some(confinement) = proc_facts::confinement(pid) {
                self.confined(now, &id, &known, confinement);
            }
        }
    }

    /// The init of a container runs its own program. Where its user ids are not the host's, reports
    /// them before whatever it does: rules and baselines judge the container's ids.
    pub(super) fn map_ids(&mut self, ts: Timestamp, id: &ContainerId, pid: u32) {
        let Some(known) = self.facts.get(id).cloned() else {
            return;
        };
        let is_known = known.confinement.as_ref().is_some_and(|c| c.pid == pid);
        if !is_known
            && proc_facts::maps_ids(pid)
            && let Some(confinement) = proc_facts::confinement(pid)
        {
            self.confined(ts, id, &known, confinement);
        }
    }

    fn confined(
        &mut self,
        ts: Timestamp,
        id: &ContainerId,
        known: &ContainerInfo,
        confinement: Confinement,
    ) {
        let info = ContainerInfo {
            init_pid: confinement.pid,
            confinement: Some(confinement),
            ..known.clone()
        };
        self.know(id, &info);
        self.report_container(ts, id, ContainerAction::Info, Some(info));
    }

    /// Reports the kernel programs' losses since the last time.
    pub(super) fn report_losses(&mut self, now: Timestamp) {
        for loss in self.probe.losses() {
            let container = loss
                .cgroup
                .and_then(|cgroup| self.directory.lookup(cgroup).cloned());
            self.lost(now, container, loss.reason, loss.count, loss.detail);
        }
    }

    /// Reports the losses and the usage of the past second, `elapsed` long.
    pub(super) fn tick(&mut self, elapsed: Duration) {
        let now = self.probe.now();
        for id in self.lifecycle.entered_unseen(FoundContainer::members) {
            if let Some(found) = self.lifecycle.entered(&id) {
                let pid = found.members().first().copied().unwrap_or(0);
                self.report(now, &found, pid, ContainerAction::Appeared);
            }
        }
        let lifecycle = &self.lifecycle;
        self.facts.tick(|id| lifecycle.is_running(id));
        let unwatched = self
            .unwatched
            .tick(|id| lifecycle.is_running(id) || lifecycle.has_ended(id));
        self.shared.unwatched.store(unwatched, Ordering::Relaxed);
        self.end_namespaces(now);
        self.look_at_entered(now);
        self.describe(now);
        self.confine(now);
        self.report_losses(now);
        for (container, count) in self.queue.take_dropped() {
            let detail = "more events than could be handled".to_owned();
            self.lost(now, container, LostReason::Queue, count, detail);
        }
        let skipped = self
            .comparisons
            .as_ref()
            .map_or(0, Comparisons::take_dropped);
        if skipped > 0 {
            let detail = "comparisons with the image not made".to_owned();
            self.lost(now, None, LostReason::Queue, skipped, detail);
        }
        let unscanned = self.scans.as_mut().map_or(0, |scans| {
            scans.tick(self.lifecycle.running().map(|(id, _)| id), &self.facts);
            scans.take_skipped()
        });
        if unscanned > 0 {
            let detail = "scans of containers' files not made".to_owned();
            self.lost(now, None, LostReason::Queue, unscanned, detail);
        }
        let paths: Vec<_> = self
            .lifecycle
            .running()
            // Without a cgroup of its own its usage is not counted.
            .filter(|(_, path)| !path.is_empty())
            .map(|(id, path)| (id.clone(), path.to_owned()))
            .collect();
        let tick = Tick {
            usage: self.sampler.sample(&paths, elapsed),
            processes: self
                .processes
                .tick(elapsed, || self.sampler.processes(&paths)),
            lost_total: self.lost_total,
            clock_step: SessionClock::of_this_program().step(),
        };
        self.push(now, None, Kind::Tick(Box::new(tick)));
    }
}
