//! Writes, renames and links that replace the image's programs and libraries.

use std::collections::BTreeSet;

use crate::catalog::paths::PathClass;
use crate::detect::alert::{Alert, Alerts};
use crate::detect::file_change::{Maker, by, changes, graded, in_root, maker, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::{RuleMemories, RuleMemory};
use crate::detect::seen_set::SeenSet;
use crate::detect::{
    Handler, Requirement, Rule, RuleInfo, Severity, build_artifacts, program_roles,
};
use crate::event::{Bytes, Compare, CompareClass, File, FileOp};

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
                  library directory after start-up, and the process is not a package manager of the image. Refused attempts are one severity lower. Caches of interpreters (compiled Python) \
                  do not count.",
        check: "Compare the file with the image's. Has it been run since?",
    },
    handlers: &[
        Handler::File(|ctx, memories, file| examine(ctx, memories.of(), file)),
        Handler::Compare(compared),
    ],
};

/// Files remembered of one container.
const MAX_OPENED: usize = 256;

/// Files that were opened for writing and may still have the same content, as after `touch` or an
/// empty append; a comparison shows it.
#[derive(Debug, Clone, Default)]
struct OpenedPrograms {
    /// Not compared yet.
    unsure: BTreeSet<Bytes>,
    /// Directories with a certain change.
    changed: SeenSet,
}

impl RuleMemory for OpenedPrograms {
    fn heap_bytes(&self) -> usize {
        self.unsure.len() * 64 + self.changed.len() * 32
    }
}

impl OpenedPrograms {
    fn note(&mut self, op: FileOp, path: &Bytes, errno: u16) {
        let only_opened = op == FileOp::Write && errno == 0 && self.unsure.len() < MAX_OPENED;
        if only_opened {
            self.unsure.insert(path.clone());
        } else {
            self.changed.insert(program_roles::directory(path));
        }
    }
}

/// The writer ended, and the file was compared with the image's.
fn compared(ctx: &RuleContext<'_>, memories: &mut RuleMemories<'_>, compare: &Compare) -> Alerts {
    let known = memories.get::<OpenedPrograms>();
    if !known.is_some_and(|opened| opened.unsure.contains(&compare.path)) {
        return Alerts::none();
    }
    let opened: &mut OpenedPrograms = memories.of();
    opened.unsure.remove(&compare.path);
    let directory = program_roles::directory(&compare.path);
    if compare.class != CompareClass::CopiedUp {
        opened.changed.insert(directory);
    }
    let beside = |path: &Bytes| program_roles::directory(path) == directory;
    if opened.changed.contains(directory) || opened.unsure.iter().any(beside) {
        return Alerts::none();
    }
    let Some(index) = ctx.findings.find(RULE.info.id, Some(ctx.owner), directory) else {
        return Alerts::none();
    };
    let title = format!(
        "Opened for writing, content unchanged from the image: {}",
        compare.path.escaped()
    );
    Alert::addition(index)
        .title(title)
        .revise_severity(Severity::Info)
        .reason("compared: the content is the image's".to_owned())
        .into()
}

fn examine(ctx: &RuleContext<'_>, opened: &mut OpenedPrograms, file: &File) -> Alerts {
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
            Maker::Installer => return alerts,
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
        opened.note(file.op, change.path, change.errno);
        // A new file next to the image's programs is less severe than a replaced program; a removal
        // plants nothing.
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
        // Whether it may have been only a `touch` so far.
        let alert = match ctx.findings.find(ctx.rule.id, Some(ctx.owner), directory) {
            Some(index) if ctx.findings.get(index).is_some_and(|f| f.severity < base) => alert
                .title(format!(
                    "Program or library {}: {}",
                    change.verb,
                    change.path.escaped()
                )),
            _ => alert,
        };
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
    use crate::event::{CompareClass, FileOp};

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
    fn a_program_that_was_only_touched_is_information() {
        let open = |w: &mut World, path: &str| {
            let s = w.session(&["sh"]);
            let p = w.exec(s, "/usr/bin/touch", &["touch", path]);
            w.file(p, FileOp::Write, path);
        };
        let severity = |w: &World| w.finding("file.program-changed").severity;
        let mut w = World::steady();
        open(&mut w, "/usr/bin/find");
        open(&mut w, "/usr/bin/awk");
        assert_eq!(severity(&w), Severity::High);
        w.compare("/usr/bin/find", 70, CompareClass::CopiedUp);
        assert_eq!(severity(&w), Severity::High, "the other one is not known");
        w.compare("/usr/bin/awk", 71, CompareClass::CopiedUp);
        assert_eq!(severity(&w), Severity::Info);
        // Later changes count again, and stay.
        open(&mut w, "/usr/bin/find");
        assert_eq!(severity(&w), Severity::High);
        w.compare("/usr/bin/find", 70, CompareClass::Modified);
        open(&mut w, "/usr/bin/awk");
        w.compare("/usr/bin/awk", 71, CompareClass::CopiedUp);
        assert_eq!(severity(&w), Severity::High);
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
