//! Running containers that no engine has reported yet: their facts come from the files of their
//! runtime, and finally from /proc.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::container_facts::ContainerFacts;
use crate::containers::{self, FoundContainer, bundle, merge};
use crate::event::{ContainerId, ContainerInfo};

/// Ticks an engine may take to report a container.
const ENGINE_TICKS: u32 = 2;
/// Number of events of a container at which its runtime's files are searched.
const LOOKS: u32 = 16;

/// A container that no engine has reported yet.
#[derive(Debug)]
struct Unreported {
    found: FoundContainer,
    /// Ticks since it appeared.
    ticks: u32,
    /// Remaining searches for its runtime's files; 0 when they were read.
    looks: u32,
}

/// Those containers, by id.
#[derive(Debug, Default)]
pub(super) struct UnreportedContainers {
    waiting: BTreeMap<ContainerId, Unreported>,
}

impl UnreportedContainers {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// An engine reported the container, or it ended.
    pub(super) fn remove(&mut self, id: &ContainerId) {
        self.waiting.remove(id);
    }

    /// A process is in a container, `pid` where one is known. Returns the facts in the files of its
    /// runtime, or those that its cgroup gives.
    pub(super) fn begin(&mut self, found: &FoundContainer, pid: u32) -> ContainerInfo {
        // The process itself may have ended by now.
        let facts = bundle::facts(found, pid).or_else(|| {
            let members = found.members();
            members.iter().find_map(|pid| bundle::facts(found, *pid))
        });
        let unreported = Unreported {
            found: found.clone(),
            ticks: 0,
            looks: if facts.is_some() { 0 } else { LOOKS },
        };
        self.waiting.insert(found.id.clone(), unreported);
        facts.unwrap_or_else(|| containers::proc_facts::of_cgroup(found))
    }

    /// Searches the files of a container's runtime again: its first processes may have ended before
    /// they could be traced to their supervisor.
    pub(super) fn look_again(&mut self, id: &ContainerId, pid: u32) -> Option<ContainerInfo> {
        let waiting = self.waiting.get_mut(id);
        let unreported = waiting.filter(|unreported| unreported.looks > 0)?;
        unreported.looks -= 1;
        let info = bundle::facts(&unreported.found, pid)?;
        unreported.looks = 0;
        Some(info)
    }

    /// A tick passed: reads facts from /proc for those that no engine will report, at once where
    /// none `answers`.
    pub(super) fn due(
        &mut self,
        answers: bool,
        facts: &ContainerFacts,
    ) -> Vec<(ContainerId, ContainerInfo)> {
        let patience = if answers { ENGINE_TICKS } else { 0 };
        let mut due = Vec::new();
        self.waiting.retain(|_, unreported| {
            unreported.ticks += 1;
            let over = unreported.ticks > patience;
            if over {
                due.push((unreported.found.clone(), unreported.looks > 0));
            }
            !over
        });
        let described = due.into_iter().filter_map(|(found, unread)| {
            let mut info = containers::proc_facts::facts(&found)?;
            let known = match facts.get(&found.id) {
                None if unread => bundle::facts(&found, info.init_pid).map(Arc::new),
                known => known.cloned(),
            };
            if let Some(known) = known {
                merge::prefer(&mut info, &known);
            }
            Some((found.id, info))
        });
        described.collect()
    }
}
