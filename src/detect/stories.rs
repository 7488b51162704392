//! The findings and their identity: rule + container + subject.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bstr::ByteSlice as _;
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

use super::{Ancestor, Finding, FindingId, RuleInfo, Severity};
use crate::event::{Bytes, ContainerId, Timestamp};

/// Findings kept at most; further ones count on the last of their rule and container.
const MAX_FINDINGS: usize = 10_000;
/// Subjects a rule keeps apart in one container; the rest is one finding.
const MAX_SUBJECTS: u32 = 64;
/// Evidence kept from the beginning, and as much from the end.
const EVIDENCE: usize = 8;
/// Evidence of one finding at most.
pub(super) const MOST_EVIDENCE: usize = 2 * EVIDENCE;
/// Things that a story is about; of more it is only known that there are.
const MAX_PARTS: usize = 64;
/// Lines that explain a finding.
const MAX_WHY: usize = 40;
/// Findings one event changes that are remembered one by one.
const MAX_TOUCHED: usize = 64;
/// The subject that stands for all beyond [`MAX_SUBJECTS`].
const REST: &[u8] = b"(further subjects)";

/// When, by whom and by which event something happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Occurrence {
    /// When.
    pub(crate) ts: Timestamp,
    /// The event.
    pub(crate) seq: u64,
    /// The process, its parent, and so on.
    pub(crate) ancestry: Vec<Ancestor>,
}

/// What a new finding says.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// One line, escaped.
    pub(crate) title: String,
    /// Facts, escaped.
    pub(crate) why: Vec<String>,
}

/// All findings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stories {
    /// Shared with clones until they change: keyframes of a past hold most of them too.
    findings: Vec<Arc<Finding>>,
    /// Hash of the identity → places in `findings`.
    index: FxHashMap<u64, SmallVec<[u32; 1]>>,
    /// Hash of rule and container → subjects so far.
    subjects: FxHashMap<u64, u32>,
    changed: BTreeSet<usize>,
    /// Changed by the latest event; kept apart, since nobody may take `changed`.
    touched: SmallVec<[usize; 4]>,
    /// Severities before the policy set another, by place.
    ungraded: BTreeMap<usize, Severity>,
    /// What found no place among them.
    untold: u64,
}

fn hash(rule: &str, container: Option<&ContainerId>, subject: Option<&[u8]>) -> u64 {
    let mut hasher = FxHasher::default();
    rule.hash(&mut hasher);
    container.hash(&mut hasher);
    subject.hash(&mut hasher);
    hasher.finish()
}

impl Stories {
    /// The same without the findings, which are kept elsewhere.
    pub(super) fn without_findings(&self) -> Self {
        Self {
            findings: Vec::new(),
            index: self.index.clone(),
            subjects: self.subjects.clone(),
            changed: self.changed.clone(),
            touched: self.touched.clone(),
            ungraded: self.ungraded.clone(),
            untold: self.untold,
        }
    }

    /// The same with these.
    pub(super) fn with_findings(&self, findings: Vec<Arc<Finding>>) -> Self {
        Self {
            findings,
            ..self.clone()
        }
    }

    /// About how many bytes it holds besides the findings.
    pub(super) fn bytes(&self) -> usize {
        (self.index.len() + self.subjects.len()) * 32 + self.ungraded.len() * 32
    }

    /// All findings, oldest first.
    #[must_use]
    pub(crate) fn findings(&self) -> &[Arc<Finding>] {
        &self.findings
    }

