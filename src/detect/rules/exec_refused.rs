//! Refused execve of programs that are not in the image.

use crate::catalog;
use bstr::ByteSlice as _;

use crate::detect::alert::Alerts;
use crate::detect::file_change::{Maker, maker};
use crate::detect::file_origin::{history, made};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{ExecRefused, FileOp};

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "drift.exec-refused",
        title: "Tried to run a program that is not in the image",
        label: "refused program",
        severity: Severity::Medium,
        attack: &["T1105"],
        needs: &[Requirement::ExecRefused],
        explain: "execve of a file that was written in the container, or is on a tmpfs, failed: no \
                  permission, a noexec mount, an unknown format or a seccomp filter. The attempt \
                  shows the same intent as a success. Files of the image, of a build or of a \
                  package manager do not count. Low when the format is unknown: shells then read \
                  the file as a script, which is reported separately.",
        check: "Which process wrote the file, and what was tried next? `sh FILE` still works where \
                executing the file does not.",
    },
    handlers: &[Handler::ExecRefused(|ctx, _, exec| refused(ctx, exec))],
};

fn refused(ctx: &RuleContext<'_>, exec: &ExecRefused) -> Alerts {
    let path = exec.path.as_bytes();
    let Some(origin) = origin(ctx, path) else {
        return Alerts::none();
    };
    if maker(ctx) == Maker::Installer || made(ctx, path).is_some() {
        return Alerts::none();
    }
    // bash and zsh then read the file as a script themselves, which the kernel does not report.
    let reads = ctx
        .process
        .is_some_and(|p| catalog::programs::RETRYING_SHELLS.contains(&program_roles::of(p)));
    if exec.errno == ENOEXEC && reads {
        let shown = exec.path.escaped().to_string();
        return super::drifted_script::judge(ctx, path, &shown);
    }
    // Another shell starts itself with the refused file, which is a finding of its own.
    let severity = if exec.errno == ENOEXEC {
        Severity::Low
    } else {
        Severity::Medium
    };
    let alert = ctx.alert(severity, path, |explanation| {
        explanation.title = format!("Tried to run {}: refused", exec.path.escaped());
        explanation.why.push(format!("not in the image: {origin}"));
        history(ctx, path, &mut explanation.why);
        if let Some(p) = ctx.process {
            let command = program_roles::command_line(&p.argv, &p.exe, 160);
            explanation.why.push(format!("tried by: {command}"));
        }
    });
    alert.reason(why(exec.errno)).history_of(&exec.path).into()
}

const ENOEXEC: u16 = 8;

fn why(errno: u16) -> &'static str {
    match errno {
        1 => "refused (EPERM): a security policy forbids it",
        ENOEXEC => "refused (ENOEXEC): unknown format",
        13 => "refused (EACCES): no permission, or mounted noexec",
        26 => "refused (ETXTBSY): still being written",
        _ => "refused",
    }
}

/// Why the file does not count as the image's, by its path and history.
fn origin(ctx: &RuleContext<'_>, path: &[u8]) -> Option<&'static str> {
    let wrote = |op| ctx.activity(path).is_some_and(|a| a.ops.contains_key(&op));
    let ways = [
        FileOp::Create,
        FileOp::Write,
        FileOp::Truncate,
        FileOp::Rename,
        FileOp::Link,
    ];
    if ways.into_iter().any(wrote) {
        return Some("written since the container started");
    }
    let shared_memory = path.starts_with(b"/dev/shm/") || path.starts_with(b"/run/shm/");
    let mounted = ctx.container.is_some_and(|c| {
        let mounts = c.info.mounts.iter().filter(|m| m.kind == "tmpfs");
        mounts.map(|m| m.destination.as_bytes()).any(|at| {
            path.strip_prefix(at)
                .is_some_and(|rest| rest.starts_with(b"/"))
        })
    });
    (shared_memory || mounted).then_some("on a tmpfs")
}

#[cfg(test)]
mod tests {
    use crate::detect::testkit::World;
    use crate::event::{ExecRefused, Kind};

    fn refuse(world: &mut World, pid: u32, path: &str, errno: u16) {
        let refused = ExecRefused {
            path: path.into(),
            errno,
            comm: "sh".into(),
            ..ExecRefused::default()
        };
        world.emit(pid, pid - 999, Kind::ExecRefused(Box::new(refused)));
    }

    #[test]
    fn written_files_and_files_on_a_tmpfs_count() {
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/opt/x");
        refuse(&mut w, init, "/opt/x", 13);
        refuse(&mut w, init, "/opt/x", 13);
        refuse(&mut w, init, "/dev/shm/y", 13);
        w.only(&["drift.exec-refused"]);
        let all = w.all("drift.exec-refused");
        assert_eq!((all.len(), all[0].count), (2, 2));
        assert!(all[1].why.iter().any(|l| l.contains("EACCES")), "{all:?}");
    }

    #[test]
    fn bash_reads_what_has_no_format_itself() {
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/tmp/x");
        let bash = w.exec(init, "/usr/bin/bash", &["bash", "-c", "/tmp/x"]);
        refuse(&mut w, bash, "/tmp/x", 8);
        w.only(&["drift.script"]);
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/tmp/x");
        let sh = w.exec(init, "/usr/bin/dash", &["sh", "-c", "/tmp/x"]);
        refuse(&mut w, sh, "/tmp/x", 8);
        w.only(&["drift.exec-refused"]);
        assert_eq!(w.highest(), crate::detect::Severity::Low);
    }

    #[test]
    fn image_files_and_installations_do_not() {
        let mut w = World::steady();
        let init = w.init();
        refuse(&mut w, init, "/etc/passwd", 13);
        refuse(&mut w, init, "/usr/bin/sudo", 1);
        let cc = w.exec(init, "/usr/bin/gcc", &["gcc", "a.c"]);
        w.create(cc, "/src/a.out");
        refuse(&mut w, init, "/src/a.out", 26);
        w.only(&[]);
    }
}
