//! Exec sessions: commands that enter a running container, one finding each.

use crate::detect::alert::{Alert, Alerts};
use crate::detect::command_shape;
use crate::detect::exec_session::{Session, Sessions};
use crate::detect::reason_line::ReasonLine;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, exec_client, program_roles};
use crate::event::ProgramAdditions;
use crate::event::{Bytes, Connect, Exec, File, FileOp, Listen, Outcome, Privilege};

/// Subject of the finding that plain commands share.
const COMMANDS: &[u8] = b"commands";
/// Subject of the finding that the commands of shells share once there are more than
/// [`SEPARATE`].
const SHELL_COMMANDS: &[u8] = b"shell commands";
/// Subject of the finding that probes share which were among them.
const PROBES: &[u8] = b"probes";
/// Commands of shells that are findings of their own in one container.
const SEPARATE: usize = 3;
/// Prefix of the subject of an exec session that bypassed the engine.
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
                  container's cgroup, bypassing its engine, is reported as such, with the host \
                  process that did it. Its actions and those of its children are one finding. A \
                  shell with a terminal is medium. Plain commands are info, one finding per \
                  container. Commands run by a shell are low, one finding if they differ only in \
                  words with digits; from the fourth different command on, all further ones are \
                  one finding, too. The container's health check, and commands that repeat in a \
                  steady rhythm, count as probes and are not flagged.",
        check: "Who ran the command? Should the change be part of the image instead?",
    },
    handlers: &[
        Handler::Exec(|ctx, memory, event| exec(ctx, memory.of(), event)),
        Handler::File(|ctx, _, event| file(ctx, event)),
        Handler::Connect(|ctx, _, event| connect(ctx, event)),
        Handler::Listen(|ctx, _, event| listen(ctx, event)),
        Handler::Privilege(|ctx, _, event| privilege(ctx, event)),
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
    let mut alerts = add_effect(ctx, root, || {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        ReasonLine::command("ran:", &command)
    });
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
    sessions.begin(root, Session { began: now });
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
    let shared = !interactive && !is_shell(ctx.names(), exec);
    let shape = if interactive {
        command.clone()
    } else {
        shape(argv, &exec.exe)
    };
    let subject = if shared { COMMANDS } else { shape.as_bytes() };
    // Sessions that bypassed the engine are separate findings.
    let entered = exec.entered.then(|| [ENTERED, subject].concat());
    let subject = entered.as_deref().unwrap_or(subject);
    let probe = !interactive && sessions.beat(&shape, now);
    // Probes that have no finding of their own share one, too.
    let lone = probe
        && ctx
            .findings
            .find(RULE.info.id, Some(ctx.owner), subject)
            .is_none();
    let subject = if lone && !shared && !exec.entered {
        PROBES
    } else {
        subject
    };
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
            "began at {}: it entered the container's namespaces, bypassing its engine and its \
             cgroup",
            since.clock()
        )
    } else {
        format!(
            "began at {} and does not descend from the container's init",
            since.clock()
        )
    };
    if severity == Severity::Low
        && !exec.entered
        && let Some(alert) = among_others(ctx, sessions, subject, &command)
    {
        return Some(alert.begins_session(root));
    }
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

/// How an exec session entered.
fn how(entered: bool) -> &'static str {
    match entered {
        true => "entered from the host, bypassing the engine",
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
    // A shell with the same command line keeps its severity.
    let finding = ctx.findings.get(index);
    if finding.is_none_or(|f| f.severity != Severity::Low) {
        return Alerts::none();
    }
    Alert::addition(index)
        .revise_severity(Severity::Info)
        .reason("the container's own health check")
        .into()
}

/// Adds a command to the finding that all plain commands share.
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

