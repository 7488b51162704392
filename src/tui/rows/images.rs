//! Images: the containers of each, and whether its name still refers to the same image.

use super::image::{self, images};
use super::query::Query;
use super::row::{Row, RowKey};
use super::screen::{ScreenDef, written};
use crate::core::Core;
use crate::event::Bytes;
use crate::tui::pane::Pane;
use crate::tui::table::{Column, Unit};

pub(super) const SCREEN: ScreenDef = ScreenDef {
    pane: Pane::Images,
    name: "images",
    title: "Images",
    short: "Img",
    over: "ended",
    columns: COLUMNS,
    empty: &["No images so far."],
    count: |core, _| Some(image::count(core)),
    outline: rows,
    write: written,
};

const COLUMNS: &[Column] = &[
    Column::severity(),
    Column::new("image", "IMAGE", 16, 0).main(),
    Column::new("digest", "DIGEST", 12, 3),
    Column::new("run", "RUN", 3, 1).right().counts(Unit::Count),
    Column::new("find", "FIND", 4, 2)
        .right()
        .counts(Unit::Count),
    Column::new("drift", "DRIFT", 5, 2).counts(Unit::Count),
    Column::new("flags", "FLAGS", 14, 4),
    Column::new("command", "COMMAND", 14, 6).grow(),
    Column::new("ports", "PORTS", 10, 5),
];

fn rows(core: &Core, _query: &Query<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = images(core)
        .iter()
        .map(|(key, image)| {
            let mut row = Row::new(RowKey::Image(key.clone()), image.last);
            row.faded = image.running() == 0;
            row.letter(image.worst);
            row.text(key.title());
            row.text(key.short());
            row.count(image.running() as u64);
            row.count(image.findings);
            let drift = image.drift;
            row.number(
                drift,
                if drift == 0 {
                    ".".to_owned()
                } else {
                    format!("Δ{drift}")
                },
            );
            row.text(image.flags(key));
            let info = image.containers.first().map(|c| &c.info);
            row.text(info.map_or_else(String::new, |info| words(&info.command)));
            row.text(info.map_or_else(String::new, |info| {
                crate::event::escape(info.exposed.join(" ").as_bytes()).to_string()
            }));
            row
        })
        .collect();
    rows.sort_by(|a, b| {
        let order = |row: &Row| (row.faded, std::cmp::Reverse(row.severity));
        order(a)
            .cmp(&order(b))
            .then_with(|| a.cells[1..3].cmp(&b.cells[1..3]))
    });
    rows
}

fn words(words: &[Bytes]) -> String {
    let words: Vec<String> = words.iter().map(|w| w.escaped().to_string()).collect();
    words.join(" ")
}
