//! Exec sessions: commands that enter a running container, one finding each.

use crate::detect::alert::{Alert, Alerts};
use crate::detect::command_shape;
use crate::detect::exec_session::{Session, Sessions};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, exec_client, program_roles};
use crate::event::ProgramAdditions;
use crate::event::{Bytes, Connect, Exec, File, FileOp, Listen, Outcome, Privilege};

/// Maximum number of commands listed of one session.
const MAX_COMMANDS: u32 = 16;
/// Maximum number of files listed of one session.
const MAX_FILES: u32 = 10;
/// Maximum number of connections listed of one session.
const MAX_CONNECTIONS: u32 = 8;
/// Subject of the finding that plain commands share, and of that of further shell commands.
const COMMANDS: &[u8] = b"commands";
const SHELL_COMMANDS: &[u8] = b"shell commands";
/// Begins the subject of a session that came past the engine.
const ENTERED: &[u8] = b"entered: ";

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "exec.session",
        title: "Command run by exec from the host",
        label: "exec",
        severity: Severity::Medium,
        attack: &["T1609", "T1059"],
        needs: &[Requirement::Exec],
        explain: "A process entered the container without descending from its init: docker exec, \
                  kubectl exec or nsenter. A process that entered the namespaces without the \
                  container's cgroup, past its engine, is reported as that, with the process of \
                  the host that did it. Its actions and those of its children are one \
                  finding. A shell with a terminal is medium. Plain commands are info, one \
                  finding per container. Commands run by a shell are low, one finding if they \
                  differ only in words with digits, and one for all beyond two different ones. The container's health check, and commands \
                  that repeat in a steady rhythm, count as probes and are not flagged.",
        check: "Who ran the command? Should the change be part of the image instead?",
    },
    handlers: &[
        Handler::Exec(|ctx, memory, event| exec(ctx, memory.of(), event)),
        Handler::File(|ctx, memory, event| file(ctx, memory.of(), event)),
        Handler::Connect(|ctx, memory, event| connect(ctx, memory.of(), event)),
        Handler::Listen(|ctx, memory, event| listen(ctx, memory.of(), event)),
        Handler::Privilege(|ctx, memory, event| privilege(ctx, memory.of(), event)),
        Handler::Client(|ctx, memory, client| exec_client::look(ctx, memory.of(), client)),
        Handler::Container(|ctx, _, _| facts(ctx)),
        Handler::Found(|ctx, memory, process| exec(ctx, memory.of(), &process.as_exec())),
    ],
};

fn exec(ctx: &RuleContext<'_>, sessions: &mut Sessions, exec: &Exec) -> Alerts {
    let Some(root) = ctx.session() else {
        return Alerts::none();
    };
    let started = ctx.state.processes.get(&root).map(|p| p.started);
    let known = sessions
        .get(root)
        // The kernel reuses pids: an old session with that number is another one.
        .is_some_and(|s| ctx.event.pid != root || started.is_some_and(|at| at <= s.began));
    if !known {
        return begin(ctx, sessions, root, exec).into();
    }
    let line = || {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        format!("ran: {command}")
    };
    let mut alerts = list_line(
        ctx,
        sessions,
        root,
        |s| (&mut s.commands, MAX_COMMANDS),
        line,
    );
    if exec.tty
        && is_shell(ctx.names(), exec)
        && let Some(index) = ctx.session_finding(root)
    {
        let severity = ctx.findings.get(index).map(|f| f.severity);
        let severity = severity.unwrap_or(Severity::Info).max(Severity::Medium);
        alerts.push(Alert::addition(index).revise_severity(severity));
    }
    alerts
}

fn is_shell(names: &ProgramAdditions, exec: &Exec) -> bool {
    names.is_shell(program_roles::name(&exec.exe, &exec.argv))
}

