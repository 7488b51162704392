//! Facts about containers for comparisons and scans, while the containers exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::{ContainerId, ContainerInfo};

/// Ticks for which the facts of a container that does not run are kept: they come a little before
/// it begins. Facts that come after its end, such as an engine's late answers, must be dropped.
const IDLE: u32 = 60;

/// Facts by container. Those of containers that do not run expire.
#[derive(Debug, Default)]
pub(super) struct ContainerFacts {
    known: BTreeMap<ContainerId, (Arc<ContainerInfo>, u32)>,
}

impl ContainerFacts {
    /// Facts arrived.
    pub(super) fn know(&mut self, id: &ContainerId, info: &ContainerInfo) {
        self.known.insert(id.clone(), (Arc::new(info.clone()), 0));
    }

    /// A container ended.
    pub(super) fn forget(&mut self, id: &ContainerId) {
        self.known.remove(id);
    }

    /// The facts about a container.
    pub(super) fn get(&self, id: &ContainerId) -> Option<&Arc<ContainerInfo>> {
        self.known.get(id).map(|(info, _)| info)
    }

    /// Drops facts of containers that have not run for a while.
    pub(super) fn tick(&mut self, runs: impl Fn(&ContainerId) -> bool) {
        self.known.retain(|id, (_, idle)| {
            *idle = if runs(id) { 0 } else { *idle + 1 };
            *idle <= IDLE
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_that_come_after_a_containers_end_do_not_stay() {
        let mut facts = ContainerFacts::default();
        let runs = ContainerId::new("runs");
        facts.know(&runs, &ContainerInfo::default());
        for n in 0..10_000 {
            // Its end was seen before the engine answered an earlier query.
            let ended = ContainerId::new(&n.to_string());
            facts.forget(&ended);
            facts.know(&ended, &ContainerInfo::default());
            facts.tick(|id| *id == runs);
            assert!(facts.get(&ended).is_some(), "it may be about to begin");
            assert!(facts.known.len() <= 2 + IDLE as usize);
        }
        assert!(facts.get(&runs).is_some());
    }
}
