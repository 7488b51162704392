//! A finding becomes a part of another: its number stays valid and leads to the other one.

use std::sync::Arc;

use super::{FindingStore, evidence};
use crate::detect::finding::{ChainLink, Finding, FindingIndex};
use crate::detect::reason_line::ReasonLine;
use crate::event::Severity;

/// How a part appears in the finding that takes it up.
pub(crate) struct JoinedPart {
    /// Its line among the reasons.
    pub(crate) line: ReasonLine,
    /// Its link of the chain, unless it is about the run of the program itself.
    pub(crate) link: Option<ChainLink>,
}

impl FindingStore {
    /// The index of the finding that this one has become a part of, or its own.
    #[must_use]
    pub(crate) fn resolve(&self, index: FindingIndex) -> FindingIndex {
        let mut at = index;
        // Each step leads to another finding; a circle cannot be made.
        for _ in 0..self.findings.len() {
            match self.findings.get(at.get()).and_then(|f| f.part_of) {
                Some(whole) => at = FindingIndex::of(whole),
                None => break,
            }
        }
        at
    }

    /// Whether the latest event raised this finding.
    pub(crate) fn is_new(&self, index: FindingIndex) -> bool {
        index.get() >= self.known
    }

    /// Its severity without the policy.
    pub(crate) fn own_severity(&self, index: FindingIndex) -> Option<Severity> {
        let index = self.resolve(index);
        let set = self.ungraded.get(&index).copied();
        set.or_else(|| Some(self.get(index)?.severity))
    }

    /// Makes `member` a part of `head`, another finding. Returns the index of the whole: a new
    /// finding takes over the number of the older one, which has been seen and reported already.
    pub(crate) fn absorb(
        &mut self,
        head: FindingIndex,
        member: FindingIndex,
        part: JoinedPart,
    ) -> FindingIndex {
        let (head, member) = (self.resolve(head), self.resolve(member));
        let Some(old) = self.get(member).map(Arc::clone).filter(|_| head != member) else {
            return head;
        };
        self.leave(member);
        self.ungraded.remove(&member);
        let whole = if self.is_new(head) && member < head {
            self.exchange(head, member);
            member
        } else {
            head
        };
        let hollow = if whole == member { head } else { member };
        self.hollow_out(hollow, whole, &old);
        self.add_effect(whole, part.line);
        for link in part.link.into_iter().chain(old.chain.iter().cloned()) {
            self.add_link(whole, link);
        }
        for line in old.why.iter().filter(|line| line.starts_with("then")) {
            self.add_effect(whole, ReasonLine::single(line.clone()));
        }
        if let Some(finding) = self.get_mut(whole) {
            finding.last = finding.last.max(old.last);
            for seq in &old.evidence {
                if !finding.evidence.contains(seq) {
                    evidence(finding, *seq);
                }
            }
        }
        self.touch(whole);
        whole
    }

    /// Moves the new finding `head` to the place and number of `member`.
    fn exchange(&mut self, head: FindingIndex, member: FindingIndex) {
        self.leave(head);
        if let Some(severity) = self.ungraded.remove(&head) {
            self.ungraded.insert(member, severity);
        }
        self.findings.swap(head.get(), member.get());
        for index in [head, member] {
            if let Some(finding) = self.findings.get_mut(index.get()) {
                Arc::make_mut(finding).id = index.id();
            }
        }
        self.enter(member);
    }

    /// Leaves only the name and the times of a finding, and the number of the whole.
    fn hollow_out(&mut self, index: FindingIndex, whole: FindingIndex, old: &Finding) {
        if let Some(finding) = self.findings.get_mut(index.get()) {
            let finding = Arc::make_mut(finding);
            *finding = Finding {
                id: index.id(),
                part_of: Some(whole.id()),
                parts: Vec::new(),
                why: Vec::new(),
                more_why: 0,
                chain: Vec::new(),
                ancestry: Vec::new(),
                evidence: Vec::new(),
                silenced: None,
                ..old.clone()
            };
        }
        self.touch_as_it_is(index);
    }
}
