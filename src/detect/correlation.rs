//! Correlation: decides which finding an alert begins or continues, and records it there.
//!
//! A chain of effects is one finding: what drifted code does next is added to the finding about
//! that code, unless it is worse than that finding.

use super::acts::{self, Act};
use super::alert::{Alert, Alerts, Identity, Joins, Predecessor, Target};
use super::file_origin::attach_history;
use super::finding::{ALREADY, ChainLink, Finding, FindingIndex};
use super::finding_store::{Explanation, Occurrence};
use super::joining::{self, LateHead, THEN};
use super::reason_line::ReasonLine;
use super::rule_context::RuleContext;
use super::rule_info::RuleInfo;
use super::rules;
use crate::event::{Bytes, Kind, Severity, Timestamp};

/// Records the alerts of one handler, in order.
pub(super) fn record(ctx: &mut RuleContext<'_>, alerts: Alerts) {
    for alert in alerts {
        record_one(ctx, *alert);
    }
}

fn record_one(ctx: &mut RuleContext<'_>, mut alert: Alert) {
    let joins = std::mem::take(&mut alert.joins);
    let actor = actor(ctx, &alert, &joins);
    let late = late_head(ctx, &alert, &joins);
    let before = match &alert.target {
        Target::Subject { rule, subject, .. } => {
            ctx.findings.find(rule.id, Some(ctx.owner), subject)
        }
        Target::Occurrence(index) | Target::Addition(index) => Some(*index),
    };
    let before = before.and_then(|index| Some((index, ctx.findings.get(index)?.severity)));
    let index = match alert.target {
        Target::Subject {
            rule,
            ref subject,
            ref mut explanation,
        } => {
            let explanation = explanation.take();
            record_subject(
                ctx,
                rule,
                alert.severity,
                subject,
                explanation,
                (joins, actor),
            )
        }
        Target::Occurrence(index) => {
            let at = (ctx.event.ts, ctx.event.seq);
            let findings = &mut ctx.findings;
            findings.record_occurrence(index, alert.severity, at.0, at.1);
            note_act(
                ctx,
                index,
                &Actor {
                    begins: false,
                    ..actor
                },
            );
            Some(index)
        }
        Target::Addition(index) => Some(index),
    };
    if let Some(root) = alert.session {
        ctx.own().note_session(root, index);
    }
    let Some(index) = index else {
        return;
    };
    add_to(ctx, index, alert);
    if let Some(late) = late {
        joining::arrive(ctx.state, ctx.memory, ctx.owner, &late(index));
    }
    let rose = before.is_some_and(|(known, severity)| {
        let now = ctx.findings.get(index);
        known == index && now.is_some_and(|f| acts::is_head(f) && f.severity > severity)
    });
    if rose {
        ctx.memory.may_join.push(index);
    }
}

/// The process that an alert is about, and when.
#[derive(Clone, Copy)]
struct Actor {
    pid: u32,
    at: Timestamp,
    seq: u64,
    begins: bool,
}

fn actor(ctx: &RuleContext<'_>, alert: &Alert, joins: &Joins) -> Actor {
    let (at, seq, pid) = match &joins.as_of {
        Some(first) => (first.ts, first.seq, first.ancestry.first().map(|p| p.pid)),
        None => (ctx.event.ts, ctx.event.seq, Some(ctx.event.pid)),
    };
    // A comparison of many files is no process's.
    let known = pid.filter(|pid| *pid != 0);
    let pid = known.or_else(|| alert.processes.first().copied());
    Actor {
        pid: pid.unwrap_or(0),
        at,
        seq,
        begins: false,
    }
}

/// For an alert about drifted code that comes after the code's first occurrence.
fn late_head(
    ctx: &RuleContext<'_>,
    alert: &Alert,
    joins: &Joins,
) -> Option<impl FnOnce(FindingIndex) -> LateHead + use<>> {
    let pid = *alert.processes.first()?;
    let head =
        matches!(&alert.target, Target::Subject { rule, .. } if rule.id.starts_with("drift."));
    let (at, seq) = match &joins.as_of {
        Some(first) => (first.ts, first.seq),
        // Known only by a comparison: it ran all the time.
        None if ctx.event.pid == 0 => (ctx.event.ts, 0),
        None => return None,
    };
    let found = alert.already_since.is_some();
    let place = place(ctx.rule.id);
    head.then_some(move |finding| LateHead {
        finding,
        pid,
        at,
        seq,
        place,
        found,
    })
}

/// The place of a rule in the order in which rules see an event.
fn place(rule: &str) -> usize {
    let mut all = rules::ALL.iter();
    all.position(|known| known.info.id == rule)
        .unwrap_or(usize::MAX)
}

/// Remembers the alert: a finding about its process may come later.
fn note_act(ctx: &mut RuleContext<'_>, index: FindingIndex, actor: &Actor) {
    let severity = ctx.findings.get(index).map(|f| f.severity);
    if actor.pid == 0 || severity.is_none_or(|severity| severity == Severity::Info) {
        return;
    }
    let act = Act {
        finding: index,
        pid: actor.pid,
        at: actor.at,
        seq: actor.seq,
        place: place(ctx.rule.id),
        begins: actor.begins,
        exec: matches!(ctx.event.kind, Kind::Exec(_)),
        under: ctx.memory.marks_of(actor.pid).into(),
    };
    ctx.own().note_act(act);
}

