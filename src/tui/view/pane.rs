//! A pane: its table, or what to do when there is nothing to show.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::core::Core;
use crate::tui::app::{Pane, Ui};
use crate::tui::rows::{self, Row};
use crate::tui::table::layout;
use crate::tui::text::{fit, pad};
use crate::tui::theme::Theme;

pub(super) fn draw(core: &Core, ui: &mut Ui, area: Rect, theme: &Theme, out: &mut Buffer) {
    let rows = rows::rows(core, ui);
    let columns = rows::columns(ui.pane);
    let widths = layout(columns, area.width);
    let mut x = area.x;
    for (i, width) in &widths {
        let title = if *i == ui.sort_column() && *i > 0 {
            format!("{}↓", columns[*i].title)
        } else {
            columns[*i].title.to_owned()
        };
        let text = pad(&title, usize::from(*width), columns[*i].right);
        out.set_string(x, area.y, text, theme.dim());
        x += width + 1;
    }
    let body = Rect::new(area.x, area.y + 1, area.width, area.height - 1);
    if rows.is_empty() {
        empty(core, ui, body, theme, out);
        return;
    }
    let chosen = ui
        .selected()
        .and_then(|key| rows.iter().position(|row| row.key == *key))
        .unwrap_or(0);
    let height = usize::from(body.height).max(1);
    // The page that holds the selection: rows above do not move while it moves inside.
    let first = chosen / height * height;
    for (y, (at, row)) in (body.y..body.bottom()).zip(rows.iter().enumerate().skip(first)) {
        line(
            row,
            &widths,
            ui,
            Rect::new(body.x, y, body.width, 1),
            at == chosen,
            theme,
            out,
        );
    }
}

fn line(
    row: &Row,
    widths: &[(usize, u16)],
    ui: &Ui,
    area: Rect,
    chosen: bool,
    theme: &Theme,
    out: &mut Buffer,
) {
    let columns = rows::columns(ui.pane);
    let mut x = area.x;
    for (i, width) in widths {
        let text = pad(&row.cells[*i], usize::from(*width), columns[*i].right);
        let style = match row.severity {
            _ if chosen => theme.selected(),
            Some(severity) if *i == 0 => theme.severity(severity),
            _ if row.faded => theme.dim(),
            _ => theme.text(),
        };
        out.set_string(x, area.y, text, style);
        x += width;
        if chosen && x < area.right() {
            out.set_string(x, area.y, " ", style);
        }
        x += 1;
    }
}

fn empty(core: &Core, ui: &Ui, area: Rect, theme: &Theme, out: &mut Buffer) {
    let lines: &[&str] = if !ui.filter.is_empty() {
        &["No row matches the filter. Esc clears it."]
    } else if ui.pane == Pane::Findings {
        &["No findings so far."]
    } else if core.state.containers.is_empty() {
        &[
            "No containers are running. Watching for new ones:",
            "the first process of the next container will show here.",
            "",
            "hullwatch --host   also shows the host's own processes",
            "hullwatch demo     replays a recording",
        ]
    } else {
        &["Nothing yet."]
    };
    for (y, text) in (area.y..area.bottom()).zip(lines) {
        out.set_string(area.x, y, fit(text, usize::from(area.width)), theme.text());
    }
}
