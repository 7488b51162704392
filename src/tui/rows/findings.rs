//! Findings: the worst and latest first; silenced ones at the end, marked as such.

use std::sync::Arc;

use super::builds::LittleFindings;
use super::query::Query;
use super::row::{Row, RowKey};
use super::screen::{ScreenDef, written};
use super::short::short;
use super::words::name;
use crate::core::Core;
use crate::detect::Finding;
use crate::tui::pane::Pane;
use crate::tui::table::{Column, Unit};

pub(super) const SCREEN: ScreenDef = ScreenDef {
    pane: Pane::Findings,
    name: "findings",
    title: "Findings",
    short: "Find",
    over: "silenced",
    columns: COLUMNS,
    empty: &[
        "No findings so far.",
        "A finding appears here when a container does something that its image does not explain:",
        "a new program, a changed account, a shell started by a server, a scan.",
    ],
    count: open,
    outline: rows,
    write: written,
};

const COLUMNS: &[Column] = &[
    Column::severity(),
    Column::new("age", "AGE", 4, 2).counts(Unit::Seconds),
    Column::container(1),
    Column::new("finding", "FINDING", 18, 0).main().wants(34),
    Column::new("rule", "RULE", 18, 4),
    Column::new("n", "N", 4, 3).right().counts(Unit::Count),
    Column::new("id", "ID", 6, 5).spare(),
    Column::new("state", "STATE", 8, 6).spare(),
];

/// Open findings.
fn open(core: &Core, query: &Query<'_>) -> Option<usize> {
    let all = core.detector.findings().iter();
    let open = all.filter(|f| f.is_open() && query.wants(&f.container));
    Some(open.count())
}

fn rows(core: &Core, query: &Query<'_>) -> Vec<Row> {
    let mut found: Vec<&Arc<Finding>> = core
        .detector
        .findings()
        .iter()
        .filter(|f| f.part_of.is_none() && query.wants(&f.container))
        .collect();
    found.sort_by_key(|finding| {
        let silenced = std::cmp::Reverse(finding.silenced.is_some());
        std::cmp::Reverse((silenced, finding.severity, finding.last, finding.id))
    });
    let builds = core.state.builds();
    let mut little = LittleFindings::default();
    if query.container.is_none() && !query.flat && query.filter.is_empty() && query.sort.is_none() {
        little = LittleFindings::new(&builds);
        found.retain(|finding| !little.fold(finding));
    }
    let silenced = found.partition_point(|finding| finding.silenced.is_none());
    let mut rows: Vec<Row> = found
        .into_iter()
        .map(|finding| {
            let mut row = Row::new(RowKey::Finding(finding.id), finding.last);
            row.seen = Some((finding.first, finding.last));
            row.faded = finding.silenced.is_some();
            if row.faded {
                row.tag = "silenced";
            }
            row.letter(Some(finding.severity));
            row.age(core, finding.last);
            row.text(name(core, &finding.container));
            row.shortened(finding.title.clone(), short(finding));
            row.text(finding.rule.clone());
            row.count(finding.count);
            row.text(finding.id.to_string());
            row.text(if row.faded { "silenced" } else { "open" });
            row
        })
        .collect();
    // Less severe ones: by severity, then the latest first.
    for row in little.rows(core, &builds) {
        let order = |row: &Row| (row.severity, row.at);
        let open = rows.get(..silenced).unwrap_or_default();
        let at = open.partition_point(|other| order(other) >= order(&row));
        rows.insert(at, row);
    }
    rows
}
