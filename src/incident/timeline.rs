//! The timeline of an incident: its findings and requests in order of time, similar ones folded.

use serde::Serialize;

use super::summary::Incident;
use crate::detect::{ChainLink, Detector, Finding, FindingId};
use crate::event::{Severity, Timestamp};

/// Maximum number of lines; the most important are kept.
const MAX_LINES: usize = 200;

/// One line of the timeline: a finding, or several similar ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimelineLine {
    /// First time.
    pub first: Timestamp,
    /// Last time.
    pub last: Timestamp,
    /// The worst severity among the folded findings.
    pub severity: Severity,
    /// One line, escaped.
    pub text: String,
    /// Number of occurrences.
    pub count: u64,
    /// The findings of the line; the first is the one to open.
    pub findings: Vec<FindingId>,
}

/// The lines in order of time, and the number of less important ones left out.
#[must_use]
pub fn timeline(detector: &Detector, incident: &Incident) -> (Vec<TimelineLine>, usize) {
    let mut lines: Vec<TimelineLine> = Vec::new();
    for id in &incident.findings {
        let Some(finding) = detector.finding(*id) else {
            continue;
        };
        match lines.iter_mut().find(|line| alike(detector, line, finding)) {
            Some(line) => fold(line, finding),
            None => lines.push(line(finding)),
        }
        lines.extend(finding.chain.iter().map(|link| later(finding, link)));
    }
    let left_out = lines.len().saturating_sub(MAX_LINES);
    if left_out > 0 {
        // The most important stay: by severity, then the earliest.
        lines.sort_by_key(|line| (std::cmp::Reverse(line.severity), line.first));
        lines.truncate(MAX_LINES);
    }
    lines.sort_by_key(|line| (line.first, line.findings.first().copied()));
    (lines, left_out)
}

fn line(finding: &Finding) -> TimelineLine {
    TimelineLine {
        first: finding.began(),
        last: finding.last,
        severity: finding.severity,
        text: finding.title.clone(),
        count: finding.count,
        findings: vec![finding.id],
    }
}

/// What the finding's processes did later has a line of its own.
fn later(finding: &Finding, link: &ChainLink) -> TimelineLine {
    TimelineLine {
        first: link.at,
        last: link.at,
        severity: link.severity,
        text: link.title.clone(),
        count: 1,
        findings: vec![finding.id],
    }
}

/// The same rule and severity by the same program.
fn alike(detector: &Detector, line: &TimelineLine, finding: &Finding) -> bool {
    let first = line.findings.first().and_then(|id| detector.finding(*id));
    let program = |finding: &Finding| finding.ancestry.first().map(|p| p.exe.clone());
    first.is_some_and(|first| {
        first.rule == finding.rule
            && first.severity == finding.severity
            && program(first) == program(finding)
            && finding.severity < Severity::Critical
            // Planted files have a line each.
            && !(finding.ancestry.is_empty() && finding.severity >= Severity::High)
    })
}

fn fold(line: &mut TimelineLine, finding: &Finding) {
    line.first = line.first.min(finding.began());
    line.last = line.last.max(finding.last);
    line.count += finding.count;
    line.findings.push(finding.id);
}
