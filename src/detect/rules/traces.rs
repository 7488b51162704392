//! Cleared logs and shell histories.

use bstr::ByteSlice as _;

use super::credentials::by_hand;
use crate::catalog;
use crate::catalog::paths::PathClass;
use crate::detect::alert::Alerts;
use crate::detect::file_change::{Maker, by, graded, is_refusal, maker, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution, program_roles};
use crate::event::{Bytes, File, FileOp, ProgramAdditions};

/// Traces removed.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.traces-cleared",
        title: "Cleared logs or shell history",
        label: "traces cleared",
        severity: Severity::Medium,
        attack: &["T1070.002", "T1070.003"],
        needs: &[Requirement::File],
        explain: "A shell, a common tool or an exec session removed, truncated or edited a log, or \
                  removed or replaced a shell's history. Log rotation, and services that rotate \
                  their own logs, are not flagged. One finding for the container.",
        check: "What did the log contain? Is there another copy?",
    },
    handlers: &[Handler::File(|ctx, _, file| logs(ctx, file))],
};

/// Rotation creates these files and removes them later.
fn is_rotated(path: &[u8]) -> bool {
    let leaf = program_roles::leaf(path);
    leaf.ends_with(b".gz")
        || leaf.ends_with(b".xz")
        || leaf.ends_with(b".bz2")
        || leaf.ends_with(b".old")
        || leaf.ends_with(b".zst")
        || leaf.ends_with(b".tmp")
        || leaf.last().is_some_and(u8::is_ascii_digit)
}

/// An interactive program rewrites its own history; a shell may do so, but there a person can be
/// the cause.
fn keeps(names: &ProgramAdditions, name: &[u8], path: &[u8]) -> bool {
    let own = program_roles::leaf(path)
        .strip_prefix(b".")
        .and_then(|l| l.strip_suffix(b"_history"));
    own == Some(name) && !names.is_shell(name)
}

/// Logs of services or the system, which no other program empties.
fn is_kept(path: &[u8]) -> bool {
    let leaf = program_roles::leaf(path);
    matches!(
        leaf.strip_suffix(b".log").unwrap_or(leaf),
        b"auth"
            | b"syslog"
            | b"messages"
            | b"secure"
            | b"kern"
            | b"daemon"
            | b"wtmp"
            | b"btmp"
            | b"lastlog"
            | b"faillog"
            | b"audit"
            | b"sudo"
            | b"cron"
            | b"mail"
            | b"maillog"
            | b"access"
            | b"access_log"
            | b"error"
            | b"error_log"
    )
}

/// Records of logins.
fn is_record(path: &[u8]) -> bool {
    matches!(
        program_roles::leaf(path),
        b"wtmp" | b"btmp" | b"utmp" | b"lastlog" | b"faillog"
    )
}

