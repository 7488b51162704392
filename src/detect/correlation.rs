//! Correlation: decides which finding an alert begins or continues, and records it there.
//!
//! A chain of effects is one finding: what drifted code does next is added to the finding about
//! that code, unless it is worse than that finding.

use super::alert::{Alert, Alerts, Target};
use super::file_origin::attach_history;
use super::finding::FindingIndex;
use super::finding_store::Explanation;
use super::rule_context::RuleContext;
use super::rule_info::RuleInfo;
use crate::event::Severity;

/// Records the alerts of one handler, in order.
pub(super) fn record(ctx: &mut RuleContext<'_>, alerts: Alerts) {
    for alert in alerts {
        record_one(ctx, *alert);
    }
}

fn record_one(ctx: &mut RuleContext<'_>, alert: Alert) {
    let at = (ctx.event.ts, ctx.event.seq);
    let index = match alert.target {
        Target::Subject {
            rule,
            subject,
            explanation,
        } => record_subject(ctx, rule, alert.severity, &subject, explanation),
        Target::Occurrence(index) => {
            let findings = &mut ctx.findings;
            findings.record_occurrence(index, alert.severity, at.0, at.1);
            Some(index)
        }
        Target::Addition(index) => Some(index),
    };
    let Some(index) = index else { return };
    for part in &alert.parts {
        ctx.findings.add_part(index, part);
    }
    if let Some(title) = alert.title_by_count {
        ctx.findings
            .edit(index, |finding| finding.title = title(finding.count));
    }
    if alert.title.is_some() || alert.revised_severity.is_some() {
        ctx.findings.edit(index, |finding| {
            if let Some(title) = alert.title {
                finding.title = title;
            }
            finding.severity = alert.revised_severity.unwrap_or(finding.severity);
        });
    }
    for line in alert.reasons {
        ctx.findings.add_reason(index, line);
    }
    for (at, seq) in alert.evidence {
        ctx.findings.add_evidence(index, at, seq);
    }
    if let Some(path) = alert.history_of {
        attach_history(ctx, index, &path);
    }
    for path in &alert.planted {
        ctx.own().plant(path, index);
    }
    for pid in alert.processes {
        ctx.memory.mark(pid, index);
    }
}

/// Counts on the known finding, continues the finding about the drifted code that the process
/// belongs to, or begins a finding. `None` when the policy turns the rule off or there are too
/// many findings.
pub(super) fn record_subject(
    ctx: &mut RuleContext<'_>,
    rule: &'static RuleInfo,
    severity: Severity,
    subject: &[u8],
    explanation: Option<Explanation>,
) -> Option<FindingIndex> {
    if ctx.settings.policy.turns_off(rule.id) {
        return None;
    }
    let at = (ctx.event.ts, ctx.event.seq);
    if let Some(index) = ctx.findings.find(rule.id, Some(ctx.owner), subject) {
        let findings = &mut ctx.findings;
        findings.record_occurrence(index, severity, at.0, at.1);
        return Some(index);
    }
    let mut explanation = explanation.unwrap_or_default();
    if explanation.title.is_empty() {
        rule.title.clone_into(&mut explanation.title);
    }
    if let Some(index) = continued_finding(ctx, severity) {
        let worst = ctx.memory.chained.entry(index).or_insert(Severity::Info);
        *worst = severity.max(*worst);
        let line = format!("then: {}", explanation.title);
        ctx.findings.add_reason(index, line);
        ctx.findings.add_evidence(index, at.0, at.1);
        return Some(index);
    }
    let occurrence = ctx.occurrence();
    let raised = ctx
        .findings
        .raise(rule, severity, Some(ctx.owner), subject, at, || {
            (occurrence, explanation)
        });
    raised.map(|(index, _)| index)
}

/// The finding about drifted code that the event's process belongs to, when this adds to it.
/// Something worse than that finding is a finding of its own, and so is everything once the
/// finding is silenced.
fn continued_finding(ctx: &RuleContext<'_>, severity: Severity) -> Option<FindingIndex> {
    if severity == Severity::Info {
        return None;
    }
    let index = *ctx.memory.marks.get(&ctx.event.pid)?;
    let finding = ctx.findings.get(index)?;
    let adds = finding.rule.starts_with("drift.")
        && finding.severity >= severity
        && finding.silenced.is_none()
        && finding.container.as_ref() == Some(ctx.owner);
    adds.then_some(index)
}

impl RuleContext<'_> {
    /// Raises or counts a finding of the running rule: the old way, for rules not converted yet.
    pub(crate) fn raise(
        &mut self,
        severity: Severity,
        subject: &[u8],
        describe: impl FnOnce(&Self, &mut Explanation),
    ) -> Option<FindingIndex> {
        self.raise_as(self.rule, severity, subject, describe)
    }

    /// As [`Self::raise`], for a rule of the same family.
    pub(crate) fn raise_as(
        &mut self,
        rule: &'static RuleInfo,
        severity: Severity,
        subject: &[u8],
        describe: impl FnOnce(&Self, &mut Explanation),
    ) -> Option<FindingIndex> {
        if self.settings.policy.turns_off(rule.id) {
            return None;
        }
        let known = self.findings.find(rule.id, Some(self.owner), subject);
        let explanation = known.is_none().then(|| {
            let mut explanation = Explanation::default();
            describe(self, &mut explanation);
            explanation
        });
        record_subject(self, rule, severity, subject, explanation)
    }
}
