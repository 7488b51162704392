//! Actions of the shells of servers, and which of them only an intruder takes.

use bstr::ByteSlice as _;

use super::memory::{KnownCommand, ServerShell, ServerShells};
use crate::catalog::{self, paths::PathClass};
use crate::detect::alert::{Alert, Alerts};
use crate::detect::discovery::{self, Discovery, EXPLORATION};
use crate::detect::file_change::changes;
use crate::detect::known_behavior::{Behavior, KnownBehavior};
use crate::detect::reason_line::ReasonLine;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemories;
use crate::detect::rules::bare_shells::shell;
use crate::detect::{ChainLink, Severity, program_roles};
use crate::event::{Bytes, Connect, Endpoint, Exec, File, FileOp, Origin, Protocol};
use crate::state::ProcessEntry;

/// The single finding of a container.
pub(super) const SUBJECT: &[u8] = b"shells";
/// Seconds after which connections of shells below a server that ran before watching began count.
const WATCHED: u64 = 600;

/// Actions that only an intruder takes in a server's shell.
#[derive(Debug, Clone, Copy)]
pub(super) enum ShellAction {
    Waits,
    Terminal,
    Explores,
    Program,
    Writes,
    Reads,
    Connects,
    Builds,
}

impl ShellAction {
    /// The action as text, after "A shell of SERVER".
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Waits => "waits for commands",
            Self::Terminal => "got a terminal",
            Self::Explores => "explored the system",
            Self::Program => "ran inline code",
            Self::Writes => "wrote a program or start-up file",
            Self::Reads => "read a secret",
            Self::Connects => "connected out",
            Self::Builds => "ran a program that it built",
        }
    }
}

/// A program runs below a server's shell, or in its place.
pub(super) fn ran(
    ctx: &RuleContext<'_>,
    memory: &mut ServerShells,
    shell_above: &ServerShell,
    exec: &Exec,
) -> Alerts {
    let is_shell = shell(ctx.names(), exec).is_some();
    let action = if is_shell && given_terminal(ctx, exec) {
        ShellAction::Terminal
    } else if explores(ctx, memory, shell_above, exec) {
        ShellAction::Explores
    } else if builds(ctx, shell_above, exec) {
        ShellAction::Builds
    } else {
        return Alerts::none();
    };
    let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
    report(
        ctx,
        memory,
        shell_above,
        action,
        ReasonLine::command("ran:", &command).weighty(true),
        None,
        &command,
    )
}

/// Whether the program is not in the image and is in a world-writable directory, not in a directory
/// of a build.
fn builds(ctx: &RuleContext<'_>, shell: &ServerShell, exec: &Exec) -> bool {
    let foreign = !matches!(exec.file.origin(), Origin::Image | Origin::Unknown);
    let directory = catalog::path::directory(&exec.exe);
    foreign
        && shell.known == KnownCommand::New
        && !shell.by_habit
        && !ctx.installing()
        && catalog::paths::is_shared(directory)
}

/// The program has a terminal and the container was started without one.
pub(super) fn given_terminal(ctx: &RuleContext<'_>, exec: &Exec) -> bool {
    let root = ctx.ancestors().last();
    exec.tty && root.is_some_and(|r| !r.tty && !r.existing)
}

/// Whether the command queries the system and, with earlier queries, makes an exploration.
pub(super) fn explores(
    ctx: &RuleContext<'_>,
    memory: &mut ServerShells,
    shell: &ServerShell,
    exec: &Exec,
) -> bool {
    if shell.known == KnownCommand::Usual {
        return false;
    }
    let counts = |question: &Discovery<'_>| {
        shell.known == KnownCommand::New || question.weight >= EXPLORATION
    };
    let questions: Vec<_> = match program_roles::shell_text(&exec.argv) {
        Some(text) => discovery::of_text(text),
        None => {
            let words: Vec<&[u8]> = exec.argv.iter().map(|a| a.as_bytes()).collect();
            discovery::of(&words).into_iter().collect()
        }
    };
    let questions = questions.into_iter().filter(counts);
    memory.asks(ctx.now(), &shell.shape, questions)
}