/// Applies the other additions of an alert to its finding.
fn add_to(ctx: &mut RuleContext<'_>, index: FindingIndex, alert: Alert) {
    if let Some(identity) = alert.becomes {
        become_another(ctx, index, identity);
    }
    for part in &alert.parts {
        ctx.findings.add_part(index, part);
    }
    if alert.repeated > 0 {
        ctx.findings
            .edit(index, |finding| finding.count += alert.repeated);
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
    if let Some(severity) = alert.risen_to {
        let ancestry = ctx.occurrence().ancestry;
        ctx.findings.edit(index, |finding| {
            finding.severity = finding.severity.max(severity);
            finding.ancestry = ancestry;
        });
    }
    if let Some(since) = alert.already_since {
        mark_already(ctx, index, since);
    }
    for line in alert.reasons {
        ctx.findings.add_reason(index, line);
    }
    for line in alert.effects {
        if ctx.findings.add_effect(index, line) {
            let (ts, seq) = (ctx.event.ts, ctx.event.seq);
            ctx.findings.add_evidence(index, ts, seq);
        }
    }
    if let Some(link) = alert.link {
        ctx.findings.add_link(index, link);
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

/// Marks a finding that begins with this event as present when watching began. A finding that was
/// seen to begin, or is marked already, only gets an earlier time.
fn mark_already(ctx: &mut RuleContext<'_>, index: FindingIndex, since: Timestamp) {
    let Some(finding) = ctx.findings.get(index) else {
        return;
    };
    let since = if since == Timestamp(0) {
        ctx.event.ts
    } else {
        since.min(ctx.event.ts)
    };
    match finding.already_since {
        Some(known) if known <= since => return,
        None if finding.count > 1 => return,
        _ => {}
    }
    ctx.findings.edit(index, |finding| {
        finding.already_since = Some(since);
        let since = since.to_jiff().strftime("%Y-%m-%d %H:%M:%SZ");
        let line = format!("{ALREADY}, since {since}");
        finding.why.retain(|line| !line.starts_with(ALREADY));
        finding.why.insert(0, line);
    });
}

/// Returns the finding that an alert counts on, or creates one. `None` when the policy turns the
/// rule off or there are too many findings.
fn record_subject(
    ctx: &mut RuleContext<'_>,
    rule: &'static RuleInfo,
    severity: Severity,
    subject: &[u8],
    explanation: Option<Explanation>,
    (joins, mut actor): (Joins, Actor),
) -> Option<FindingIndex> {
    if ctx.settings.policy.turns_off(rule.id) {
        return None;
    }
    if let Some(predecessor) = &joins.predecessor {
        let title = match &explanation {
            Some(explanation) if !explanation.title.is_empty() => &explanation.title,
            _ => rule.title,
        };
        actor.begins = succeed(ctx, rule, severity, subject, predecessor, title);
    }
    if let Some(index) = known_change(ctx, rule, &joins.files) {
        let at = (ctx.event.ts, ctx.event.seq);
        let findings = &mut ctx.findings;
        findings.record_occurrence(index, severity, at.0, at.1);
        if let Some(title) = joins.continued_title {
            findings.edit(index, |finding| finding.title = title);
        }
        note_act(ctx, index, &actor);
        return Some(index);
    }
    record_new(
        ctx,
        rule,
        severity,
        subject,
        explanation,
        (joins.as_of, actor),
    )
}

/// Counts on the known finding, continues the finding about the drifted code that the process
/// belongs to, or begins a finding, as of `first` where that is earlier than the event.
fn record_new(
    ctx: &mut RuleContext<'_>,
    rule: &'static RuleInfo,
    severity: Severity,
    subject: &[u8],
    explanation: Option<Explanation>,
    (first, actor): (Option<Occurrence>, Actor),
) -> Option<FindingIndex> {
    let at = (actor.at, actor.seq);
    if let Some(index) = ctx.findings.find(rule.id, Some(ctx.owner), subject) {
        let findings = &mut ctx.findings;
        findings.record_occurrence(index, severity, at.0, at.1);
        note_act(ctx, index, &actor);
        if actor.begins {
            let heads = ctx.memory.marks_of(actor.pid).to_vec();
            ctx.memory.may_join.extend(heads);
        }
        return Some(index);
    }
    let mut explanation = explanation.unwrap_or_default();
    if explanation.title.is_empty() {
        rule.title.clone_into(&mut explanation.title);
    }
    let before = first.as_ref().map(|first| first.seq);
    if let Some(index) = continued_finding(ctx, severity, actor.pid, before) {
        let worst = ctx.memory.chained.entry(index).or_insert(Severity::Info);
        *worst = severity.max(*worst);
        let line = ReasonLine::single(format!("{THEN} {}", explanation.title));
        let line = line.weighty(severity >= Severity::Medium);
        let sum = explanation.title.split(' ').next();
        let sum = sum.filter(|_| explanation.sums_up).map(str::len);
        ctx.findings.add_effect(
            index,
            match sum {
                Some(word) => line.restates(THEN.len() + 1 + word),
                None => line,
            },
        );
        // How the program itself was run is no later action.
        let itself = matches!(&ctx.event.kind, Kind::Exec(exec)
            if ctx.findings.get(index).is_some_and(|f| f.things().contains(&exec.exe)));
        if !itself {
            let link = ChainLink {
                at: at.0,
                event: at.1,
                rule: rule.id.to_owned(),
                severity,
                subject: Bytes::new(subject),
                title: explanation.title,
            };
            ctx.findings.add_link(index, link);
        }
        ctx.findings.add_evidence(index, at.0, at.1);
        joining::lift(ctx.findings, index, severity);
        return Some(index);
    }
    let occurrence = first.unwrap_or_else(|| ctx.occurrence());
    let raised = ctx
        .findings
        .raise(rule, severity, Some(ctx.owner), subject, at, || {
            (occurrence, explanation)
        });
    let (index, begins) = raised?;
    note_act(ctx, index, &Actor { begins, ..actor });
    if let Kind::Process(found) = &ctx.event.kind
        && !found.entered_at(ctx.event.ts)
    {
        mark_already(ctx, index, found.started);
    }
    Some(index)
}

/// Changes the identity of a finding, unless another finding has that identity.
fn become_another(ctx: &mut RuleContext<'_>, index: FindingIndex, identity: Identity) {
    let Some(finding) = ctx.findings.get(index) else {
        return;
    };
    let subject = identity.subject.unwrap_or_else(|| finding.subject.clone());
    let rule = identity.rule;
    if ctx
        .findings
        .find(rule.id, Some(ctx.owner), &subject)
        .is_none()
    {
        ctx.findings.reassign(index, rule, &subject);
        ctx.findings
            .edit(index, |finding| finding.title = identity.title);
    }
}

/// Turns a finding that only reports the change of a file into the finding of `rule` about
/// `subject`, if it is no worse and there is none yet. True when only a comparison knew the change:
/// then the finding begins with this alert.
fn succeed(
    ctx: &mut RuleContext<'_>,
    rule: &'static RuleInfo,
    severity: Severity,
    subject: &[u8],
    predecessor: &Predecessor,
    title: &str,
) -> bool {
    let Some(own) = ctx.memory.get(ctx.owner) else {
        return false;
    };
    let Some(&index) = own.planted.get(&predecessor.path) else {
        return false;
    };
    let alone = own.planted.values().filter(|p| **p == index).count() == 1;
    let lesser = ctx.findings.get(index).is_some_and(|f| {
        // Changes by an unknown process count as well.
        let change = f.rule.starts_with(predecessor.family) || f.rule == "drift.snapshot";
        f.rule != rule.id && change && f.severity <= severity
    });
    let known = ctx.findings.find(rule.id, Some(ctx.owner), subject);
    if !alone || !lesser || known.is_some() {
        return false;
    }
    let compared = ctx
        .findings
        .get(index)
        .is_some_and(|f| f.rule == "drift.snapshot");
    ctx.findings.reassign(index, rule, subject);
    ctx.findings.edit(index, |finding| {
        title.clone_into(&mut finding.title);
        if compared {
            finding.count = 0;
        }
    });
    compared
}

/// The finding of this rule that reports a change of one of these files.
fn known_change(
    ctx: &RuleContext<'_>,
    rule: &'static RuleInfo,
    paths: &[Bytes],
) -> Option<FindingIndex> {
    let index = paths.iter().find_map(|path| ctx.planted(path))?;
    let finding = ctx.findings.get(index)?;
    (finding.rule == rule.id).then_some(index)
}

/// The finding about drifted code that a process belongs to, when the alert adds to it: the most
/// severe of them. A more severe alert becomes a finding of its own, and so does every alert once
/// that finding is silenced. With `before`, only findings that began before that event count.
fn continued_finding(
    ctx: &RuleContext<'_>,
    severity: Severity,
    pid: u32,
    before: Option<u64>,
) -> Option<FindingIndex> {
    if severity == Severity::Info {
        return None;
    }
    let known = ctx.memory.marks_of(pid).iter().filter_map(|index| {
        let index = ctx.findings.resolve(*index);
        Some((index, ctx.findings.get(index)?))
    });
    let adds = |finding: &Finding| {
        let began = finding.evidence.first().copied().unwrap_or_default();
        acts::is_head(finding)
            && acts::takes(finding) >= severity
            && finding.silenced.is_none()
            && finding.container.as_ref() == Some(ctx.owner)
            && before.is_none_or(|seq| began < seq)
    };
    known
        .filter(|(_, finding)| adds(finding))
        .max_by_key(|(_, finding)| acts::weight(finding))
        .map(|(index, _)| index)
}
