//! A pane: its table with the selected row explained below, or what to do when there is nothing.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::core::Core;
use crate::event::{Timestamp, escape};
use crate::tui::app::{Pane, Scene, Ui};
use crate::tui::rows::{self, Row, RowKey};
use crate::tui::table::{Column, layout};
use crate::tui::text::{fit, fit_middle, pad};
use crate::tui::theme::Theme;

/// Cells before the first column: the marker of the selection, and that of a marked row.
const MARKS: u16 = 2;
/// Lines below the table that explain the selected row, its title among them.
const PREVIEW: u16 = 6;
/// Where there is room for them without being asked.
const ROOMY: (u16, u16) = (100, 27);

pub(super) fn draw(core: &Core, ui: &mut Ui, area: Rect, theme: &Theme, out: &mut Buffer) {
    let rows = ui.outline(core);
    ui.counted = rows.counted;
    ui.held = Some(Arc::clone(&rows));
    let roomy = area.width >= ROOMY.0 && area.height >= ROOMY.1;
    let preview = ui.preview.unwrap_or(roomy) && !ui.zoom && area.height > PREVIEW + 4;
    let below = if preview && !rows.is_empty() {
        PREVIEW
    } else {
        0
    };
    let area = Rect {
        height: area.height - below,
        ..area
    };
    let height = usize::from(area.height.saturating_sub(1)).max(1);
    ui.page = height;
    let table = ui.table();
    let page = table.first..table.first + height;
    let chosen = match ui.chosen(&rows) {
        // A stream nobody chose a row of goes on at its top.
        gone if !table.by_hand && !table.follow && !page.contains(&gone) => {
            table.first.min(rows.len().saturating_sub(1))
        }
        chosen => chosen,
    };
    ui.current = None;
    ui.anchor(&rows, chosen);
    let first = first(ui, chosen, rows.len(), height);
    let end = rows.len().min(first + height);
    let mut shown = rows[first..end].to_vec();
    for row in &mut shown {
        rows::write(core, &ui.query(), row);
    }
    let texts: Vec<Vec<String>> = shown.iter().map(|row| steadied(ui, row)).collect();
    ui.steady.turn();
    let columns = rows::columns(ui.pane);
    let widths = widths(ui, columns, &rows, area.width);
    ui.spots.titles = titles(ui, columns, &widths, area, theme, out);
    let body = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1),
        ..area
    };
    if rows.is_empty() {
        empty(core, ui, body, theme, out);
        return;
    }
    for (y, (at, (row, cells))) in (body.y..body.bottom()).zip(shown.iter().zip(&texts).enumerate())
    {
        let area = Rect {
            y,
            height: 1,
            ..body
        };
        ui.spots.rows.push((area, row.key.clone()));
        line(
            ui,
            row,
            cells,
            &widths,
            area,
            first + at == chosen,
            theme,
            out,
        );
    }
    if below > 0 {
        let area = Rect {
            y: area.bottom(),
            height: below,
            ..area
        };
        let row = &rows[chosen].key;
        let there = |key: &RowKey| rows.iter().any(|row| row.key == *key);
        let explained = match ui.explained.take().filter(|key| ui.hurry && there(key)) {
            Some(before) => before,
            None => row.clone(),
        };
        super::preview::draw(core, ui, &explained, area, theme, out);
        ui.explained = Some(explained);
    }
}

/// The first row of the page: it stays while the selection moves inside, else moves by half.
fn first(ui: &mut Ui, chosen: usize, count: usize, height: usize) -> usize {
    let last = count.saturating_sub(height);
    let table = ui.table_mut();
    if chosen < table.first || chosen >= table.first + height {
        table.first = chosen.saturating_sub(height / 2);
    }
    table.first = table.first.min(last);
    table.first
}

/// The cells of a row; numbers that moved little stay as they were.
fn steadied(ui: &mut Ui, row: &Row) -> Vec<String> {
    let columns = rows::columns(ui.pane);
    let cells = row.cells.iter().zip(&row.numbers).zip(columns).enumerate();
    cells
        .map(|(at, ((text, number), column))| match number {
            Some(number) if column.moves() => ui.steady.text(&row.key, at, *number, text),
            _ => ui.masked(text).into_owned(),
        })
        .collect()
}

fn widths(ui: &Ui, columns: &[Column], rows: &[Row], width: u16) -> Vec<(usize, u16)> {
    let wanted = |at: &usize| {
        let alone = ui.container.is_some() && columns[*at].name == "container";
        ui.table().shows(&columns[*at]) && !alone
    };
    let wanted: Vec<usize> = (0..columns.len()).filter(wanted).collect();
    let chosen: Vec<Column> = wanted.iter().map(|at| columns[*at]).collect();
    let longest: Vec<u16> = wanted
        .iter()
        .map(|at| longest(columns, rows, *at))
        .collect();
    let width = width.saturating_sub(MARKS);
    layout(&chosen, width, |at| longest[at])
        .into_iter()
        .map(|(at, width)| (wanted[at], width))
        .collect()
}

/// The width that names and findings need in a column; a command or a path may be of any length.
/// Of all rows: the columns stand still while the page moves.
fn longest(columns: &[Column], rows: &[Row], column: usize) -> u16 {
    if !columns[column].named && columns[column].name != "finding" {
        return 0;
    }
    let texts = rows.iter().filter_map(|row| {
        let brief = row.brief(column);
        brief.or_else(|| row.cells.get(column).map(String::as_str))
    });
    let mut longest = 0;
    for text in texts {
        // A text has no more columns than bytes.
        if text.len() > longest {
            longest = longest.max(text.width());
        }
    }
    u16::try_from(longest).unwrap_or(u16::MAX)
}

