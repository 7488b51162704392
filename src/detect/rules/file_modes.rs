//! Modes of files: setuid bits, and rights for everybody.

use super::own_secrets::{self, SecretOf};
use crate::catalog::paths::PathClass;
use crate::catalog::secrets;
use crate::detect::alert::Alerts;
use crate::detect::file_change::{Maker, by, graded, is_refusal, maker, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::{File, FileOp};

/// setuid bits.
pub(super) const SETUID: Rule = Rule {
    info: RuleInfo {
        id: "file.setuid",
        title: "File made setuid or setgid",
        label: "setuid",
        severity: Severity::High,
        attack: &["T1548.001"],
        needs: &[Requirement::File],
        explain: "chmod set the setuid bit (setgid: medium): every user runs the file as its \
                  owner. Directories, start-up and package managers are not flagged.",
        check: "What is the file, and who may run it?",
    },
    handlers: &[Handler::File(|ctx, _, file| setuid(ctx, file))],
};

/// World-writable sensitive files.
pub(super) const WRITABLE: Rule = Rule {
    info: RuleInfo {
        id: "file.world-writable",
        title: "World-writable",
        label: "world-writable",
        severity: Severity::Medium,
        attack: &["T1222.002"],
        needs: &[Requirement::File],
        explain: "chmod let everybody write to a program, an account file, a cron table, a \
                  start-up file or other configuration in /etc, or read a file of passwords or \
                  keys.",
        check: "Which process did it? Has the file changed since?",
    },
    handlers: &[Handler::File(|ctx, _, file| writable(ctx, file))],
};

/// A directory, by the kernel's report or because it was created as one.
fn is_directory(ctx: &RuleContext<'_>, file: &File) -> bool {
    let made = || {
        ctx.activity(&file.path)
            .is_some_and(|a| a.ops.contains_key(&FileOp::Mkdir))
    };
    match file.file {
        Some(facts) => facts.mode & 0o170_000 == 0o040_000,
        None => made(),
    }
}

fn setuid(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    if !matches!(file.op, FileOp::Chmod | FileOp::Create) || is_directory(ctx, file) {
        return Alerts::none();
    }
    let mode = file.mode.unwrap_or(0);
    // A program that everybody may run; without execute permission setgid means locking.
    let weight = match (mode & 0o4000 != 0, mode & 0o2010 == 0o2010) {
        (true, _) => Severity::High,
        // Tools that copy directories set modes through a descriptor, for which the kind is not
        // reported.
        (_, true) if file.file.is_none() && file.path.starts_with(b"/proc/self/fd/") => {
            Severity::Low
        }
        (_, true) => Severity::Medium,
        _ => return Alerts::none(),
    };
    if file.errno != 0 && !is_refusal(file.errno) || !file.path.contains(&b'/') {
        return Alerts::none();
    }
    match maker(ctx) {
        Maker::Installer => return Alerts::none(),
        Maker::StartUp => {
            let line = format!("mode {mode:o} of {}", file.path.escaped());
            return super::startup_drift(ctx, line).into();
        }
        Maker::Session | Maker::Service => {}
    }
    let severity = graded(weight, file.errno);
    let alert = ctx.alert(severity, &file.path, |explanation| {
        let right = if mode & 0o4000 != 0 {
            "setuid"
        } else {
            "setgid"
        };
        explanation.title = match file.errno {
            0 => format!("File made {right}: {}", file.path.escaped()),
            _ => format!("Tried to make a file {right}: {}", file.path.escaped()),
        };
        explanation.why.push(format!(
            "mode set to {:o}{}",
            mode & 0o7777,
            refused(file.errno)
        ));
        explanation.why.push(by(ctx, &file.comm));
    });
    alert.into()
}

fn writable(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    let mode = file.mode.unwrap_or(0);
    let writes = mode & 0o1002 == 0o0002;
    // For a secret, read permission suffices.
    let reads = mode & 0o4 != 0
        && secrets::is_secret(&file.path)
        && own_secrets::of(ctx, file) == SecretOf::Somebody;
    if file.op != FileOp::Chmod || file.errno != 0 || !(writes || reads) {
        return Alerts::none();
    }
    let sensitive = ctx.path_class(&file.path).is_some_and(|class| {
        use PathClass::{EtcBelow, EtcTop, Program};
        class.gives_access() || matches!(class, Program | EtcTop | EtcBelow)
    });
    if !sensitive && !reads {
        return Alerts::none();
    }
    match maker(ctx) {
        Maker::Installer => return Alerts::none(),
        Maker::StartUp => {
            let line = format!("made {} world-writable", file.path.escaped());
            return super::startup_drift(ctx, line).into();
        }
        Maker::Session | Maker::Service => {}
    }
    let alert = ctx.alert(Severity::Medium, &file.path, |explanation| {
        let what = if writes {
            ctx.rule.title
        } else {
            "World-readable secret"
        };
        explanation.title = format!("{what}: {}", file.path.escaped());
        explanation.why.push(by(ctx, &file.comm));
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, upper};
    use crate::event::{FileFacts, FileOp};

    #[test]
    fn rights_of_files() {
        let mut w = World::steady();
        let init = w.init();
        w.file_as(init, FileOp::Chmod, "/tmp/sh", |f| f.mode = Some(0o4755));
        assert_eq!(w.finding("file.setuid").severity, Severity::High);
        w.file_as(init, FileOp::Chmod, "/etc/crontab", |f| {
            f.mode = Some(0o666)
        });
        assert_eq!(w.finding("file.world-writable").severity, Severity::Medium);
        let mut w = World::steady();
        let init = w.init();
        w.file_as(init, FileOp::Chmod, "/etc/shadow", |f| f.mode = Some(0o644));
        assert_eq!(w.finding("file.world-writable").severity, Severity::Medium);
        let mut w = World::steady();
        let init = w.init();
        w.file_as(init, FileOp::Chmod, "/etc/shadow", |f| f.mode = Some(0o640));
        w.file_as(init, FileOp::Chmod, "/srv/x", |f| f.mode = Some(0o755));
        w.file_as(init, FileOp::Chmod, "/srv/upload", |f| f.mode = Some(0o777));
        w.file_as(init, FileOp::Chmod, "/srv/dir", |f| {
            f.mode = Some(0o2775);
            f.file = Some(FileFacts {
                mode: 0o040_755,
                ..upper(5)
            });
        });
        w.file_as(init, FileOp::Chmod, "/tmp", |f| f.mode = Some(0o1777));
        // For a change by name only an earlier creation shows that it is a directory.
        w.file(init, FileOp::Mkdir, "/srv/shared");
        w.file_as(init, FileOp::Chmod, "/srv/shared", |f| {
            f.mode = Some(0o2775)
        });
        w.only(&[]);
    }
}
