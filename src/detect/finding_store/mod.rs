//! The findings and their identity: rule + container + subject.

mod joining;

pub(crate) use joining::JoinedPart;

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bstr::ByteSlice as _;
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

use super::finding::{Ancestor, ChainLink, EVIDENCE, Finding, FindingIndex, MOST_EVIDENCE};
use super::reason_line::{Added, MAX_LINES, ReasonLine};
use super::rule_info::RuleInfo;
use crate::event::{Bytes, ContainerId, Severity, Timestamp};
use crate::memory::{MemoryBudget, Share};

/// Maximum number of findings; further ones count on the last of their rule and container.
const MAX_FINDINGS: usize = 10_000;
/// Maximum number of subjects of a rule in one container; the others are one finding.
const MAX_SUBJECTS: u32 = 64;
/// Maximum number of subjects of a finding.
const MAX_PARTS: usize = 64;
/// Maximum number of links of a finding's chain.
const MAX_CHAIN: usize = 16;
/// Number of changes by one event above which duplicates are removed.
const TOUCHED_TWICE: usize = 64;
/// Approximate bytes of a finding without its texts.
const BARE: usize = 640;
/// The subject for all beyond [`MAX_SUBJECTS`].
const REST: &[u8] = b"(further subjects)";

/// Time, process and event of an occurrence.
#[derive(Debug, Clone, Default)]
pub(crate) struct Occurrence {
    /// When.
    pub(crate) ts: Timestamp,
    /// The event.
    pub(crate) seq: u64,
    /// The process, its parent, and so on.
    pub(crate) ancestry: Vec<Ancestor>,
}

/// Title and reasons of a new finding.
#[derive(Debug, Default)]
pub(crate) struct Explanation {
    /// One line, escaped.
    pub(crate) title: String,
    /// Facts, escaped.
    pub(crate) why: Vec<String>,
    /// The title sums up everything so far. In a finding that it continues it replaces the sum
    /// before, which begins with the same word.
    pub(crate) sums_up: bool,
}

/// All findings.
#[derive(Debug, Clone, Default)]
pub(crate) struct FindingStore {
    /// Shared with clones until they change: keyframes hold most of the same findings.
    findings: Vec<Arc<Finding>>,
    /// Hash of the identity → indexes in `findings`.
    by_identity: FxHashMap<u64, SmallVec<[FindingIndex; 1]>>,
    /// Hash of rule and container → subjects so far.
    subjects: FxHashMap<u64, u32>,
    /// Raised or changed by the latest event: at most twice the number of findings.
    touched: SmallVec<[FindingIndex; 4]>,
    /// Number of entries above which duplicates are removed.
    touched_room: usize,
    /// Number of findings before the latest event.
    known: usize,
    /// Severities before the policy set another, by index.
    ungraded: BTreeMap<FindingIndex, Severity>,
    /// Number of alerts dropped because the store was full.
    not_kept: u64,
    /// Approximate bytes of the findings, and their budget.
    held: usize,
    memory: MemoryBudget,
}

fn hash(rule: &str, container: Option<&ContainerId>, subject: Option<&[u8]>) -> u64 {
    let mut hasher = FxHasher::default();
    rule.hash(&mut hasher);
    container.hash(&mut hasher);
    subject.hash(&mut hasher);
    hasher.finish()
}

impl FindingStore {
    /// Nothing yet, within this budget.
    pub(super) fn within(memory: MemoryBudget) -> Self {
        Self {
            memory,
            ..Self::default()
        }
    }

    /// The same without the findings, which are kept elsewhere.
    pub(super) fn without_findings(&self) -> Self {
        Self {
            findings: Vec::new(),
            by_identity: self.by_identity.clone(),
            subjects: self.subjects.clone(),
            touched: self.touched.clone(),
            touched_room: self.touched_room,
            known: self.known,
            ungraded: self.ungraded.clone(),
            not_kept: self.not_kept,
            held: self.held,
            memory: self.memory,
        }
    }