/// Narrower columns tell findings in few words, each of them, to be read alike.
const WHOLE: usize = 60;

fn titles(
    ui: &Ui,
    columns: &[Column],
    widths: &[(usize, u16)],
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) -> Vec<(Rect, &'static str)> {
    let table = ui.table();
    let mut places = Vec::new();
    let mut x = area.x + MARKS.min(area.width);
    for (at, width) in widths {
        let column = &columns[*at];
        let title = match table.sort {
            Some(by) if by == column.name && *width > 1 => {
                let sign = if table.reverse { '↑' } else { '↓' };
                fit(column.title, usize::from(*width) - 1) + &sign.to_string()
            }
            _ => column.title.to_owned(),
        };
        put(
            out,
            x,
            area,
            &pad(&title, usize::from(*width), column.right),
            theme.dim(),
        );
        places.push((Rect::new(x, area.y, *width, 1), column.name));
        x += width + 1;
    }
    places
}

/// Columns of the name that show the selection: each step of it writes them twice.
const SELECTED: usize = 20;

/// Writes inside `area`, whatever `x` is.
fn put(out: &mut Buffer, x: u16, area: Rect, text: &str, style: ratatui::style::Style) {
    let room = area.right().saturating_sub(x);
    if room > 0 {
        out.set_stringn(x, area.y, text, usize::from(room), style);
    }
}

#[allow(clippy::too_many_arguments, reason = "a row is drawn from all of them")]
fn line(
    ui: &Ui,
    row: &Row,
    cells: &[String],
    widths: &[(usize, u16)],
    area: Rect,
    chosen: bool,
    theme: &Theme,
    out: &mut Buffer,
) {
    let columns = rows::columns(ui.pane);
    if chosen {
        put(out, area.x, area, "▌", theme.selected());
    }
    if ui.marks.contains(&row.key) {
        put(out, area.x + 1, area, "*", theme.accent());
    }
    let plain = if row.faded || row.context {
        theme.dim()
    } else {
        theme.text()
    };
    let mut x = area.x + MARKS;
    for (at, width) in widths {
        let (column, cell) = (&columns[*at], &cells[*at]);
        let room = usize::from(*width);
        let brief = row
            .brief(*at)
            .filter(|_| room < WHOLE || cell.width() > room);
        let brief = brief.map(|brief| ui.masked(brief));
        let cell = brief.as_deref().unwrap_or(cell);
        let text = if column.main {
            main(ui, row.tag, cell, room)
        } else if column.named {
            pad(&fit_middle(cell, room), room, false)
        } else {
            pad(cell, room, column.right)
        };
        let style = super::tone::style(row, column, plain, theme);
        put(out, x, area, &text, style);
        // Only the letter and the name show the selection: a whole line is many bytes.
        if chosen && (column.main || column.name == "sev") {
            let head = text.trim_end();
            put(out, x, area, start(head, SELECTED), theme.selected());
        }
        x += width + 1;
    }
}

/// The first columns of a text.
fn start(text: &str, width: usize) -> &str {
    let mut used = 0;
    let mut ends = text.char_indices().filter(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > width
    });
    let end = ends.next().map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

/// What a row is called: shifted as asked, names cut in the middle.
fn main(ui: &Ui, tag: &str, cell: &str, room: usize) -> String {
    let shift = ui.table().shift;
    if !tag.is_empty() {
        let rest = main(ui, "", cell, room.saturating_sub(tag.width() + 1));
        return pad(&format!("{tag} {rest}"), room, false);
    }
    if shift == 0 {
        let middle = matches!(
            ui.pane,
            Pane::Containers | Pane::Findings | Pane::Images | Pane::Files
        );
        let text = if middle {
            fit_middle(cell, room)
        } else {
            fit(cell, room)
        };
        return pad(&text, room, false);
    }
    if cell.width() <= room {
        return pad(cell, room, false);
    }
    let rest: String = cell.chars().skip(shift).collect();
    pad(&format!("…{rest}"), room, false)
}

fn empty(core: &Core, ui: &Ui, area: Rect, theme: &Theme, out: &mut Buffer) {
    let clear = ui.keys.sign(crate::tui::Action::Back);
    let filter = escape(ui.filter().text().as_bytes()).to_string();
    let no_match = format!("No row matches {filter}   {clear} clears the filter");
    let over = ui.pane.over();
    let show = ui.keys.sign(crate::tui::Action::Ended);
    let hidden = match ui.hide_ended() {
        true => format!("Rows that are {over} are hidden: {show} shows them"),
        false => String::new(),
    };
    let lines: &[&str] = if !ui.filter().is_empty() {
        &[&no_match, &hidden]
    } else if ui.hide_ended() {
        &[&hidden]
    } else if ui.pane == Pane::Findings {
        rows::screen(ui.pane).empty
    } else if core.state.now == Timestamp::default() {
        match ui.scene {
            Scene::Host => &["Attaching to the kernel …"],
            Scene::Attached | Scene::Recording => &["Reading the recording …"],
        }
    } else if core.state.containers.is_empty() {
        &[
            "No containers are running. Watching for new ones:",
            "the first process of the next container will show here.",
            "",
            "hullwatch --host   also shows the host's own processes",
            "hullwatch demo     replays a recording",
        ]
    } else {
        rows::screen(ui.pane).empty
    };
    for (y, text) in (area.y..area.bottom()).zip(lines) {
        out.set_string(area.x, y, fit(text, usize::from(area.width)), theme.text());
    }
}
