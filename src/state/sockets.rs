//! Socket and name events into connection rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::connection::{Connection, ConnectionKey, Direction, Phase};
use super::container::Owner;
use super::quota::{HeldEntry, heaviest, surplus};
use super::tables::State;
use crate::event::{
    Accept, Bytes, Close, Connect, Dns, Endpoint, Event, Listen, Outcome, Protocol, Socket,
};
use crate::memory::Share;

const MAX_CONNECTIONS: usize = 16_384;
const MAX_NAMES: usize = 1024;
const MAX_SOCKETS: usize = 65_536;
/// The longest name that DNS has, as text.
const LONGEST_NAME: usize = 1024;

/// Approximate bytes of a row.
fn weight(key: &ConnectionKey) -> usize {
    let path = match &key.endpoint {
        Endpoint::Unix(path) => path.len(),
        Endpoint::Inet(_) => 0,
    };
    256 + path
}

impl State {
    fn name_of(&self, owner: &Owner, endpoint: &Endpoint) -> Option<Bytes> {
        self.container(owner)?.names.get(&endpoint.ip()?).cloned()
    }

    /// The row for `key`, created if missing.
    fn row(&mut self, key: &ConnectionKey, event: &Event) -> &mut Connection {
        if !self.connections.contains_key(key) {
            if self.connections.len() >= MAX_CONNECTIONS {
                self.shrink_connections();
            }
            self.fit_connections(weight(key));
        }
        let name = if self.connections.contains_key(key) {
            None
        } else {
            self.name_of(&key.owner, &key.endpoint)
        };
        let row = self.connections.entry(key.clone()).or_insert_with(|| {
            Arc::new(Connection {
                local: None,
                peer: None,
                pid: event.pid,
                comm: Bytes::default(),
                name,
                phase: Phase::Connecting,
                count: 0,
                open: 0,
                failed: 0,
                tx_bytes: 0,
                rx_bytes: 0,
                first: event.ts,
                last: event.ts,
                existing: false,
            })
        });
        let row = Arc::make_mut(row);
        row.last = row.last.max(event.ts);
        row
    }

    pub(super) fn connect(&mut self, event: &Event, connect: &Connect) {
        let key = ConnectionKey {
            owner: event.container.clone(),
            direction: Direction::Outbound,
            protocol: connect.protocol,
            endpoint: connect.remote.clone(),
        };
        // The later outcome of an attempt that was already counted.
        let known = connect.cookie != 0 && self.sockets.get(&connect.cookie) == Some(&key);
        let follows = known
            && self
                .connections
                .get(&key)
                .is_some_and(|row| row.phase == Phase::Connecting);
        if !follows {
            self.count_connection(event);
        }
        let row = self.row(&key, event);
        if !follows {
            row.count += 1;
            row.pid = event.pid;
            row.comm.clone_from(&connect.comm);
        }
        row.local = connect.local.or(row.local);
        row.phase = match connect.outcome {
            Outcome::Established => {
                // Datagram and Unix sockets report no end: they are not counted as open.
                row.open += u32::from(connect.protocol == Protocol::Tcp);
                Phase::Open
            }
            Outcome::InProgress => Phase::Connecting,
            Outcome::Failed(errno) => {
                row.failed += 1;
                Phase::Failed(errno)
            }
        };
        let ended = matches!(connect.outcome, Outcome::Failed(_));
        self.remember_socket(connect.cookie, key, ended);
    }

    fn count_connection(&mut self, event: &Event) {
        if let Some(container) = self.own_container(event) {
            container.connects.add(1);
        }
    }

    fn remember_socket(&mut self, cookie: u64, key: ConnectionKey, ended: bool) {
        if cookie == 0 {
            return;
        }
        if ended {
            self.sockets.remove(&cookie);
        } else {
            if self.sockets.len() >= MAX_SOCKETS {
                self.totals.evicted += self.sockets.len() as u64;
                self.sockets.clear();
            }
            self.sockets.insert(cookie, key);
        }
    }

    pub(super) fn accept(&mut self, event: &Event, accept: &Accept) {
        let key = ConnectionKey {
            owner: event.container.clone(),
            direction: Direction::Inbound,
            protocol: accept.protocol,
            endpoint: Endpoint::Inet(accept.local),
        };
        self.count_connection(event);
        let row = self.row(&key, event);
        row.count += 1;
        row.open += 1;
        row.phase = Phase::Open;
        row.local = Some(accept.local);
        row.peer = Some(accept.remote);
        row.pid = event.pid;
        row.comm.clone_from(&accept.comm);
        self.remember_socket(accept.cookie, key, false);
    }

    pub(super) fn close(&mut self, event: &Event, close: &Close) {
        let key = self.sockets.remove(&close.cookie).unwrap_or_else(|| {
            let (direction, endpoint) = if close.inbound {
                (Direction::Inbound, close.local)
            } else {
                (Direction::Outbound, close.remote)
            };
            ConnectionKey {
                owner: event.container.clone(),
                direction,
                protocol: Protocol::Tcp,
                endpoint: Endpoint::Inet(endpoint),
            }
        });
        let row = self.row(&key, event);
        row.open = row.open.saturating_sub(1);
        row.tx_bytes = row.tx_bytes.saturating_add(close.tx_bytes);
        row.rx_bytes = row.rx_bytes.saturating_add(close.rx_bytes);
        row.local = Some(close.local);
        if close.inbound {
            row.peer = Some(close.remote);
        }
        if row.open == 0 {
            row.phase = Phase::Closed;
        }
        row.count = row.count.max(1);
    }

