//! Writes, renames and links over the image's programs and libraries.

use crate::catalog::paths::PathClass;
use crate::detect::alert::Alerts;
use crate::detect::file_change::{Maker, by, changes, graded, in_root, maker, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{
    Handler, Requirement, Rule, RuleInfo, Severity, build_artifacts, program_roles,
};
use crate::event::{File, FileOp};

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.program-changed",
        title: "Program or library of the image changed",
        label: "program changed",
        severity: Severity::High,
        attack: &["T1554", "T1574", "T1036.005"],
        needs: &[Requirement::File],
        explain: "A process wrote, replaced, linked over or removed a file in a program or \
                  library directory after start-up, and it was no package manager of the image. \
                  Refused attempts are one step lower. Caches of interpreters (compiled Python) \
                  do not count.",
        check: "Compare the file with the image's. Was it run since?",
    },
    handlers: &[Handler::File(|ctx, _, file| examine(ctx, file))],
};

fn examine(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    let mut alerts = Alerts::none();
    for change in changes(file).into_iter().flatten() {
        let class = if file.op == FileOp::Rename {
            ctx.class_of_entry(change.path)
        } else {
            ctx.path_class(change.path)
        };
        if class != Some(PathClass::Program) || !in_root(file) {
            continue;
        }
        match maker(ctx) {
            Maker::Package => return alerts,
            Maker::StartUp => {
                alerts.push(super::startup_drift(
                    ctx,
                    format!("{} {}", change.verb, change.path.escaped()),
                ));
                continue;
            }
            Maker::Session | Maker::Service => {}
        }
        if change.verb != "removed" && build_artifacts::installs(ctx, change.path) {
            let line = format!("{} {}", change.path.escaped(), change.verb);
            alerts.push(super::built(ctx, line));
            continue;
        }
        // Something new beside the image's programs is less than another program in the
        // place of one; a removal takes away and plants nothing.
        let base = if change.verb == "removed" {
            Severity::Medium
        } else {
            Severity::High
        };
        let line = format!(
            "{} {}{}",
            change.path.escaped(),
            change.verb,
            refused(change.errno)
        );
        let directory = program_roles::directory(change.path);
        let alert = ctx.alert(graded(base, change.errno), directory, |explanation| {
            let path = change.path.escaped();
            explanation.title = match change.errno {
                0 => format!("Program or library {}: {path}", change.verb),
                _ => format!("Tried to change a program or library: {path}"),
            };
            explanation.why.push(by(ctx, &file.comm));
        });
        alerts.push(
            alert
                .part(change.path.clone())
                .reason(line)
                .plants(change.path),
        );
    }
    alerts
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::FileOp;

    #[test]
    fn every_way_over_an_image_program_is_flagged() {
        let ways: [fn(&mut World, u32); 5] = [
            |w, p| w.file(p, FileOp::Write, "/bin/ls"),
            |w, p| w.create(p, "/usr/local/bin/evil"),
            |w, p| w.rename(p, "/tmp/ls", "/usr/bin/ls"),
            |w, p| {
                w.link(
                    p,
                    FileOp::Link,
                    "/tmp/ls",
                    "/lib/x86_64-linux-gnu/libc.so.6",
                )
            },
            |w, p| w.link(p, FileOp::Symlink, "/usr/sbin/sshd", "/tmp/x"),
        ];
        for way in ways {
            let mut w = World::steady();
            let init = w.init();
            way(&mut w, init);
            w.only(&["file.program-changed"]);
            assert_eq!(w.highest(), Severity::High);
        }
        let mut w = World::steady();
        let init = w.init();
        w.refused(init, FileOp::Write, "/bin/ls", 30);
        assert_eq!(w.finding("file.program-changed").severity, Severity::Medium);
    }

    #[test]
    fn many_files_in_a_directory_are_one_finding() {
        let mut w = World::steady();
        let init = w.init();
        for n in 0..50 {
            w.create(init, &format!("/usr/bin/x{n}"));
        }
        let f = w.finding("file.program-changed");
        assert_eq!(f.count, 50);
        w.only(&["file.program-changed"]);
    }

    #[test]
    fn caches_volumes_start_up_and_missing_files_are_not() {
        let mut w = World::starting();
        let init = w.init();
        w.create(init, "/usr/local/bin/wrapper");
        w.ticks(60);
        w.create(init, "/usr/lib/python3/dist-packages/__pycache__/x.pyc");
        w.refused(init, FileOp::Write, "/usr/bin/nothing", 2);
        w.create(init, "/var/lib/app/bin/x");
        w.create(init, "/usr/share/x");
        w.only(&["drift.startup"]);
    }
}
