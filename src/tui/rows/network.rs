//! Connections and listening sockets: one row for a peer and port.

use std::cmp::Reverse;
use std::sync::Arc;

use super::flagged::FlaggedTargets;
use super::query::Query;
use super::row::{Row, RowKey};
use super::screen::ScreenDef;
use super::words::{endpoint, errno_name, name, word};
use crate::core::Core;
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
    let mut shown: Vec<_> = shown
        .into_iter()
        .map(|(key, row)| (flagged.connection(key, row), key, row))
        .collect();
    // Flagged ones first.
    shown
        .sort_by_key(|(severity, key, row)| (Reverse(*severity), key.direction, Reverse(row.last)));
    shown
        .into_iter()
        .map(|(severity, key, connection)| {
            let mut row = Row::new(RowKey::Connection(key.clone()), connection.last);
            row.seen = Some((connection.first, connection.last));
            row.severity = severity;
            row.faded = connection.phase == Phase::Closed;
            row
        })
        .collect()
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
    row.count(connection.count);
    row.number(connection.tx_bytes, bytes(connection.tx_bytes));
    row.number(connection.rx_bytes, bytes(connection.rx_bytes));
    row.text(connection.comm.escaped().to_string());
    row.age(core, connection.last);
    row.age(core, connection.first);
    row.text(name(core, &key.owner));
    row.text(word(&key.protocol));
}
