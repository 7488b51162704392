//! Shells behind a server: low at first, high once they take actions of an intruder.

mod found;
mod memory;
mod shell_actions;

use bstr::ByteSlice as _;

use super::bare_shells::{bare, shell};
use super::inline_code::filters_input;
use crate::detect::alert::{Alert, Alerts};
use crate::detect::rule_context::RuleContext;
use crate::detect::serving::{listener, serves_somebody};
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution, program_roles};
use crate::event::{Exec, ProgramAdditions};
use crate::state::ProcessEntry;
use memory::{CommandShape, KnownCommand, ServerShell, ServerShells, given_as_argument};
use shell_actions::{SUBJECT, ShellAction};

/// Maximum number of commands listed of shells without special actions.
const MAX_COMMANDS: usize = 12;

/// Shell under a server.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "exec.shell-spawned",
        title: "Server started a shell",
        label: "server shell",
        severity: Severity::High,
        attack: &["T1059.004", "T1190", "T1505.003"],
        needs: &[Requirement::Exec, Requirement::Listen],
        explain: "A program that serves connections, or one that it started for a request, ran a \
                  shell and had not done so while starting. One low line for the container, \
                  info when the command is in the service's own arguments. High when a shell acts like an intruder: it waits for commands or gets a \
                  terminal, explores the system (`id`, or several questions such as `uname -a` \
                  and `cat /etc/passwd`), writes a program or a start-up file, reads a secret, \
                  connects to an address that is new to the container, or is an interpreter that \
                  gets its code as an argument and does not only filter its input. A command that ran during start-up or three \
                  times before may connect.",
        check: "What did the shell run, and which request led to it?",
    },
    handlers: &[
        Handler::Exec(|ctx, memory, exec| executed(ctx, memory.of(), exec)),
        Handler::Connect(shell_actions::connected),
        Handler::File(shell_actions::changed),
        Handler::Found(|ctx, _, process| found::found(ctx, process)),
    ],
};

fn executed(ctx: &RuleContext<'_>, memory: &mut ServerShells, exec: &Exec) -> Alerts {
    if ctx.session().is_some() {
        return Alerts::none();
    }
    if let Some(shell) = memory.shell_of(ctx) {
        return shell_actions::ran(ctx, memory, &shell, exec);
    }
    // A server that runs a script of the image by its `#!` line does its ordinary work; another
    // rule covers scripts that are not in the image.
    if exec.script.is_some() {
        return Alerts::none();
    }
    let wrapper = |p: &&ProcessEntry| ctx.names().is_wrapper(program_roles::of(p));
    let Some(parent) = ctx.ancestors().skip(1).find(|p| !wrapper(p)) else {
        return Alerts::none();
    };
    // Another interpreter that gets a program as an argument counts as a shell; one that starts its
    // own kind does ordinary work.
    let is_shell = shell(ctx.names(), exec).is_some();
    if !is_shell && (!handed_text(ctx.names(), exec) || parent.exe == exec.exe) {
        return Alerts::none();
    }
    // A fork of a server that becomes the shell still carries the server's program.
    if ctx.names().is_shell(program_roles::of(parent))
        || program_roles::is_packager(ctx.names(), parent)
        || ctx.ancestors().any(attribution::lets_people_in)
    {
        return Alerts::none();
    }
    // The same program run for another purpose, such as initialising a database, is not the server.
    let program = (parent.exe.as_bytes(), parent.argv.as_slice());
    let shape = CommandShape::of(&exec.argv);
    if ctx.learning() {
        memory.note_habit(program);
        memory.note_usual(&shape);
        return Alerts::none();
    }
    if !serves_somebody(ctx, parent) {
        if !parent.existing {
            memory.note_habit(program);
        }
        return Alerts::none();
    }
    let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
    // A listener with a finding is the same back door.
    if let Some(index) = listener(ctx, parent.pid) {
        return Alert::occurrence(index, Severity::High)
            .reason(format!("then started a shell: {command}"))
            .into();
    }
    let habit = memory.has_habit(program);
    let known = if memory.runs_again(&shape) {
        KnownCommand::Usual
    } else if is_shell && given_as_argument(ctx, exec) {
        KnownCommand::Argument
    } else {
        KnownCommand::New
    };
    let started = ServerShell::new(ctx, shape, parent, habit, known);
    memory.watch(started.clone());
    let action = begins_with(ctx, memory, &started, exec, is_shell);
    if action.is_none() && (habit || known == KnownCommand::Usual) {
        // The first one is not reported; a finding counts further ones.
        let index = ctx.findings.find(RULE.info.id, Some(ctx.owner), SUBJECT);
        return index
            .map(|index| Alert::occurrence(index, Severity::Info))
            .into();
    }
    let severity = match (action, known) {
        (Some(_), _) => Severity::High,
        (None, KnownCommand::Argument) => Severity::Info,
        (None, _) => Severity::Low,
    };
    let mut alert = ctx.alert(severity, SUBJECT, |explanation| {
        explanation.title = format!("{} started a shell: {command}", parent.exe.escaped());
    });
    let parent_line = program_roles::command_line(&parent.argv, &parent.exe, 120);
    alert = alert.part(parent.exe.clone());
    let finding = ctx.findings.find(RULE.info.id, Some(ctx.owner), SUBJECT);
    let finding = finding.and_then(|index| ctx.findings.get(index));
    let ran = |line: &&String| line.starts_with("ran: ");
    let commands = finding.map_or(0, |f| f.why.iter().filter(ran).count());
    if commands < MAX_COMMANDS || action.is_some() {
        alert = alert
            .reason(format!("its parent serves connections: {parent_line}"))
            .reason(format!("ran: {command}"));
    }
    if parent.existing {
        alert = alert
            .reason("the server was not watched from its start: what it ran before is not known");
    }
    match action {
        Some(action) => shell_actions::rise(memory, alert, &parent.exe, action, &command).into(),
        None => alert.into(),
    }
}

/// Actions of a newly started shell that follow from its command alone.
fn begins_with(
    ctx: &RuleContext<'_>,
    memory: &mut ServerShells,
    started: &ServerShell,
    exec: &Exec,
    is_shell: bool,
) -> Option<ShellAction> {
    if bare(ctx.names(), exec) {
        return Some(if shell_actions::given_terminal(ctx, exec) {
            ShellAction::Terminal
        } else {
            ShellAction::Waits
        });
    }
    if !is_shell {
        let new = started.known == KnownCommand::New && !started.by_habit;
        let filter = filters_input(&exec.argv);
        return (new && !filter).then_some(ShellAction::Program);
    }
    shell_actions::explores(ctx, memory, started, exec).then_some(ShellAction::Explores)
}

/// An interpreter that got its program's text as an argument, or waits for it.
fn handed_text(names: &ProgramAdditions, exec: &Exec) -> bool {
    let name = program_roles::name(&exec.exe, &exec.argv);
    names.is_interpreter(name)
        && !name.ends_with(b"awk")
        && (bare(names, exec) || program_roles::takes_text(&exec.argv))
}

#[cfg(test)]
mod tests;
