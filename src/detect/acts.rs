//! Alerts with their processes, and the order among the findings that a process belongs to.

use smallvec::SmallVec;

use super::finding::{Finding, FindingIndex};
use crate::event::{Severity, Timestamp};

/// The findings that a process belongs to.
pub(crate) type Marks = SmallVec<[FindingIndex; 2]>;

/// An alert as it may become a part of a finding that comes later.
#[derive(Debug, Clone)]
pub(super) struct Act {
    /// Its finding.
    pub(super) finding: FindingIndex,
    /// Its process.
    pub(super) pid: u32,
    pub(super) at: Timestamp,
    pub(super) seq: u64,
    /// The place of its rule in the order of all rules.
    pub(super) place: usize,
    /// The finding began with it.
    pub(super) begins: bool,
    /// It is about the start of a program.
    pub(super) exec: bool,
    /// The findings that its process belonged to.
    pub(super) under: Marks,
}

/// The order among findings that a process belongs to, the same whichever came first.
#[must_use]
pub(super) fn weight(finding: &Finding) -> impl Ord + use<> {
    let last = std::cmp::Reverse((finding.rule.clone(), finding.subject.clone()));
    (finding.severity, is_head(finding), last)
}

/// Whether it takes up other findings about its processes.
#[must_use]
pub(super) fn is_head(finding: &Finding) -> bool {
    finding.rule.starts_with("drift.")
}

/// The worst severity that a finding takes up. A copy of an image's program counts as a new program
/// until it has been compared, and what it does in the meantime counts in full: so it does later.
#[must_use]
pub(super) fn takes(finding: &Finding) -> Severity {
    let copy = finding.rule == "drift.exec-relocated";
    let least = if copy { Severity::High } else { Severity::Info };
    finding.severity.max(least)
}
