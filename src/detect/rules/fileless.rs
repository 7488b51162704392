//! Programs that run from memory or from a file without a name.

use bstr::ByteSlice as _;

use crate::catalog::paths::PathClass;
use crate::detect::alert::Alerts;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{Exec, Origin, Process};

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "drift.exec-fileless",
        title: "Ran a program from memory",
        label: "no file",
        severity: Severity::Critical,
        attack: &["T1620", "T1055"],
        needs: &[Requirement::Exec],
        explain: "The executable is an anonymous memory file, or was deleted before it started. Ordinary programs never do this. The container runtime's own start \
                  from memory is recognised and not flagged.",
        check: "Copy /proc/PID/exe while the process lives. Which process started it, and what is \
                it connected to?",
    },
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

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image, upper};
    use crate::event::FileFacts;

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
    fn the_runtimes_own_start_is_silent() {
        let mut w = World::steady();
        w.runtime_exec();
        w.session(&["true"]);
        let init = w.init();
        w.exec_file(init, "/bin/ls", &["ls"], image(3));
        w.only(&["exec.session"]);
    }
}
