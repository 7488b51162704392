//! Commands brought into a container from outside: one story each.

use crate::detect::exec_session::Session;
use crate::detect::finding::FindingIndex;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, exec_client, program_roles};
use crate::event::ProgramAdditions;
use crate::event::{Connect, ContainerEvent, Exec, File, FileOp, Listen, Outcome, Privilege};

/// Commands told of one session.
const MAX_COMMANDS: u32 = 16;
/// Files told of one session.
const MAX_FILES: u32 = 10;
/// Connections told of one session.
const MAX_CONNECTIONS: u32 = 8;
/// Sessions, and rhythms of sessions, remembered in one container.
const MAX_SESSIONS: usize = 256;

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "exec.session",
        title: "Command run inside from outside",
        severity: Severity::Medium,
        attack: &["T1609", "T1059"],
        needs: &[Requirement::Exec],
        explain: "A process entered the container without descending from its init: docker exec, \
                  kubectl exec, nsenter. It and everything it started is one story. A shell with \
                  a terminal is medium; plain commands are information, and one story for the \
                  container. The container's own \
                  health check, and a command that comes back in a steady rhythm, is a probe and \
                  not flagged.",
        check: "Who entered, and whether what they did belongs into the image instead.",
    },
    handlers: &[
        Handler::OldExec(exec),
        Handler::OldFile(file),
        Handler::OldConnect(connect),
        Handler::OldListen(listen),
        Handler::OldPrivilege(privilege),
        Handler::OldClient(exec_client::look),
        Handler::OldContainer(facts),
    ],
};

fn exec(ctx: &mut RuleContext<'_>, exec: &Exec) {
    let Some(root) = ctx.session() else { return };
    let started = ctx.state.processes.get(&root).map(|p| p.started);
    let known = ctx
        .memory
        .get(ctx.owner)
        .and_then(|own| own.sessions.get(&root))
        // A host pid comes back: an old session of that number is another one.
        .is_some_and(|s| ctx.event.pid != root || started.is_some_and(|at| at <= s.began));
    if !known {
        begin(ctx, root, exec);
        return;
    }
    let line = format!(
        "ran: {}",
        program_roles::command_line(&exec.argv, &exec.exe, 160)
    );
    tell(ctx, root, line, |s| (&mut s.commands, MAX_COMMANDS));
    if exec.tty
        && is_shell(ctx.names(), exec)
        && let Some(index) = index(ctx, root)
    {
        ctx.findings
            .edit(index, |f| f.severity = f.severity.max(Severity::Medium));
    }
}

fn is_shell(names: &ProgramAdditions, exec: &Exec) -> bool {
    names.is_shell(program_roles::name(&exec.exe, &exec.argv))
}

fn begin(ctx: &mut RuleContext<'_>, root: u32, exec: &Exec) {
    let now = ctx.now();
    let interactive = exec.tty && is_shell(ctx.names(), exec);
    let entry = ctx.state.processes.get(&root);
    let argv = entry
        .filter(|e| !e.argv.is_empty())
        .map_or(&exec.argv, |e| &e.argv);
    let command = program_roles::command_line(argv, &exec.exe, 200);
    // Plain commands are the daily work of those who run the container: one story. A shell is one
    // of its own, since what it does is known only as it goes on.
    let shared = !interactive && !is_shell(ctx.names(), exec);
    let subject = if shared {
        b"commands".to_vec()
    } else {
        command.clone().into_bytes()
    };
    let health = !interactive
        && ctx
            .container
            .is_some_and(|c| !c.info.healthcheck.is_empty() && c.info.healthcheck == *argv);
    let mut session = Session {
        began: now,
        ..Session::default()
    };
    if !health {
        let own = ctx.own();
        let probe = !interactive
            && own
                .rhythms
                .entry(command.clone().into_bytes())
                .or_default()
                .beat(now);
        if own.rhythms.len() > MAX_SESSIONS {
            own.rhythms.pop_first();
        }
        let severity = match (interactive, is_shell(ctx.names(), exec) && !probe) {
            (true, _) => Severity::Medium,
            (false, true) => Severity::Low,
            (false, false) => Severity::Info,
        };
        let line = if shared {
            format!("from outside, not from the container's init: {command}")
        } else {
            format!(
                "began at {} and does not descend from the container's init",
                now.clock()
            )
        };
        session.index = ctx.raise(severity, &subject, |_, explanation| {
            explanation.title = if interactive {
                format!("Shell with a terminal opened from outside: {command}")
            } else {
                format!("Command run inside from outside: {command}")
            };
            explanation.why.push(line.clone());
        });
        if let (Some(index), true) = (session.index, shared) {
            share(ctx, index, line, &command);
        }
        if let (Some(index), true) = (session.index, probe) {
            ctx.findings.edit(index, |f| f.severity = Severity::Info);
            let line = "it comes back in a steady rhythm: a probe".to_owned();
            ctx.findings.add_reason(index, line);
        }
    }
    let own = ctx.own();
    if own.sessions.len() >= MAX_SESSIONS {
        own.sessions.pop_first();
    }
    own.sessions.insert(root, session);
}

/// The engine's facts may come after the first health check: what was told of that is taken back.
fn facts(ctx: &mut RuleContext<'_>, _change: &ContainerEvent) {
    let Some(container) = ctx.container.filter(|c| !c.info.healthcheck.is_empty()) else {
        return;
    };
    let command = program_roles::command_line(&container.info.healthcheck, &[], 200);
    let subject = command.as_bytes();
    let Some(index) = ctx.findings.find(RULE.info.id, Some(ctx.owner), subject) else {
        return;
    };
    let line = "it is the container's own health check".to_owned();
    // A shell somebody opened with the same words stays what it is.
    let told = ctx.findings.get(index);
    if told.is_some_and(|f| f.severity == Severity::Low) {
        ctx.findings.edit(index, |f| f.severity = Severity::Info);
        ctx.findings.add_reason(index, line);
    }
}

