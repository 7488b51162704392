//! Peers from which a process may take commands: its connections, and programs that pass on their input.

use super::found_shell;
use crate::detect::memory::Outbound;
use crate::detect::program_roles;
use crate::detect::rule_context::RuleContext;
use crate::event::{Endpoint, ProgramAdditions, Protocol};
use crate::state::{ConnectionKey, Direction, Phase, ProcessEntry};

/// A connection older than this, in seconds, does not explain a shell.
pub(super) const FRESH: u64 = 30;

/// A recent connection from the container's network to another host.
pub(super) fn fresh(ctx: &RuleContext<'_>, pid: u32) -> Option<Outbound> {
    // Logins to the container's own server do not count.
    let own = |out: &Outbound| out.to.ip().is_loopback() && listens(ctx, out.to.port());
    recent(ctx, pid).filter(|out| !own(out))
}

/// A recent connection, also to a server of the container itself.
pub(super) fn recent(ctx: &RuleContext<'_>, pid: u32) -> Option<Outbound> {
    let out = ctx.memory.outbound_of(ctx.state.processes.get(&pid)?)?;
    let recent = ctx.now().since(out.ts).as_secs() <= FRESH;
    // Every program looks up names and sends logs.
    let aside = out.to.ip().is_unspecified() || matches!(out.to.port(), 53 | 514);
    (recent && !aside).then_some(*out)
}

/// A program of the container listens on that port.
fn listens(ctx: &RuleContext<'_>, port: u16) -> bool {
    let mut connections = ctx.state.connections.keys();
    connections.any(|key| {
        key.owner.as_ref() == Some(ctx.owner)
            && key.direction == Direction::Listening
            && matches!(&key.endpoint, Endpoint::Inet(at) if at.port() == port)
    })
}

/// No connection to that peer is open: a program only tested whether it answers.
pub(super) fn closed(ctx: &RuleContext<'_>, out: &Outbound) -> bool {
    let key = ConnectionKey {
        owner: Some(ctx.owner.clone()),
        direction: Direction::Outbound,
        protocol: Protocol::Tcp,
        endpoint: Endpoint::Inet(out.to),
    };
    let row = ctx.state.connections.get(&key);
    row.is_some_and(|row| row.open == 0 && row.phase == Phase::Closed)
}

/// An interpreter that runs a text given as an argument, which no service does. The text of `awk` is
/// one wherever it comes from: few ever connect.
pub(super) fn has_text(names: &ProgramAdditions, process: &ProcessEntry) -> bool {
    let name = program_roles::of(process);
    names.is_interpreter(name)
        && (name.ends_with(b"awk") || program_roles::takes_text(&process.argv))
}

/// A program that passes on its input: a relay, or a text given as an argument.
pub(super) fn relays(ctx: &RuleContext<'_>, process: &ProcessEntry) -> bool {
    process.owner.as_ref() == Some(ctx.owner)
        && (program_roles::is_relay(program_roles::of(process), &process.argv)
            || has_text(ctx.names(), process))
}

/// The connection to another host that a process holds open.
pub(super) fn held(ctx: &RuleContext<'_>, process: &ProcessEntry) -> Option<Outbound> {
    let to = found_shell::connected(ctx, process)?;
    Some(Outbound {
        to,
        started: process.started,
        ts: ctx.now(),
        seq: ctx.event.seq,
    })
}