fn logs(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    if file.errno != 0 && !is_refusal(file.errno) {
        return Alerts::none();
    }
    // All logs at once.
    let whole = file.op == FileOp::Rename && file.path.as_bytes() == b"/var/log";
    let kind = if whole {
        Some(PathClass::Log)
    } else {
        ctx.path_class(&file.path)
    };
    // Lines are removed from a log by writing a new file and renaming it, as `sed -i` does.
    let edited = file.op == FileOp::Rename
        && file.target.as_ref().is_some_and(|target| {
            let beside = program_roles::directory(target) == program_roles::directory(&file.path);
            beside && is_kept(target) && ctx.path_class(target) == Some(PathClass::Log)
        });
    let cleared = match (kind, file.op) {
        (Some(PathClass::Log), FileOp::Truncate | FileOp::Unlink) => true,
        (Some(PathClass::ShellHistory), FileOp::Truncate | FileOp::Unlink | FileOp::Symlink) => {
            true
        }
        // Another file in its place, or it in another place.
        (Some(PathClass::Log | PathClass::ShellHistory), FileOp::Rename) => {
            let away = |t: &Bytes| t.starts_with(b"/dev/") || t.starts_with(b"/tmp/");
            edited || file.target.as_ref().is_some_and(away)
        }
        // Records of logins are written by what lets people in, at the end of the file.
        (Some(PathClass::Log), FileOp::Write) => {
            let process = ctx.process.map(program_roles::of).unwrap_or_default();
            is_record(&file.path) && !attribution::checks_logins(process)
        }
        _ => false,
    };
    let path = file
        .target
        .as_ref()
        .filter(|_| edited)
        .unwrap_or(&file.path);
    if !cleared || ctx.starting_up() || maker(ctx) == Maker::Installer {
        return Alerts::none();
    }
    if kind == Some(PathClass::Log) {
        let rotation = ctx
            .ancestors()
            .any(|p| catalog::programs::LOG_ROTATORS.contains(&program_roles::of(p)));
        // A reopened log is started by its service; no shell starts a preserved log.
        let name = ctx.process.map(program_roles::of).unwrap_or_default();
        let begun = file.op == FileOp::Truncate
            && !catalog::programs::TRUNCATORS.contains(&name)
            && !is_kept(&file.path);
        if is_rotated(path) || begun || !by_hand(ctx) || (rotation && ctx.session().is_none()) {
            return Alerts::none();
        }
    } else if ctx.process.map(program_roles::of).is_some_and(|n| {
        // A shell rewrites its own history through a temporary file.
        let over = ctx.names().is_shell(n) && file.op != FileOp::Symlink && ctx.session().is_none();
        over || keeps(ctx.names(), n, &file.path)
    }) {
        return Alerts::none();
    }
    let line = format!(
        "{} {}{}",
        path.escaped(),
        match file.op {
            _ if edited => "written anew",
            FileOp::Truncate => "truncated",
            FileOp::Write => "written over",
            FileOp::Symlink => "replaced by a link",
            FileOp::Rename => "moved away",
            _ => "removed",
        },
        refused(file.errno)
    );
    let severity = graded(Severity::Medium, file.errno);
    let alert = ctx.alert(severity, b"traces", |explanation| {
        explanation.title = format!("Cleared traces: {line}");
        explanation.why.push(by(ctx, &file.comm));
    });
    alert.part(path.clone()).reason(line).into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::FileOp;

    #[test]
    fn traces_cleared_by_hand_and_logs_rotated() {
        let mut w = World::steady();
        let s = w.session(&["sh"]);
        let rm = w.exec(s, "/bin/rm", &["rm", "/var/log/auth.log"]);
        w.file(rm, FileOp::Unlink, "/var/log/auth.log");
        w.file(s, FileOp::Truncate, "/var/log/nginx/access.log");
        w.link(s, FileOp::Symlink, "/root/.bash_history", "/dev/null");
        let f = w.finding("file.traces-cleared");
        assert_eq!((f.severity, f.count), (Severity::Medium, 3));
        // A preserved log is not started again by a shell; others are.
        let mut w = World::steady();
        let init = w.init();
        let sh = w.exec(init, "/bin/sh", &["sh", "-c", "x"]);
        w.file(sh, FileOp::Truncate, "/var/log/job.log");
        let psql = w.exec(sh, "/usr/bin/psql", &["psql"]);
        w.file(psql, FileOp::Truncate, "/root/.psql_history");
        w.only(&[]);
        w.file(sh, FileOp::Truncate, "/var/log/wtmp");
        w.only(&["file.traces-cleared"]);
        let mut w = World::steady();
        let s = w.session(&["sh"]);
        w.rename(s, "/var/log", "/tmp/gone");
        assert_eq!(w.finding("file.traces-cleared").severity, Severity::Medium);
        let mut w = World::steady();
        let init = w.init();
        let cron = w.exec(init, "/usr/sbin/cron", &["cron"]);
        let sh = w.exec(cron, "/bin/sh", &["sh", "-c", "logrotate"]);
        let rotate = w.exec(
            sh,
            "/usr/sbin/logrotate",
            &["logrotate", "/etc/logrotate.conf"],
        );
        w.rename(rotate, "/var/log/app.log", "/var/log/app.log.1");
        w.file(rotate, FileOp::Unlink, "/var/log/app.log.5.gz");
        w.file(rotate, FileOp::Truncate, "/var/log/other.log");
        w.file(sh, FileOp::Unlink, "/var/log/old.log.2");
        w.file(init, FileOp::Truncate, "/var/log/own.log");
        w.only(&[]);
    }
}