/// The alert about a new session; none for the container's own health check.
fn begin(ctx: &RuleContext<'_>, sessions: &mut Sessions, root: u32, exec: &Exec) -> Option<Alert> {
    let now = ctx.now();
    let session = Session {
        began: now,
        ..Session::default()
    };
    sessions.begin(root, session);
    let interactive = exec.tty && is_shell(ctx.names(), exec);
    let entry = ctx.state.processes.get(&root);
    let since = entry.filter(|e| e.existing).map_or(now, |e| e.started);
    let argv = entry
        .filter(|e| !e.argv.is_empty())
        .map_or(&exec.argv, |e| &e.argv);
    let health = !interactive
        && !exec.entered
        && ctx
            .container
            .is_some_and(|c| !c.info.healthcheck.is_empty() && c.info.healthcheck == *argv);
    if health {
        return None;
    }
    let command = program_roles::command_line(argv, &exec.exe, 200);
    // Plain commands are the daily work of operators: one finding. A shell's command is a finding
    // of its own, since only its later actions show what it does; commands of one shape count as
    // the same.
    let plain = !interactive && !is_shell(ctx.names(), exec);
    let shape = if interactive {
        command.clone()
    } else {
        shape(argv, &exec.exe)
    };
    // Deployment tools run many different ones.
    let batch = !interactive && !plain && !sessions.has_own_line(&shape);
    let shared = plain || batch;
    let subject = match (plain, batch) {
        (true, _) => COMMANDS,
        (_, true) => SHELL_COMMANDS,
        _ => shape.as_bytes(),
    };
    // Those that came past the engine are findings of their own.
    let entered = exec.entered.then(|| [ENTERED, subject].concat());
    let subject = entered.as_deref().unwrap_or(subject);
    let probe = !interactive && sessions.beat(&shape, now);
    let severity = match (interactive, is_shell(ctx.names(), exec) && !probe) {
        (true, _) => Severity::Medium,
        (false, true) => Severity::Low,
        (false, false) => Severity::Info,
    };
    let how = how(exec.entered);
    let line = if shared {
        format!("{how}: {command}")
    } else if exec.entered {
        format!(
            "began at {}: it entered the container's namespaces, past its engine and without its \
             cgroup",
            since.clock()
        )
    } else {
        format!(
            "began at {} and does not descend from the container's init",
            since.clock()
        )
    };
    let mut alert = ctx.alert(severity, subject, |explanation| {
        explanation.title = if interactive {
            format!("Terminal shell {}: {command}", verb(exec.entered, "opened"))
        } else {
            format!("Command {}: {command}", verb(exec.entered, "run"))
        };
        explanation.why.push(line.clone());
    });
    if shared {
        alert = share(ctx, alert, subject, line, &command, exec.entered);
    } else if let Some(known) = ctx.findings.find(RULE.info.id, Some(ctx.owner), subject) {
        let times = ctx.findings.get(known).map_or(1, |f| f.count + 1);
        alert = alert.title(if interactive {
            format!(
                "Terminal shell {}, {times} times: {command}",
                verb(exec.entered, "opened")
            )
        } else {
            format!(
                "Command {}, {times} times; latest: {command}",
                verb(exec.entered, "run")
            )
        });
    }
    if probe {
        alert = alert
            .revise_severity(Severity::Info)
            .reason("repeats in a steady rhythm: a probe");
    }
    Some(alert.begins_session(root))
}

/// How a session came in.
fn how(entered: bool) -> &'static str {
    match entered {
        true => "entered from the host past the engine",
        false => "started by exec from the host",
    }
}

/// The same in a title.
fn verb(entered: bool, did: &str) -> String {
    match entered {
        true => format!("{did} in its namespaces from the host"),
        false => format!("{did} by exec from the host"),
    }
}

/// The command line without the parts that differ from run to run.
fn shape(argv: &[Bytes], exe: &Bytes) -> String {
    program_roles::command_line(&command_shape::of(argv), exe, 200)
}

/// The engine's facts may come after the first health check: then the finding about it is
/// withdrawn.
fn facts(ctx: &RuleContext<'_>) -> Alerts {
    let Some(container) = ctx.container.filter(|c| !c.info.healthcheck.is_empty()) else {
        return Alerts::none();
    };
    let shape = shape(&container.info.healthcheck, &Bytes::default());
    let Some(index) = ctx
        .findings
        .find(RULE.info.id, Some(ctx.owner), shape.as_bytes())
    else {
        return Alerts::none();
    };
    // A shell that was opened with the same words keeps its severity.
    let finding = ctx.findings.get(index);
    if finding.is_none_or(|f| f.severity != Severity::Low) {
        return Alerts::none();
    }
    Alert::addition(index)
        .revise_severity(Severity::Info)
        .reason("the container's own health check")
        .into()
}

