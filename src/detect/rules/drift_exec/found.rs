//! Programs that ran before watching began and are not in the image.
//!
//! Whether a package brought such a program is known only once the container's files are compared
//! with its image: until then, or for a while, it waits.

use crate::catalog::paths;
use crate::detect::alert::{Alert, Alerts};
use crate::detect::finding_store::Occurrence;
use crate::detect::reason_line::ReasonLine;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::{RuleMemories, RuleMemory};
use crate::detect::rules::drift_grade::{self, Installations};
use crate::detect::{RuleInfo, Severity, program_roles};
use crate::event::{
    Bytes, Compare, CompareClass, Difference, DriftScan, FileFacts, Origin, Process, Tick,
    Timestamp,
};

use super::judgement;
use super::kinds::{self, MODIFIED, NEW, RELOCATED};

/// Maximum number of waiting programs of one container.
const MAX_WAITING: usize = 64;
/// Seconds after which the comparison of all files is no longer awaited.
const PATIENCE: u64 = 60;

/// A program that already ran.
#[derive(Debug, Clone)]
struct FoundProgram {
    path: Bytes,
    file: FileFacts,
    pid: u32,
    /// The command line, escaped.
    command: String,
    /// Where it was found.
    first: Occurrence,
    /// When the process started.
    started: Timestamp,
    /// The image's file of which it is a copy.
    copy_of: Option<Bytes>,
}

/// Found programs that wait for the comparison of the container's files.
#[derive(Debug, Clone, Default)]
pub(super) struct FoundPrograms(Vec<FoundProgram>);

impl RuleMemory for FoundPrograms {
    fn heap_bytes(&self) -> usize {
        self.0.len() * 512
    }
}

pub(super) fn process(
    ctx: &RuleContext<'_>,
    memories: &mut RuleMemories<'_>,
    process: &Process,
) -> Alerts {
    let mut alerts = Alerts::none();
    let exec = process.as_exec();
    if let Some(index) = ctx.mark(ctx.event.pid) {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        alerts.push(Alert::addition(index).effect(ReasonLine::command("runs below it:", &command)));
    }
    match exec.file.origin() {
        Origin::Upper | Origin::CopiedUp => {
            let program = FoundProgram {
                path: exec.exe.clone(),
                file: exec.file,
                pid: ctx.event.pid,
                command: program_roles::command_line(&exec.argv, &exec.exe, 160),
                first: ctx.occurrence(),
                started: process.started,
                copy_of: None,
            };
            // In a recording that begins in the middle of a watch the comparison exists already.
            if let Some((_, scan)) = ctx.container.and_then(crate::state::Container::scan) {
                alerts.extend(judge(ctx, scan, &Installations::of(scan), &program));
            } else {
                let waiting: &mut FoundPrograms = memories.of();
                if waiting.0.len() < MAX_WAITING {
                    waiting.0.push(program);
                }
            }
        }
        Origin::Tmpfs => {
            alerts.extend(judgement::judge(ctx, &exec, &kinds::TMPFS, Severity::High));
        }
        Origin::Volume => alerts.extend(judgement::judge_volume(ctx, &exec)),
        Origin::Unknown => alerts.extend(judgement::judge_without_layers(ctx, &exec)),
        Origin::Image | Origin::Memfd | Origin::Deleted => {}
    }
    alerts
}

/// A comparison of one program shows whether it is a copy of an image file.
pub(super) fn compare(
    _: &RuleContext<'_>,
    waiting: &mut FoundPrograms,
    compare: &Compare,
) -> Alerts {
    let same =
        |program: &FoundProgram| program.path == compare.path && program.file.ino == compare.ino;
    match &compare.class {
        CompareClass::CopiedUp => waiting.0.retain(|program| !same(program)),
        CompareClass::Relocated(from) => {
            for program in waiting.0.iter_mut().filter(|program| same(program)) {
                program.copy_of = Some(from.clone());
            }
        }
        _ => {}
    }
    Alerts::none()
}

pub(super) fn scan(ctx: &RuleContext<'_>, waiting: &mut FoundPrograms, scan: &DriftScan) -> Alerts {
    let waiting = std::mem::take(&mut waiting.0);
    let installed = Installations::of(scan);
    let judged = waiting.iter();
    judged
        .filter_map(|program| judge(ctx, scan, &installed, program))
        .collect()
}

pub(super) fn tick(ctx: &RuleContext<'_>, memories: &mut RuleMemories<'_>, _: &Tick) -> Alerts {
    let now = ctx.now();
    let late = |program: &FoundProgram| now.since(program.first.ts).as_secs() >= PATIENCE;
    let waits = memories.get::<FoundPrograms>();
    if !waits.is_some_and(|waiting| waiting.0.iter().any(late)) {
        return Alerts::none();
    }
    let waiting: &mut FoundPrograms = memories.of();
    let (overdue, others) = std::mem::take(&mut waiting.0).into_iter().partition(late);
    waiting.0 = others;
    let overdue: Vec<FoundProgram> = overdue;
    let unsure = |program: &FoundProgram| uncompared(ctx, program);
    overdue.iter().filter_map(unsure).collect()
}

