//! The raw stream, the latest first.

use super::query::Query;
use super::row::{Row, RowKey};
use super::screen::ScreenDef;
use super::words::{name, what};
use crate::core::Core;
use crate::tui::pane::Pane;
use crate::tui::table::{Column, Unit};

pub(super) const SCREEN: ScreenDef = ScreenDef {
    pane: Pane::Events,
    name: "events",
    title: "Events",
    short: "Events",
    over: "ended",
    columns: COLUMNS,
    empty: &["No events so far."],
    count: |_, _| None,
    outline,
    write,
};

const COLUMNS: &[Column] = &[
    Column::new("seq", "SEQ", 7, 4).right().counts(Unit::Count),
    Column::new("time", "TIME", 12, 1),
    Column::new("type", "TYPE", 10, 0),
    Column::new("pid", "PID", 7, 3).right().counts(Unit::Count),
    Column::new("what", "WHAT", 20, 0).main(),
    Column::container(2),
];

/// The recording has more.
const MOST: usize = 1000;

fn outline(core: &Core, query: &Query<'_>) -> Vec<Row> {
    let recent = core.state.recent.events.iter().rev();
    recent
        .filter(|event| query.wants(&event.container))
        .take(MOST)
        .map(|event| {
            let mut row = Row::new(RowKey::Event(event.seq), event.ts);
            row.seen = Some((event.ts, event.ts));
            row
        })
        .collect()
}

fn write(core: &Core, query: &Query<'_>, row: &mut Row) {
    let RowKey::Event(seq) = row.key else {
        return;
    };
    let Some(event) = core.state.recent.event(seq) else {
        return;
    };
    row.number(event.seq, event.seq.to_string());
    row.text(query.zone.write(event.ts, "%H:%M:%S%.3f"));
    row.text(event.kind.type_name());
    row.number(u64::from(event.pid), event.pid.to_string());
    row.text(what(event));
    row.text(name(core, &event.container));
}
