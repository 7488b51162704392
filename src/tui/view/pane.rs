//! A screen: its table with the preview of the selected row below, or hints when it is empty.

use std::borrow::Cow;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Widget as _};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::core::Core;
use crate::event::{Timestamp, escape};
use crate::tui::damping::DampedNumbers;
use crate::tui::drawn::{Drawn, TableDrawn};
use crate::tui::pane::Pane;
use crate::tui::rows::{self, Row, RowKey};
use crate::tui::spark;
use crate::tui::table::{Column, layout};
use crate::tui::text::{fit, fit_middle};
use crate::tui::theme::{Theme, Token};
use crate::tui::ui::{SourceKind, Ui};

/// Rows by which a page moves when the selection leaves it by a row.
const SCROLLED: usize = 3;
/// Cells before the first column: the marker of the selection, and that of a marked row.
const MARKS: u16 = 2;
/// Lines below the table that explain the selected row, its title among them.
const PREVIEW: u16 = 6;
/// Minimum height of the screen for a preview by default.
const ROOMY: (u16, u16) = (100, 27);

pub(super) fn draw(
    core: &Core,
    ui: &Ui,
    drawn: &mut Drawn,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let rows = ui.outline(core);
    drawn.counted = rows.counted;
    drawn.listing = Some(Arc::clone(&rows));
    let below = preview(ui, rows.len(), area);
    let [area, explanation] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas(area);
    let height = usize::from(area.height.saturating_sub(1)).max(1);
    drawn.page = height;
    let table = ui.table();
    let page = table.first..table.first + height;
    let chosen = match ui.chosen(&rows) {
        // Until the user chooses a row, the worst one is selected, and a stream stays at its top.
        _ if !table.by_hand && !table.follow && ui.at.pane.is_ranked() => 0,
        gone if !table.by_hand && !table.follow && !page.contains(&gone) => {
            table.first.min(rows.len().saturating_sub(1))
        }
        chosen => chosen,
    };
    let current = rows.get(chosen);
    drawn.current = current.map(|row| row.key.clone());
    let first = first(table.first, chosen, rows.len(), height);
    drawn.table = Some(TableDrawn {
        first,
        at: chosen,
        lit: current.is_some_and(|row| !row.faded),
    });
    let end = rows.len().min(first + height);
    let mut shown = rows[first..end].to_vec();
    let query = ui.query();
    for row in &mut shown {
        rows::write(core, &query, row);
    }
    let mut numbers = DampedNumbers::default();
    let texts: Vec<Vec<String>> = shown
        .iter()
        .map(|row| texts(ui, &mut numbers, row))
        .collect();
    drawn.numbers = numbers;
    let columns = rows::columns(ui.at.pane);
    let widths = widths(ui, columns, &rows, area.width);
    drawn.clickable.titles = titles(columns, &widths, area);
    let mut lines = Vec::with_capacity(shown.len());
    let inside = (area.y + 1..area.bottom()).zip(shown.iter().zip(&texts).enumerate());
    for (y, (at, (row, texts))) in inside {
        let area = Rect {
            y,
            height: 1,
            ..area
        };
        let chosen = first + at == chosen;
        // The style has a background, which a blank would show.
        let cursor = if chosen {
            Span::styled("▌", theme.selected())
        } else {
            Span::raw(" ")
        };
        let mark = if ui.tables.marks.contains(&row.key) {
            "*"
        } else {
            ""
        };
        Line::from(vec![cursor, Span::styled(mark, theme.accent())]).render(area, out);
        drawn.clickable.rows.push((area, row.key.clone()));
        lines.push(line(ui, row, texts, &widths, chosen, theme));
    }
    let cells = Rect {
        x: area.x + MARKS.min(area.width),
        width: area.width.saturating_sub(MARKS),
        ..area
    };
    let header = widths.iter().map(|(at, width)| {
        let column = &columns[*at];
        let title = title(ui, column, *width);
        aligned(Span::styled(title, theme.dim()), column)
    });
    ratatui::widgets::Table::new(lines, widths.iter().map(|(_, width)| *width))
        .header(ratatui::widgets::Row::new(header))
        .column_spacing(1)
        .render(cells, out);
    charts(columns, &widths, &shown, area, theme, out);
    if rows.is_empty() {
        let body = Rect {
            y: area.y + 1,
            height: area.height.saturating_sub(1),
            ..area
        };
        empty(core, ui, body, theme, out);
    } else if below > 0 {
        let there = |key: &&RowKey| rows.iter().any(|row| row.key == **key);
        let before = ui.drawn.explained.as_ref();
        let explained = before
            .filter(|key| ui.hurry && there(key))
            .unwrap_or(&rows[chosen].key);
        super::preview::draw(core, &query, explained, explanation, theme, out);
        drawn.explained = Some(explained.clone());
    }
    drawn.previewed = below > 0;
}

