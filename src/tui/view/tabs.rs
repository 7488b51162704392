//! The second line: the views, or inside something the way there and its tabs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr as _;

use super::header::parts;
use crate::core::Core;
use crate::tui::drawn::Drawn;
use crate::tui::pane::Pane;
use crate::tui::rows::{self, RowCounts};
use crate::tui::text::{count, fit_middle};
use crate::tui::theme::Theme;
use crate::tui::ui::Ui;

/// How titles are written, from roomy to tight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Long,
    Short,
    Digits,
}

pub(super) fn draw(
    core: &Core,
    ui: &Ui,
    drawn: &mut Drawn,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let area = notes(ui, drawn.counted, area, theme, out);
    let room = usize::from(area.width);
    for size in [Size::Long, Size::Short, Size::Digits] {
        let (all, panes) = line(core, ui, size, room, theme);
        let width: usize = all.iter().map(|(text, _)| text.width() + 1).sum();
        if width <= room + 1 || size == Size::Digits {
            let places = parts(&all, area, out);
            // What stands before the tabs is the way here.
            let tabs = places.into_iter().skip(all.len() - panes.len());
            drawn.clickable.tabs = tabs.zip(panes.iter().copied()).collect();
            return;
        }
    }
}

/// Says at the right what is not as usual: rows left out, what is followed, secrets shown. Returns
/// the room that is left.
fn notes(ui: &Ui, counted: RowCounts, area: Rect, theme: &Theme, out: &mut Buffer) -> Rect {
    let mut notes = Vec::new();
    let table = ui.table();
    let listing = ui.listing() && !ui.dialog.help;
    if listing && !table.filter.is_empty() {
        let (matching, all) = (counted.matching, counted.all);
        notes.push(format!("{matching} of {all}"));
    }
    if listing && table.hide_ended {
        notes.push(format!("{} hidden", ui.at.pane.over()));
    }
    if listing && table.follow {
        notes.push("following".to_owned());
    }
    if ui.display.reveal {
        notes.push("secrets shown".to_owned());
    }
    let room = usize::from(area.width);
    // The tabs as digits want some of a narrow line.
    while notes.len() > 1 && notes.join(", ").width() + 24 > room {
        notes.pop();
    }
    let notes = notes.join(", ");
    let width = u16::try_from(notes.width()).unwrap_or(u16::MAX);
    if width == 0 || width >= area.width {
        return area;
    }
    out.set_string(area.right() - width, area.y, &notes, theme.accent());
    Rect {
        width: area.width - width - 1,
        ..area
    }
}

/// The parts of the line, the last of them the tabs that are returned too.
fn line(
    core: &Core,
    ui: &Ui,
    size: Size,
    room: usize,
    theme: &Theme,
) -> (Vec<(String, Style)>, &'static [Pane]) {
    if ui.at.detail.is_some() || ui.at.image.is_some() {
        return (crumbs(ui.crumbs(core), room, theme), &[]);
    }
    let mut all = Vec::new();
    let panes: &'static [Pane] = match &ui.at.container {
        None => &Pane::ALL,
        Some(id) => {
            let name = rows::name(core, &Some(id.clone()));
            let outer = match size {
                Size::Long => format!("Containers › {name} ›"),
                Size::Short => format!("{} ›", fit_middle(&name, 24)),
                Size::Digits => format!("{} ›", fit_middle(&name, 16)),
            };
            all.push((outer, theme.accent()));
            &Pane::INSIDE
        }
    };
    for (number, pane) in (1..).zip(panes) {
        let here = *pane == ui.at.pane;
        let title = match size {
            Size::Long => pane.title(),
            Size::Digits if !here => "",
            _ => pane.short(),
        };
        let number = match (&ui.at.container, size) {
            (None, _) => format!("{number}"),
            // Its tabs are gone through with Tab.
            (Some(_), Size::Digits) if !here => "·".to_owned(),
            (Some(_), _) => String::new(),
        };
        let count = if size == Size::Digits && !here {
            None
        } else {
            amount(core, ui, *pane, size)
        };
        let words = [number, title.to_owned(), count.unwrap_or_default()];
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|w| !w.is_empty())
            .collect();
        let words = words.join(" ");
        if here {
            all.push((format!("[{words}]"), theme.title()));
        } else {
            all.push((words, theme.text()));
        }
    }
    (all, panes)
}

/// The way here; on a narrow screen its end.
fn crumbs(mut crumbs: Vec<String>, room: usize, theme: &Theme) -> Vec<(String, Style)> {
    while crumbs.len() > 1 && crumbs.join(" › ").width() > room {
        crumbs.remove(0);
    }
    let last = crumbs.pop().unwrap_or_default();
    let mut all: Vec<(String, Style)> = crumbs
        .into_iter()
        .map(|crumb| (format!("{crumb} ›"), theme.accent()))
        .collect();
    all.push((last, theme.title()));
    all
}

/// How many rows a screen has, where that is known without making them.
fn amount(core: &Core, ui: &Ui, pane: Pane, size: Size) -> Option<String> {
    let wanted =
        |owner: &crate::state::Owner| ui.at.container.is_none() || ui.at.container == *owner;
    let number = (rows::screen(pane).count)(core, &ui.query_of(pane))?;
    let silenced = match pane {
        Pane::Findings => core.detector.findings().iter(),
        _ => [].iter(),
    };
    let silenced = silenced.filter(|f| f.silenced.is_some() && wanted(&f.container));
    Some(match silenced.count() {
        0 => count(number as u64),
        _ if size == Size::Digits => count(number as u64),
        more => format!("{} ({} silenced)", count(number as u64), count(more as u64)),
    })
}