/// Adds a command to the finding that all plain commands, or many of shells, share.
fn share(
    ctx: &RuleContext<'_>,
    alert: Alert,
    subject: &[u8],
    line: String,
    command: &str,
    entered: bool,
) -> Alert {
    let known = ctx.findings.find(RULE.info.id, Some(ctx.owner), subject);
    let known = known.and_then(|index| ctx.findings.get(index));
    let parts = known.map_or(&[][..], |f| f.parts.as_slice());
    let new = !parts.iter().any(|part| ***part == *command.as_bytes());
    let different = parts.len() + usize::from(new);
    let alert = alert.part(command.as_bytes()).reason(line);
    if different < 2 {
        return alert;
    }
    alert.title(format!(
        "{different} different commands {}; latest: {command}",
        verb(entered, "run")
    ))
}

/// Adds a line to the session's finding while its kind has room; `line` runs only then.
fn list_line(
    ctx: &RuleContext<'_>,
    sessions: &mut Sessions,
    root: u32,
    counter: impl FnOnce(&mut Session) -> (&mut u32, u32),
    line: impl FnOnce() -> String,
) -> Alerts {
    let Some(session) = sessions.get_mut(root) else {
        return Alerts::none();
    };
    let Some(index) = ctx.session_finding(root) else {
        return Alerts::none();
    };
    let (count, limit) = counter(session);
    if *count >= limit {
        return Alerts::none();
    }
    *count += 1;
    Alert::addition(index)
        .reason(line())
        .evidence(ctx.event.ts, ctx.event.seq)
        .into()
}

fn file(ctx: &RuleContext<'_>, sessions: &mut Sessions, file: &File) -> Alerts {
    let Some(root) = ctx.session() else {
        return Alerts::none();
    };
    if matches!(file.op, FileOp::MapExec | FileOp::Load) {
        return Alerts::none();
    }
    let what = file.op.verb();
    list_line(
        ctx,
        sessions,
        root,
        |s| (&mut s.files, MAX_FILES),
        || {
            let refused = if file.errno == 0 { "" } else { " (refused)" };
            let path = file.path.escaped();
            match &file.target {
                Some(target) => format!("{what} {path} → {}{refused}", target.escaped()),
                None => format!("{what} {path}{refused}"),
            }
        },
    )
}

fn connect(ctx: &RuleContext<'_>, sessions: &mut Sessions, connect: &Connect) -> Alerts {
    let Some(root) = ctx.session() else {
        return Alerts::none();
    };
    list_line(
        ctx,
        sessions,
        root,
        |s| (&mut s.connections, MAX_CONNECTIONS),
        || {
            let how = match connect.outcome {
                Outcome::Failed(_) => "tried to connect to",
                _ => "connected to",
            };
            format!("{how} {}", connect.remote.text())
        },
    )
}

fn listen(ctx: &RuleContext<'_>, sessions: &mut Sessions, listen: &Listen) -> Alerts {
    let Some(root) = ctx.session() else {
        return Alerts::none();
    };
    let line = || format!("listens on {}", listen.local);
    list_line(
        ctx,
        sessions,
        root,
        |s| (&mut s.connections, MAX_CONNECTIONS),
        line,
    )
}