pub(super) fn connected(
    ctx: &RuleContext<'_>,
    memory: &mut RuleMemories<'_>,
    connect: &Connect,
) -> Alerts {
    let Endpoint::Inet(to) = connect.remote else {
        return Alerts::none();
    };
    let ip = to.ip().to_canonical();
    // Every program looks up names and sends logs.
    if ip.is_loopback() || ip.is_unspecified() || matches!(to.port(), 0 | 53 | 123 | 514) {
        return Alerts::none();
    }
    if !matches!(connect.protocol, Protocol::Tcp | Protocol::Udp) {
        return Alerts::none();
    }
    let Some(shells) = memory.get::<ServerShells>() else {
        return Alerts::none();
    };
    let Some(shell) = shells.shell_of(ctx) else {
        return Alerts::none();
    };
    let met = memory
        .get::<KnownBehavior>()
        .is_some_and(|known| known.knows(Behavior::Address(ip)));
    if met || shell.by_habit || shell.known != KnownCommand::New {
        return Alerts::none();
    }
    if shell.existing && ctx.now().since(ctx.state.began).as_secs() < WATCHED {
        return Alerts::none();
    }
    let Some(process) = ctx.process else {
        return Alerts::none();
    };
    // Clients of the image query other containers.
    let any_purpose = has_any_purpose(ctx, process);
    let near = match ip {
        std::net::IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    if near && !any_purpose {
        return Alerts::none();
    }
    let command = program_roles::command_line(&process.argv, &process.exe, 160);
    let line = ReasonLine::of("connected to", format!("{to}: {command}"));
    report(
        ctx,
        memory.of(),
        &shell,
        ShellAction::Connects,
        line,
        None,
        &command,
    )
}

/// The program acts on commands: a tool, a shell, an interpreter, or one that is not the image's.
fn has_any_purpose(ctx: &RuleContext<'_>, process: &ProcessEntry) -> bool {
    let name = program_roles::of(process);
    let names = ctx.names();
    let foreign = !matches!(process.file.origin(), Origin::Image | Origin::Unknown);
    let tools = [
        catalog::programs::COPIERS,
        catalog::programs::FILE_TOOLS,
        catalog::programs::UNPACKERS,
    ];
    foreign
        || name == b"chmod"
        || names.is_downloader(name)
        || names.is_shell(name)
        || names.is_interpreter(name)
        || tools.iter().any(|table| table.contains(&name))
}

pub(super) fn changed(ctx: &RuleContext<'_>, memory: &mut RuleMemories<'_>, file: &File) -> Alerts {
    if file.errno != 0 {
        return Alerts::none();
    }
    // Most containers have none: nearly all file changes stop here.
    let watched = memory
        .get::<ServerShells>()
        .is_some_and(ServerShells::any_watched);
    if !watched {
        return Alerts::none();
    }
    let action = if file.op == FileOp::Read {
        let path = file.path.as_bytes();
        let secret = catalog::secrets::is_secret(path) && !catalog::secrets::is_server_key(path);
        secret.then_some(ShellAction::Reads)
    } else {
        plants(ctx, file).then_some(ShellAction::Writes)
    };
    let (Some(action), Some(process)) = (action, ctx.process) else {
        return Alerts::none();
    };
    let Some(shell) = memory
        .get::<ServerShells>()
        .and_then(|shells| shells.shell_of(ctx))
    else {
        return Alerts::none();
    };
    let ordinary = match action {
        ShellAction::Reads => {
            shell.known == KnownCommand::Usual
                || !crate::detect::rules::credentials::with_a_tool(ctx)
        }
        // A build that a server runs creates programs.
        _ => {
            ctx.installing()
                || ctx
                    .ancestors()
                    .any(|p| program_roles::is_builder(ctx.names(), p))
        }
    };
    if ordinary {
        return Alerts::none();
    }
    let path = file.target.as_ref().unwrap_or(&file.path).escaped();
    let command = program_roles::command_line(&process.argv, &process.exe, 160);
    let verb = if file.op == FileOp::Read {
        "read"
    } else {
        "changed"
    };
    let line = ReasonLine::of(verb, format!("{path}: {command}")).weighty(true);
    let link = script(ctx, file);
    report(ctx, memory.of(), &shell, action, line, link, &command)
}

/// A script that was written where no rule on files reports it.
fn script(ctx: &RuleContext<'_>, file: &File) -> Option<ChainLink> {
    let path = file.target.as_ref().unwrap_or(&file.path);
    let leaf = program_roles::leaf(path);
    let written = !matches!(file.op, FileOp::Read | FileOp::Unlink);
    let script = written && catalog::words::is_script_name(leaf) && ctx.path_class(path).is_none();
    script.then(|| ChainLink {
        at: ctx.event.ts,
        event: ctx.event.seq,
        rule: ctx.rule.id.to_owned(),
        severity: Severity::High,
        subject: path.clone(),
        title: format!("Wrote a script: {}", path.escaped()),
    })
}

/// Whether the operation creates a file that runs now or later: a program, a script, a start-up
/// file.
fn plants(ctx: &RuleContext<'_>, file: &File) -> bool {
    if file.op == FileOp::Chmod {
        // Where only the path is known, what was seen written there is a file.
        let written = |path| {
            let activity = ctx.activity(path);
            let made = [FileOp::Create, FileOp::Write];
            activity.is_some_and(|a| made.iter().any(|op| a.ops.contains_key(op)))
        };
        let directory = match file.file {
            Some(facts) => facts.mode & 0o170_000 != 0o100_000,
            None => !written(&file.path),
        };
        // Mail systems mark what is in their queue so.
        let by_tool = ctx.process.is_none_or(|p| has_any_purpose(ctx, p));
        return !directory && by_tool && file.mode.is_some_and(|mode| mode & 0o111 != 0);
    }
    let mut all = changes(file).into_iter().flatten();
    all.any(|change| {
        let path = change.path.as_bytes();
        let class = ctx.path_class(path);
        let persists = class.is_some_and(|class| {
            !matches!(
                class,
                PathClass::EtcTop
                    | PathClass::EtcBelow
                    | PathClass::PackageDatabase
                    | PathClass::Log
                    | PathClass::ShellHistory
                    | PathClass::Managed
                    | PathClass::LoaderCache
            )
        });
        let removed = file.op == FileOp::Unlink || change.verb == "moved away";
        persists || !removed && catalog::words::is_script_name(program_roles::leaf(path))
    })
}

/// An alert about an action of a watched shell.
fn report(
    ctx: &RuleContext<'_>,
    memory: &mut ServerShells,
    shell: &ServerShell,
    action: ShellAction,
    line: ReasonLine,
    link: Option<ChainLink>,
    command: &str,
) -> Alerts {
    let known = ctx.findings.find(ctx.rule.id, Some(ctx.owner), SUBJECT);
    let alert = match known {
        Some(index) => Alert::addition(index),
        None => ctx.alert(Severity::High, SUBJECT, |_| {}),
    };
    let alert = alert.effect(line).links(link);
    rise(memory, alert, &shell.parent, action, command).into()
}

/// The finding takes the text of the action; the first action sets title and process.
pub(super) fn rise(
    memory: &mut ServerShells,
    alert: Alert,
    parent: &Bytes,
    action: ShellAction,
    command: &str,
) -> Alert {
    let what = format!("{}: {}", parent.escaped(), action.text());
    let alert = alert.part(parent.clone()).part(what.as_bytes());
    if std::mem::replace(&mut memory.risen, true) {
        return alert;
    }
    alert
        .title(format!(
            "A shell of {} {}: {command}",
            parent.escaped(),
            action.text()
        ))
        .rises_to(Severity::High)
}
