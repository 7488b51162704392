//! State into events: the beginning of a recording that starts in the middle of a session.

use super::connection::{Direction, Phase};
use super::container::Owner;
use super::tables::State;
use crate::event::{
    Connect, ContainerAction, ContainerEvent, Endpoint, Event, Kind, Listen, Outcome, Process,
    Socket,
};

/// The present world as the events a fresh session would begin with, numbered from `seq` on.
#[must_use]
pub fn snapshot(state: &State, mut seq: u64) -> Vec<Event> {
    let mut events = Vec::new();
    let mut push = |container: &Owner, pid: u32, nspid: u32, kind: Kind| {
        events.push(Event {
            seq,
            ts: state.now,
            container: container.clone(),
            pid,
            nspid,
            kind,
        });
        seq += 1;
    };
    for container in state.containers.values().filter(|c| c.running) {
        push(
            &Some(container.id.clone()),
            0,
            0,
            Kind::Container(Box::new(ContainerEvent {
                action: ContainerAction::Existing,
                info: Some(Box::new(container.info.clone())),
            })),
        );
        if let Some((_, scan)) = container.scan() {
            let kind = Kind::DriftScan(Box::new(scan.clone()));
            push(&Some(container.id.clone()), 0, 0, kind);
        }
    }
    // Parents first, so that a descendant finds its ancestors.
    let mut processes: Vec<_> = state
        .processes
        .values()
        .filter(|p| p.exited.is_none() && !p.runtime)
        .collect();
    processes.sort_by_key(|p| (p.started, p.pid));
    for process in processes {
        push(
            &process.owner,
            process.pid,
            process.nspid,
            Kind::Process(Box::new(Process {
                ppid: process.ppid,
                uid: process.uid,
                comm: process.comm.clone(),
                exe: process.exe.clone(),
                argv: process.argv.clone(),
                cwd: process.cwd.clone(),
                started: process.started,
                file: process.file,
            })),
        );
    }
    for (key, row) in state
        .connections
        .iter()
        .filter(|(_, row)| row.phase == Phase::Open)
    {
        let kind = match (&key.endpoint, key.direction) {
            (Endpoint::Inet(local), Direction::Listening) => Kind::Listen(Listen {
                protocol: key.protocol,
                local: *local,
                comm: row.comm.clone(),
            }),
            (Endpoint::Inet(remote), Direction::Outbound) => Kind::Socket(Box::new(Socket {
                protocol: key.protocol,
                local: row.local.unwrap_or(*remote),
                remote: Some(*remote),
                inbound: false,
                seen: state.now,
            })),
            (Endpoint::Inet(local), Direction::Inbound) => Kind::Socket(Box::new(Socket {
                protocol: key.protocol,
                local: *local,
                remote: row.peer,
                inbound: true,
                seen: state.now,
            })),
            (Endpoint::Unix(_), _) => Kind::Connect(Box::new(Connect {
                protocol: key.protocol,
                local: None,
                remote: key.endpoint.clone(),
                outcome: Outcome::Established,
                cookie: 0,
                comm: row.comm.clone(),
                fd: -1,
            })),
        };
        push(&key.owner, row.pid, 0, kind);
    }
    events
}