fn privilege(ctx: &RuleContext<'_>, sessions: &mut Sessions, privilege: &Privilege) -> Alerts {
    let Some(root) = ctx.session() else {
        return Alerts::none();
    };
    // Changing the user or creating a process is not worth a line.
    let ordinary = (privilege.call.starts_with("set") && privilege.call != "setns")
        || privilege.call.starts_with("clone");
    if ordinary {
        return Alerts::none();
    }
    list_line(
        ctx,
        sessions,
        root,
        |s| (&mut s.files, MAX_FILES),
        || {
            let refused = if privilege.errno == 0 {
                ""
            } else {
                " (refused)"
            };
            let detail = privilege.detail.escaped();
            format!("called {} {detail}{refused}", privilege.call)
        },
    )
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

    #[test]
    fn work_that_outlives_its_session_stays_the_sessions() {
        let mut w = World::steady();
        let shell = w.session(&["sh", "-c", "nohup sh -c x &"]);
        let child = w.fork(shell);
        w.exit(shell);
        // By its exec it is init's child.
        let init = w.init();
        w.exec_as(child, init, "/bin/sh", &["sh", "-c", "x"], |_| {});
        w.ticks(20);
        w.create(child, "/etc/cron.d/z");
        let f = w.finding("file.cron");
        let pids: Vec<u32> = f.ancestry.iter().map(|a| a.pid).collect();
        assert_eq!(pids, [child, shell]);
        assert!(
            w.finding("exec.session")
                .why
                .join(" ")
                .contains("/etc/cron.d/z")
        );
    }

    #[test]
    fn a_session_that_was_open_already_is_what_it_would_have_been() {
        let mut w = World::found();
        w.found_process(0, "/bin/bash", &["bash"], |p| p.tty = true);
        let f = w.finding("exec.session");
        assert_eq!(f.severity, Severity::Medium);
        assert!(f.already_since.is_some());
        let mut w = World::found();
        w.found_process(0, "/usr/bin/top", &["top"], |_| {});
        assert_eq!(w.finding("exec.session").severity, Severity::Info);
    }

    #[test]
    fn a_session_is_one_finding_with_all_it_did() {
        let mut w = World::steady();
        let shell = w.session_tty(&["sh"]);
        w.exec(shell, "/bin/ls", &["ls", "/srv"]);
        let wget = w.exec(shell, "/usr/bin/wget", &["wget", "http://x/"]);
        w.connect(wget, "203.0.113.9:80");
        w.create(wget, "/srv/x");
        let f = w.finding("exec.session");
        assert_eq!((f.severity, f.count), (Severity::Medium, 1));
        let why = f.why.join("\n");
        for part in [
            "ran: ls /srv",
            "connected to 203.0.113.9:80",
            "created /srv/x",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert_eq!(w.all("exec.session").len(), 1);
    }

    #[test]
    fn single_commands_are_low_or_less() {
        let mut w = World::steady();
        w.session(&["redis-cli", "ping"]);
        assert_eq!(w.finding("exec.session").severity, Severity::Info);
        w.session(&["sh", "-c", "id"]);
        assert_eq!(w.highest(), Severity::Low);
    }

    #[test]
    fn what_comes_past_the_engine_is_a_finding_of_its_own() {
        let mut w = World::steady();
        w.session(&["ls", "/srv"]);
        let ls = w.entered(&["ls", "/srv"], false);
        let all = w.all("exec.session");
        assert_eq!(all.len(), 2, "{all:#?}");
        assert_eq!(all[1].severity, Severity::Info);
        assert!(
            all[1]
                .title
                .contains("in its namespaces from the host: ls /srv"),
            "{}",
            all[1].title
        );
        w.exit(ls);
        let shell = w.entered(&["sh"], true);
        w.create(shell, "/etc/cron.d/z");
        let shell = w.all("exec.session")[2];
        assert_eq!(shell.severity, Severity::Medium);
        let why = shell.why.join("\n");
        assert!(why.contains("past its engine"), "{why}");
        assert!(why.contains("/etc/cron.d/z"), "{why}");
        w.finding("file.cron");
    }

    #[test]
    fn who_calls_itself_the_health_check_is_reported_when_it_came_past_the_engine() {
        let mut w = World::steady();
        let check = ["/bin/sh", "-c", "curl -f localhost"];
        w.info(|i| i.healthcheck = check.iter().map(|s| (*s).into()).collect());
        w.entered(&check, false);
        assert_eq!(w.finding("exec.session").severity, Severity::Low);
    }

    #[test]
    fn plain_commands_share_a_finding_and_shells_do_not() {
        let mut w = World::steady();
        for argv in [&["ls", "/srv"][..], &["redis-cli", "info"], &["ls", "/srv"]] {
            let s = w.session(argv);
            w.exit(s);
            w.ticks(7);
        }
        let f = w.finding("exec.session");
        assert_eq!((f.severity, f.count, f.why.len()), (Severity::Info, 3, 2));
        assert!(
            f.title
                .contains("2 different commands run by exec from the host; latest: ls /srv"),
            "{}",
            f.title
        );
        w.session(&["sh", "-c", "id"]);
        w.session_tty(&["sh"]);
        let all = w.all("exec.session");
        let severities: Vec<_> = all.iter().map(|f| f.severity).collect();
        assert_eq!(
            severities,
            [Severity::Info, Severity::Low, Severity::Medium]
        );
    }

    #[test]
    fn commands_of_one_shape_are_one_line_with_a_count() {
        let mut w = World::steady();
        for n in 1..7 {
            let s = w.session(&["sh", "-c", &format!("echo h{n} >>/srv/hosts")]);
            w.exit(s);
            w.ticks(n * n);
        }
        w.session(&["sh", "-c", "echo h1 >>/srv/hosts; id"]);
        let all = w.all("exec.session");
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!((all[0].severity, all[0].count), (Severity::Low, 6));
        assert!(
            all[0].title.contains("6 times; latest: sh -c 'echo h6"),
            "{}",
            all[0].title
        );
    }

    #[test]
    fn many_different_shell_commands_share_a_line() {
        let mut w = World::steady();
        for text in ["a", "b", "c", "d", "e", "a"] {
            let s = w.session(&["sh", "-c", text]);
            w.create(s, &format!("/srv/{text}"));
            w.exit(s);
        }
        let all = w.all("exec.session");
        let counts: Vec<_> = all.iter().map(|f| (f.severity, f.count)).collect();
        assert_eq!(
            counts,
            [(Severity::Low, 2), (Severity::Low, 1), (Severity::Low, 3)]
        );
        assert!(
            all[2].title.contains("3 different commands"),
            "{}",
            all[2].title
        );
        assert!(all[2].why.join(" ").contains("/srv/e"), "{:?}", all[2].why);
    }

    #[test]
    fn health_checks_are_silent_and_probes_fold() {
        let mut w = World::steady();
        let check = ["/bin/sh", "-c", "curl -f localhost"];
        w.info(|i| i.healthcheck = check.iter().map(|s| (*s).into()).collect());
        for _ in 0..30 {
            let s = w.session(&check);
            let curl = w.exec(s, "/usr/bin/curl", &["curl", "-f", "localhost"]);
            w.exit(curl);
            w.exit(s);
            w.ticks(10);
        }
        w.only(&[]);
        // A probe that is not in the engine's configuration, as with Kubernetes.
        for _ in 0..30 {
            let s = w.session(&["sh", "-c", "pg_isready"]);
            w.exit(s);
            w.ticks(10);
        }
        let f = w.finding("exec.session");
        assert_eq!((f.severity, f.count), (Severity::Info, 30));
    }

    #[test]
    fn a_health_check_that_came_before_the_facts_is_taken_back() {
        let mut w = World::starting();
        let check = ["/bin/sh", "-c", "curl -f localhost"];
        let other = ["/bin/sh", "-c", "id"];
        w.session(&check);
        w.session(&other);
        w.info(|i| i.healthcheck = check.iter().map(|s| (*s).into()).collect());
        let all = w.all("exec.session");
        assert_eq!(
            (all[0].severity, all[1].severity),
            (Severity::Info, Severity::Low)
        );
    }

    #[test]
    fn processes_of_the_init_tree_are_no_session() {
        let mut w = World::steady();
        let init = w.init();
        let cron = w.exec(init, "/usr/sbin/crond", &["crond"]);
        let job = w.exec(cron, "/bin/sh", &["sh", "-c", "run-parts /etc/cron.hourly"]);
        w.exec(job, "/bin/run-parts", &["run-parts"]);
        w.only(&[]);
    }
}
