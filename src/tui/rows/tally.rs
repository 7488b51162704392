//! Findings and changed files, counted by container.

use std::collections::BTreeMap;

use crate::core::Core;
use crate::detect::{Finding, Severity};
use crate::event::ContainerId;

/// The open findings of one container.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FindingTally<'a> {
    pub(super) count: u64,
    pub(super) worst: Option<Severity>,
    /// The latest of the worst.
    pub(super) latest: Option<&'a Finding>,
}

/// Open findings by container: silenced ones are not counted.
pub(super) fn found(core: &Core) -> BTreeMap<&ContainerId, FindingTally<'_>> {
    let mut found: BTreeMap<&ContainerId, FindingTally<'_>> = BTreeMap::new();
    for finding in core.detector.findings() {
        let (Some(id), None) = (&finding.container, &finding.silenced) else {
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
    found
}

/// How many files of each container were seen to become different from the image.
pub(super) fn drifted(core: &Core) -> BTreeMap<&ContainerId, u64> {
    let mut drifted: BTreeMap<&ContainerId, u64> = BTreeMap::new();
    for (key, activity) in &core.state.files {
        if let Some(id) = &key.owner
            && activity.differs().is_some()
        {
            *drifted.entry(id).or_default() += 1;
        }
    }
    drifted
}
