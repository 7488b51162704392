//! Comparisons of executed files with the image: decides about the execution once the result is
//! there.

use crate::detect::alert::{Alert, Alerts};
use crate::detect::drifted_files::{DriftedFiles, PATIENCE, PendingComparison};
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemories;
use crate::detect::rules::startup_drift::startup_drift;
use crate::detect::{RuleInfo, Severity};
use crate::event::{Compare, CompareClass, Origin, Tick, escape};

use super::kinds::{self, MODIFIED, NEW, RELOCATED, changed_since_start, relocated_severity};

pub(super) fn compare(
    ctx: &RuleContext<'_>,
    memories: &mut RuleMemories<'_>,
    compare: &Compare,
) -> Alerts {
    if memories.get::<DriftedFiles>().is_none() {
        return Alerts::none();
    }
    let memory: &mut DriftedFiles = memories.of();
    let settled = memory.take_pending(|p| {
        p.path == compare.path && (p.file.ino == compare.ino || compare.ino == 0)
    });
    let mut alerts = Alerts::none();
    for pending in settled {
        alerts.extend(settle(
            ctx,
            memory,
            pending,
            &compare.class,
            compare.sha256.as_deref(),
        ));
    }
    alerts
}

pub(super) fn tick(ctx: &RuleContext<'_>, memories: &mut RuleMemories<'_>, _: &Tick) -> Alerts {
    let now = ctx.now();
    let late = |p: &PendingComparison| now.since(p.first.ts).as_secs() >= PATIENCE;
    let waits = memories
        .get::<DriftedFiles>()
        .is_some_and(|memory| memory.any_pending(late));
    if !waits {
        return Alerts::none();
    }
    let memory: &mut DriftedFiles = memories.of();
    let class = CompareClass::Unknown("no result in time".to_owned());
    let mut alerts = Alerts::none();
    for pending in memory.take_pending(late) {
        alerts.extend(settle(ctx, memory, pending, &class, None));
    }
    alerts
}

/// Decides about an execution by its comparison.
fn settle(
    ctx: &RuleContext<'_>,
    memory: &mut DriftedFiles,
    pending: PendingComparison,
    class: &CompareClass,
    sha256: Option<&str>,
) -> Option<Alert> {
    let path = &pending.path;
    memory.decide(path, &pending.file, class.clone());
    let existing = ctx.findings.find(NEW.id, Some(ctx.owner), path);
    // The program's actions before the comparison count in full.
    let did = existing
        .and_then(|index| ctx.memory.chained.get(&index).copied())
        .unwrap_or(Severity::Info);
    let (kind, severity, fact): (&'static RuleInfo, _, _) = match class {
        CompareClass::CopiedUp => {
            let alert = Alert::addition(existing?)
                .revise_severity(did)
                .reason("compared: same content as the image's file");
            return Some(alert);
        }
        CompareClass::New => (
            &NEW,
            Severity::High,
            "compared: the image has nothing at this path".to_owned(),
        ),
        CompareClass::Modified => (
            &MODIFIED,
            Severity::High,
            "compared: content differs from the image's file".to_owned(),
        ),
        CompareClass::Relocated(from) => (
            &RELOCATED,
            relocated_severity(path, from),
            format!("compared: same content as the image's {}", from.escaped()),
        ),
        CompareClass::Unknown(reason) => {
            if existing.is_some() || !changed_since_start(ctx, pending.file.mtime) {
                return None;
            }
            let reason = escape(reason.as_bytes());
            (
                &MODIFIED,
                Severity::Medium,
                format!("changed after the container started; not compared: {reason}"),
            )
        }
    };
    if ctx.settings.policy.turns_off(kind.id) {
        return None;
    }
    let severity = severity.max(did);
    let mut alert = match existing {
        Some(index) if kind.id == NEW.id => Alert::addition(index),
        Some(index) => Alert::addition(index)
            .becomes(kind, None, kinds::title(kind, path))
            .revise_severity(severity),
        None if pending.file.origin() == Origin::Upper => return None, // judged at its execution already
        None if pending.starting_up => {
            return Some(startup_drift(ctx, format!("ran {}", path.escaped())));
        }
        None => match kinds::ordinary(ctx, path) {
            Some(folded) => return folded,
            None => first_execution(ctx, pending, kind, severity),
        },
    };
    alert = alert.reason(fact);
    if let Some(hash) = sha256 {
        alert = alert.reason(format!("SHA-256 {}", escape(hash.as_bytes())));
    }
    if ctx.event.pid != 0 || sha256.is_some() {
        alert = alert.evidence(ctx.event.ts, ctx.event.seq);
    }
    Some(alert)
}

/// An alert about an execution that had to wait for its comparison, at the time of the first
/// execution.
fn first_execution(
    ctx: &RuleContext<'_>,
    pending: PendingComparison,
    kind: &'static RuleInfo,
    severity: Severity,
) -> Alert {
    let (path, origin) = (&pending.path, pending.file.origin());
    let mut alert = kinds::alert(ctx, kind, severity, path, &pending.command, origin);
    let alive = ctx
        .state
        .processes
        .get(&pending.pid)
        .is_some_and(|p| p.exited.is_none() && p.exe == pending.path);
    if alive {
        alert = alert.follows(pending.pid);
    }
    let (more, ts, seq) = pending.executions;
    if more > 0 {
        alert = alert.repeated(more).evidence(ts, seq);
    }
    alert.happened(pending.first)
}