    /// A copy with these findings.
    pub(super) fn with_findings(&self, findings: Vec<Arc<Finding>>) -> Self {
        Self {
            findings,
            ..self.clone()
        }
    }

    /// Approximate size in bytes, without the findings.
    pub(super) fn bytes(&self) -> usize {
        (self.by_identity.len() + self.subjects.len()) * 32 + self.ungraded.len() * 32
    }

    /// All findings, oldest first.
    #[must_use]
    pub(crate) fn all(&self) -> &[Arc<Finding>] {
        &self.findings
    }

    /// The finding with this index, or the one that it has become a part of.
    #[must_use]
    pub(crate) fn get(&self, index: FindingIndex) -> Option<&Arc<Finding>> {
        self.findings.get(self.resolve(index).get())
    }

    /// Number of alerts dropped because the store was full.
    pub(crate) fn not_kept(&self) -> u64 {
        self.not_kept
    }

    fn touch(&mut self, index: FindingIndex) {
        let index = self.resolve(index);
        self.touch_as_it_is(index);
    }

    fn touch_as_it_is(&mut self, index: FindingIndex) {
        if self.touched.last() == Some(&index) {
            return;
        }
        if self.touched.len() >= self.touched_room.max(TOUCHED_TWICE) {
            self.touched.sort_unstable();
            self.touched.dedup();
            self.touched_room = self.touched.len() * 2;
        }
        self.touched.push(index);
    }

    fn get_mut(&mut self, index: FindingIndex) -> Option<&mut Finding> {
        let index = self.resolve(index);
        self.findings.get_mut(index.get()).map(Arc::make_mut)
    }

    /// The index of a finding.
    #[must_use]
    pub(crate) fn find(
        &self,
        rule: &str,
        owner: Option<&ContainerId>,
        subject: &[u8],
    ) -> Option<FindingIndex> {
        self.by_identity
            .get(&hash(rule, owner, Some(subject)))?
            .iter()
            .copied()
            .find(|i| {
                self.get(*i).is_some_and(|f| {
                    f.rule == rule
                        && f.container.as_ref() == owner
                        && f.subject.as_bytes() == subject
                })
            })
    }

    /// Counts one more occurrence, or creates a finding. `explain` and `occurrence` run only for a
    /// new one. Returns its index, and whether it is new.
    pub(crate) fn raise(
        &mut self,
        rule: &RuleInfo,
        severity: Severity,
        owner: Option<&ContainerId>,
        subject: &[u8],
        at: (Timestamp, u64),
        begin: impl FnOnce() -> (Occurrence, Explanation),
    ) -> Option<(FindingIndex, bool)> {
        if let Some(index) = self.find(rule.id, owner, subject) {
            self.record_occurrence(index, severity, at.0, at.1);
            return Some((index, false));
        }
        let known = hash(rule.id, owner, None);
        let count = self.subjects.get(&known).copied().unwrap_or(0);
        let full = self.held >= self.memory.of(Share::Findings);
        let crowded = full || count >= MAX_SUBJECTS || self.findings.len() >= MAX_FINDINGS;
        if crowded {
            if let Some(index) = self.find(rule.id, owner, REST) {
                self.record_occurrence(index, severity, at.0, at.1);
                return Some((index, false));
            }
            // One finding represents the rest; it may exceed the bounds once per rule and
            // container, and no more than a tenth of them altogether.
            let most = self.memory.of(Share::Findings);
            let overfull = self.held >= most + most / 10;
            if overfull || self.findings.len() >= MAX_FINDINGS + MAX_FINDINGS / 10 {
                self.not_kept += 1;
                return None;
            }
        }
        let subject = if crowded { REST } else { subject };
        let (occurrence, mut explanation) = begin();
        explanation.why.truncate(MAX_LINES);
        let index = FindingIndex::new(self.findings.len());
        let why: usize = explanation.why.iter().map(String::len).sum();
        let ancestors = occurrence.ancestry.len() * 256;
        self.held += BARE + subject.len() + explanation.title.len() + why + ancestors;
        self.findings.push(Arc::new(Finding {
            id: index.id(),
            rule: rule.id.to_owned(),
            severity,
            container: owner.cloned(),
            subject: Bytes::new(subject),
            parts: Vec::new(),
            more_parts: false,
            title: explanation.title,
            why: explanation.why,
            more_why: 0,
            chain: Vec::new(),
            attack: rule.attack.iter().map(|a| (*a).to_owned()).collect(),
            already_since: None,
            part_of: None,
            first: occurrence.ts,
            last: occurrence.ts.max(at.0),
            count: 1,
            ancestry: occurrence.ancestry,
            silenced: None,
            evidence: vec![occurrence.seq],
        }));
        self.enter(index);
        *self.subjects.entry(known).or_default() += 1;
        self.touch(index);
        Some((index, true))
    }

