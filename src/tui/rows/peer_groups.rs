//! Groups connections of one program to many peers into one row, so that a scan does not fill the
//! screen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::event::{Bytes, Endpoint};
use crate::state::{Connection, ConnectionKey, Direction, Owner, Phase};

/// Number of hosts at one port, or ports of one host, from which they are one row.
const MANY: usize = 4;

/// The program and container whose connections are joined.
pub(super) type PeerGroupKey<'a> = (&'a Owner, &'a Bytes);

/// Programs that connect out to many peers, and these peers.
#[derive(Debug, Default)]
pub(super) struct PeerGroups<'a> {
    hosts: BTreeMap<(PeerGroupKey<'a>, u16), BTreeSet<IpAddr>>,
    ports: BTreeMap<(PeerGroupKey<'a>, IpAddr), BTreeSet<u16>>,
}

impl<'a> PeerGroups<'a> {
    pub(super) fn of(rows: impl Iterator<Item = (&'a ConnectionKey, &'a Connection)>) -> Self {
        let mut groups = Self::default();
        for (key, row) in rows {
            if let Some((group, host, port)) = peer(key, row) {
                groups.hosts.entry((group, port)).or_default().insert(host);
                groups.ports.entry((group, host)).or_default().insert(port);
            }
        }
        groups
    }

    /// The group of a connection; `None`: it has a row of its own.
    pub(super) fn group(
        &self,
        key: &'a ConnectionKey,
        row: &'a Connection,
    ) -> Option<PeerGroupKey<'a>> {
        let (group, host, port) = peer(key, row)?;
        let hosts = self.hosts.get(&(group, port)).map_or(0, BTreeSet::len);
        let ports = self.ports.get(&(group, host)).map_or(0, BTreeSet::len);
        (hosts >= MANY || ports >= MANY).then_some(group)
    }
}

fn peer<'a>(
    key: &'a ConnectionKey,
    row: &'a Connection,
) -> Option<(PeerGroupKey<'a>, IpAddr, u16)> {
    match &key.endpoint {
        Endpoint::Inet(peer) if key.direction == Direction::Outbound => {
            Some(((&key.owner, &row.comm), peer.ip(), peer.port()))
        }
        _ => None,
    }
}

/// The content of a group's row.
#[derive(Debug, Default)]
pub(super) struct PeerGroup<'a> {
    hosts: BTreeSet<IpAddr>,
    ports: BTreeSet<u16>,
    pub(super) open: u64,
    pub(super) failed: u64,
    closed: u64,
    pub(super) count: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
    /// The latest connection, whose page the row opens.
    pub(super) latest: Option<(&'a ConnectionKey, &'a Connection)>,
}

impl<'a> PeerGroup<'a> {
    pub(super) fn add(&mut self, key: &'a ConnectionKey, row: &'a Connection) {
        if let Endpoint::Inet(peer) = &key.endpoint {
            self.hosts.insert(peer.ip());
            self.ports.insert(peer.port());
        }
        match row.phase {
            Phase::Open | Phase::Connecting => self.open += 1,
            Phase::Failed(_) => self.failed += 1,
            Phase::Closed => self.closed += 1,
        }
        self.count += row.count;
        self.sent = self.sent.saturating_add(row.tx_bytes);
        self.received = self.received.saturating_add(row.rx_bytes);
        if self.latest.is_none_or(|(_, latest)| latest.last < row.last) {
            self.latest = Some((key, row));
        }
    }

    /// `+ 12 hosts, 9 ports`; a single host or port by its name.
    pub(super) fn peers(&self) -> String {
        let hosts = match (self.hosts.len(), self.hosts.first()) {
            (1, Some(host)) => host.to_string(),
            (count, _) => format!("{count} hosts"),
        };
        match (self.ports.len(), self.ports.first()) {
            (1, Some(port)) => format!("+ {hosts}, port {port}"),
            (count, _) => format!("+ {hosts}, {count} ports"),
        }
    }

    /// The number of connections in each state, the most important first.
    pub(super) fn states(&self) -> String {
        let states = [
            (self.open, "open"),
            (self.closed, "closed"),
            (self.failed, "failed"),
        ];
        let there = states.into_iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = there
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        words.join(", ")
    }
}
