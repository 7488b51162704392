//! Scripts that are not in the image, and the finding about one that an interpreter runs.

use super::fetched_at_start;
use super::script_paths::in_memory;
pub(super) use super::script_paths::is_drift;
use super::script_writers::WrittenScript;
use super::session_scripts;
use crate::catalog;
use crate::detect::alert::{Alert, Alerts};
use crate::detect::file_origin::{OrdinaryOrigin, history, made};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Requirement, RuleInfo, Severity, attribution, build_artifacts, program_roles};
use crate::event::Bytes;
use crate::state::ProcessEntry;

/// Data of the rule on these scripts.
pub(super) const INFO: RuleInfo = RuleInfo {
    id: "drift.script",
    title: "Ran a script that is not in the image",
    label: "script",
    severity: Severity::Medium,
    attack: &["T1059", "T1105"],
    needs: &[Requirement::Exec, Requirement::File],
    explain: "A shell or another interpreter of the image ran a script, by its `#!` line or \
              as an argument, that was written since the container started or is on a tmpfs. \
              Modules, files named by options (`-m`, `-r`, `awk -f`) and files that inline code \
              of a shell or interpreter reads in order to run them count, too. Low when a \
              command from outside wrote the script without fetching it, and another one runs it, \
              as deployment tools do, or the service runs its own script again, as after a \
              correction; also when a program of the image has written, run and removed such \
              scripts several times, as build servers do, and they did nothing that is reported.",
    check: "Read the script. Which process wrote it?",
};

/// Why the scripts of a writer are low.
const HABIT: &str =
    "its writer does so again and again, removes each, and they did nothing that is reported";

/// Whether the container's init or start script runs a file that was on a tmpfs before watching
/// began, as supervisors do with service scripts that they unpack there.
fn supervised(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    let shared = [&b"/dev/shm/"[..], b"/tmp/", b"/var/tmp/"];
    let service = |p: &ProcessEntry| {
        attribution::by_start_script(ctx, |_| false)
            || catalog::programs::SCHEDULERS.contains(&program_roles::of(p))
    };
    ctx.container.is_some_and(|c| c.existing)
        && ctx.session().is_none()
        && ctx.activity(path).is_none()
        && !shared.iter().any(|dir| path.starts_with(dir))
        && ctx.ancestors().nth(1).is_some_and(service)
}

/// Decides about a script that an interpreter of the image runs and that is not in the image.
pub(super) fn judge(ctx: &RuleContext<'_>, path: &[u8], command: &str) -> Alerts {
    let single = WrittenScript {
        subject: Bytes::new(path),
        by_habit: false,
    };
    judge_as(ctx, path, &single, command)
}

/// Decides about such a script, for the finding about the scripts of its writer.
pub(super) fn judge_as(
    ctx: &RuleContext<'_>,
    path: &[u8],
    written: &WrittenScript,
    command: &str,
) -> Alerts {
    let subject: &[u8] = &written.subject;
    let shown = crate::event::escape(path).to_string();
    let by_start = ctx.starting_up() || made(ctx, path) == Some(OrdinaryOrigin::StartUp);
    if let Some(brought) = by_start.then(|| fetched_at_start::of(ctx, path)).flatten() {
        if brought.severity == Severity::Low {
            let line = format!("ran the script {shown}, {}", brought.how);
            let alert = super::startup_drift(ctx, line);
            return alert.rises_to(Severity::Low).into();
        }
        let alert = ctx.alert_as(&INFO, brought.severity, subject, |explanation| {
            explanation.title = format!("Ran a script that is not in the image: {shown}");
            explanation.why.push(format!("ran: {command}"));
            explanation.why.push(brought.how);
        });
        return alert.history_of(&Bytes::new(path)).into();
    }
    if ctx.starting_up() || supervised(ctx, path) {
        return super::startup_drift(ctx, format!("ran the script {shown}")).into();
    }
    let made = match made(ctx, path) {
        None | Some(OrdinaryOrigin::StartUp) if build_artifacts::goes_on(ctx, path) => {
            Some(OrdinaryOrigin::Built)
        }
        made => made,
    };
    match made {
        Some(OrdinaryOrigin::Package) => return Alerts::none(),
        Some(OrdinaryOrigin::Built) => {
            return super::built(ctx, format!("ran the script {shown}")).into();
        }
        Some(OrdinaryOrigin::StartUp) => {
            return super::startup_drift(ctx, format!("ran the script {shown}")).into();
        }
        None => {}
    }
    if let Some(index) = ctx.planted(path) {
        return Alert::addition(index)
            .reason(format!("then ran a script: {command}"))
            .evidence(ctx.event.ts, ctx.event.seq)
            .into();
    }
    let ordinary = session_scripts::ordinary(ctx, path);
    let severity = match ordinary.is_some() || written.by_habit {
        true => Severity::Low,
        false => Severity::Medium,
    };
    let alert = ctx.alert_as(&INFO, severity, subject, |explanation| {
        explanation.title = format!("Ran a script that is not in the image: {shown}");
        explanation.why.push(format!("ran: {command}"));
        if in_memory(ctx, path) {
            explanation.why.push("the script is on a tmpfs".to_owned());
        }
        explanation.why.extend(ordinary.map(str::to_owned));
        history(ctx, path, &mut explanation.why);
    });
    let mut alert = alert.history_of(&Bytes::new(path));
    if subject != path {
        alert = alert.part(path).reason(format!("also ran: {command}"));
    }
    if written.by_habit {
        alert = alert.revise_severity(Severity::Low).reason(HABIT);
    }
    // An alert about a process that belongs to a finding continues that finding.
    if ctx.memory.is_marked(ctx.event.pid) {
        alert.into()
    } else {
        alert.follows(ctx.event.pid).into()
    }
}
