//! Connections and listening sockets: one row for a peer and port, or for all peers of a program
//! that has many.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::flagged::FlaggedTargets;
use super::peer_groups::{PeerGroup, PeerGroupKey, PeerGroups};
use super::query::Query;
use super::row::{Row, RowKey};
use super::screen::ScreenDef;
use super::words::{endpoint, errno_name, name, word};
use crate::core::Core;
use crate::detect::Severity;
use crate::state::{Connection, ConnectionKey, Direction, Phase};
use crate::tui::pane::Pane;
use crate::tui::table::{Column, Unit};
use crate::tui::text::bytes;
use crate::tui::theme::Token;

pub(super) const SCREEN: ScreenDef = ScreenDef {
    pane: Pane::Network,
    name: "network",
    title: "Network",
    short: "Net",
    over: "closed",
    columns: COLUMNS,
    empty: &[
        "No connections so far.",
        "Outgoing and incoming connections and listening sockets are listed by peer and port.",
    ],
    count,
    outline,
    write,
};

const COLUMNS: &[Column] = &[
    Column::severity(),
    Column::new("dir", "DIR", 6, 0),
    Column::new("peer", "PEER", 21, 0).main(),
    Column::new("name", "NAME", 14, 5).grow(),
    Column::new("state", "STATE", 11, 1),
    Column::new("count", "COUNT", 5, 6)
        .right()
        .counts(Unit::Count),
    Column::new("out", "OUT", 5, 7).right().counts(Unit::Bytes),
    Column::new("in", "IN", 5, 7).right().counts(Unit::Bytes),
    Column::new("process", "PROCESS", 12, 2),
    Column::new("age", "AGE", 4, 4).counts(Unit::Seconds),
    Column::new("first", "FIRST", 5, 10).counts(Unit::Seconds),
    Column::container(3),
    Column::new("proto", "PROTO", 5, 9),
];

/// Peers and listening sockets.
fn count(core: &Core, query: &Query<'_>) -> Option<usize> {
    let all = core.state.connections.keys();
    Some(all.filter(|key| query.wants(&key.owner)).count())
}

fn outline(core: &Core, query: &Query<'_>) -> Vec<Row> {
    let shown: Vec<(&ConnectionKey, &Arc<Connection>)> = core
        .state
        .connections
        .iter()
        .filter(|(key, _)| query.wants(&key.owner))
        .collect();
    let flagged = FlaggedTargets::new(core);
    // While the table is filtered or sorted, every peer has a row.
    let one_by_one = query.flat || query.sort.is_some() || !query.filter.is_empty();
    let groups = match one_by_one {
        true => PeerGroups::default(),
        false => PeerGroups::of(shown.iter().map(|(key, row)| (*key, &***row))),
    };
    let mut folded: BTreeMap<PeerGroupKey<'_>, (Option<Severity>, PeerGroup<'_>)> = BTreeMap::new();
    let mut single = Vec::new();
    for (key, row) in shown {
        let severity = flagged.connection(key, row);
        let open = row.phase == Phase::Open && severity.is_some();
        let marked = query.marks.contains(&RowKey::Connection(key.clone()));
        match groups.group(key, row).filter(|_| !open && !marked) {
            Some(group) => {
                let entry = folded.entry(group).or_default();
                entry.0 = entry.0.max(severity);
                entry.1.add(key, row);
            }
            None => single.push((severity, key, row)),
        }
    }
    let mut rows: Vec<_> = single
        .into_iter()
        .map(|(severity, key, connection)| {
            let mut row = Row::new(RowKey::Connection(key.clone()), connection.last);
            row.seen = Some((connection.first, connection.last));
            row.severity = severity;
            row.faded = connection.phase == Phase::Closed;
            (key.direction, row)
        })
        .collect();
    let folded = folded.into_values();
    rows.extend(folded.filter_map(|(severity, group)| {
        Some((Direction::Outbound, folded_row(core, severity, &group)?))
    }));
    // Flagged ones first.
    rows.sort_by_key(|(direction, row)| (Reverse(row.severity), *direction, Reverse(row.at)));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The row of many peers of one program.
fn folded_row(core: &Core, severity: Option<Severity>, group: &PeerGroup<'_>) -> Option<Row> {
    let (key, latest) = group.latest?;
    let mut row = Row::new(RowKey::Connection(key.clone()), latest.last);
    row.seen = Some((latest.first, latest.last));
    row.letter(severity);
    row.text("out");
    row.text(group.peers());
    row.text("");
    if group.failed > 0 {
        row.toned("state", Token::ToastWarn);
    }
    row.faded = group.open + group.failed == 0;
    row.text(group.states());
    let uncounted = group.open > 0 && group.sent == 0 && group.received == 0;
    let sent = (!uncounted).then_some((group.sent, group.received));
    write_rest(core, &mut row, key, latest, (group.count, sent));
    Some(row)
}