/// Height of the preview: it takes the lines that the rows leave free, and is hidden where they
/// need all of a small screen unless the user showed it.
fn preview(ui: &Ui, rows: usize, area: Rect) -> u16 {
    let needed = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2);
    let free = area.height.saturating_sub(needed);
    let roomy = area.width >= ROOMY.0 && area.height >= ROOMY.1 || free >= PREVIEW;
    let shown = ui.display.preview.unwrap_or(roomy) && !ui.display.zoom;
    if !shown || rows == 0 || area.height <= PREVIEW + 4 {
        return 0;
    }
    free.max(PREVIEW)
}

/// Draws the charts of the rows into their column.
fn charts(
    columns: &[Column],
    widths: &[(usize, u16)],
    shown: &[Row],
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let places = titles(columns, widths, area).into_iter().zip(widths);
    for ((place, _), (at, _)) in places.filter(|(_, (at, _))| columns[*at].chart) {
        let nth = columns[..*at].iter().filter(|column| column.chart).count();
        for (y, row) in (area.y + 1..area.bottom()).zip(shown) {
            if let Some((bars, most)) = row.charts.get(nth).filter(|_| !row.faded) {
                let cell = Rect { y, ..place }.intersection(area);
                let style = theme.style(row.tone(columns[*at].name).unwrap_or(Token::Spark));
                spark::draw(bars, *most, style, cell, out);
            }
        }
    }
}

/// The first row of the page: unchanged while the selection is inside. Next to the page it moves by a few
/// rows, of which the terminal scrolls the others; farther away the page is a new one around it.
fn first(first: usize, chosen: usize, count: usize, height: usize) -> usize {
    let step = SCROLLED.min(height);
    let first = if (first..first + height).contains(&chosen) {
        first
    } else if chosen < first && first - chosen <= step {
        first.saturating_sub(step)
    } else if chosen >= first && chosen - first < height + step {
        first + step
    } else {
        chosen.saturating_sub(height / 2)
    };
    first.min(count.saturating_sub(height))
}

/// The texts of a row; numbers that changed little stay as they were.
fn texts(ui: &Ui, numbers: &mut DampedNumbers, row: &Row) -> Vec<String> {
    let columns = rows::columns(ui.at.pane);
    let cells = row.cells.iter().zip(&row.numbers).zip(columns).enumerate();
    cells
        .map(|(at, ((text, number), column))| match number {
            Some(number) if column.moves() => {
                numbers.text(&ui.drawn.numbers, &row.key, at, *number, text)
            }
            _ => ui.masked(text).into_owned(),
        })
        .collect()
}

