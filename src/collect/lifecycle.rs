//! Tracks which containers run: from the creation of a cgroup over its first process to the end of
//! its init.
//!
//! A cgroup alone is not a container: pods have cgroups that hold only other cgroups, engines leave
//! empty ones behind, and a start may fail before anything ran. A container is reported when the
//! first process is in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::containers::FoundContainer;
use crate::event::{ContainerId, Exit};

/// Ended containers remembered, so that a late report of an engine does not end them again.
const MAX_ENDED: usize = 1024;

/// A container with a process in it.
#[derive(Debug, Clone)]
struct Running {
    cgroup: u64,
    path: String,
    init: Option<u32>,
    /// A connected engine manages it and will report its end, with the exit code.
    by_engine: bool,
}

/// The containers that run, and those about to.
#[derive(Debug, Default)]
pub(super) struct Lifecycle {
    /// Recognised cgroups in which no process was seen yet.
    pending: BTreeMap<ContainerId, FoundContainer>,
    running: BTreeMap<ContainerId, Running>,
    ended: BTreeSet<ContainerId>,
}

impl Lifecycle {
    /// A container's cgroup was created.
    pub(super) fn born(&mut self, found: FoundContainer) {
        self.pending.insert(found.id.clone(), found);
    }

    /// A process is in this container: returns the container if it was not reported yet.
    pub(super) fn entered(&mut self, id: &ContainerId) -> Option<FoundContainer> {
        if self.pending.is_empty() {
            return None;
        }
        let found = self.pending.remove(id)?;
        self.begin(&found);
        Some(found)
    }

    /// Containers that have a process by now, as `members` lists them, and were not reported yet.
    pub(super) fn entered_unseen(
        &self,
        members: impl Fn(&FoundContainer) -> Vec<u32>,
    ) -> Vec<ContainerId> {
        let pending = self.pending.values();
        let entered = pending.filter(|found| !members(found).is_empty());
        entered.map(|found| found.id.clone()).collect()
    }

    /// A container runs.
    pub(super) fn begin(&mut self, found: &FoundContainer) {
        self.ended.remove(&found.id);
        self.running.insert(
            found.id.clone(),
            Running {
                cgroup: found.cgroup,
                path: found.path.clone(),
                init: None,
                by_engine: false,
            },
        );
    }

    /// A container's cgroup was removed; false when the container was never reported, or runs in
    /// another cgroup by now.
    pub(super) fn gone(&mut self, id: &ContainerId, cgroup: u64) -> bool {
        if self
            .pending
            .get(id)
            .is_some_and(|found| found.cgroup == cgroup)
        {
            self.pending.remove(id);
            return false;
        }
        let known = self.running.get(id).is_some_and(|c| c.cgroup == cgroup);
        if known {
            self.running.remove(id);
        }
        known
    }

    /// The container's init is this process, by its facts; later guesses do not count.
    pub(super) fn set_init(&mut self, id: &ContainerId, pid: u32) {
        if let Some(container) = self.running.get_mut(id) {
            container.init = Some(pid);
        }
    }

    /// This process is number 1 in its pid namespace: the container's init, if it is the first.
    pub(super) fn may_be_init(&mut self, id: &ContainerId, pid: u32) {
        if let Some(container) = self.running.get_mut(id) {
            container.init.get_or_insert(pid);
        }
    }

    /// The container's init, where known.
    pub(super) fn init(&self, id: &ContainerId) -> Option<u32> {
        self.running.get(id)?.init
    }

    /// A connected engine reported this container.
    pub(super) fn kept_by_engine(&mut self, id: &ContainerId) {
        if let Some(container) = self.running.get_mut(id) {
            container.by_engine = true;
        }
    }

    /// The connection to the engine broke: it does not report ends for now.
    pub(super) fn engine_lost(&mut self) {
        for container in self.running.values_mut() {
            container.by_engine = false;
        }
    }

    /// A process ended: the exit code of the container if it was its init and no engine will report
    /// that.
    pub(super) fn exited(&mut self, id: &ContainerId, pid: u32, exit: &Exit) -> Option<i64> {
        let container = self.running.get_mut(id)?;
        if container.init != Some(pid) {
            return None;
        }
        container.init = None;
        if container.by_engine {
            return None;
        }
        self.note_end(id);
        let by_signal = exit.signal.map(|signal| 128 + i64::from(signal));
        Some(by_signal.unwrap_or_else(|| i64::from(exit.code.unwrap_or(0))))
    }

    /// An engine reports the container's end; false when that was reported already.
    pub(super) fn end(&mut self, id: &ContainerId) -> bool {
        if let Some(container) = self.running.get_mut(id) {
            container.init = None;
        }
        self.note_end(id)
    }

    fn note_end(&mut self, id: &ContainerId) -> bool {
        if self.ended.len() >= MAX_ENDED {
            self.ended.clear();
        }
        self.ended.insert(id.clone())
    }

    /// The end of the container's init was reported.
    pub(super) fn has_ended(&self, id: &ContainerId) -> bool {
        self.ended.contains(id)
    }

    /// The container runs or is about to.
    pub(super) fn is_running(&self, id: &ContainerId) -> bool {
        self.running.contains_key(id)
    }

    /// Ids and cgroup paths of those that run.
    pub(super) fn running(&self) -> impl Iterator<Item = (&ContainerId, &str)> {
        self.running.iter().map(|(id, c)| (id, c.path.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Runtime;

    fn found(id: &str, cgroup: u64) -> FoundContainer {
        FoundContainer {
            cgroup,
            id: ContainerId::new(id),
            runtime: Runtime::Docker,
            path: format!("/docker/{id}"),
        }
    }

    fn exit(code: Option<u8>, signal: Option<u8>) -> Exit {
        Exit {
            code,
            signal,
            ..Exit::default()
        }
    }

    #[test]
    fn a_cgroup_without_a_process_is_never_reported() {
        let mut life = Lifecycle::default();
        life.born(found("pod", 1));
        life.born(found("web", 2));
        assert_eq!(life.entered(&ContainerId::new("web")).unwrap().cgroup, 2);
        assert_eq!(
            life.entered(&ContainerId::new("web")),
            None,
            "reported once"
        );
        assert!(!life.gone(&ContainerId::new("pod"), 1));
        assert!(life.gone(&ContainerId::new("web"), 2));
        assert!(!life.gone(&ContainerId::new("web"), 2));
    }

    #[test]
    fn the_end_of_init_ends_the_container_unless_an_engine_reports_it() {
        let mut life = Lifecycle::default();
        let id = ContainerId::new("web");
        life.begin(&found("web", 2));
        life.may_be_init(&id, 10);
        // A browser's sandbox makes a pid namespace of its own.
        life.may_be_init(&id, 20);
        assert_eq!(life.exited(&id, 20, &exit(Some(0), None)), None);
        assert_eq!(life.exited(&id, 10, &exit(None, Some(9))), Some(137));
        assert!(!life.end(&id), "it was reported");
        life.begin(&found("web", 3));
        life.set_init(&id, 25);
        assert!(life.end(&id), "it was started again");
        assert_eq!(life.exited(&id, 25, &exit(Some(0), None)), None);
        life.begin(&found("web", 3));
        life.set_init(&id, 30);
        life.kept_by_engine(&id);
        assert_eq!(life.exited(&id, 30, &exit(Some(3), None)), None);
        life.begin(&found("web", 4));
        life.set_init(&id, 40);
        life.kept_by_engine(&id);
        life.engine_lost();
        assert_eq!(life.exited(&id, 40, &exit(Some(3), None)), Some(3));
    }
}