/// The columns common to a single connection and a group: counts of connections and bytes, where
/// these are known; the program, the times, the container.
fn write_rest(
    core: &Core,
    row: &mut Row,
    key: &ConnectionKey,
    latest: &Connection,
    (count, amounts): (u64, Option<(u64, u64)>),
) {
    row.count(count);
    match amounts {
        Some((sent, received)) => {
            row.number(sent, bytes(sent));
            row.number(received, bytes(received));
        }
        None => {
            row.text("-");
            row.text("-");
        }
    }
    row.text(latest.comm.escaped().to_string());
    row.age(core, latest.last);
    row.age(core, latest.first);
    row.text(name(core, &key.owner));
    row.text(word(&key.protocol));
}

fn write(core: &Core, _: &Query<'_>, row: &mut Row) {
    let RowKey::Connection(key) = row.key.clone() else {
        return;
    };
    let Some(connection) = core.state.connections.get(&key) else {
        return;
    };
    row.letter(row.severity);
    row.text(match key.direction {
        Direction::Outbound => "out",
        Direction::Inbound => "in",
        Direction::Listening => "listen",
    });
    row.text(endpoint(&key.endpoint));
    let name_of = connection.name.as_ref();
    row.text(name_of.map_or_else(String::new, |name| name.escaped().to_string()));
    if matches!(connection.phase, Phase::Failed(_)) {
        row.toned("state", Token::ToastWarn);
    }
    row.text(match connection.phase {
        Phase::Connecting => "connecting".to_owned(),
        Phase::Open => "open".to_owned(),
        Phase::Closed => "closed".to_owned(),
        Phase::Failed(errno) => errno_name(errno),
    });
    let amounts = (connection.tx_bytes, connection.rx_bytes);
    let amounts = (!connection.is_uncounted()).then_some(amounts);
    write_rest(core, row, &key, connection, (connection.count, amounts));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Bytes, Endpoint, Protocol, Timestamp};
    use crate::tui::Ui;
    use crate::tui::tests::demo;

    #[test]
    fn the_bytes_of_an_open_connection_are_not_known() {
        let mut core = demo();
        let (key, before) = core.state.connections.iter().next().unwrap();
        let (key, before) = (key.clone(), (**before).clone());
        let mut amounts = |phase: Phase, sent: u64| {
            let row = Connection {
                phase,
                tx_bytes: sent,
                rx_bytes: 0,
                ..before.clone()
            };
            core.state.connections.insert(key.clone(), Arc::new(row));
            let mut row = Row::new(RowKey::Connection(key.clone()), before.last);
            write(&core, &Ui::default().query(), &mut row);
            (row.cells[6].clone(), row.numbers[6])
        };
        assert_eq!(amounts(Phase::Open, 0), ("-".to_owned(), None));
        assert_eq!(amounts(Phase::Open, 7), ("7".to_owned(), Some(7)));
        assert_eq!(amounts(Phase::Closed, 0), ("0".to_owned(), Some(0)));
    }

    #[test]
    fn many_peers_of_a_program_are_one_row_and_listed_on_request() {
        let mut core = demo();
        let (key, row) = core.state.connections.iter().next().unwrap();
        let (key, row) = (key.clone(), row.clone());
        let before = core.state.connections.len();
        let mut add = |host: u8, port: u16, comm: &str| {
            let key = ConnectionKey {
                direction: Direction::Outbound,
                protocol: Protocol::Tcp,
                endpoint: Endpoint::Inet(([10, 9, 9, host], port).into()),
                ..key.clone()
            };
            let row = Connection {
                comm: Bytes::from(comm),
                phase: Phase::Failed(111),
                count: 1,
                last: Timestamp(i64::from(host)),
                ..(*row).clone()
            };
            core.state.connections.insert(key, Arc::new(row));
        };
        (1..=12).for_each(|host| (1..=3).for_each(|port| add(host, port, "scanner")));
        // Three hosts of another program stay three rows.
        (1..=3).for_each(|host| add(host, 443, "client"));
        let mut ui = Ui::default();
        ui.at.pane = Pane::Network;
        let listed = outline(&core, &ui.query());
        assert_eq!(listed.len(), before + 1 + 3);
        let folded = listed
            .iter()
            .find(|row| row.cells.get(2).is_some())
            .unwrap();
        assert_eq!(folded.cells[2], "+ 12 hosts, 3 ports");
        assert_eq!(folded.cells[4], "36 failed");
        assert_eq!(folded.numbers[5], Some(36));
        ui.table_mut().flat = true;
        assert_eq!(outline(&core, &ui.query()).len(), before + 36 + 3);
    }
}