    fn enter(&mut self, index: FindingIndex) {
        if let Some(f) = self.get(index) {
            let key = hash(&f.rule, f.container.as_ref(), Some(f.subject.as_bytes()));
            self.by_identity.entry(key).or_default().push(index);
        }
    }

    /// Counts one more occurrence; severity only rises.
    pub(crate) fn record_occurrence(
        &mut self,
        index: FindingIndex,
        severity: Severity,
        ts: Timestamp,
        seq: u64,
    ) {
        let Some(finding) = self.get_mut(index) else {
            return;
        };
        finding.count += 1;
        finding.last = finding.last.max(ts);
        finding.severity = finding.severity.max(severity);
        evidence(finding, seq);
        self.touch(index);
    }

    /// Adds an event to a finding's evidence without counting it.
    pub(crate) fn add_evidence(&mut self, index: FindingIndex, ts: Timestamp, seq: u64) {
        if let Some(finding) = self.get_mut(index) {
            finding.last = finding.last.max(ts);
            evidence(finding, seq);
            self.touch(index);
        }
    }

    /// Adds a subject of the finding, once.
    pub(crate) fn add_part(&mut self, index: FindingIndex, thing: &[u8]) {
        let known = |f: &Arc<Finding>| f.parts.iter().any(|known| known.as_bytes() == thing);
        if self.get(index).is_none_or(known) {
            return;
        }
        let full = self.held >= self.memory.of(Share::Findings);
        let Some(finding) = self.get_mut(index) else {
            return;
        };
        if finding.parts.len() < MAX_PARTS && !full {
            finding.parts.push(Bytes::new(thing));
            self.held += thing.len();
        } else {
            finding.more_parts = true;
        }
        self.touch(index);
    }

    /// Adds a line that explains a finding, once; one without room is counted.
    pub(crate) fn add_reason(&mut self, index: FindingIndex, line: String) {
        self.add_effect(index, ReasonLine::single(line).weighty(true));
    }

    /// Adds a line to a finding's reasons; true when it was added. A line without room is counted.
    pub(crate) fn add_effect(&mut self, index: FindingIndex, line: ReasonLine) -> bool {
        if self.get(index).is_none_or(|f| line.is_among(&f.why)) {
            return false;
        }
        let Some(finding) = self.get_mut(index) else {
            return false;
        };
        let added = line.add_to(&mut finding.why);
        if added == Added::NoRoom {
            finding.more_why += 1;
        }
        self.touch(index);
        added == Added::New
    }

    /// Adds a link to a finding's chain, or replaces the title of the one with its rule and subject. Beyond the
    /// bound the least severe is dropped, of these the latest.
    pub(crate) fn add_link(&mut self, index: FindingIndex, link: ChainLink) {
        let Some(finding) = self.get_mut(index) else {
            return;
        };
        let same =
            |known: &&mut ChainLink| (&known.rule, &known.subject) == (&link.rule, &link.subject);
        if let Some(known) = finding.chain.iter_mut().find(same) {
            known.severity = known.severity.max(link.severity);
            known.title = link.title;
        } else {
            finding.chain.push(link);
            if finding.chain.len() > MAX_CHAIN {
                let weights = finding.chain.iter().enumerate();
                let least =
                    weights.min_by_key(|(at, link)| (link.severity, std::cmp::Reverse(*at)));
                if let Some((at, _)) = least {
                    finding.chain.remove(at);
                }
            }
        }
        self.touch(index);
    }

