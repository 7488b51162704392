//! Joins findings about one process, whichever of them came first.
//!
//! What drifted code does is a part of the finding about that code, unless it is worse. The finding
//! about the code may come later than its actions: once a comparison with the image ended, or once
//! its severity rose. Then it takes up what it would have contained if it had been there from its
//! first occurrence on.

use smallvec::SmallVec;

use super::acts::{Act, is_head, takes};
use super::finding::{ChainLink, FindingIndex};
use super::finding_store::{FindingStore, JoinedPart};
use super::memory::Memory;
use super::reason_line::ReasonLine;
use crate::event::{ContainerId, Severity, Timestamp};
use crate::state::{ProcessEntry, State};

/// Begins the lines about what drifted code did next.
pub(super) const THEN: &str = "then:";

/// Maximum number of a process's ancestors that are examined.
const MAX_ANCESTRY: usize = 32;

/// A finding about drifted code that was raised after the code's first occurrence.
#[derive(Debug)]
pub(super) struct LateHead {
    pub(super) finding: FindingIndex,
    /// The process that runs the code.
    pub(super) pid: u32,
    pub(super) at: Timestamp,
    pub(super) seq: u64,
    pub(super) place: usize,
    /// The process ran already when watching began, with its children.
    pub(super) found: bool,
}

/// Marks the processes of such a finding, and notes which alerts since its first occurrence are theirs.
pub(super) fn arrive(state: &State, memory: &mut Memory, owner: &ContainerId, head: &LateHead) {
    let Some(root) = state.process_at(head.pid, head.at) else {
        return;
    };
    let since = match head.found {
        true => Timestamp(i64::MIN),
        false => head.at,
    };
    let below = |process: &ProcessEntry| descends(state, process, root, since);
    let alive = state.processes.values().filter(|p| p.exited.is_none());
    for process in alive.filter(|p| below(p)) {
        memory.mark(process.pid, head.finding);
    }
    for act in &mut memory.container(owner).acts {
        let later = (act.seq, act.place) > (head.seq, head.place);
        let process = state.process_at(act.pid, act.at);
        if later
            && act.finding != head.finding
            && !act.under.contains(&head.finding)
            && process.is_some_and(|p| below(p))
        {
            act.under.push(head.finding);
        }
    }
    memory.may_join.push(head.finding);
}

/// Whether a process is `root`, or was started below it since a time.
fn descends(state: &State, process: &ProcessEntry, root: &ProcessEntry, since: Timestamp) -> bool {
    let mut process = process;
    for _ in 0..MAX_ANCESTRY {
        if (process.pid, process.started) == (root.pid, root.started) {
            return true;
        }
        match state.parent_of(process) {
            Some(parent) if process.started >= since => process = parent,
            _ => return false,
        }
    }
    false
}

/// Lets the findings that came late, or became more severe, take up what belongs to them. True when
/// one did.
pub(super) fn join(memory: &mut Memory, findings: &mut FindingStore) -> bool {
    let mut heads = std::mem::take(&mut memory.may_join);
    heads.sort_unstable();
    heads.dedup();
    let mut joined = false;
    for head in heads {
        let mut head = findings.resolve(head);
        for member in members(memory, findings, head) {
            let Some(part) = part(memory, findings, head, member) else {
                continue;
            };
            let own = findings.own_severity(member).unwrap_or(Severity::Info);
            let whole = findings.absorb(head, member, part);
            let known = [head, member].map(|index| memory.chained.remove(&index));
            let known = known.into_iter().flatten().max();
            let worst = known.map_or(own, |known| known.max(own));
            memory.chained.insert(whole, worst);
            lift(findings, whole, own);
            head = whole;
            joined = true;
        }
    }
    joined
}

/// Raises a finding to the severity of a part that it has taken up.
pub(super) fn lift(findings: &mut FindingStore, head: FindingIndex, severity: Severity) {
    if findings
        .get(head)
        .is_some_and(|f| f.severity < severity && severity <= takes(f))
    {
        findings.edit(head, |finding| finding.severity = severity);
    }
}

/// The findings that belong to `head` alone, the earliest first.
fn members(
    memory: &Memory,
    findings: &FindingStore,
    head: FindingIndex,
) -> SmallVec<[FindingIndex; 4]> {
    let Some(finding) = findings
        .get(head)
        .filter(|f| is_head(f) && f.silenced.is_none())
    else {
        return SmallVec::new();
    };
    let own = finding.container.as_ref().and_then(|id| memory.get(id));
    let Some(acts) = own.map(|own| &own.acts) else {
        return SmallVec::new();
    };
    let below = |act: &Act| {
        let mut under = act.under.iter();
        under.any(|index| findings.resolve(*index) == head)
    };
    let theirs = acts.iter().filter(|act| below(act));
    let mut all: SmallVec<[FindingIndex; 4]> = theirs
        .map(|act| findings.resolve(act.finding))
        .filter(|index| *index != head)
        .collect();
    all.sort_unstable();
    all.dedup();
    all.retain(|index| {
        let severity = findings.own_severity(*index).unwrap_or(Severity::Info);
        let fits = severity > Severity::Info && severity <= takes(finding);
        let of = acts
            .iter()
            .filter(|act| findings.resolve(act.finding) == *index);
        // One that other processes share, or whose beginning is not known, stays.
        fits && of.clone().any(|act| act.begins) && { of }.all(below)
    });
    all
}

/// How the finding `member` appears as a part of `head`.
fn part(
    memory: &Memory,
    findings: &FindingStore,
    head: FindingIndex,
    member: FindingIndex,
) -> Option<JoinedPart> {
    let (whole, finding) = (findings.get(head)?, findings.get(member)?);
    let severity = findings.own_severity(member)?;
    let acts = &memory.get(finding.container.as_ref()?)?.acts;
    let mut of = acts.iter().filter(|act| act.finding == member);
    let program = finding.ancestry.first().map(|process| &process.exe);
    let runs = program.is_some_and(|program| whole.things().contains(program));
    let itself = runs && of.any(|act| act.begins && act.exec);
    let line = ReasonLine::single(format!("{THEN} {}", finding.title));
    Some(JoinedPart {
        line: line.weighty(severity >= Severity::Medium),
        link: (!itself).then(|| ChainLink {
            at: finding.first,
            event: finding.evidence.first().copied().unwrap_or_default(),
            rule: finding.rule.clone(),
            severity,
            subject: finding.subject.clone(),
            title: finding.title.clone(),
        }),
    })
}

#[cfg(test)]
mod tests;
