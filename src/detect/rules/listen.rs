//! Listening sockets of a container.

use super::deviations;
use super::young_sockets::{CHOSEN_SUBJECT, YoungSocket, YoungSockets, grow_up, shell_starts};
use crate::catalog;
use crate::detect::alert::Alerts;
use crate::detect::attribution::{self, inline, suspicious};
use crate::detect::known_behavior::{Behavior, KnownBehavior};
use crate::detect::rule_context::RuleContext;
use crate::detect::serving::CHOSEN;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{Endpoint, Listen, Origin, Process, Protocol};
use crate::state::{Direction, Lineage};

/// Seconds after its start in which services of an image that declares no ports begin to listen.
const SLOW_START: u64 = 300;
/// New listening port.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "net.listen-new",
        title: "Listens on a port its image does not declare",
        label: "listens",
        severity: Severity::Medium,
        attack: &["T1571", "T1205"],
        needs: &[Requirement::Listen],
        explain: "After start-up a TCP socket began to listen on a reachable address, on a port that the image does not expose, the container does not publish and the container did not use before. High from a shell, a downloader, drifted code or an exec \
                  session. Info if the kernel chose the port, until a peer connects or, for a socket of an exec session, until it has listened for ten seconds; and if a service closed the socket within ten seconds. Services of an image that \
                  declares no port may begin to listen within five minutes. Loopback is not \
                  flagged.",
        check: "Which program listens, and who connects to it?",
    },
    handlers: &[
        Handler::Listen(|ctx, memory, socket| {
            let tcp = socket.protocol == Protocol::Tcp;
            let port = Behavior::Port(socket.local.port());
            let new = tcp && memory.of::<KnownBehavior>().learn(port);
            listen(ctx, memory.of(), socket, new)
        }),
        Handler::Exec(|ctx, memory, exec| {
            let young = memory.get::<YoungSockets>().is_some_and(|m| !m.is_empty());
            if young {
                shell_starts(ctx, memory.of(), exec)
            } else {
                Alerts::none()
            }
        }),
        Handler::Tick(|ctx, memory, _| {
            let young = memory.get::<YoungSockets>().is_some_and(|m| !m.is_empty());
            if young {
                grow_up(ctx, memory.of())
            } else {
                Alerts::none()
            }
        }),
        Handler::Found(|ctx, _, process| found(ctx, process)),
    ],
};

/// Seconds after the container's start in which its services must have started.
const START: u64 = 30;

/// Judges ports on which a process listened when watching began. Its earlier ports are not known:
/// only a program that is not a service, started long after the container, counts.
fn found(ctx: &RuleContext<'_>, process: &Process) -> Alerts {
    let began = ctx.container_began();
    let later = began.is_some_and(|began| process.started.since(began).as_secs() > START);
    let foreign = matches!(
        process.file.origin(),
        Origin::Tmpfs | Origin::Memfd | Origin::Deleted
    ) && !process.replaced;
    // A start script that serves with one stream tool after another does not provide a shell.
    let script = catalog::programs::STREAM_TOOLS
        .contains(&program_roles::name(&process.exe, &process.argv))
        && attribution::by_start_script(ctx, |_| false)
        && !gives_shell(process);
    // A possible back door: a container with declared ports that also accepts on another port.
    let name = program_roles::name(&process.exe, &process.argv);
    let declares = ctx.container.is_some_and(|c| !c.info.exposed.is_empty());
    let door = declares && catalog::programs::LOGIN_SERVERS.contains(&name);
    if !(foreign || later && (door || suspicious(ctx) && !script)) {
        return Alerts::none();
    }
    let info = ctx.container.map(|c| &c.info);
    let rows = ctx.state.connections_of(ctx.owner, Direction::Listening);
    let own = rows.filter(|(key, row)| row.pid == ctx.event.pid && key.protocol == Protocol::Tcp);
    let mut alerts = Alerts::none();
    for (key, _) in own {
        let Endpoint::Inet(at) = key.endpoint else {
            continue;
        };
        let policy = &ctx.settings.policy;
        if at.port() == 0
            || at.ip().to_canonical().is_loopback()
            || declared(ctx, at.port())
            || policy.may_listen(ctx.owner.as_str(), info, at.port())
        {
            continue;
        }
        let subject = at.port().to_string();
        alerts.push(
            ctx.alert(Severity::High, subject.as_bytes(), |explanation| {
                explanation.title = format!("Listens on {at}, which its image does not declare");
                let command = program_roles::command_line(&process.argv, &process.exe, 160);
                explanation.why.push(format!("by: {command}"));
            }),
        );
    }
    alerts
}

