//! Draws the screen of many hosts.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::Widget as _;

use super::rows::{FleetColumn, FleetPane, FleetRow, rows};
use super::screen::FleetScreen;
use crate::fleet::Fleet;
use crate::tui::text::{fit, pad, things};
use crate::tui::theme::Theme;

/// Lines of the help.
const HELP: &[&str] = &[
    "The hosts that publish to this server, that with the worst incident first.",
    "This screen only reads: nothing is changed on any host.",
    "",
    "Enter       open the host as it is now; in Incidents, at the incident's time",
    "j k ↑ ↓     move; PgUp PgDn g G: further",
    "1 2 3 Tab   hosts, incidents, findings",
    "q           leave; on a host: back to this list",
    "",
    "HEARD       since the last summary; a dim host is silent or was ended",
    "LAG         from the host's last event to the server; includes their clocks' difference",
    "LOST        events lost on the host or not published in time",
    "",
    "Any key closes this.",
];

pub(super) fn draw(
    fleet: &Fleet,
    name: &str,
    view: &mut FleetScreen,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    if area.width == 0 || area.height < 2 {
        return;
    }
    let line = |y: u16| Rect::new(area.x, area.y + y, area.width, 1);
    put(line(0), &header(fleet, name), theme.accent(), out);
    if let Some(error) = &fleet.error {
        let text = fit(error, usize::from(area.width));
        Line::styled(text, theme.bad())
            .right_aligned()
            .render(line(0), out);
    }
    tabs(fleet, view, line(1), theme, out);
    if area.height < 4 {
        return;
    }
    let last = line(area.height - 1);
    let body = Rect::new(area.x, area.y + 2, area.width, area.height - 3);
    if view.help {
        for (y, text) in (body.y..body.bottom()).zip(HELP) {
            put(
                Rect {
                    y,
                    height: 1,
                    ..body
                },
                text,
                theme.text(),
                out,
            );
        }
        put(last, "any key closes", theme.dim(), out);
        return;
    }
    let listed = rows(fleet, view.pane);
    if listed.is_empty() {
        let text = match (fleet.complete, view.pane) {
            (false, _) => "Waiting for the server …",
            (true, FleetPane::Hosts) => "No host has published here.",
            (true, _) => "None.",
        };
        put(Rect { height: 1, ..body }, text, theme.dim(), out);
    } else {
        table(view, &listed, body, theme, out);
    }
    let keys = "Enter open  j k move  1 2 3 lists  ? help  q quit";
    put(last, keys, theme.dim(), out);
}

fn header(fleet: &Fleet, name: &str) -> String {
    let hosts = things(fleet.hosts.len() as u64, "host");
    let incidents = fleet
        .hosts
        .values()
        .map(|host| host.summary.all_incidents)
        .sum();
    let incidents = things(incidents, "incident");
    let mut text = format!("hullwatch fleet  {name}  {hosts}  {incidents}");
    if fleet.beyond > 0 {
        text.push_str("  more hosts than are kept");
    }
    if fleet.unreadable > 0 {
        text.push_str(&format!("  {} unreadable", fleet.unreadable));
    }
    text
}

fn tabs(fleet: &Fleet, view: &FleetScreen, area: Rect, theme: &Theme, out: &mut Buffer) {
    let mut x = area.x;
    for (pane, digit) in FleetPane::ALL.into_iter().zip(1..) {
        let count = rows(fleet, pane).len();
        let text = format!(" {digit} {} {count} ", pane.title());
        let width = u16::try_from(text.len()).unwrap_or(u16::MAX);
        let place = Rect { x, width, ..area }.intersection(area);
        let style = match pane == view.pane {
            true => theme.selected(),
            false => theme.dim(),
        };
        if place.width > 0 {
            put(place, &text, style, out);
        }
        x = x.saturating_add(width).min(area.right());
    }
}

/// The rows that fit, with the selected one among them.
fn table(view: &mut FleetScreen, rows: &[FleetRow], area: Rect, theme: &Theme, out: &mut Buffer) {
    let columns = fitting(view.pane.columns(), usize::from(area.width));
    let titles = columns
        .iter()
        .map(|(_, column, width)| pad(column.title, *width, column.right));
    let titles: Vec<String> = titles.collect();
    let heading = format!("! {}", titles.join(" "));
    put(Rect { height: 1, ..area }, &heading, theme.title(), out);
    let height = usize::from(area.height.saturating_sub(1));
    view.height = height;
    let at = view.at(rows);
    let top = &mut view.top[view.pane as usize];
    *top = (*top).min(at).max((at + 1).saturating_sub(height));
    *top = (*top).min(rows.len().saturating_sub(height));
    for (y, (index, row)) in (area.y + 1..area.bottom()).zip(rows.iter().enumerate().skip(*top)) {
        let plain = match (index == at, row.faded) {
            (true, _) => theme.selected(),
            (false, true) => theme.dim(),
            (false, false) => theme.text(),
        };
        let cells = columns.iter().map(|(place, column, width)| {
            let cell = row.cells.get(*place).map_or("", String::as_str);
            pad(cell, *width, column.right)
        });
        let cells: Vec<String> = cells.collect();
        let place = Rect {
            y,
            height: 1,
            ..area
        };
        put(place, &format!("  {}", cells.join(" ")), plain, out);
        if let Some(severity) = row.severity {
            let style = match row.faded {
                true => theme.severity(severity),
                false => theme.badge(severity),
            };
            let letter = severity.letter().to_string();
            put(
                Rect {
                    width: place.width.min(1),
                    ..place
                },
                &letter,
                style,
                out,
            );
        }
    }
}

/// The columns that fit into this width, with their places and widths.
fn fitting(columns: &[FleetColumn], room: usize) -> Vec<(usize, FleetColumn, usize)> {
    let mut kept: Vec<(usize, FleetColumn, usize)> = columns
        .iter()
        .enumerate()
        .map(|(place, column)| (place, *column, column.width))
        .collect();
    let needs = |kept: &[(usize, FleetColumn, usize)]| {
        kept.iter().map(|(_, _, width)| width + 1).sum::<usize>() + 1
    };
    while needs(&kept) > room {
        let widest = kept.iter().map(|(_, column, _)| column.drop).max();
        let Some(drop) = widest.filter(|drop| *drop > 0) else {
            break;
        };
        kept.retain(|(_, column, _)| column.drop != drop);
    }
    let spare = room.saturating_sub(needs(&kept));
    if let Some((_, _, width)) = kept.iter_mut().find(|(_, column, _)| column.grow) {
        *width += spare;
    }
    kept
}

fn put(area: Rect, text: &str, style: Style, out: &mut Buffer) {
    Line::styled(fit(text, usize::from(area.width)), style).render(area, out);
}
