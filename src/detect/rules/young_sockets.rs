//! Sockets that began to listen a moment ago: their finding changes when they close at once, stay
//! open, or a peer connects.

use crate::detect::alert::{Alert, Alerts};
use crate::detect::finding::FindingIndex;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::{Severity, program_roles};
use crate::event::{Endpoint, Exec, Timestamp};
use crate::state::Direction;

/// Seconds: a socket that closes sooner, and to which no peer connected, was for the program's own
/// use.
const SHORT: u64 = 10;
/// Maximum number of young sockets watched in one container; the oldest is dropped.
const MAX_YOUNG: usize = 32;
/// The finding about all ports that the kernel chose.
pub(super) const CHOSEN_SUBJECT: &[u8] = b"chosen";

/// A socket that began to listen a moment ago.
#[derive(Debug, Clone, Copy)]
pub(super) struct YoungSocket {
    pub(super) pid: u32,
    pub(super) port: u16,
    pub(super) began: Timestamp,
    pub(super) seq: u64,
    /// An exec session opened it, at a port that the kernel chose.
    pub(super) foreign: bool,
}

/// Sockets whose finding may still change.
#[derive(Debug, Clone, Default)]
pub(super) struct YoungSockets(Vec<YoungSocket>);

impl RuleMemory for YoungSockets {
    fn heap_bytes(&self) -> usize {
        self.0.len() * size_of::<YoungSocket>()
    }
}

impl YoungSockets {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, socket: YoungSocket) {
        if self.0.len() >= MAX_YOUNG {
            self.0.remove(0);
        }
        self.0.push(socket);
    }
}

fn finding(ctx: &RuleContext<'_>, subject: &[u8]) -> Option<FindingIndex> {
    ctx.findings.find(ctx.rule.id, Some(ctx.owner), subject)
}

/// The alert that a port which the kernel chose stays open: the finding about all such ports
/// becomes one about this port.
fn rise(ctx: &RuleContext<'_>, socket: &YoungSocket, why: String) -> Option<Alert> {
    let index = finding(ctx, CHOSEN_SUBJECT)?;
    let title = format!(
        "Listens on port {}, which its image does not declare",
        socket.port
    );
    let mut alert = Alert::addition(index)
        .title(title)
        .revise_severity(Severity::High)
        .reason(format!("port {}: {why}", socket.port))
        .evidence(socket.began, socket.seq);
    if let Some(p) = ctx.state.processes.get(&socket.pid) {
        let command = program_roles::command_line(&p.argv, &p.exe, 160);
        alert = alert.reason(format!("by: {command}"));
    }
    Some(alert)
}

/// A listener that an exec session opened starts a shell: a back door.
pub(super) fn shell_starts(
    ctx: &RuleContext<'_>,
    memory: &mut YoungSockets,
    exec: &Exec,
) -> Alerts {
    let name = program_roles::name(&exec.exe, &exec.argv);
    if !ctx.names().is_shell(name) {
        return Alerts::none();
    }
    let above: Vec<u32> = ctx.ancestors().map(|p| p.pid).take(4).collect();
    let door = memory
        .0
        .iter()
        .position(|s| s.foreign && above.contains(&s.pid));
    let Some(door) = door else {
        return Alerts::none();
    };
    let socket = memory.0.remove(door);
    let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
    rise(ctx, &socket, format!("then started a shell: {command}")).into()
}

/// Whether a peer is or was connected to the socket.
fn has_callers(ctx: &RuleContext<'_>, socket: &YoungSocket) -> bool {
    let mut rows = ctx.state.connections_of(ctx.owner, Direction::Inbound);
    rows.any(|(key, row)| {
        let here = matches!(&key.endpoint, Endpoint::Inet(at) if at.port() == socket.port);
        here && row.last >= socket.began
    })
}

pub(super) fn grow_up(ctx: &RuleContext<'_>, memory: &mut YoungSockets) -> Alerts {
    let mut alerts = Alerts::none();
    memory.0.retain(|socket| {
        let process = ctx.state.processes.get(&socket.pid);
        let runs = process.is_some_and(|p| p.exited.is_none() && p.started <= socket.began);
        let called = has_callers(ctx, socket);
        let grown = ctx.now().since(socket.began).as_secs() >= SHORT;
        if socket.foreign {
            if called || (runs && grown) {
                let why = if called {
                    "a peer connected to it".to_owned()
                } else {
                    format!("it has listened for {SHORT} seconds")
                };
                if let Some(alert) = rise(ctx, socket, why) {
                    alerts.push(alert);
                }
                return false;
            }
        } else if !runs
            && !called
            && let Some(index) = finding(ctx, socket.port.to_string().as_bytes())
            && ctx
                .findings
                .get(index)
                .is_some_and(|f| f.severity == Severity::Medium)
        {
            let why = format!("closed within {SHORT} seconds; no peer had connected");
            let alert = Alert::addition(index).reason(why);
            alerts.push(alert.revise_severity(Severity::Info));
        }
        runs && !called && !grown
    });
    alerts
}
