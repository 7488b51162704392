//! Converts the state to events: the beginning of a recording that starts in the middle of a
//! session.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::connection::{Connection, ConnectionKey, Direction, Phase};
use super::container::Owner;
use super::tables::State;
use crate::event::{
    Connect, ContainerAction, ContainerEvent, Endpoint, Event, Kind, Outcome, Process, Socket,
};

/// The current state as the events with which a new recording would begin, numbered from `seq` on.
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
    for change in state.baselines.values() {
        push(&None, 0, 0, Kind::Baseline(Box::new((**change).clone())));
    }
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
    let open = |row: &&(&ConnectionKey, &Arc<Connection>)| row.1.phase == Phase::Open;
    let rows: Vec<_> = state.connections.iter().collect();
    // Before the processes: rules judge them by their connections.
    for (key, row) in rows.iter().filter(open) {
        let Endpoint::Inet(address) = key.endpoint else {
            continue;
        };
        let (local, remote) = match key.direction {
            Direction::Listening => (address, None),
            Direction::Outbound => (row.local.unwrap_or(address), Some(address)),
            Direction::Inbound => (address, row.peer),
        };
        let socket = Socket {
            protocol: key.protocol,
            local,
            remote,
            inbound: key.direction == Direction::Inbound,
            seen: state.now,
            comm: row.comm.clone(),
        };
        push(&key.owner, row.pid, 0, Kind::Socket(Box::new(socket)));
    }
    // Parents first, so that a descendant finds its ancestors.
    let mut processes: Vec<_> = state
        .processes
        .values()
        .filter(|p| p.exited.is_none() && !p.runtime)
        .collect();
    processes.sort_by_key(|p| (p.started, p.pid));
    for process in &processes {
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
                replaced: process.replaced,
                tty: process.tty,
                entered: process.entered,
                streams: process.streams.clone(),
                mapped: process.mapped.clone(),
                mapped_more: process.mapped_more,
            })),
        );
    }
    // What the programs that run turned out to be. A comparison is not made again in a recording.
    let run: BTreeSet<_> = { processes.iter() }
        .map(|p| (p.owner.as_ref(), &p.exe, p.file.ino))
        .collect();
    for container in state.containers.values() {
        for compare in container.comparisons() {
            if run.contains(&(Some(&container.id), &compare.path, compare.ino)) {
                let kind = Kind::Compare(Box::new(compare.clone()));
                push(&Some(container.id.clone()), 0, 0, kind);
            }
        }
    }
    for (key, row) in rows.iter().filter(open) {
        if matches!(key.endpoint, Endpoint::Unix(_)) {
            let connect = Connect {
                protocol: key.protocol,
                local: None,
                remote: key.endpoint.clone(),
                outcome: Outcome::Established,
                cookie: 0,
                comm: row.comm.clone(),
                fd: -1,
                via: None,
            };
            push(&key.owner, row.pid, 0, Kind::Connect(Box::new(connect)));
        }
    }
    events
}