    pub(super) fn listen(&mut self, event: &Event, listen: &Listen) {
        let key = ConnectionKey {
            owner: event.container.clone(),
            direction: Direction::Listening,
            protocol: listen.protocol,
            endpoint: Endpoint::Inet(listen.local),
        };
        let row = self.row(&key, event);
        row.count += 1;
        row.open = 1;
        row.phase = Phase::Open;
        row.local = Some(listen.local);
        row.pid = event.pid;
        row.comm.clone_from(&listen.comm);
    }

    pub(super) fn existing_socket(&mut self, event: &Event, socket: &Socket) {
        let (direction, endpoint) = match socket.remote {
            None => (Direction::Listening, socket.local),
            Some(_) if socket.inbound => (Direction::Inbound, socket.local),
            Some(remote) => (Direction::Outbound, remote),
        };
        let key = ConnectionKey {
            owner: event.container.clone(),
            direction,
            protocol: socket.protocol,
            endpoint: Endpoint::Inet(endpoint),
        };
        let holder = || self.processes.get(&event.pid).map(|p| p.comm.clone());
        let comm = match &socket.comm {
            // As older recordings have it.
            unknown if unknown.is_empty() => holder().unwrap_or_default(),
            comm => comm.clone(),
        };
        let row = self.row(&key, event);
        row.existing = true;
        row.phase = Phase::Open;
        row.count += 1;
        row.open += 1;
        row.local = Some(socket.local);
        row.peer = socket.remote;
        row.comm = comm;
    }

    fn shrink_connections(&mut self) {
        let entries = self.connections.iter().map(|(key, row)| {
            let worth = (row.phase == Phase::Open, row.last);
            (key, &key.owner, worth)
        });
        let gone = surplus(entries, MAX_CONNECTIONS / 8 * 7);
        let gone: Vec<_> = gone.into_iter().map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.forgotten(&key.owner);
            self.connections.remove(&key);
        }
    }

    /// Makes room for a row of `more` bytes within the share of all.
    fn fit_connections(&mut self, more: usize) {
        let most = self.memory.of(Share::Connections);
        self.used.connections += more;
        if self.used.connections <= most {
            return;
        }
        let count = |rows: &BTreeMap<ConnectionKey, Arc<Connection>>| -> usize {
            rows.keys().map(weight).sum()
        };
        self.used.connections = count(&self.connections) + more;
        let keep = most / 8 * 7;
        if self.used.connections <= keep {
            return;
        }
        let entries = self.connections.iter().map(|(key, row)| HeldEntry {
            key,
            owner: &key.owner,
            worth: (row.phase == Phase::Open, row.last),
            bytes: weight(key),
        });
        let gone = heaviest(entries, keep.saturating_sub(more));
        let gone: Vec<_> = gone.into_iter().cloned().collect();
        for key in gone {
            self.forgotten(&key.owner);
            self.connections.remove(&key);
        }
        self.used.connections = count(&self.connections) + more;
    }

    pub(super) fn dns(&mut self, event: &Event, dns: &Dns) {
        if dns.name.len() > LONGEST_NAME {
            self.totals.evicted += 1;
            return;
        }
        if let Some(container) = self.own_container(event) {
            for address in &dns.addresses {
                if container.names.len() < MAX_NAMES || container.names.contains_key(address) {
                    container.names.insert(*address, dns.name.clone());
                } else {
                    self.totals.evicted += 1;
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ContainerAction, ContainerEvent, ContainerId, Kind, Timestamp};

    #[test]
    fn an_attempt_and_its_outcome_are_one_connection() {
        let id = ContainerId::new("a");
        let mut state = State::default();
        let mut apply = |kind| {
            let event = Event {
                seq: 1,
                ts: Timestamp(1),
                container: Some(id.clone()),
                pid: 7,
                nspid: 7,
                kind,
            };
            state.apply(&Arc::new(event));
        };
        apply(Kind::Container(Box::new(ContainerEvent {
            action: ContainerAction::Started,
            info: None,
        })));
        for outcome in [Outcome::InProgress, Outcome::Established] {
            apply(Kind::Connect(Box::new(Connect {
                protocol: Protocol::Tcp,
                local: None,
                remote: Endpoint::Inet(([10, 0, 0, 1], 80).into()),
                outcome,
                cookie: 5,
                comm: "curl".into(),
                fd: 3,
                via: None,
            })));
        }
        let container = state.container(&Some(id)).unwrap();
        assert_eq!(container.connects.counts().sum::<u32>(), 1);
        let row = state.connections.values().next().unwrap();
        assert_eq!((row.count, row.phase), (1, Phase::Open));
    }
}
