//! Programs that run from memory or from a file without a name.

use bstr::ByteSlice as _;

use crate::catalog::paths::PathClass;
use crate::detect::alert::Alerts;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{Bytes, Exec, Origin, Process};
use crate::state::ProcessEntry;

/// Data of the rule.
const INFO: RuleInfo = RuleInfo {
    id: "drift.exec-fileless",
    title: "Ran a program from memory",
    label: "no file",
    severity: Severity::Critical,
    attack: &["T1620", "T1055"],
    needs: &[Requirement::Exec],
    explain: "The executable is an anonymous memory file, or was deleted before it started. \
              Ordinary programs never do this. High for a script there, which an interpreter of \
              the image runs by its descriptor or as its input. The container runtime's own \
              start from memory is recognised and not flagged.",
    check: "Copy /proc/PID/exe while the process lives. Which process started it, and what is \
            it connected to?",
};

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: INFO,
    handlers: &[
        Handler::Exec(|ctx, _, exec| examine(ctx, exec)),
        Handler::Found(|ctx, _, process| found(ctx, process)),
    ],
};

/// For a program that already ran, a removed executable is weaker evidence: an upgrade removes the
/// image's programs, and puts others in their place, while they run.
fn found(ctx: &RuleContext<'_>, process: &Process) -> Alerts {
    let upgraded = process.replaced && ctx.path_class(&process.exe) == Some(PathClass::Program);
    let images = process.file.lower && !process.file.upper;
    if process.file.origin() == Origin::Deleted && (upgraded || images) {
        return Alerts::none();
    }
    examine(ctx, &process.as_exec())
}

fn examine(ctx: &RuleContext<'_>, exec: &Exec) -> Alerts {
    let origin = exec.file.origin();
    if !matches!(origin, Origin::Memfd | Origin::Deleted) {
        return Alerts::none();
    }
    // All memory files of one name, and all deleted files of one path, are one finding.
    let exe = exec.exe.as_bytes();
    let mut subject = match origin {
        Origin::Memfd => b"memfd:".to_vec(),
        _ => b"deleted:".to_vec(),
    };
    subject.extend_from_slice(exe.strip_suffix(b" (deleted)").unwrap_or(exe));
    let alert = ctx.alert(Severity::Critical, &subject, |explanation| {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        explanation.title = match origin {
            Origin::Memfd => format!("Ran a program from memory: {command}"),
            _ => format!("Ran a deleted program: {command}"),
        };
        explanation.why.push(match origin {
            Origin::Memfd => format!(
                "the executable is an anonymous memory file, {}",
                exec.exe.escaped()
            ),
            _ => format!("the executable {} had been deleted", exec.exe.escaped()),
        });
        explanation.why.push(format!("ran: {command}"));
        let mut nearest = ctx.ancestors().take(2);
        if let Some(out) = nearest.find_map(|process| ctx.memory.outbound_of(process)) {
            explanation
                .why
                .push(format!("it or its parent had connected to {}", out.to));
        }
    });
    alert.follows(ctx.event.pid).into()
}

/// An interpreter runs a script that is an anonymous memory file.
pub(super) fn script(ctx: &RuleContext<'_>, process: &ProcessEntry, path: &Bytes) -> Alerts {
    let subject = [b"script:", path.as_bytes()].concat();
    let alert = ctx.alert_as(&INFO, Severity::High, &subject, |explanation| {
        let command = program_roles::command_line(&process.argv, &process.exe, 160);
        explanation.title = format!("Ran a script from memory: {command}");
        explanation.why.push(format!(
            "the script is an anonymous memory file, {}",
            path.escaped()
        ));
        explanation.why.push(format!("ran: {command}"));
    });
    alert.follows(ctx.event.pid).into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image, upper};
    use crate::event::{FileFacts, FileOp, Via};

    #[test]
    fn memory_files_and_deleted_ones_are_critical() {
        let mut w = World::steady();
        let init = w.init();
        let memfd = FileFacts {
            memfd: true,
            unlinked: true,
            ..FileFacts::default()
        };
        let p = w.exec_file(init, "/memfd:x (deleted)", &["[kworker/0:1]"], memfd);
        w.connect(p, "203.0.113.9:443");
        let f = w.finding("drift.exec-fileless");
        assert_eq!(f.severity, Severity::Critical);
        assert!(f.why.iter().any(|l| l.contains("203.0.113.9:443")));
        let gone = FileFacts {
            unlinked: true,
            ..upper(9)
        };
        w.exec_file(init, "/tmp/x", &["x"], gone);
        assert_eq!(w.all("drift.exec-fileless").len(), 2);
    }

    #[test]
    fn a_removed_program_that_ran_already_counts_unless_it_was_upgraded() {
        let gone = |exe: &str, change: fn(&mut crate::event::Process)| {
            let mut w = World::found();
            let init = w.init();
            w.found_process(init, exe, &["x"], |p| {
                p.file = FileFacts {
                    unlinked: true,
                    ..upper(9)
                };
                change(p);
            });
            w.all("drift.exec-fileless").len()
        };
        assert_eq!(gone("/tmp/x", |_| {}), 1);
        assert_eq!(gone("/tmp/x", |p| p.replaced = true), 1);
        assert_eq!(gone("/usr/sbin/nginx", |p| p.replaced = true), 0);
        let image_file = |p: &mut crate::event::Process| {
            p.file = FileFacts {
                unlinked: true,
                ..image(8)
            };
        };
        assert_eq!(gone("/usr/sbin/nginx", image_file), 0);
    }

    #[test]
    fn a_script_in_memory_is_one_that_an_interpreter_runs() {
        let loads = |exe: &str, argv: &[&str], via: Option<Via>| {
            let mut w = World::steady();
            let init = w.init();
            let p = w.exec(init, exe, argv);
            w.file_as(p, FileOp::Load, "/memfd:x", |f| {
                f.via = via;
                f.file = Some(FileFacts {
                    memfd: true,
                    unlinked: true,
                    ..FileFacts::default()
                });
            });
            let all = w.all("drift.exec-fileless");
            all.first().map(|f| f.severity)
        };
        let (high, input) = (Some(Severity::High), Some(Via::StandardInput));
        assert_eq!(loads("/bin/sh", &["sh", "/proc/self/fd/3"], None), high);
        assert_eq!(loads("/bin/sh", &["sh", "/proc/71/fd/3"], None), high);
        let python = |argv: &[&str], via| loads("/usr/bin/python3.11", argv, via);
        assert_eq!(python(&["python3", "/dev/fd/3", "a"], None), high);
        assert_eq!(python(&["python3"], input), high);
        assert_eq!(loads("/bin/sh", &["sh"], input), high);
        // Shared memory that a program reads, and data on its input.
        assert_eq!(python(&["python3", "/app/a.py"], None), None);
        assert_eq!(python(&["python3", "/app/a.py"], input), None);
        assert_eq!(loads("/bin/sh", &["sh", "-c", "wc -l"], input), None);
        assert_eq!(loads("/bin/cat", &["cat", "/proc/self/fd/3"], None), None);
    }

    #[test]
    fn the_runtimes_own_start_is_silent() {
        let mut w = World::steady();
        w.runtime_exec();
        w.session(&["true"]);
        let init = w.init();
        w.exec_file(init, "/bin/ls", &["ls"], image(3));
        w.only(&["exec.session"]);
    }
}