/// A stream tool runs a program for each peer that connects.
fn gives_shell(process: &Process) -> bool {
    process.argv.iter().skip(1).any(|word| {
        let word: &[u8] = word;
        let short = word.first() == Some(&b'-')
            && word.get(1) != Some(&b'-')
            && matches!(word.last(), Some(b'e' | b'c'));
        let socat = [
            &b"EXEC"[..],
            b"exec:",
            b"SYSTEM",
            b"system:",
            b"SHELL",
            b"shell:",
        ];
        short
            || word.starts_with(b"--exec")
            || word.starts_with(b"--sh-exec")
            || socat.iter().any(|name| word.starts_with(name))
    })
}

fn declared(ctx: &RuleContext<'_>, port: u16) -> bool {
    let is = |text: &str| {
        let number = text.split('/').next().unwrap_or(text);
        match number.split_once('-') {
            Some((from, to)) => {
                from.parse().is_ok_and(|f: u16| port >= f)
                    && to.parse().is_ok_and(|t: u16| port <= t)
            }
            None => number.parse() == Ok(port),
        }
    };
    ctx.container.is_some_and(|c| {
        c.info.exposed.iter().any(|p| is(p)) || c.info.ports.iter().any(|p| is(&p.container))
    })
}

/// Whether a service that began in start-up, or that a supervisor starts later, listens for the
/// first time in a container whose image declares no ports.
fn starts_slowly(ctx: &RuleContext<'_>) -> bool {
    let Some(container) = ctx.container.filter(|c| c.info.exposed.is_empty()) else {
        return false;
    };
    let begun = container.first_exec.unwrap_or(container.first_seen);
    // Supervisors start some services after others.
    let supervised = || {
        ctx.ancestors().nth(1).is_some_and(|above| {
            above.file.origin() == Origin::Image
                && catalog::programs::SCHEDULERS.contains(&program_roles::of(above))
        })
    };
    let service = ctx.process.is_some_and(|p| {
        p.lineage == Lineage::Init
            && (ctx.in_grace(p.started) || (supervised() && !inline(ctx.names(), p)))
    });
    let rows = ctx.state.connections_of(ctx.owner, Direction::Listening);
    let own = rows.filter(|(_, row)| row.pid == ctx.event.pid).count();
    service
        && own <= 1
        && container.info.ports.is_empty()
        && ctx.now().since(begun).as_secs() < SLOW_START
}

fn listen(ctx: &RuleContext<'_>, memory: &mut YoungSockets, listen: &Listen, new: bool) -> Alerts {
    let port = listen.local.port();
    if listen.protocol != Protocol::Tcp || port == 0 {
        return Alerts::none();
    }
    let existing = ctx.process.is_some_and(|p| p.existing);
    if listen.local.ip().to_canonical().is_loopback() {
        return Alerts::none();
    }
    let bad = suspicious(ctx);
    let expected = !new || existing || declared(ctx, port) || starts_slowly(ctx);
    // A start script serves with one program after another.
    let again = !new && ctx.session().is_none() && attribution::by_start_script(ctx, |_| false);
    if ctx.starting_up() || again || (!bad && expected) {
        return Alerts::none();
    }
    let info = ctx.container.map(|c| &c.info);
    if ctx
        .settings
        .policy
        .may_listen(ctx.owner.as_str(), info, port)
    {
        return Alerts::none();
    }
    if deviations::knows_port(ctx, port) {
        return Alerts::none();
    }
    // Peers cannot know a port that the kernel chose unless the program announces it: test servers,
    // passive transfers and management beans do so, each time on another port.
    let chosen = CHOSEN.contains(&port) && (!bad || is_client(ctx));
    let severity = match (chosen, bad) {
        (true, _) => Severity::Info,
        (_, true) => Severity::High,
        _ => Severity::Medium,
    };
    if !bad || chosen {
        memory.add(YoungSocket {
            pid: ctx.event.pid,
            port,
            began: ctx.now(),
            seq: ctx.event.seq,
            foreign: bad,
        });
    }
    let own = port.to_string();
    let subject = if chosen {
        CHOSEN_SUBJECT
    } else {
        own.as_bytes()
    };
    let line = format!("listens on {}", listen.local);
    let alert = ctx.alert(severity, subject, |explanation| {
        let whose = if declared(ctx, port) {
            "a port of its image, but not by its service"
        } else {
            "which its image does not declare"
        };
        explanation.title = format!("Listens on {}, {whose}", listen.local);
        if chosen {
            let line = "port chosen by the kernel: the program requested no specific one";
            explanation.why.push(line.to_owned());
        }
        if let Some(p) = ctx.process {
            let command = program_roles::command_line(&p.argv, &p.exe, 160);
            explanation.why.push(format!("by: {command}"));
        }
        let exposed = ctx.container.map(|c| c.info.exposed.join(", "));
        if let Some(exposed) = exposed.filter(|e| !e.is_empty()) {
            let exposed = crate::event::escape(exposed.as_bytes()).to_string();
            explanation
                .why
                .push(format!("the image declares {exposed}"));
        }
    });
    if chosen {
        return alert.reason(line).into();
    }
    alert.into()
}

