//! Counts of findings and changed files by container.

use std::collections::BTreeMap;

use crate::core::Core;
use crate::detect::{Finding, Severity};
use crate::event::ContainerId;
use crate::incident::ByContainer;

/// The open findings of one container.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FindingTally<'a> {
    pub(super) count: u64,
    /// The worst of them and of the incidents that they make.
    pub(super) worst: Option<Severity>,
    /// The latest of the worst findings.
    pub(super) latest: Option<&'a Finding>,
}

/// Open findings by container: silenced ones are not counted.
pub(super) fn found<'a>(
    core: &'a Core,
    incidents: &ByContainer,
) -> BTreeMap<&'a ContainerId, FindingTally<'a>> {
    let mut found: BTreeMap<&ContainerId, FindingTally<'_>> = BTreeMap::new();
    for finding in core.detector.findings() {
        let (Some(id), true) = (&finding.container, finding.is_open()) else {
            continue;
        };
        let entry = found.entry(id).or_default();
        entry.count += 1;
        entry.worst = entry.worst.max(Some(finding.severity));
        if entry
            .latest
            .is_none_or(|f| (finding.severity, finding.last) >= (f.severity, f.last))
        {
            entry.latest = Some(finding);
        }
    }
    // Several high stages that meet are worse than each of them.
    for (id, incident) in incidents {
        if let Some(entry) = found.get_mut(id) {
            entry.worst = entry.worst.max(Some(incident.severity));
        }
    }
    found
}

/// The number of files of each container that differ from the image: those that were seen changing,
/// or the number from the latest drift scan, whichever is higher.
pub(super) fn drifted(core: &Core) -> BTreeMap<&ContainerId, u64> {
    let mut drifted: BTreeMap<&ContainerId, u64> = BTreeMap::new();
    for (key, activity) in &core.state.files {
        if let Some(id) = &key.owner
            && activity.differs().is_some()
        {
            *drifted.entry(id).or_default() += 1;
        }
    }
    for (id, container) in &core.state.containers {
        let Some((_, scan)) = container.scan() else {
            continue;
        };
        let total = scan.total();
        let found = total.added + total.changed + total.deleted;
        if found > 0 {
            let seen = drifted.entry(id).or_default();
            *seen = (*seen).max(found);
        }
    }
    drifted
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::event::{Count, DriftScan, Event, FileClass, Kind, Timestamp};

    #[test]
    fn files_that_only_a_scan_found_are_drift_too() {
        let mut core = Core::default();
        let id = ContainerId::new("a");
        let scan = |added| DriftScan {
            counts: BTreeMap::from([(
                FileClass::Binary,
                Count {
                    added,
                    ..Count::default()
                },
            )]),
            ..DriftScan::default()
        };
        for (seq, added) in [(1, 3), (2, 0)] {
            core.apply(&Arc::new(Event {
                seq,
                ts: Timestamp(1),
                container: Some(id.clone()),
                pid: 0,
                nspid: 0,
                kind: Kind::DriftScan(Box::new(scan(added))),
            }));
            assert_eq!(drifted(&core).get(&id).copied().unwrap_or(0), added);
        }
    }
}