/// Decides about the program by the comparison of the container's files.
fn judge(
    ctx: &RuleContext<'_>,
    scan: &DriftScan,
    installed: &Installations,
    program: &FoundProgram,
) -> Option<Alert> {
    let listed = scan.entries.iter().find(|entry| entry.path == program.path);
    let Some(entry) = listed else {
        let whole = scan.failed.is_none() && scan.unlisted == 0;
        return if whole {
            None
        } else {
            uncompared(ctx, program)
        };
    };
    let grade = drift_grade::of(ctx, scan, installed, entry)?;
    if grade.severity < Severity::High {
        return None;
    }
    let (kind, severity): (&'static RuleInfo, _) = match &program.copy_of {
        Some(from) => (&RELOCATED, kinds::relocated_severity(&program.path, from)),
        None if entry.difference == Difference::Added => (&NEW, grade.severity),
        None => (&MODIFIED, grade.severity),
    };
    Some(alert(ctx, program, kind, severity))
}

/// Decides without the comparison: a new file counts, unless it is in a package directory.
fn uncompared(ctx: &RuleContext<'_>, program: &FoundProgram) -> Option<Alert> {
    let packaged = paths::in_package_tree(&program.path) || paths::of(&program.path).is_some();
    let new = program.file.origin() == Origin::Upper && !packaged;
    new.then(|| alert(ctx, program, &NEW, Severity::High))
}

fn alert(
    ctx: &RuleContext<'_>,
    program: &FoundProgram,
    kind: &'static RuleInfo,
    severity: Severity,
) -> Alert {
    let (path, origin) = (&program.path, program.file.origin());
    let mut alert = kinds::alert(ctx, kind, severity, path, &program.command, origin)
        .happened(program.first.clone())
        .already_since(program.started);
    for line in connections(ctx, program.pid) {
        alert = alert.reason(line);
    }
    alert.follows(program.pid)
}

/// The sockets that the process holds open.
fn connections(ctx: &RuleContext<'_>, pid: u32) -> Vec<String> {
    use crate::state::Direction;
    let mut lines = Vec::new();
    for (direction, does) in [
        (Direction::Outbound, "is connected to"),
        (Direction::Listening, "listens on"),
    ] {
        let rows = ctx.state.connections_of(ctx.owner, direction);
        let own = rows.filter(|(_, row)| row.pid == pid && row.open > 0);
        lines.extend(
            own.take(8)
                .map(|(key, _)| format!("{does} {}", key.endpoint.text())),
        );
    }
    lines
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, added, image, tmpfs, upper};
    use crate::event::{Differing, DriftScan, FileClass, Kind};

    fn scanned(w: &mut World, path: &str, package: Option<&str>) {
        let entry = Differing {
            package: package.map(Into::into),
            ..added(path, FileClass::Binary)
        };
        let scan = DriftScan {
            entries: vec![entry],
            ..DriftScan::default()
        };
        w.emit(0, 0, Kind::DriftScan(Box::new(scan)));
    }

    #[test]
    fn a_program_that_ran_already_is_ranked_with_the_comparison() {
        let mut w = World::found();
        let init = w.init();
        let p = w.found_process(init, "/tmp/miner", &["miner"], |p| p.file = upper(70));
        w.only(&[]);
        scanned(&mut w, "/tmp/miner", None);
        w.only(&["drift.exec-new"]);
        let f = w.finding("drift.exec-new");
        assert_eq!((f.severity, f.count), (Severity::High, 1));
        assert!(f.already_since.is_some_and(|since| since < f.first));
        assert_eq!(f.ancestry[0].pid, p);
        assert!(f.why[0].starts_with("already so when watching began"));
        // Its later actions belong to the same finding.
        w.connect(p, "203.0.113.9:4444");
        assert!(w.finding("drift.exec-new").why.join(" ").contains("4444"));
    }

    #[test]
    fn a_program_of_a_package_is_silent_and_so_is_the_images() {
        let mut w = World::found();
        let init = w.init();
        w.found_process(init, "/usr/sbin/nginx", &["nginx"], |p| p.file = upper(71));
        w.found_process(init, "/usr/bin/redis", &["redis"], |p| p.file = image(72));
        scanned(&mut w, "/usr/sbin/nginx", Some("nginx"));
        w.ticks(70);
        w.none("drift.exec-new");
    }

    #[test]
    fn without_a_comparison_a_dropped_program_is_reported_after_a_while() {
        let mut w = World::found();
        let init = w.init();
        w.found_process(init, "/tmp/x", &["x"], |p| p.file = upper(73));
        w.found_process(init, "/dev/shm/y", &["y"], |p| p.file = tmpfs(74));
        w.only(&["drift.exec-tmpfs"]);
        w.ticks(70);
        w.only(&["drift.exec-new", "drift.exec-tmpfs"]);
    }
}