/// Adds a command to the story that all plain commands share.
fn share(ctx: &mut RuleContext<'_>, index: FindingIndex, line: String, command: &str) {
    ctx.findings.add_part(index, command.as_bytes());
    ctx.findings.add_reason(index, line);
    let told = |line: &&String| line.starts_with("from outside, ");
    ctx.findings.edit(index, |f| {
        let different = f.why.iter().filter(told).count();
        if different > 1 {
            f.title = format!(
                "Commands run inside from outside, {different} different; latest: {command}"
            );
        }
    });
}

fn index(ctx: &RuleContext<'_>, root: u32) -> Option<FindingIndex> {
    ctx.memory.get(ctx.owner)?.sessions.get(&root)?.index
}

/// Adds a line to the session's story while its kind has room.
fn tell(
    ctx: &mut RuleContext<'_>,
    root: u32,
    line: String,
    counter: impl FnOnce(&mut Session) -> (&mut u32, u32),
) {
    let Some(session) = ctx.own().sessions.get_mut(&root) else {
        return;
    };
    let Some(index) = session.index else { return };
    let (count, limit) = counter(session);
    *count += 1;
    if *count > limit {
        return;
    }
    ctx.findings.add_reason(index, line);
    ctx.findings
        .add_evidence(index, ctx.event.ts, ctx.event.seq);
}

/// No line of that kind is to be told any more: asked before one is made.
fn full(ctx: &RuleContext<'_>, root: u32, counter: impl FnOnce(&Session) -> bool) -> bool {
    ctx.memory
        .get(ctx.owner)
        .and_then(|own| own.sessions.get(&root))
        .is_none_or(|s| s.index.is_none() || counter(s))
}

fn file(ctx: &mut RuleContext<'_>, file: &File) {
    let Some(root) = ctx.session() else { return };
    if full(ctx, root, |s| s.files >= MAX_FILES) {
        return;
    }
    let what = match file.op {
        FileOp::Create => "created",
        FileOp::Write | FileOp::Truncate => "wrote",
        FileOp::Read => "read",
        FileOp::Rename => "moved",
        FileOp::Unlink | FileOp::Rmdir => "removed",
        FileOp::Link | FileOp::Symlink => "linked",
        FileOp::Mkdir => "made directory",
        FileOp::Chmod => "changed the mode of",
        FileOp::Chown => "changed the owner of",
        FileOp::Mknod => "made node",
        FileOp::MapExec => return,
    };
    let refused = if file.errno == 0 { "" } else { " (refused)" };
    let path = file.path.escaped();
    let line = match &file.target {
        Some(target) => format!("{what} {path} → {}{refused}", target.escaped()),
        None => format!("{what} {path}{refused}"),
    };
    tell(ctx, root, line, |s| (&mut s.files, MAX_FILES));
}

fn connect(ctx: &mut RuleContext<'_>, connect: &Connect) {
    let Some(root) = ctx.session() else { return };
    if full(ctx, root, |s| s.connections >= MAX_CONNECTIONS) {
        return;
    }
    let how = match connect.outcome {
        Outcome::Failed(_) => "tried to connect to",
        _ => "connected to",
    };
    let line = format!("{how} {}", connect.remote.text());
    tell(ctx, root, line, |s| (&mut s.connections, MAX_CONNECTIONS));
}

fn listen(ctx: &mut RuleContext<'_>, listen: &Listen) {
    let Some(root) = ctx.session() else { return };
    if full(ctx, root, |s| s.connections >= MAX_CONNECTIONS) {
        return;
    }
    let line = format!("listens on {}", listen.local);
    tell(ctx, root, line, |s| (&mut s.connections, MAX_CONNECTIONS));
}

fn privilege(ctx: &mut RuleContext<'_>, privilege: &Privilege) {
    let Some(root) = ctx.session() else { return };
    // Becoming another user or making a process is no event worth a line.
    let ordinary = (privilege.call.starts_with("set") && privilege.call != "setns")
        || privilege.call.starts_with("clone");
    if ordinary || full(ctx, root, |s| s.files >= MAX_FILES) {
        return;
    }
    let refused = if privilege.errno == 0 {
        ""
    } else {
        " (refused)"
    };
    let line = format!(
        "called {} {}{refused}",
        privilege.call,
        privilege.detail.escaped()
    );
    tell(ctx, root, line, |s| (&mut s.files, MAX_FILES));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

    #[test]
    fn a_session_is_one_story_with_all_it_did() {
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
    fn plain_commands_share_a_story_and_shells_do_not() {
        let mut w = World::steady();
        for argv in [&["ls", "/srv"][..], &["redis-cli", "info"], &["ls", "/srv"]] {
            let s = w.session(argv);
            w.exit(s);
            w.ticks(7);
        }
        let f = w.finding("exec.session");
        assert_eq!((f.severity, f.count, f.why.len()), (Severity::Info, 3, 2));
        assert!(
            f.title.contains("2 different; latest: ls /srv"),
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
        // A probe the engine's configuration does not tell of, as Kubernetes has them.
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
    fn what_the_init_tree_runs_is_no_session() {
        let mut w = World::steady();
        let init = w.init();
        let cron = w.exec(init, "/usr/sbin/crond", &["crond"]);
        let job = w.exec(cron, "/bin/sh", &["sh", "-c", "run-parts /etc/cron.hourly"]);
        w.exec(job, "/bin/run-parts", &["run-parts"]);
        w.only(&[]);
    }
}
