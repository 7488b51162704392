//! Running containers, by an engine's report, without a visible process: on another host, or hidden
//! by the container that this program runs in.

use std::collections::BTreeMap;

use crate::event::{ContainerAction, ContainerEvent, ContainerId};

/// Ticks after which one counts: an engine may report a container before its cgroup is seen.
const PATIENCE: u32 = 3;
/// Maximum number of remembered containers. More are not counted.
const MAX_CONTAINERS: usize = 4096;

/// Those not seen, with the ticks since they were reported.
#[derive(Debug, Default)]
pub(super) struct UnwatchedContainers {
    reported: BTreeMap<ContainerId, u32>,
}

impl UnwatchedContainers {
    /// An engine reports a container.
    pub(super) fn reported(&mut self, id: &ContainerId, event: &ContainerEvent) {
        use ContainerAction::{Died, Gone, Removed};
        let init = event.info.as_ref().map(|info| info.init_pid);
        if matches!(event.action, Died(_) | Gone | Removed) || init == Some(0) {
            self.reported.remove(id);
        } else if init.is_some() && self.reported.len() < MAX_CONTAINERS {
            self.reported.entry(id.clone()).or_default();
        }
    }

    /// The connection to the engine broke, so that nothing reports their ends.
    pub(super) fn engine_lost(&mut self) {
        self.reported.clear();
    }

    /// Drops those that were seen by now, or ended; returns the number of the others.
    pub(super) fn tick(&mut self, is_seen: impl Fn(&ContainerId) -> bool) -> usize {
        self.reported.retain(|id, ticks| {
            *ticks = ticks.saturating_add(1);
            !is_seen(id)
        });
        self.reported
            .values()
            .filter(|ticks| **ticks > PATIENCE)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ContainerInfo;

    fn event(action: ContainerAction, init_pid: u32) -> ContainerEvent {
        let info = ContainerInfo {
            init_pid,
            ..ContainerInfo::default()
        };
        ContainerEvent {
            action,
            info: Some(Box::new(info)),
        }
    }

    #[test]
    fn a_container_without_visible_processes_counts_after_some_ticks() {
        let mut unwatched = UnwatchedContainers::default();
        let [seen, hidden, stopped, ends] =
            ["seen", "hidden", "stopped", "ends"].map(ContainerId::new);
        for id in [&seen, &hidden, &ends] {
            unwatched.reported(id, &event(ContainerAction::Existing, 7));
        }
        unwatched.reported(&stopped, &event(ContainerAction::Info, 0));
        let mut after = |ticks: u32| {
            let mut count = 0;
            for _ in 0..ticks {
                count = unwatched.tick(|id| *id == seen);
            }
            count
        };
        assert_eq!(after(PATIENCE), 0, "they may be about to be seen");
        assert_eq!(after(1), 2);
        unwatched.reported(&ends, &event(ContainerAction::Died(0), 7));
        assert_eq!(unwatched.tick(|id| *id == seen), 1);
        unwatched.engine_lost();
        assert_eq!(unwatched.tick(|_| false), 0);
    }
}