fn widths(ui: &Ui, columns: &[Column], rows: &[Row], width: u16) -> Vec<(usize, u16)> {
    let wanted = |at: &usize| {
        let alone = ui.at.container.is_some() && columns[*at].name == "container";
        let chart = columns[*at].chart && ui.display.no_charts;
        ui.table().shows(&columns[*at]) && !alone && !chart
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

/// The width that names, words and findings need in a column; a command or a path may have any length. Of
/// all rows, so that the columns do not move while the page scrolls.
fn longest(columns: &[Column], rows: &[Row], column: usize) -> u16 {
    let Column {
        named, word, name, ..
    } = columns[column];
    if !named && word == 0 && name != "finding" {
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

/// Narrower columns show every finding in its short form.
const WHOLE: usize = 60;

/// Where the titles of the columns are, with the columns' names.
fn titles(columns: &[Column], widths: &[(usize, u16)], area: Rect) -> Vec<(Rect, &'static str)> {
    let mut x = area.x + MARKS.min(area.width);
    let place = |(at, width): &(usize, u16)| {
        let place = Rect::new(x, area.y, *width, 1);
        x += width + 1;
        (place, columns[*at].name)
    };
    widths.iter().map(place).collect()
}

/// The title of a column, with the order where the table is sorted by it.
fn title(ui: &Ui, column: &Column, width: u16) -> String {
    let table = ui.table();
    match table.sort {
        Some(by) if by == column.name && width > 1 => {
            let sign = if table.reverse { '↑' } else { '↓' };
            fit(column.title, usize::from(width) - 1) + &sign.to_string()
        }
        _ => fit(column.title, usize::from(width)),
    }
}

/// A cell's text with the alignment of its column.
fn aligned<'a>(text: impl Into<Line<'a>>, column: &Column) -> Line<'a> {
    if column.right {
        text.into().right_aligned()
    } else {
        text.into()
    }
}

/// Columns of the name that show the selection: each step writes them twice.
const SELECTED: usize = 20;

/// A row of the table.
fn line(
    ui: &Ui,
    row: &Row,
    texts: &[String],
    widths: &[(usize, u16)],
    chosen: bool,
    theme: &Theme,
) -> ratatui::widgets::Row<'static> {
    let columns = rows::columns(ui.at.pane);
    let plain = if row.faded || row.context {
        theme.dim()
    } else {
        theme.text()
    };
    let cells = widths.iter().map(|(at, width)| {
        let (column, text) = (&columns[*at], &texts[*at]);
        let room = usize::from(*width);
        let brief = row
            .brief(*at)
            .filter(|_| room < WHOLE || text.width() > room);
        let brief = brief.map(|brief| ui.masked(brief));
        let text = brief.as_deref().unwrap_or(text);
        let text = if column.chart {
            String::new()
        } else if column.main {
            main(ui, row.tag, text, room)
        } else if column.named {
            fit_middle(text, room)
        } else {
            fit(text, room)
        };
        let style = super::tone::style(row, column, plain, theme);
        // Only the letter and the name show the selection: a whole line takes many bytes.
        let selected = if chosen && (column.main || column.name == "sev") {
            first_words(text.trim_end(), SELECTED).len()
        } else {
            0
        };
        let (head, rest) = text.split_at(selected);
        let spans = vec![
            Span::styled(head.to_owned(), style.patch(theme.selected())),
            Span::styled(rest.to_owned(), style),
        ];
        aligned(spans, column)
    });
    ratatui::widgets::Row::new(cells)
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

/// The first words of a text that fit, or the beginning of a word that does not.
fn first_words(text: &str, width: usize) -> &str {
    let head = start(text, width);
    let rest = text.get(head.len()..).unwrap_or_default();
    if rest.is_empty() || rest.starts_with(' ') {
        return head.trim_end();
    }
    match head.rfind(' ') {
        Some(end) => head.get(..end).unwrap_or(head).trim_end(),
        None => head,
    }
}

/// The name of a row: scrolled, names shortened in the middle.
fn main(ui: &Ui, tag: &str, text: &str, room: usize) -> String {
    let shift = ui.table().shift;
    if !tag.is_empty() {
        let rest = main(ui, "", text, room.saturating_sub(tag.width() + 1));
        return fit(&format!("{tag} {rest}"), room);
    }
    if shift > 0 && text.width() > room {
        let rest: String = text.chars().skip(shift).collect();
        return fit(&format!("…{rest}"), room);
    }
    let middle = matches!(
        ui.at.pane,
        Pane::Containers | Pane::Findings | Pane::Images | Pane::Files
    );
    if shift == 0 && middle {
        fit_middle(text, room)
    } else {
        fit(text, room)
    }
}

fn empty(core: &Core, ui: &Ui, area: Rect, theme: &Theme, out: &mut Buffer) {
    let clear = ui.keys.sign(crate::tui::Action::Back);
    let filter = escape(ui.filter().text().as_bytes()).to_string();
    let no_match = format!("No row matches {filter}   {clear} clears the filter");
    let over = ui.at.pane.over();
    let show = ui.keys.sign(crate::tui::Action::Ended);
    let hidden = match ui.hide_ended() {
        true => format!("Rows that are {over} are hidden: {show} shows them"),
        false => String::new(),
    };
    let lines: &[&str] = if !ui.filter().is_empty() {
        &[&no_match, &hidden]
    } else if ui.hide_ended() {
        &[&hidden]
    } else if ui.at.pane == Pane::Findings {
        rows::screen(ui.at.pane).empty
    } else if core.state.now == Timestamp::default() {
        match ui.source {
            SourceKind::Host => &["Attaching to the kernel …"],
            SourceKind::Attached | SourceKind::Recording => &["Reading the recording …"],
        }
    } else if core.state.containers.is_empty() {
        &[
            "No containers are running. Watching for new ones:",
            "a container appears here with its first process.",
            "",
            "hullwatch --host   also shows the host's own processes",
            "hullwatch demo     replays a recording",
        ]
    } else {
        rows::screen(ui.at.pane).empty
    };
    let lines = wrapped(lines, area.width).into_iter();
    let lines = lines.map(|line| Span::styled(line, theme.text()));
    Paragraph::new(Text::from_iter(lines)).render(area, out);
}

fn wrapped(lines: &[&str], width: u16) -> Vec<String> {
    let width = usize::from(width).max(1);
    let lines = lines.iter().flat_map(|line| textwrap::wrap(line, width));
    lines.map(Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_empty_screen_is_wrapped() {
        let text = ["No images so far.", "", "Images of containers are listed"];
        let lines = wrapped(&text, 20);
        let expected = [
            "No images so far.",
            "",
            "Images of containers",
            "are listed",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_selection_marks_whole_words() {
        assert_eq!(
            first_words("Accounts or passwords changed", 20),
            "Accounts or"
        );
        assert_eq!(
            first_words("docker exec › cloud metadata", 20),
            "docker exec › cloud"
        );
        assert_eq!(first_words("shop-web", 20), "shop-web");
        assert_eq!(
            first_words("/usr/share/keyrings/key", 20),
            "/usr/share/keyrings/"
        );
        assert_eq!(first_words("日本語 日本語", 7), "日本語");
    }
}
