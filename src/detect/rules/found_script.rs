//! Scripts that are not in the image and already ran when watching began: the comparison of the
//! container's files shows them.

use super::drift_grade::{self, Installations};
use crate::catalog::paths;
use crate::detect::alert::{Alert, Alerts};
use crate::detect::rule_context::RuleContext;
use crate::detect::rules::script_paths::{self, locate, scripts};
use crate::detect::{Severity, program_roles};
use crate::event::{Difference, Differing, DriftScan, Exec, Process};
use crate::state::ProcessEntry;

/// A process that began within this many seconds of the container's start is its service.
const START: u64 = 30;

pub(super) fn examine(ctx: &RuleContext<'_>, scan: &DriftScan) -> Alerts {
    let Some(began) = ctx.container_began() else {
        return Alerts::none();
    };
    let installed = Installations::of(scan);
    let later = |process: &ProcessEntry| {
        process.existing
            && process.exited.is_none()
            && process.owner.as_ref() == Some(ctx.owner)
            && process.started.since(began).as_secs() > START
    };
    let processes = ctx
        .state
        .processes
        .values()
        .filter(|process| later(process));
    processes
        .filter_map(|process| judge(ctx, scan, &installed, process))
        .collect()
}

/// A script on a tmpfs is not compared: it was put there since the container started.
pub(super) fn in_memory(ctx: &RuleContext<'_>, process: &Process) -> Alerts {
    let exec = process.as_exec();
    let memory = |path: &Vec<u8>| {
        let shared = [&b"/dev/shm/"[..], b"/tmp/", b"/var/tmp/"];
        script_paths::in_memory(ctx, path) && shared.iter().any(|dir| path.starts_with(dir))
    };
    let run = scripts(ctx.names(), &exec);
    let mut run = run.iter().filter_map(|path| locate(ctx, &exec, path));
    let Some(path) = run.find(memory) else {
        return Alerts::none();
    };
    if ctx.made_at_start(process.started) {
        return Alerts::none();
    }
    let alert = ctx.alert(Severity::Medium, &path, |explanation| {
        let shown = crate::event::escape(&path);
        explanation.title = format!("Runs a script that is not in the image: {shown}");
        let command = program_roles::command_line(&process.argv, &process.exe, 160);
        explanation.why.push(format!("runs: {command}"));
        explanation.why.push("the script is on a tmpfs".to_owned());
    });
    alert
        .already_since(process.started)
        .follows(ctx.event.pid)
        .into()
}

fn judge(
    ctx: &RuleContext<'_>,
    scan: &DriftScan,
    installed: &Installations,
    process: &ProcessEntry,
) -> Option<Alert> {
    let exec = Exec {
        exe: process.exe.clone(),
        argv: process.argv.clone(),
        cwd: process.cwd.clone(),
        ..Exec::default()
    };
    let paths = scripts(ctx.names(), &exec);
    let mut paths = paths.iter().filter_map(|path| locate(ctx, &exec, path));
    let entry = paths.find_map(|path| {
        let mut entries = scan.entries.iter();
        entries.find(|entry| **entry.path == *path)
    })?;
    if !changed(ctx, scan, installed, entry)
        || ctx
            .findings
            .find(ctx.rule.id, Some(ctx.owner), &entry.path)
            .is_some()
    {
        return None;
    }
    let alert = ctx.alert(Severity::Medium, &entry.path, |explanation| {
        explanation.title = format!(
            "Runs a script that is not in the image: {}",
            entry.path.escaped()
        );
        let command = program_roles::command_line(&process.argv, &process.exe, 160);
        explanation.why.push(format!("runs: {command}"));
        let at = entry.ctime.to_jiff().strftime("%Y-%m-%d %H:%M:%SZ");
        explanation
            .why
            .push(format!("the script was changed at {at}"));
    });
    Some(alert.already_since(process.started).follows(process.pid))
}

/// No ordinary program wrote the script.
fn changed(
    ctx: &RuleContext<'_>,
    scan: &DriftScan,
    installed: &Installations,
    entry: &Differing,
) -> bool {
    let written = matches!(entry.difference, Difference::Added | Difference::Changed);
    written
        && !entry.metadata_only
        && !paths::in_package_tree(&entry.path)
        && drift_grade::of(ctx, scan, installed, entry)
            .is_some_and(|grade| grade.severity > Severity::Info)
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, added};
    use crate::event::{DriftScan, FileClass, Kind, Timestamp};

    fn runs(path: &str, started: Option<i64>) -> Option<Severity> {
        let mut w = World::found();
        let init = w.init();
        w.found_process(init, "/bin/sh", &["sh", path], |p| {
            if let Some(seconds) = started {
                p.started = Timestamp((1_700_000_000 + seconds) * 1_000_000_000);
            }
        });
        let scan = DriftScan {
            entries: vec![added(path, FileClass::Script)],
            ..DriftScan::default()
        };
        w.emit(0, 0, Kind::DriftScan(Box::new(scan)));
        w.all("drift.script").first().map(|f| f.severity)
    }

    #[test]
    fn a_script_on_a_tmpfs_that_runs_already() {
        let runs = |path: &str, at_start: bool| {
            let mut w = World::found();
            let init = w.init();
            w.found_process(init, "/usr/bin/python3", &["python3", path], |p| {
                if at_start {
                    p.started = Timestamp(1_700_000_001_000_000_000);
                }
            });
            w.all("drift.script").first().map(|f| f.severity)
        };
        assert_eq!(runs("/dev/shm/.a", false), Some(Severity::Medium));
        assert_eq!(runs("/dev/shm/.a", true), None);
        assert_eq!(runs("/srv/app.py", false), None);
    }

    #[test]
    fn a_script_that_runs_already_counts_unless_it_is_the_service() {
        assert_eq!(runs("/tmp/loop.sh", None), Some(Severity::Medium));
        assert_eq!(runs("/srv/start.sh", Some(1)), None);
        assert_eq!(runs("/app/node_modules/.bin/x.sh", None), None);
    }
}
