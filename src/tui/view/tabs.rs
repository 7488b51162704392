//! The second line: the screens, or inside a container or page the breadcrumbs and tabs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Tabs, Widget as _};
use unicode_width::UnicodeWidthStr as _;

use super::header::line;
use crate::core::Core;
use crate::tui::drawn::Drawn;
use crate::tui::pane::Pane;
use crate::tui::rows::{self, RowCounts};
use crate::tui::text::{count, fit_middle};
use crate::tui::theme::Theme;
use crate::tui::ui::Ui;

/// Forms of the titles, from wide to narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Long,
    Short,
    /// Short, without counts.
    Names,
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
    if ui.at.detail.is_some() || ui.at.image.is_some() {
        let crumbs = crumbs(ui.crumbs(core), room, theme);
        line(crumbs, area.width).render(area, out);
        return;
    }
    let panes: &'static [Pane] = match &ui.at.container {
        None => &Pane::ALL,
        Some(_) => &Pane::INSIDE,
    };
    let counts: Vec<Option<RowsAndSilenced>> =
        panes.iter().map(|pane| rows_of(core, ui, *pane)).collect();
    for size in [Size::Long, Size::Short, Size::Names, Size::Digits] {
        let outer = outer(core, ui, size);
        let titles = titles(&counts, ui, panes, size, theme);
        let before = outer.as_ref().map_or(0, |outer| outer.width() + 1);
        let width = titles.iter().map(|title| title.width() + 1).sum::<usize>() + before;
        if width > room + 1 && size != Size::Digits {
            continue;
        }
        if let Some(outer) = outer {
            line(vec![(outer, theme.accent())], area.width).render(area, out);
        }
        let before = u16::try_from(before).unwrap_or(u16::MAX).min(area.width);
        let mut left = Rect {
            x: area.x + before,
            width: area.width - before,
            ..area
        };
        let widths: Vec<u16> = titles
            .iter()
            .map(|title| u16::try_from(title.width()).unwrap_or(u16::MAX))
            .collect();
        Tabs::new(titles)
            .divider(" ")
            .padding("", "")
            .highlight_style(Style::new())
            .render(left, out);
        for (pane, width) in panes.iter().zip(widths) {
            let tab = Rect { width, ..left }.intersection(left);
            drawn.clickable.tabs.push((tab, *pane));
            let next = width.saturating_add(1).min(left.width);
            left.x += next;
            left.width -= next;
        }
        return;
    }
}

/// Shows unusual settings on the right: hidden rows, following, secrets shown. Returns the
/// remaining width.
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
    // Tabs as digits need some of a narrow line.
    while notes.len() > 1 && notes.join(", ").width() + 24 > room {
        notes.pop();
    }
    let notes = notes.join(", ");
    let width = u16::try_from(notes.width()).unwrap_or(u16::MAX);
    if width == 0 || width >= area.width {
        return area;
    }
    Line::styled(notes, theme.accent())
        .right_aligned()
        .render(area, out);
    Rect {
        width: area.width - width - 1,
        ..area
    }
}

/// The container whose tabs these are.
fn outer(core: &Core, ui: &Ui, size: Size) -> Option<String> {
    let name = rows::name(core, &Some(ui.at.container.clone()?));
    Some(match size {
        Size::Long => format!("Containers › {name} ›"),
        Size::Short => format!("{} ›", fit_middle(&name, 24)),
        Size::Names | Size::Digits => format!("{} ›", fit_middle(&name, 16)),
    })
}

fn titles(
    counts: &[Option<RowsAndSilenced>],
    ui: &Ui,
    panes: &[Pane],
    size: Size,
    theme: &Theme,
) -> Vec<Line<'static>> {
    let title = |((number, pane), known): ((u32, &Pane), &Option<RowsAndSilenced>)| {
        let here = *pane == ui.at.pane;
        let title = match size {
            Size::Long => pane.title(),
            Size::Digits if !here => "",
            _ => pane.short(),
        };
        let number = match (&ui.at.container, size) {
            (None, _) => format!("{number}"),
            // Tab cycles through its tabs.
            (Some(_), Size::Digits) if !here => "·".to_owned(),
            (Some(_), _) => String::new(),
        };
        let count = if matches!(size, Size::Names | Size::Digits) && !here {
            None
        } else {
            known.map(|known| amount(known, size))
        };
        let words = [number, title.to_owned(), count.unwrap_or_default()];
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|w| !w.is_empty())
            .collect();
        let words = words.join(" ");
        if here {
            Line::styled(format!("[{words}]"), theme.title())
        } else {
            Line::styled(words, theme.text())
        }
    };
    (1..).zip(panes).zip(counts).map(title).collect()
}

/// The breadcrumbs; on a narrow screen their end.
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

/// The number of rows of a screen, and of its silenced ones.
type RowsAndSilenced = (usize, usize);

/// Where the number of rows is known without making them.
fn rows_of(core: &Core, ui: &Ui, pane: Pane) -> Option<RowsAndSilenced> {
    let query = ui.query_of(pane);
    let rows = (rows::screen(pane).count)(core, &query)?;
    let findings = core.detector.findings().iter();
    let silenced = findings.filter(|f| f.silenced.is_some() && query.wants(&f.container));
    let silenced = match pane {
        Pane::Findings => silenced.count(),
        _ => 0,
    };
    Some((rows, silenced))
}

fn amount((rows, silenced): RowsAndSilenced, size: Size) -> String {
    let number = count(rows as u64);
    match silenced {
        0 => number,
        _ if matches!(size, Size::Names | Size::Digits) => number,
        more => format!("{number} ({} silenced)", count(more as u64)),
    }
}