    /// Takes the places of findings raised or changed since the last call, ascending.
    pub(crate) fn take_changed(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    /// How often something found no place among the findings.
    pub(crate) fn untold(&self) -> u64 {
        self.untold
    }

    fn touch(&mut self, place: usize) {
        self.changed.insert(place);
        if self.touched.last() != Some(&place) && self.touched.len() <= MAX_TOUCHED {
            self.touched.push(place);
        }
    }

    fn get_mut(&mut self, place: usize) -> Option<&mut Finding> {
        self.findings.get_mut(place).map(Arc::make_mut)
    }

    /// The place of a finding.
    #[must_use]
    pub(crate) fn find(
        &self,
        rule: &str,
        owner: Option<&ContainerId>,
        subject: &[u8],
    ) -> Option<usize> {
        self.index
            .get(&hash(rule, owner, Some(subject)))?
            .iter()
            .map(|&i| i as usize)
            .find(|&i| {
                self.findings.get(i).is_some_and(|f| {
                    f.rule == rule
                        && f.container.as_ref() == owner
                        && f.subject.as_bytes() == subject
                })
            })
    }

    /// Counts one more occurrence, or begins a finding. `tell` and `occurrence` run only when
    /// it begins. Returns its place, and whether it began.
    pub(crate) fn raise(
        &mut self,
        rule: &RuleInfo,
        severity: Severity,
        owner: Option<&ContainerId>,
        subject: &[u8],
        at: (Timestamp, u64),
        begin: impl FnOnce() -> (Occurrence, Told),
    ) -> Option<(usize, bool)> {
        if let Some(place) = self.find(rule.id, owner, subject) {
            self.again(place, severity, at.0, at.1);
            return Some((place, false));
        }
        let known = hash(rule.id, owner, None);
        let count = self.subjects.get(&known).copied().unwrap_or(0);
        let crowded = count >= MAX_SUBJECTS || self.findings.len() >= MAX_FINDINGS;
        if crowded {
            if let Some(place) = self.find(rule.id, owner, REST) {
                self.again(place, severity, at.0, at.1);
                return Some((place, false));
            }
            // One finding stands for the rest; it may exceed the bound once per rule and
            // container, and no more than a tenth of it altogether.
            if self.findings.len() >= MAX_FINDINGS + MAX_FINDINGS / 10 {
                self.untold += 1;
                return None;
            }
        }
        let subject = if crowded { REST } else { subject };
        let (occurrence, mut told) = begin();
        told.why.truncate(MAX_WHY);
        let place = self.findings.len();
        self.findings.push(Arc::new(Finding {
            id: FindingId(u32::try_from(place + 1).unwrap_or(u32::MAX)),
            rule: rule.id.to_owned(),
            severity,
            container: owner.cloned(),
            subject: Bytes::new(subject),
            parts: Vec::new(),
            more_parts: false,
            title: told.title,
            why: told.why,
            attack: rule.attack.iter().map(|a| (*a).to_owned()).collect(),
            first: occurrence.ts,
            last: occurrence.ts.max(at.0),
            count: 1,
            ancestry: occurrence.ancestry,
            silenced: None,
            evidence: vec![occurrence.seq],
        }));
        self.enter(place);
        *self.subjects.entry(known).or_default() += 1;
        self.touch(place);
        Some((place, true))
    }

    fn enter(&mut self, place: usize) {
        if let Some(f) = self.findings.get(place) {
            let key = hash(&f.rule, f.container.as_ref(), Some(f.subject.as_bytes()));
            self.index
                .entry(key)
                .or_default()
                .push(u32::try_from(place).unwrap_or(u32::MAX));
        }
    }

    /// Counts one more occurrence; severity only rises.
    pub(crate) fn again(&mut self, place: usize, severity: Severity, ts: Timestamp, seq: u64) {
        let Some(finding) = self.get_mut(place) else {
            return;
        };
        finding.count += 1;
        finding.last = finding.last.max(ts);
        finding.severity = finding.severity.max(severity);
        evidence(&mut finding.evidence, seq);
        self.touch(place);
    }

    /// Adds an event to a finding's evidence without counting it.
    pub(crate) fn attach(&mut self, place: usize, ts: Timestamp, seq: u64) {
        if let Some(finding) = self.get_mut(place) {
            finding.last = finding.last.max(ts);
            evidence(&mut finding.evidence, seq);
            self.touch(place);
        }
    }

    /// Adds one of the things that a story is about, once.
    pub(crate) fn part(&mut self, place: usize, thing: &[u8]) {
        let known = |f: &Arc<Finding>| f.parts.iter().any(|known| known.as_bytes() == thing);
        if self.findings.get(place).is_none_or(known) {
            return;
        }
        let Some(finding) = self.get_mut(place) else {
            return;
        };
        if finding.parts.len() < MAX_PARTS {
            finding.parts.push(Bytes::new(thing));
        } else {
            finding.more_parts = true;
        }
        self.touch(place);
    }

    /// Adds a line that explains a finding, once.
    pub(crate) fn explain(&mut self, place: usize, line: String) {
        let says = |f: &Arc<Finding>| f.why.len() >= MAX_WHY || f.why.contains(&line);
        if self.findings.get(place).is_none_or(says) {
            return;
        }
        if let Some(finding) = self.get_mut(place) {
            finding.why.push(line);
            self.touch(place);
        }
    }

    /// Marks or unmarks a finding as accepted.
    pub(crate) fn silence(&mut self, place: usize, reason: Option<&str>) {
        let is = |f: &Arc<Finding>| f.silenced.as_deref() == reason;
        if self.findings.get(place).is_none_or(is) {
            return;
        }
        if let Some(finding) = self.get_mut(place) {
            finding.silenced = reason.map(str::to_owned);
            self.changed.insert(place);
        }
    }

    /// Sets another severity than the rule's own, or gives that back.
    pub(crate) fn grade(&mut self, place: usize, set: Option<Severity>) {
        let Some(own) = self.findings.get(place).map(|f| f.severity) else {
            return;
        };
        let severity = match set {
            Some(set) if set == own => return,
            Some(set) => {
                let known = self.ungraded.entry(place).or_insert(own);
                *known = own.max(*known);
                set
            }
            None => match self.ungraded.remove(&place) {
                Some(known) => known,
                None => return,
            },
        };
        if let Some(finding) = self.get_mut(place) {
            finding.severity = severity;
        }
        self.changed.insert(place);
    }

    /// Begins with the next event.
    pub(crate) fn begin_event(&mut self) {
        self.touched.clear();
    }

    /// The places of findings that changed by the latest event; of too many only the first.
    pub(crate) fn latest(&self) -> &[usize] {
        &self.touched
    }

    /// The places of findings that changed by the latest event; `None` when they were too many to
    /// remember.
    pub(crate) fn touched(&self) -> Option<SmallVec<[usize; 4]>> {
        (self.touched.len() <= MAX_TOUCHED).then(|| self.touched.clone())
    }

    /// Changes a finding in place.
    pub(crate) fn edit(&mut self, place: usize, change: impl FnOnce(&mut Finding)) {
        if let Some(finding) = self.get_mut(place) {
            change(finding);
            finding.why.truncate(MAX_WHY);
            self.touch(place);
        }
    }

    /// Takes a finding out of the index: its identity is about to change.
    fn leave(&mut self, place: usize) {
        let Some(f) = self.findings.get(place) else {
            return;
        };
        let old = hash(&f.rule, f.container.as_ref(), Some(f.subject.as_bytes()));
        if let Some(places) = self.index.get_mut(&old) {
            places.retain(|p| *p as usize != place);
            if places.is_empty() {
                self.index.remove(&old);
            }
        }
    }

    /// Makes a finding another rule's, about another subject: the story has gone on.
    pub(crate) fn take_over(
        &mut self,
        place: usize,
        rule: &RuleInfo,
        severity: Severity,
        subject: &[u8],
    ) {
        self.leave(place);
        self.edit(place, |f| {
            rule.id.clone_into(&mut f.rule);
            f.attack = rule.attack.iter().map(|a| (*a).to_owned()).collect();
            f.severity = f.severity.max(severity);
            f.subject = Bytes::new(subject);
        });
        self.enter(place);
    }

    /// Gives a finding to another rule: what it is has firmed up. It stays where it is when
    /// that rule already has a finding of the subject.
    pub(crate) fn reclassify(&mut self, place: usize, rule: &RuleInfo, severity: Severity) {
        self.leave(place);
        let Some(finding) = self.get_mut(place) else {
            return;
        };
        rule.id.clone_into(&mut finding.rule);
        finding.attack = rule.attack.iter().map(|a| (*a).to_owned()).collect();
        finding.severity = severity;
        self.enter(place);
        self.touch(place);
    }
}

fn evidence(kept: &mut Vec<u64>, seq: u64) {
    if kept.last() == Some(&seq) {
        return;
    }
    if kept.len() >= MOST_EVIDENCE {
        kept.remove(EVIDENCE);
    }
    kept.push(seq);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RULE: RuleInfo = RuleInfo {
        id: "a.b",
        title: "",
        severity: Severity::Low,
        attack: &[],
        needs: &[],
        explain: "",
        check: "",
    };

    fn try_raise(
        stories: &mut Stories,
        owner: Option<&ContainerId>,
        subject: &[u8],
        seq: u64,
    ) -> Option<usize> {
        let at = (Timestamp(seq.cast_signed()), seq);
        let raised = stories.raise(&RULE, Severity::Low, owner, subject, at, || {
            let occurrence = Occurrence {
                ts: at.0,
                seq,
                ancestry: Vec::new(),
            };
            (occurrence, Told::default())
        });
        raised.map(|(place, _)| place)
    }

    fn raise(stories: &mut Stories, subject: &[u8], seq: u64) -> usize {
        try_raise(stories, None, subject, seq).unwrap()
    }

    #[test]
    fn evidence_keeps_the_first_and_the_latest() {
        let mut stories = Stories::default();
        for seq in 1..=100 {
            assert_eq!(raise(&mut stories, b"s", seq), 0);
        }
        let f = &stories.findings()[0];
        assert_eq!(f.count, 100);
        assert_eq!(f.evidence[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(f.evidence[8..], [93, 94, 95, 96, 97, 98, 99, 100]);
        assert_eq!(stories.take_changed(), [0]);
        assert!(stories.take_changed().is_empty());
    }

    #[test]
    fn subjects_are_bounded_and_the_rest_is_counted() {
        let mut stories = Stories::default();
        for n in 0..200u64 {
            raise(&mut stories, n.to_string().as_bytes(), n + 1);
        }
        assert_eq!(stories.findings().len(), MAX_SUBJECTS as usize + 1);
        assert_eq!(stories.findings().last().unwrap().count, 200 - 64);
    }

    #[test]
    fn findings_are_bounded_however_many_containers_come_and_what_has_no_place_is_counted() {
        let mut stories = Stories::default();
        let most = MAX_FINDINGS + MAX_FINDINGS / 10;
        let mut untold = 0;
        for n in 0..2 * most as u64 {
            let owner = ContainerId::new(&n.to_string());
            untold += u64::from(try_raise(&mut stories, Some(&owner), b"s", n + 1).is_none());
        }
        assert_eq!(stories.findings().len(), most);
        assert!(stories.subjects.len() <= most && stories.index.len() <= most);
        assert_eq!((stories.untold(), untold), (most as u64, most as u64));
        // Those that are there go on.
        let first = ContainerId::new("0");
        assert_eq!(try_raise(&mut stories, Some(&first), b"s", 1), Some(0));
    }

    #[test]
    fn a_story_that_goes_on_and_on_leaves_nothing_behind() {
        let mut stories = Stories::default();
        let place = raise(&mut stories, b"s", 1);
        for n in 0..1000_u32 {
            stories.take_over(place, &RULE, Severity::Low, n.to_string().as_bytes());
        }
        assert_eq!(stories.index.len(), 1);
        assert_eq!(stories.find(RULE.id, None, b"999"), Some(place));
    }
}
