//! The story of an incident: its findings and requests in order of time, alike ones folded.

use serde::Serialize;

use super::summary::Incident;
use crate::detect::{Detector, Finding, FindingId};
use crate::event::{Severity, Timestamp};

/// Lines of a story; the weightiest are kept.
const MAX_LINES: usize = 200;

/// One deed, or several alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoryLine {
    /// When it began.
    pub first: Timestamp,
    /// When it was last seen.
    pub last: Timestamp,
    /// The worst severity among the folded findings.
    pub severity: Severity,
    /// One line, escaped.
    pub text: String,
    /// How often.
    pub count: u64,
    /// The findings behind it, the first is the one to open.
    pub findings: Vec<FindingId>,
}

/// The lines in order of time, and how many lesser ones were left out.
#[must_use]
pub fn story(detector: &Detector, incident: &Incident) -> (Vec<StoryLine>, usize) {
    let mut lines: Vec<StoryLine> = Vec::new();
    for id in &incident.findings {
        let Some(finding) = detector.finding(*id) else {
            continue;
        };
        match lines.iter_mut().find(|line| alike(detector, line, finding)) {
            Some(line) => fold(line, finding),
            None => lines.push(line(finding)),
        }
    }
    let left_out = lines.len().saturating_sub(MAX_LINES);
    if left_out > 0 {
        // The weightiest stay: severity first, then the earliest.
        lines.sort_by_key(|line| (std::cmp::Reverse(line.severity), line.first));
        lines.truncate(MAX_LINES);
    }
    lines.sort_by_key(|line| (line.first, line.findings.first().copied()));
    (lines, left_out)
}

fn line(finding: &Finding) -> StoryLine {
    StoryLine {
        first: finding.began(),
        last: finding.last,
        severity: finding.severity,
        text: finding.title.clone(),
        count: finding.count,
        findings: vec![finding.id],
    }
}

/// The same rule and severity by the same program.
fn alike(detector: &Detector, line: &StoryLine, finding: &Finding) -> bool {
    let first = line.findings.first().and_then(|id| detector.finding(*id));
    let program = |finding: &Finding| finding.ancestry.first().map(|p| p.exe.clone());
    first.is_some_and(|first| {
        first.rule == finding.rule
            && first.severity == finding.severity
            && program(first) == program(finding)
            && finding.severity < Severity::Critical
            // Planted files are a deed each.
            && !(finding.ancestry.is_empty() && finding.severity >= Severity::High)
    })
}

fn fold(line: &mut StoryLine, finding: &Finding) {
    line.first = line.first.min(finding.began());
    line.last = line.last.max(finding.last);
    line.count += finding.count;
    line.findings.push(finding.id);
}