/// A program of the image that an exec session started, itself neither a shell nor a downloader nor
/// drifted.
fn is_client(ctx: &RuleContext<'_>) -> bool {
    let drifted = ctx.memory.is_marked(ctx.event.pid);
    let by_hand = ctx.process.is_none_or(|p| {
        let name = program_roles::of(p);
        ctx.names().is_shell(name) || ctx.names().is_downloader(name)
    });
    ctx.session().is_some() && !drifted && !by_hand
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, tmpfs};

    #[test]
    fn listening_ports() {
        let mut w = World::starting();
        w.info(|i| i.exposed = vec!["80/tcp".into(), "9000-9010/tcp".into()]);
        let init = w.init();
        w.listen(init, "0.0.0.0:8080");
        w.ticks(60);
        w.listen(init, "0.0.0.0:8080");
        w.listen(init, "0.0.0.0:80");
        w.listen(init, "[::]:9005");
        w.listen(init, "127.0.0.1:5555");
        w.only(&[]);
        w.listen(init, "0.0.0.0:4444");
        assert_eq!(w.finding("net.listen-new").severity, Severity::Medium);
        let s = w.exec(init, "/bin/busybox", &["nc", "-l", "-p", "31337"]);
        w.listen(s, "[::]:31337");
        assert_eq!(w.all("net.listen-new")[1].severity, Severity::High);
    }

    #[test]
    fn a_listener_that_was_there_already() {
        let listens = |exe: &str, argv: &[&str], change: fn(&mut crate::event::Process)| {
            let mut w = World::found();
            w.info(|i| i.exposed = vec!["80/tcp".into()]);
            let init = w.init();
            w.found_socket(0, "0.0.0.0:4444", None);
            w.found_process(init, exe, argv, change);
            w.all("net.listen-new").first().map(|f| f.severity)
        };
        let shell = &["nc", "-l", "-p", "4444"][..];
        assert_eq!(listens("/bin/busybox", shell, |_| {}), Some(Severity::High));
        assert_eq!(listens("/usr/sbin/nginx", &["nginx"], |_| {}), None);
        // A possible back door.
        let sshd = &["sshd", "-p", "4444"][..];
        assert_eq!(
            listens("/usr/sbin/sshd", sshd, |_| {}),
            Some(Severity::High)
        );
        let at_start = |p: &mut crate::event::Process| {
            p.started = crate::event::Timestamp(1_700_000_001_000_000_000);
        };
        assert_eq!(listens("/bin/busybox", shell, at_start), None);
        // For a program that is not in the image, it belongs to the program's finding.
        let mut w = World::found();
        let init = w.init();
        w.found_socket(0, "0.0.0.0:4444", None);
        w.found_process(init, "/dev/shm/x", &["x"], |p| p.file = tmpfs(5));
        w.only(&["drift.exec-tmpfs"]);
        let why = w.finding("drift.exec-tmpfs").why.join("\n");
        assert!(why.contains("Listens on 0.0.0.0:4444"), "{why}");
    }

    #[test]
    fn a_port_that_the_kernel_chose_is_information_for_a_service() {
        let mut w = World::steady();
        let init = w.init();
        let init = w.exec(init, "/usr/bin/beam.smp", &["beam.smp"]);
        w.listen(init, "0.0.0.0:40001");
        w.listen(init, "[::]:34567");
        w.ticks(60);
        let f = w.finding("net.listen-new");
        assert_eq!((f.severity, f.count), (Severity::Info, 2));
        assert_eq!(w.all("net.listen-new").len(), 1);
        let s = w.session(&["sh"]);
        w.listen(s, "0.0.0.0:40002");
        assert_eq!(w.all("net.listen-new")[1].severity, Severity::High);
    }

    #[test]
    fn a_tool_from_outside_may_listen_for_a_moment_and_no_longer() {
        let tool = |act: &dyn Fn(&mut World, u32)| {
            let mut w = World::steady();
            let s = w.session(&["python3", "-c", "x"]);
            w.listen(s, "0.0.0.0:40001");
            act(&mut w, s);
            let all = w.all("net.listen-new");
            assert_eq!(all.len(), 1, "{all:?}");
            all[0].severity
        };
        let exits = |w: &mut World, pid: u32| {
            w.ticks(2);
            w.exit(pid);
            w.ticks(60);
        };
        assert_eq!(tool(&exits), Severity::Info);
        assert_eq!(tool(&|w, _| w.ticks(15)), Severity::High);
        let shell = |w: &mut World, pid: u32| {
            w.exec(pid, "/bin/sh", &["sh"]);
        };
        assert_eq!(tool(&shell), Severity::High);
        let called = |w: &mut World, pid: u32| {
            w.accept(pid, "10.0.0.2:40001", "10.0.0.9:5555");
            w.ticks(1);
        };
        assert_eq!(tool(&called), Severity::High);
    }

    #[test]
    fn a_short_lived_socket_of_a_service_is_information() {
        let listens = |seconds: u32| {
            let mut w = World::steady();
            let init = w.init();
            let job = w.exec(init, "/usr/bin/node", &["node", "/job.js"]);
            w.listen(job, "0.0.0.0:9229");
            w.ticks(seconds);
            w.exit(job);
            w.ticks(20);
            w.finding("net.listen-new").severity
        };
        assert_eq!(listens(2), Severity::Info);
        assert_eq!(listens(30), Severity::Medium);
    }

    #[test]
    fn a_slow_service_of_an_image_that_declares_nothing() {
        let mut w = World::starting();
        let init = w.init();
        let java = w.exec(init, "/usr/bin/java", &["java", "-jar", "/app.jar"]);
        w.ticks(45);
        w.listen(java, "0.0.0.0:8080");
        w.only(&[]);
        w.listen(java, "0.0.0.0:4444");
        assert_eq!(w.finding("net.listen-new").severity, Severity::Medium);
        // A process that began later is not a service of the start-up.
        let late = w.exec(init, "/usr/bin/node", &["node", "/x.js"]);
        w.listen(late, "0.0.0.0:8081");
        assert_eq!(w.all("net.listen-new").len(), 2);
    }

    #[test]
    fn a_start_script_that_serves_with_one_program_after_another() {
        let listens = |argv: &[&str]| {
            let mut w = World::found_with(|init| {
                init.exe = "/bin/sh".into();
                init.argv = vec!["sh".into(), "/start.sh".into()];
            });
            let init = w.init();
            w.found_socket(0, "0.0.0.0:8080", None);
            w.found_process(init, "/bin/nc", argv, |_| {});
            w.all("net.listen-new").first().map(|f| f.severity)
        };
        assert_eq!(listens(&["nc", "-l", "-p", "8080"]), None);
        assert_eq!(
            listens(&["nc", "-l", "-p", "8080", "-e", "/bin/sh"]),
            Some(Severity::High)
        );
        assert_eq!(
            listens(&["socat", "TCP-LISTEN:8080", "EXEC:/bin/sh"]),
            Some(Severity::High)
        );
    }

    #[test]
    fn a_service_that_a_supervisor_starts_late() {
        let listens = |above: &str, argv: &[&str]| {
            let mut w = World::steady();
            let init = w.init();
            let above = w.exec(init, above, &[above]);
            let service = w.exec(above, "/usr/bin/python3", argv);
            w.listen(service, "0.0.0.0:8080");
            w.all("net.listen-new").first().map(|f| f.severity)
        };
        let service = &["python3", "/app.py"][..];
        assert_eq!(listens("/usr/bin/supervisord", service), None);
        assert_eq!(listens("/usr/sbin/nginx", service), Some(Severity::Medium));
        // Typed, not installed.
        let typed = &["python3", "-c", "import socket"][..];
        assert!(listens("/usr/bin/supervisord", typed).is_some());
    }
}