/// A shell's command in a container that has findings about several others: they share one. `None`
/// while it is a finding of its own.
fn among_others(
    ctx: &RuleContext<'_>,
    sessions: &mut Sessions,
    shape: &[u8],
    command: &str,
) -> Option<Alert> {
    let find = |subject: &[u8]| {
        let index = ctx.findings.find(RULE.info.id, Some(ctx.owner), subject)?;
        let finding = ctx.findings.get(index)?;
        finding.silenced.is_none().then_some((index, finding))
    };
    if ctx
        .findings
        .find(RULE.info.id, Some(ctx.owner), shape)
        .is_some()
    {
        return None;
    }
    let (index, parts) = match find(SHELL_COMMANDS) {
        Some((index, finding)) => (index, finding.parts.len()),
        None => {
            let mut separate = sessions.separate.iter().filter_map(|subject| find(subject));
            let Some((index, finding)) =
                separate.next().filter(|_| separate.count() + 1 >= SEPARATE)
            else {
                sessions.note_separate(shape);
                return None;
            };
            // The first of them makes room for all.
            let title = RULE.info.title.to_owned();
            let shared = Alert::occurrence(index, Severity::Low)
                .becomes(&RULE.info, Some(SHELL_COMMANDS), title)
                .part(finding.subject.clone());
            return Some(one_of(shared, 2, shape, command));
        }
    };
    let known = ctx.findings.get(index)?;
    let new = !known.parts.iter().any(|part| ***part == *shape);
    let alert = Alert::occurrence(index, Severity::Low);
    Some(one_of(alert, parts + usize::from(new), shape, command))
}

/// One of several different commands of shells, by which their finding is named.
fn one_of(alert: Alert, different: usize, shape: &[u8], command: &str) -> Alert {
    alert
        .part(shape)
        .reason(format!("{}: {command}", how(false)))
        .title(format!(
            "{different} different shell commands {}; latest: {command}",
            verb(false, "run")
        ))
}

/// Adds a line to the session's finding.
fn add_effect(ctx: &RuleContext<'_>, root: u32, line: impl FnOnce() -> ReasonLine) -> Alerts {
    let index = ctx.session_finding(root);
    let alert = index.map(|index| Alert::addition(index).effect(line()));
    alert.into()
}

fn file(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    let Some(root) = ctx.session() else {
        return Alerts::none();
    };
    if matches!(file.op, FileOp::MapExec | FileOp::Load) {
        return Alerts::none();
    }
    add_effect(ctx, root, || {
        let refused = if file.errno == 0 { "" } else { " (refused)" };
        let path = file.path.escaped();
        let object = match &file.target {
            Some(target) => format!("{path} → {}{refused}", target.escaped()),
            None => format!("{path}{refused}"),
        };
        let changed = file.target.as_ref().unwrap_or(&file.path);
        let weighty = file.op != FileOp::Read && ctx.path_class(changed).is_some();
        ReasonLine::of(file.op.verb(), object).weighty(weighty)
    })
}

fn connect(ctx: &RuleContext<'_>, connect: &Connect) -> Alerts {
    let Some(root) = ctx.session() else {
        return Alerts::none();
    };
    add_effect(ctx, root, || {
        let how = match connect.outcome {
            Outcome::Failed(_) => "tried to connect to",
            _ => "connected to",
        };
        ReasonLine::of(how, connect.remote.text())
    })
}

fn listen(ctx: &RuleContext<'_>, listen: &Listen) -> Alerts {
    let Some(root) = ctx.session() else {
        return Alerts::none();
    };
    add_effect(ctx, root, || ReasonLine::of("listens on", listen.local))
}

fn privilege(ctx: &RuleContext<'_>, privilege: &Privilege) -> Alerts {
    let Some(root) = ctx.session() else {
        return Alerts::none();
    };
    // Changing the user or creating a process is not worth a line.
    let ordinary = (privilege.call.starts_with("set") && privilege.call != "setns")
        || privilege.call.starts_with("clone");
    if ordinary {
        return Alerts::none();
    }
    add_effect(ctx, root, || {
        let refused = if privilege.errno == 0 {
            ""
        } else {
            " (refused)"
        };
        let detail = privilege.detail.escaped();
        ReasonLine::of("called", format!("{} {detail}{refused}", privilege.call))
    })
}

#[cfg(test)]
mod tests;
