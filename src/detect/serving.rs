//! Whether a process serves connections.

use bstr::ByteSlice as _;

use super::Severity;
use super::finding::FindingIndex;
use super::program_roles;
use super::rule_context::RuleContext;
use crate::catalog;
use crate::event::{Bytes, Endpoint};
use crate::state::{Connection, ConnectionKey, Direction, ProcessEntry};

/// Ephemeral ports, by the kernel's default range.
pub(crate) const CHOSEN: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// The finding about a port on which this process listens.
#[must_use]
pub(crate) fn listener(ctx: &RuleContext<'_>, pid: u32) -> Option<FindingIndex> {
    let rows = ctx.state.connections_of(ctx.owner, Direction::Listening);
    let mut found = rows
        .filter(|(_, row)| row.pid == pid)
        .filter_map(|(key, _)| match &key.endpoint {
            Endpoint::Inet(at) => Some(at.port()),
            Endpoint::Unix(_) => None,
        })
        .filter_map(|port| {
            let port = port.to_string();
            ctx.findings
                .find("net.listen-new", Some(ctx.owner), port.as_bytes())
        });
    found.find(|index| {
        let finding = ctx.findings.get(*index);
        finding.is_some_and(|f| f.silenced.is_none() && f.severity >= Severity::Medium)
    })
}

/// Whether the process serves connections, or a server started it for a request: then only programs
/// that began after start-up are between the two.
#[must_use]
pub(crate) fn serves_somebody(ctx: &RuleContext<'_>, parent: &ProcessEntry) -> bool {
    let mut above = ctx
        .ancestors()
        .skip_while(|p| p.pid != parent.pid)
        .take_while(|p| !ctx.names().is_shell(program_roles::of(p)));
    let mut next = above.next();
    while let Some(process) = next {
        if serves(ctx, process) {
            return true;
        }
        if process.existing || ctx.in_grace(process.started) {
            return false;
        }
        next = above.next();
    }
    false
}

/// Whether the process, or another of the same program in this container, serves connections.
fn serves(ctx: &RuleContext<'_>, process: &ProcessEntry) -> bool {
    let directions = [Direction::Listening, Direction::Inbound];
    let rows = directions
        .into_iter()
        .flat_map(|direction| ctx.state.connections_of(ctx.owner, direction));
    let mut of_others = rows.filter(|(key, row)| row.pid != 0 && !inward(key, row));
    of_others.any(|(_, row)| same_program(ctx, row.pid, process)) || serves_a_path(ctx, process)
}

fn same_program(ctx: &RuleContext<'_>, pid: u32, process: &ProcessEntry) -> bool {
    pid == process.pid
        || ctx
            .state
            .processes
            .get(&pid)
            .is_some_and(|p| p.exe == process.exe && p.owner == process.owner)
}

/// Whether the process serves a Unix socket: its arguments name one, or a server of the container
/// passes requests to one and the process is a service that is not a scheduler.
fn serves_a_path(ctx: &RuleContext<'_>, process: &ProcessEntry) -> bool {
    let names_socket = |a: &Bytes| {
        let a = a.as_bytes();
        a.ends_with(b".sock") || a.ends_with(b".socket") || a.find(b"unix:").is_some()
    };
    if process.argv.iter().skip(1).any(names_socket) {
        return true;
    }
    let service = ctx.in_grace(process.started) || process.existing;
    let name = program_roles::of(process);
    if !service || catalog::programs::SCHEDULERS.contains(&name) {
        return false;
    }
    let listens = |pid: u32| {
        let mut rows = ctx.state.connections_of(ctx.owner, Direction::Listening);
        rows.any(|(_, row)| {
            row.pid != 0 && {
                let server = ctx.state.processes.get(&pid);
                server.is_some_and(|server| same_program(ctx, row.pid, server))
            }
        })
    };
    let rows = ctx.state.connections_of(ctx.owner, Direction::Outbound);
    let mut passed = rows.filter(|(key, row)| {
        matches!(&key.endpoint, Endpoint::Unix(path) if !of_the_system(path))
            && row.open + u32::from(row.count > 0) > 0
            && !same_program(ctx, row.pid, process)
    });
    passed.any(|(_, row)| listens(row.pid))
}

/// Sockets of databases and of the system, whose clients are servers.
fn of_the_system(path: &[u8]) -> bool {
    const PREFIXES: &[&[u8]] = &[
        b"/dev/log",
        b"/run/dbus",
        b"/run/systemd",
        b"/run/nscd",
        b"/run/postgresql",
        b"/run/mysqld",
        b"/run/redis",
        b"/run/docker",
        b"@",
    ];
    let path = path.strip_prefix(b"/var").unwrap_or(path);
    PREFIXES.iter().any(|prefix| path.starts_with(prefix)) || path.find(b".s.PGSQL").is_some()
}

/// A socket for the program's own use: on loopback, at a port that the kernel chose. No other
/// program knows of it.
pub(super) fn inward(key: &ConnectionKey, row: &Connection) -> bool {
    let Endpoint::Inet(at) = &key.endpoint else {
        return false;
    };
    let own = |ip: std::net::IpAddr| ip.to_canonical().is_loopback();
    own(at.ip()) && CHOSEN.contains(&at.port()) && row.peer.is_none_or(|peer| own(peer.ip()))
}
