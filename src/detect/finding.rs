//! A finding: rule + container + subject, with a count and evidence.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{Bytes, ContainerId, Origin, Severity, Timestamp};

/// Number of events kept as first evidence, and as many as latest evidence.
pub(super) const EVIDENCE: usize = 8;
/// Maximum number of evidence events of one finding.
pub(super) const MOST_EVIDENCE: usize = 2 * EVIDENCE;

/// Number of a finding in its stream, from 1; shown as `F-0001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FindingId(pub u32);

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "F-{:04}", self.0)
    }
}

/// Index of a finding among all findings of a detector. It stays valid: findings are never removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FindingIndex(u32);

impl FindingIndex {
    /// The index of the finding at this position. Findings are bounded far below `u32::MAX`.
    #[must_use]
    pub(crate) fn new(position: usize) -> Self {
        Self(u32::try_from(position).unwrap_or(u32::MAX))
    }

    /// The index of the finding with this number.
    #[must_use]
    pub(crate) fn of(id: FindingId) -> Self {
        Self(id.0.saturating_sub(1))
    }

    /// The number of the finding with this index.
    #[must_use]
    pub(crate) fn id(self) -> FindingId {
        FindingId(self.0.saturating_add(1))
    }

    /// Its position in the list of findings.
    #[must_use]
    pub(crate) fn get(self) -> usize {
        self.0 as usize
    }
}

/// A process in the ancestry of a finding, as it was at that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// Host pid.
    pub pid: u32,
    /// Pid inside the container; 0 unknown.
    pub nspid: u32,
    /// Executable path, or the short name before any exec.
    pub exe: Bytes,
    /// Arguments.
    pub argv: Vec<Bytes>,
    /// Where the executable comes from.
    pub origin: Origin,
}

/// A later action of a finding's processes, which the finding reports instead of a finding of its
/// own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainLink {
    /// First time.
    pub at: Timestamp,
    /// The first event.
    pub event: u64,
    /// The rule that reports it.
    pub rule: String,
    /// Its severity there.
    pub severity: Severity,
    /// Its subject there: a path, a destination, …
    pub subject: Bytes,
    /// One line, escaped.
    pub title: String,
}

/// A finding: what a rule reports about one subject in one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its number.
    pub id: FindingId,
    /// Stable rule id, e.g. `drift.exec-new`.
    pub rule: String,
    /// Its severity.
    pub severity: Severity,
    /// The container; `None` is the host.
    pub container: Option<ContainerId>,
    /// Its subject (a path, a destination, …); with rule and container it is the identity.
    pub subject: Bytes,
    /// Paths or destinations that a finding about several of them has collected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Bytes>,
    /// There were more subjects than are kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_parts: bool,
    /// One line for lists, already escaped.
    pub title: String,
    /// Numbered facts that explain it, already escaped.
    pub why: Vec<String>,
    /// Number of facts that found no room in `why`: the lesser ones, and further ones of a kind.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_why: u64,
    /// What its processes did later that other rules report, in order of time; bounded, the least
    /// severe is dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<ChainLink>,
    /// ATT&CK technique ids.
    pub attack: Vec<String>,
    /// The finding existed when watching began: since when, by the time of the process or the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub already_since: Option<Timestamp>,
    /// First time.
    pub first: Timestamp,
    /// Last time.
    pub last: Timestamp,
    /// Number of occurrences.
    pub count: u64,
    /// Process of the first occurrence, or of the one that raised the severity; then its parent,
    /// and so on.
    pub ancestry: Vec<Ancestor>,
    /// The finding that it has become a part of: one about the same process that came later, and
    /// would have contained it from the beginning. A part is no longer listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<FindingId>,
    /// Reason of the silence that covers it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced: Option<String>,
    /// Sequence numbers of evidence events: the first ones and the latest; bounded.
    pub evidence: Vec<u64>,
}

// serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How texts mark a state that existed before watching began.
pub(crate) const ALREADY: &str = "already so when watching began";

impl Finding {
    /// Whether it counts: it is neither silenced nor a part of another.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.silenced.is_none() && self.part_of.is_none()
    }

    /// When its cause began, which may be before its first event.
    #[must_use]
    pub fn began(&self) -> Timestamp {
        self.already_since.unwrap_or(self.first).min(self.first)
    }

    /// Occurrences that are not among the evidence, at least.
    #[must_use]
    pub fn evidence_not_kept(&self) -> u64 {
        let kept = self.evidence.len();
        if kept < MOST_EVIDENCE {
            return 0;
        }
        self.count.saturating_sub(kept as u64)
    }

    /// Its subjects: the collected ones, else the single one.
    #[must_use]
    pub fn things(&self) -> &[Bytes] {
        if self.parts.is_empty() {
            std::slice::from_ref(&self.subject)
        } else {
            &self.parts
        }
    }
}
