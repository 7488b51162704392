//! Processes that give themselves another name while they run, as bots do (`$0 = "[kworker/0:1]"`).

use crate::catalog;
use crate::detect::alert::Alerts;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Severity, attribution, program_roles};
use crate::event::Bytes;
use crate::state::ProcessEntry;

/// The kernel's short name of the process in an event. A program that was started under this name
/// is judged at its start.
pub(super) fn examine(ctx: &RuleContext<'_>, comm: &Bytes) -> Alerts {
    match ctx.process {
        Some(process) if process.comm != *comm || process.forked => judge(ctx, process, comm),
        _ => Alerts::none(),
    }
}

/// The short name of a process that was found.
pub(super) fn found(ctx: &RuleContext<'_>, comm: &Bytes) -> Alerts {
    match ctx.process {
        Some(process) => judge(ctx, process, comm),
        None => Alerts::none(),
    }
}

/// Whose name it is, if that is a disguise.
fn whose(ctx: &RuleContext<'_>, process: &ProcessEntry, comm: &[u8]) -> Option<&'static str> {
    if catalog::programs::names_kernel_thread(comm.strip_prefix(b"[").unwrap_or(comm)) {
        return Some("name of a kernel thread");
    }
    // Daemons that a language runs may have the name of another implementation.
    let word = comm.split(|b| matches!(b, b' ' | b':')).next()?;
    let name = program_roles::leaf(word);
    let daemon = catalog::programs::DAEMONS.contains(&name);
    (daemon && attribution::inline(ctx.names(), process))
        .then_some("inline code with a daemon's name")
}

fn judge(ctx: &RuleContext<'_>, process: &ProcessEntry, comm: &Bytes) -> Alerts {
    let known = !process.exe.is_empty() && !process.runtime;
    let Some(whose) = whose(ctx, process, comm).filter(|_| known) else {
        return Alerts::none();
    };
    let alert = ctx.alert(Severity::High, &process.exe, |explanation| {
        let command = program_roles::command_line(&process.argv, &process.exe, 160);
        explanation.title = format!("Disguised program ({whose}): {command}");
        let name = comm.escaped();
        explanation.why.push(format!("it calls itself {name}"));
        let exe = process.exe.escaped();
        explanation.why.push(format!("executable: {exe}"));
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::{FileOp, Kind};

    fn opens_as(comm: &str, exe: &str, argv: &[&str], forked: bool) -> Option<Severity> {
        let mut w = World::steady();
        let init = w.init();
        let mut p = w.exec(init, exe, argv);
        if forked {
            p = w.fork(p);
        }
        for _ in 0..3 {
            w.file_as(p, FileOp::Create, "/srv/x", |f| f.comm = comm.into());
        }
        let all = w.all("exec.masquerade");
        assert!(all.len() <= 1);
        all.first().map(|f| f.severity)
    }

    #[test]
    fn a_name_taken_while_running() {
        let high = Some(Severity::High);
        let perl = &["perl", "-e", "x"][..];
        for forked in [false, true] {
            for comm in [
                "[kworker/u8:2]",
                "kworker/0:1",
                "[kswapd0]",
                "/usr/sbin/httpd",
                "sshd: root",
            ] {
                assert_eq!(
                    opens_as(comm, "/usr/bin/perl", perl, forked),
                    high,
                    "{comm}"
                );
            }
        }
        assert_eq!(opens_as("kworker/0:1", "/srv/app", &["app"], false), high);
    }

    #[test]
    fn names_that_programs_give_themselves_in_ordinary_work() {
        for comm in ["worker", "[celeryd: x]", "[", "nginx: worker", "k", ""] {
            assert_eq!(opens_as(comm, "/srv/app", &["app"], false), None, "{comm}");
        }
        let script = &["perl", "/usr/bin/cron-in-perl"][..];
        assert_eq!(opens_as("cron", "/usr/bin/perl", script, false), None);
        assert_eq!(
            opens_as("sshd", "/usr/sbin/sshd", &["sshd", "-D"], true),
            None
        );
    }

    #[test]
    fn a_name_taken_before_watching() {
        let mut w = World::found();
        let init = w.init();
        w.found_process(init, "/usr/bin/python3.11", &["python3", "-c", "x"], |p| {
            p.comm = "kworker/0:1".into();
        });
        assert_eq!(w.finding("exec.masquerade").severity, Severity::High);
        let mut w = World::found();
        let init = w.init();
        w.found_process(init, "/usr/sbin/sshd", &["sshd: x"], |p| {
            p.comm = "sshd".into()
        });
        w.emit(init, 1, Kind::Fork(crate::event::Fork::default()));
        w.none("exec.masquerade");
    }
}
