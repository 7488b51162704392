//! The alert about an executed program that is not in the image, unless its origin is ordinary.

use bstr::ByteSlice as _;

use super::kinds;
use crate::detect::alert::Alert;
use crate::detect::file_origin::{OrdinaryOrigin, made};
use crate::detect::rule_context::RuleContext;
use crate::detect::rules::fetched_at_start;
use crate::detect::rules::startup_drift::startup_drift;
use crate::detect::{RuleInfo, Severity, program_roles};
use crate::event::{Exec, FileEffect, Timestamp};

pub(super) fn judge_volume(ctx: &RuleContext<'_>, exec: &Exec) -> Option<Alert> {
    let mounted = ctx.container.is_some_and(|c| {
        c.info.mounts.iter().any(|m| {
            let at = m.destination.as_bytes();
            exec.exe
                .strip_prefix(at)
                .is_some_and(|rest| rest.starts_with(b"/") || at.ends_with(b"/"))
        })
    });
    if kinds::changed_since_start(ctx, exec.file.ctime) {
        // Outside any mount the storage driver is not an overlay: only the time decides.
        let severity = if mounted {
            Severity::High
        } else {
            Severity::Medium
        };
        judge(ctx, exec, &kinds::VOLUME, severity)
    } else if mounted && !ctx.starting_up() {
        judge(ctx, exec, &kinds::VOLUME, Severity::Info)
    } else {
        None
    }
}

/// Judges a program of a root file system without layers, as LXC and nspawn have. Only the times
/// show that its content is younger than the container; certain is what was seen being written.
pub(super) fn judge_without_layers(ctx: &RuleContext<'_>, exec: &Exec) -> Option<Alert> {
    let young = |at| at != Timestamp(0) && kinds::changed_since_start(ctx, at);
    if !young(exec.file.mtime) || !young(exec.file.ctime) || ctx.made_at_start(exec.file.ctime) {
        return None;
    }
    let activity = ctx.activity(&exec.exe);
    let written = activity.is_some_and(|a| {
        let mut ops = a.ops.keys();
        ops.any(|op| matches!(op.effect(), FileEffect::Content | FileEffect::Name))
    });
    let severity = if written {
        Severity::High
    } else {
        Severity::Medium
    };
    judge(ctx, exec, &kinds::NEW, severity)
}

/// An alert of one kind, unless the file was created in an ordinary way.
pub(super) fn judge(
    ctx: &RuleContext<'_>,
    exec: &Exec,
    kind: &'static RuleInfo,
    severity: Severity,
) -> Option<Alert> {
    let path = &exec.exe;
    let command = program_roles::command_line(&exec.argv, path, 160);
    let by_start = ctx.starting_up() || made(ctx, path) == Some(OrdinaryOrigin::StartUp);
    if let Some(brought) = by_start.then(|| fetched_at_start::of(ctx, path)).flatten() {
        if brought.severity == Severity::Low {
            let line = format!("ran {}, {}", path.escaped(), brought.how);
            return Some(startup_drift(ctx, line).rises_to(Severity::Low));
        }
        let severity = severity.min(brought.severity);
        let alert = kinds::alert(ctx, kind, severity, path, &command, exec.file.origin());
        return Some(alert.reason(brought.how).history_of(path));
    }
    if ctx.starting_up() {
        return Some(startup_drift(ctx, format!("ran {}", path.escaped())));
    }
    if severity > Severity::Info
        && let Some(folded) = kinds::ordinary(ctx, path)
    {
        return folded;
    }
    let alert = kinds::alert(ctx, kind, severity, path, &command, exec.file.origin());
    Some(alert.history_of(path).follows(ctx.event.pid))
}
