//! Files: operations on each path, and the difference from the image.

use std::cmp::Reverse;
use std::sync::Arc;

use super::flagged::FlaggedTargets;
use super::query::Query;
use super::row::{Row, RowKey};
use super::screen::ScreenDef;
use super::words::{errno_name, name, source, word};
use crate::core::Core;
use crate::event::FileOp;
use crate::state::{FileActivity, FileKey};
use crate::tui::pane::Pane;
use crate::tui::table::{Column, Unit};
use crate::tui::theme::Token;

pub(super) const SCREEN: ScreenDef = ScreenDef {
    pane: Pane::Files,
    name: "files",
    title: "Files",
    short: "Files",
    over: "removed",
    columns: COLUMNS,
    empty: &[
        "No changed files so far.",
        "Files that are created, changed, renamed or deleted are listed with their difference \
         from the image.",
        "Press d for all files that differ, also those changed before watching began.",
    ],
    count,
    outline,
    write,
};

const COLUMNS: &[Column] = &[
    Column::severity(),
    Column::new("drift", "Δ", 1, 1),
    Column::new("op", "OP", 8, 0),
    Column::new("path", "PATH", 20, 0).main(),
    Column::new("n", "N", 5, 4).right().counts(Unit::Count),
    Column::new("origin", "ORIGIN", 9, 3),
    Column::new("by", "BY", 12, 5),
    Column::new("age", "AGE", 4, 6).counts(Unit::Seconds),
    Column::new("result", "RESULT", 7, 7),
    Column::container(2),
];

/// Files with at least one operation.
fn count(core: &Core, query: &Query<'_>) -> Option<usize> {
    let all = core.state.files.keys();
    Some(all.filter(|key| query.wants(&key.owner)).count())
}

fn outline(core: &Core, query: &Query<'_>) -> Vec<Row> {
    let shown: Vec<(&FileKey, &Arc<FileActivity>)> = core
        .state
        .files
        .iter()
        .filter(|(key, _)| query.wants(&key.owner))
        .collect();
    let flagged = FlaggedTargets::new(core);
    let mut shown: Vec<_> = shown
        .into_iter()
        .map(|(key, activity)| (flagged.file(key), key, activity))
        .collect();
    // Flagged ones first.
    shown.sort_by_key(|(severity, _, activity)| (Reverse(*severity), Reverse(activity.last)));
    shown
        .into_iter()
        .map(|(severity, key, activity)| {
            let mut row = Row::new(RowKey::File(key.clone()), activity.last);
            row.seen = Some((activity.first, activity.last));
            row.severity = severity;
            row.faded = activity.last_op == FileOp::Unlink;
            row
        })
        .collect()
}

fn write(core: &Core, _: &Query<'_>, row: &mut Row) {
    let RowKey::File(key) = row.key.clone() else {
        return;
    };
    let Some(activity) = core.state.files.get(&key) else {
        return;
    };
    row.letter(row.severity);
    match activity.differs() {
        Some('+') => row.toned("drift", Token::Added),
        Some('-') => row.toned("drift", Token::Deleted),
        Some(_) => row.toned("drift", Token::Changed),
        None => {}
    }
    row.text(activity.differs().map_or_else(String::new, String::from));
    row.text(word(&activity.last_op));
    row.text(key.path.escaped().to_string());
    row.count(activity.ops.values().sum());
    let origin = activity.file.map(|file| source(file.origin()));
    row.text(origin.unwrap_or_default());
    row.text(activity.comm.escaped().to_string());
    row.age(core, activity.last);
    if activity.last_errno != 0 {
        row.toned("result", Token::ToastWarn);
    }
    row.text(errno_name(activity.last_errno));
    row.text(name(core, &key.owner));
}