    /// Marks or unmarks a finding as accepted.
    pub(crate) fn set_silenced(&mut self, index: FindingIndex, reason: Option<&str>) {
        let is = |f: &Arc<Finding>| f.silenced.as_deref() == reason;
        if self.get(index).is_none_or(is) {
            return;
        }
        if let Some(finding) = self.get_mut(index) {
            finding.silenced = reason.map(str::to_owned);
        }
    }

    /// Sets another severity than the rule's own, or restores that.
    pub(crate) fn override_severity(&mut self, index: FindingIndex, set: Option<Severity>) {
        let index = self.resolve(index);
        let Some(own) = self.get(index).map(|f| f.severity) else {
            return;
        };
        let severity = match set {
            Some(set) if set == own => return,
            Some(set) => {
                let known = self.ungraded.entry(index).or_insert(own);
                *known = own.max(*known);
                set
            }
            None => match self.ungraded.remove(&index) {
                Some(known) => known,
                None => return,
            },
        };
        if let Some(finding) = self.get_mut(index) {
            finding.severity = severity;
        }
    }

    /// Clears the list of changed findings; called before the next event.
    pub(crate) fn begin_event(&mut self) {
        self.touched.clear();
        self.touched_room = 0;
        self.known = self.findings.len();
    }

    /// The indexes of findings that the latest event changed, possibly with duplicates.
    pub(crate) fn latest(&self) -> &[FindingIndex] {
        &self.touched
    }

    /// A copy of [`FindingStore::latest`], for callers that change findings while iterating.
    pub(crate) fn touched(&self) -> SmallVec<[FindingIndex; 4]> {
        self.touched.clone()
    }

    /// Changes a finding.
    pub(crate) fn edit(&mut self, index: FindingIndex, change: impl FnOnce(&mut Finding)) {
        if let Some(finding) = self.get_mut(index) {
            change(finding);
            finding.why.truncate(MAX_LINES);
            self.touch(index);
        }
    }

    /// Removes a finding from the index, before its identity changes.
    fn leave(&mut self, index: FindingIndex) {
        let Some(f) = self.get(index) else {
            return;
        };
        let old = hash(&f.rule, f.container.as_ref(), Some(f.subject.as_bytes()));
        if let Some(indices) = self.by_identity.get_mut(&old) {
            indices.retain(|i| *i != index);
            if indices.is_empty() {
                self.by_identity.remove(&old);
            }
        }
    }

    /// Moves a finding to another rule and subject; its severity stays.
    pub(crate) fn reassign(&mut self, index: FindingIndex, rule: &RuleInfo, subject: &[u8]) {
        self.leave(index);
        self.edit(index, |f| {
            rule.id.clone_into(&mut f.rule);
            f.attack = rule.attack.iter().map(|a| (*a).to_owned()).collect();
            f.subject = Bytes::new(subject);
        });
        self.enter(index);
    }
}

/// Adds an event to the evidence, which keeps the first ones, the latest, and those of the chain.
fn evidence(finding: &mut Finding, seq: u64) {
    if finding.evidence.last() == Some(&seq) {
        return;
    }
    let of_chain = |seq: &u64| finding.chain.iter().any(|link| link.event == *seq);
    let lasting = finding.evidence.iter().filter(|seq| of_chain(seq)).count();
    if finding.evidence.len() >= MOST_EVIDENCE + lasting {
        let later = finding.evidence.iter().enumerate().skip(EVIDENCE);
        let passing = later
            .filter(|(_, seq)| !of_chain(seq))
            .map(|(at, _)| at)
            .next();
        if let Some(at) = passing {
            finding.evidence.remove(at);
        }
    }
    finding.evidence.push(seq);
}

#[cfg(test)]
mod tests;
