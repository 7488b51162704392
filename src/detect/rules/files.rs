//! Cleared traces, rights of files, and writes that reach the host.

use crate::catalog;
use crate::event::ProgramAdditions;
use bstr::ByteSlice as _;

use super::credentials::by_hand;
use crate::catalog::paths::PathClass;
use crate::catalog::secrets;
use crate::detect::file_change::{Maker, by, changes, graded, is_refusal, maker, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{File, FileOp, Filesystem};

/// Traces removed.
pub(super) const LOGS: Rule = Rule {
    info: RuleInfo {
        id: "file.traces-cleared",
        title: "Logs or a shell's history were cleared",
        severity: Severity::Medium,
        attack: &["T1070.002", "T1070.003"],
        needs: &[Requirement::File],
        explain: "A log was removed or cut, or a shell's history removed or linked away, by a \
                  shell, a common tool or a command from outside. Log rotation and services that \
                  turn over their own logs are not flagged. One finding a container.",
        check: "What the log would have told; other copies of it.",
    },
    handlers: &[Handler::OldFile(logs)],
};

/// setuid bits.
pub(super) const SETUID: Rule = Rule {
    info: RuleInfo {
        id: "file.setuid",
        title: "A file was given setuid or setgid rights",
        severity: Severity::High,
        attack: &["T1548.001"],
        needs: &[Requirement::File],
        explain: "chmod set the setuid bit (setgid: medium) on a file, so that whoever runs it \
                  runs it as its owner. Directories, start-up and package managers do not count.",
        check: "What the file is, and who may run it.",
    },
    handlers: &[Handler::OldFile(setuid)],
};

/// World-writable places of consequence.
pub(super) const WRITABLE: Rule = Rule {
    info: RuleInfo {
        id: "file.world-writable",
        title: "A sensitive file became writable for everybody",
        severity: Severity::Medium,
        attack: &["T1222.002"],
        needs: &[Requirement::File],
        explain: "chmod gave everybody the right to write to a program, an account file, a cron \
                  table, a start-up file or other configuration under /etc, or to read a file \
                  that holds passwords or keys.",
        check: "Who did it, and whether the file has changed since.",
    },
    handlers: &[Handler::OldFile(writable)],
};

/// The host through a mount.
pub(super) const HOST: Rule = Rule {
    info: RuleInfo {
        id: "file.host-write",
        title: "Wrote into a system directory of the host",
        severity: Severity::High,
        attack: &["T1611", "T1543"],
        needs: &[Requirement::File, Requirement::Engine],
        explain: "Through a bind mount the container changed a file in a system directory of the \
                  host. Critical where that file gives code a way to run there or a person a way \
                  in: cron, units, accounts, SSH keys, the loader. Mounts of ordinary \
                  directories do not count.",
        check: "The file on the host; mount less, or read-only.",
    },
    handlers: &[Handler::OldFile(host)],
};

/// Rotation leaves these behind and removes them in time.
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

/// A program that people type into writes its own history anew; so may a shell, but there a
/// person does it, too.
fn keeps(names: &ProgramAdditions, name: &[u8], path: &[u8]) -> bool {
    let own = program_roles::leaf(path)
        .strip_prefix(b".")
        .and_then(|l| l.strip_suffix(b"_history"));
    own == Some(name) && !names.is_shell(name)
}

/// Logs that a service or the system keeps, and nobody else begins anew.
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

fn logs(ctx: &mut RuleContext<'_>, file: &File) {
    if file.errno != 0 && !is_refusal(file.errno) {
        return;
    }
    // All logs at once.
    let whole = file.op == FileOp::Rename && file.path.as_bytes() == b"/var/log";
    let kind = if whole {
        Some(PathClass::Log)
    } else {
        ctx.path_class(&file.path)
    };
    let cleared = match (kind, file.op) {
        (Some(PathClass::Log), FileOp::Truncate | FileOp::Unlink) => true,
        (Some(PathClass::ShellHistory), FileOp::Truncate | FileOp::Unlink | FileOp::Symlink) => {
            true
        }
        // Another file in its place.
        (Some(PathClass::Log | PathClass::ShellHistory), FileOp::Rename) => file
            .target
            .as_ref()
            .is_some_and(|t| t.starts_with(b"/dev/") || t.starts_with(b"/tmp/")),
        _ => false,
    };
    if !cleared || ctx.starting_up() || maker(ctx) == Maker::Package {
        return;
    }
    if kind == Some(PathClass::Log) {
        let rotation = ctx
            .ancestors()
            .any(|p| catalog::programs::LOG_ROTATORS.contains(&program_roles::of(p)));
        // Opening a log anew is how much is begun; those that are kept are not begun by hand.
        let name = ctx.process.map(program_roles::of).unwrap_or_default();
        let begun = file.op == FileOp::Truncate
            && !catalog::programs::TRUNCATORS.contains(&name)
            && !is_kept(&file.path);
        if is_rotated(&file.path) || begun || !by_hand(ctx) || (rotation && ctx.session().is_none())
        {
            return;
        }
    } else if ctx.process.map(program_roles::of).is_some_and(|n| {
        // A shell turns its own history over through a temporary file.
        let over = ctx.names().is_shell(n) && file.op != FileOp::Symlink && ctx.session().is_none();
        over || keeps(ctx.names(), n, &file.path)
    }) {
        return;
    }
    let line = format!(
        "{} {}{}",
        file.path.escaped(),
        match file.op {
            FileOp::Truncate => "cut",
            FileOp::Symlink => "linked away",
            FileOp::Rename => "moved away",
            _ => "removed",
        },
        refused(file.errno)
    );
    let severity = graded(Severity::Medium, file.errno);
    let index = ctx.raise(severity, b"traces", |ctx, explanation| {
        explanation.title = format!("Traces cleared: {line}");
        explanation.why.push(by(ctx, &file.comm));
    });
    if let Some(index) = index {
        ctx.findings.add_part(index, &file.path);
        ctx.findings.add_reason(index, line);
    }
}

/// A directory, by the kernel's word or because it was made as one.
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

fn setuid(ctx: &mut RuleContext<'_>, file: &File) {
    if !matches!(file.op, FileOp::Chmod | FileOp::Create) || is_directory(ctx, file) {
        return;
    }
    let mode = file.mode.unwrap_or(0);
    // A program that everybody may run; without that right setgid is a lock.
    let weight = match (mode & 0o4000 != 0, mode & 0o2010 == 0o2010) {
        (true, _) => Severity::High,
        (_, true) => Severity::Medium,
        _ => return,
    };
    if file.errno != 0 && !is_refusal(file.errno) || !file.path.contains(&b'/') {
        return;
    }
    match maker(ctx) {
        Maker::Package => return,
        Maker::StartUp => {
            super::record_startup_drift(ctx, format!("mode {mode:o} of {}", file.path.escaped()));
            return;
        }
        Maker::Session | Maker::Service => {}
    }
    ctx.raise(
        graded(weight, file.errno),
        &file.path,
        |ctx, explanation| {
            explanation.title = format!("{}: {}", ctx.rule.title, file.path.escaped());
            explanation.why.push(format!(
                "mode set to {:o}{}",
                mode & 0o7777,
                refused(file.errno)
            ));
            explanation.why.push(by(ctx, &file.comm));
        },
    );
}

fn writable(ctx: &mut RuleContext<'_>, file: &File) {
    let mode = file.mode.unwrap_or(0);
    let writes = mode & 0o1002 == 0o0002;
    // A secret need not be written to.
    let reads = mode & 0o4 != 0 && secrets::is_secret(&file.path);
    if file.op != FileOp::Chmod || file.errno != 0 || !(writes || reads) {
        return;
    }
    let sensitive = matches!(
        ctx.path_class(&file.path),
        Some(
            PathClass::Program
                | PathClass::Accounts
                | PathClass::Sudoers
                | PathClass::Pam
                | PathClass::LdPreload
                | PathClass::LdConf
                | PathClass::Cron
                | PathClass::Service
                | PathClass::ShellStartup
                | PathClass::SshAccess
                | PathClass::EtcTop
                | PathClass::EtcBelow
        )
    );
    if !sensitive && !reads {
        return;
    }
    match maker(ctx) {
        Maker::Package => return,
        Maker::StartUp => {
            super::record_startup_drift(ctx, format!("made {} writable", file.path.escaped()));
            return;
        }
        Maker::Session | Maker::Service => {}
    }
    ctx.raise(Severity::Medium, &file.path, |ctx, explanation| {
        let what = if writes {
            ctx.rule.title
        } else {
            "A secret became readable for everybody"
        };
        explanation.title = format!("{what}: {}", file.path.escaped());
        explanation.why.push(by(ctx, &file.comm));
    });
}

const HOST_DIRS: &[&[u8]] = &[
    b"/bin/",
    b"/sbin/",
    b"/lib",
    b"/usr/",
    b"/etc/",
    b"/boot/",
    b"/root/",
    b"/opt/",
    b"/dev/",
    b"/var/lib/docker/",
    b"/var/lib/containerd/",
    b"/var/lib/kubelet/",
    b"/var/spool/cron/",
    b"/run/systemd/",
];

fn host(ctx: &mut RuleContext<'_>, file: &File) {
    // Only a write through a bind mount, which is never the overlay's own inode.
    if file.file.is_some_and(|f| {
        matches!(
            f.fs,
            Filesystem::Overlay | Filesystem::Proc | Filesystem::Cgroup
        )
    }) {
        return;
    }
    let Some(container) = ctx.container else {
        return;
    };
    if container.info.mounts.is_empty() {
        return;
    }
    for change in changes(file).into_iter().flatten() {
        let path = change.path.as_bytes();
        let mount = container
            .info
            .mounts
            .iter()
            .filter(|m| {
                let at = m.destination.as_bytes();
                path.strip_prefix(at.strip_suffix(b"/").unwrap_or(at))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            })
            .max_by_key(|m| m.destination.len());
        let Some(mount) = mount.filter(|m| m.kind == "bind" && m.source.starts_with(b"/")) else {
            continue;
        };
        let at = mount.destination.as_bytes();
        let source = mount.source.as_bytes();
        let rest = path
            .get(at.strip_suffix(b"/").unwrap_or(at).len()..)
            .unwrap_or(b"");
        let on_host = [source.strip_suffix(b"/").unwrap_or(source), rest].concat();
        // A single file mounted on purpose, or a project directory, is ordinary.
        let entry = matches!(
            ctx.path_class(&on_host),
            Some(
                PathClass::Accounts
                    | PathClass::Sudoers
                    | PathClass::Pam
                    | PathClass::LdPreload
                    | PathClass::LdConf
                    | PathClass::Cron
                    | PathClass::Service
                    | PathClass::ShellStartup
                    | PathClass::SshAccess
            )
        );
        let system = HOST_DIRS.iter().any(|d| on_host.starts_with(d));
        let whole = source == b"/";
        let weight = match (entry, system, whole) {
            (true, ..) => Severity::Critical,
            (_, true, true) => Severity::High,
            // A system directory mounted for writing on purpose: its service may do so.
            (_, true, false) if by_hand(ctx) => Severity::High,
            (_, true, false) => Severity::Low,
            _ => continue,
        };
        let line = format!(
            "{} on the host {}{}",
            crate::event::escape(&on_host),
            change.verb,
            refused(change.errno)
        );
        let subject = program_roles::directory(&on_host).to_vec();
        let index = ctx.raise(
            graded(weight, change.errno),
            &subject,
            |ctx, explanation| {
                explanation.title =
                    format!("Wrote to the host: {}", crate::event::escape(&on_host));
                explanation.why.push(by(ctx, &file.comm));
            },
        );
        if let Some(index) = index {
            ctx.findings.add_part(index, &on_host);
            ctx.findings.add_reason(index, line);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, upper};
    use crate::event::{FileFacts, FileOp, Filesystem, Mount};

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
        // A log that is kept is not begun anew by a shell, others are.
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
        // Of a change by name only what was made there tells that it is a directory.
        w.file(init, FileOp::Mkdir, "/srv/shared");
        w.file_as(init, FileOp::Chmod, "/srv/shared", |f| {
            f.mode = Some(0o2775)
        });
        w.only(&[]);
    }

    #[test]
    fn the_host_through_a_bind_mount() {
        let bind = |source: &str, at: &str| {
            let mut w = World::steady();
            let (source, at) = (source.to_owned(), at.to_owned());
            w.info(|i| {
                i.mounts.push(Mount {
                    kind: "bind".into(),
                    source: source.as_str().into(),
                    destination: at.as_str().into(),
                    writable: true,
                });
            });
            w
        };
        let disk = FileFacts {
            fs: Filesystem::Disk,
            ..FileFacts::default()
        };
        let mut w = bind("/", "/host");
        let init = w.init();
        w.file_as(init, FileOp::Create, "/host/etc/cron.d/x", |f| {
            f.file = Some(disk)
        });
        w.only(&["file.host-write"]);
        assert_eq!(w.highest(), Severity::Critical);
        let mut w = bind("/", "/host");
        let init = w.init();
        w.link(init, FileOp::Rename, "/host/tmp/x", "/host/usr/bin/ls");
        assert_eq!(w.finding("file.host-write").severity, Severity::High);
        for (source, path) in [
            ("/srv/data", "/data/etc/passwd"),
            ("/home/u/app", "/data/x"),
        ] {
            let mut w = bind(source, "/data");
            let init = w.init();
            w.file_as(init, FileOp::Create, path, |f| f.file = Some(disk));
            w.only(&[]);
        }
    }
}
