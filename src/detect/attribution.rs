//! Attribution: whether the container's own service acts, or an intruder working in it.

use crate::catalog;
use crate::event::ProgramAdditions;
use bstr::ByteSlice as _;

use super::program_roles;
use super::rule_context::RuleContext;
use crate::event::Bytes;
use crate::state::ProcessEntry;

/// Whether the process or its parent is a shell, a downloader, drifted code or a command of an exec
/// session instead of the service itself. A service that the container's start script runs as its
/// child is the service itself. Drifted code counts from medium on: below, the rule holds it for an
/// honest change.
#[must_use]
pub(crate) fn suspicious(ctx: &RuleContext<'_>) -> bool {
    if ctx.session().is_some() || ctx.is_marked_as_bad(ctx.event.pid) {
        return true;
    }
    // Wrappers, which only start another program, are skipped.
    let wrapper = |p: &&ProcessEntry| ctx.names().is_wrapper(program_roles::of(p));
    let mut line = ctx.ancestors().filter(|p| !wrapper(p));
    let Some(own) = line.next() else {
        return false;
    };
    let hand = |p: &ProcessEntry| {
        let name = program_roles::of(p);
        (ctx.names().is_shell(name), ctx.names().is_downloader(name))
    };
    if let (true, _) | (_, true) = hand(own) {
        return true;
    }
    match line.next().map(hand) {
        Some((_, true)) => true,
        Some((true, _)) => !by_start_script(ctx, schedules) || inline(ctx.names(), own),
        _ => false,
    }
}

/// Whether only shells, programs that `also` allows and at most a small init are between the
/// process and the container's root: its start script runs it. This does not hold below a server's
/// shell.
#[must_use]
pub(crate) fn by_start_script(ctx: &RuleContext<'_>, also: impl Fn(&ProcessEntry) -> bool) -> bool {
    let ours = |p: &ProcessEntry| {
        let name = program_roles::of(p);
        ctx.names().is_shell(name) || ctx.names().is_wrapper(name) || also(p)
    };
    let mut above = ctx.ancestors().skip(1).peekable();
    while let Some(process) = above.next() {
        let root = above.peek().is_none();
        if !(ours(process) || root && is_small_init(program_roles::of(process))) {
            return false;
        }
    }
    true
}

/// A program of the image that runs the container's scheduled jobs or supervises its services.
#[must_use]
pub(crate) fn schedules(process: &ProcessEntry) -> bool {
    catalog::programs::SCHEDULERS.contains(&program_roles::of(process))
        && process.file.origin() == crate::event::Origin::Image
}

/// Programs whose only work is to be process 1 for another.
fn is_small_init(name: &[u8]) -> bool {
    catalog::programs::SMALL_INITS.contains(&name)
}

/// An interpreter that gets its program as an argument or on its input: typed, not installed.
#[must_use]
pub(crate) fn inline(names: &ProgramAdditions, process: &ProcessEntry) -> bool {
    if !names.is_interpreter(program_roles::of(process)) || process.script.is_some() {
        return false;
    }
    for argument in process.argv.iter().skip(1).map(|a: &Bytes| a.as_bytes()) {
        match argument {
            b"-m" => return false,
            b"--eval" | b"--print" | b"-" => return true,
            _ if argument.starts_with(b"--") => {}
            // Perl and ruby combine short options, as in `-ne`.
            _ if argument.starts_with(b"-") => {
                if matches!(argument.last(), Some(b'c' | b'e' | b'E' | b'r' | b'p')) {
                    return true;
                }
            }
            _ => return false,
        }
    }
    true
}

/// Programs of the image that check or change logins.
#[must_use]
pub(crate) fn checks_logins(name: &[u8]) -> bool {
    catalog::programs::LOGIN_PROGRAMS.contains(&name)
}

/// A server of the image that provides login shells, such as sshd.
#[must_use]
pub(crate) fn lets_people_in(process: &ProcessEntry) -> bool {
    process.file.origin() == crate::event::Origin::Image
        && catalog::programs::LOGIN_SERVERS.contains(&program_roles::of(process))
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

    #[test]
    fn a_service_below_the_start_script_is_the_service_itself() {
        let listens = |chain: &[(&str, &[&str])]| {
            let mut w = World::steady();
            let mut at = w.init();
            w.exec_as(at, 1, "/bin/sh", &["sh", "/start.sh"], |_| {});
            for (exe, argv) in chain {
                at = w.exec(at, exe, argv);
            }
            w.listen(at, "0.0.0.0:8081");
            w.finding("net.listen-new").severity
        };
        let script = ("/bin/sh", &["sh", "-c", "x"][..]);
        let module = ("/usr/bin/python3", &["python3", "-m", "http.server"][..]);
        let typed = ("/usr/bin/python3", &["python3", "-c", "x"][..]);
        let server = ("/usr/sbin/nginx", &["nginx"][..]);
        let nc = ("/bin/nc", &["nc", "-l"][..]);
        let cron = ("/usr/sbin/cron", &["cron", "-f"][..]);
        assert_eq!(listens(&[script, server]), Severity::Medium);
        assert_eq!(listens(&[script, script, module]), Severity::Medium);
        assert_eq!(listens(&[cron, script, module]), Severity::Medium);
        for by_hand in [
            &[script, typed][..],
            &[script, nc],
            &[script, ("/bin/sh", &["sh"])],
            &[cron, script, typed],
            // A shell that a server started is no start script.
            &[script, server, script, module],
        ] {
            assert_eq!(listens(by_hand), Severity::High, "{by_hand:?}");
        }
    }
}
