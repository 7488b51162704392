//! Incidents: the likeliest break-in first; accepted ones at the end, marked as such.

use super::query::Query;
use super::row::{Row, RowKey};
use super::screen::{ScreenDef, written};
use super::words::name;
use crate::core::Core;
use crate::event::escape;
use crate::tui::pane::Pane;
use crate::tui::silence::ACKNOWLEDGED_BY;
use crate::tui::table::{Column, Unit};

pub(super) const SCREEN: ScreenDef = ScreenDef {
    pane: Pane::Incidents,
    name: "incidents",
    title: "Incidents",
    short: "Inc",
    over: "ended",
    columns: COLUMNS,
    empty: &[
        "No incident: no finding so far suggests an intruder.",
        "Related findings are joined here: how the intruder got in, what they did, what still \
         runs.",
    ],
    count: open,
    outline: rows,
    write: written,
};

const COLUMNS: &[Column] = &[
    Column::severity(),
    Column::container(0),
    Column::new("since", "SINCE", 9, 3),
    Column::new("last", "LAST", 4, 4).counts(Unit::Seconds),
    Column::new("state", "STATE", 6, 1),
    Column::new("incident", "WHAT HAPPENED", 24, 0)
        .main()
        .wants(40),
    Column::new("run", "RUN", 3, 5).right().counts(Unit::Count),
    Column::new("from", "FROM", 15, 6),
    Column::new("find", "FIND", 4, 7)
        .right()
        .counts(Unit::Count),
    Column::new("id", "ID", 6, 8).spare(),
    Column::new("accepted", "ACCEPTED", 20, 9).spare(),
];

fn open(core: &Core, query: &Query<'_>) -> Option<usize> {
    Some(core.incidents.count(&core.detector, query.container))
}

fn rows(core: &Core, query: &Query<'_>) -> Vec<Row> {
    let open = core.ranked_incidents().into_iter();
    let all = open.chain(core.accepted_incidents());
    all.filter(|incident| query.wants(&Some(incident.container.clone())))
        .map(|incident| {
            let mut row = Row::new(RowKey::Incident(incident.id), incident.last);
            row.seen = Some((incident.first, incident.last));
            row.faded = !incident.active || incident.accepted.is_some();
            row.tag = match &incident.accepted {
                Some(reason) if reason.starts_with(ACKNOWLEDGED_BY) => "acknowledged",
                Some(_) => "silenced",
                None => "",
            };
            row.letter(Some(incident.severity));
            row.text(name(core, &Some(incident.container.clone())));
            row.text(query.zone.clock(incident.first));
            row.age(core, incident.last);
            row.text(if incident.active { "ACTIVE" } else { "ended" });
            row.text(incident.sentence("›"));
            row.count(incident.running.len() as u64);
            row.text(
                incident
                    .request
                    .as_ref()
                    .map_or_else(String::new, |request| request.peer.ip().to_string()),
            );
            row.count(incident.findings.len() as u64 + incident.more_findings);
            row.text(incident.id.to_string());
            row.text(escape(incident.accepted.unwrap_or_default().as_bytes()).to_string());
            row
        })
        .collect()
}
