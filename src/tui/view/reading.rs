//! A page that is read: the detail of a row.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

use crate::core::Core;
use crate::tui::app::Ui;
use crate::tui::detail::{DetailLine, facts, headline, severity};
use crate::tui::text::{fit, pad};
use crate::tui::theme::Theme;

/// Greatest width of the names of facts.
const NAMES: usize = 26;

pub(super) fn detail(core: &Core, ui: &mut Ui, area: Rect, theme: &Theme, out: &mut Buffer) {
    let key = ui.page_of();
    ui.current = None;
    let found = key.as_ref().and_then(|key| {
        let (_, facts) = facts(core, &ui.query(), key)?;
        Some((headline(core, &ui.query(), key)?, facts))
    });
    match found {
        Some((title, facts)) => page(&title, &facts, ui, area, theme, out),
        None => page(
            "gone: no longer known at this moment",
            &[],
            ui,
            area,
            theme,
            out,
        ),
    }
    // The letter that begins the title of a finding.
    if let Some(severity) = key.as_ref().and_then(|key| severity(core, key)) {
        let letter = Rect::new(area.x, area.y, 1, 1).intersection(area);
        out.set_style(letter, theme.badge(severity));
    }
}

fn page(
    title: &str,
    facts: &[DetailLine],
    ui: &mut Ui,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let width = usize::from(area.width);
    let pinned = pinned(title, area);
    for (y, line) in (area.y..area.bottom()).zip(&pinned) {
        out.set_string(area.x, y, fit(line, width), theme.title());
    }
    let top = u16::try_from(pinned.len()).unwrap_or(1).min(area.height);
    let mut names = NAMES;
    let mut lines = Vec::new();
    let mut begins = true;
    for (at, fact) in facts.iter().enumerate() {
        let named = fact.severity.map_or(theme.dim(), |s| theme.severity(s));
        let Some(text) = &fact.text else {
            lines.push((String::new(), String::new(), 0, theme.text(), named));
            lines.push((fact.name.clone(), String::new(), 0, theme.accent(), named));
            begins = true;
            continue;
        };
        if begins {
            names = longest(&facts[at..]).min(NAMES).min(width / 3);
            begins = false;
        }
        // Long facts go on below.
        let room = width.saturating_sub(names + 1).max(8);
        let mut name = fact.name.as_str();
        for part in textwrap::wrap(text, room) {
            lines.push((
                name.to_owned(),
                part.into_owned(),
                names,
                theme.text(),
                named,
            ));
            name = "";
        }
    }
    let height = usize::from(area.height - top);
    ui.page = height;
    ui.scroll = ui.scroll.min(lines.len().saturating_sub(height));
    for (y, (name, text, names, style, named)) in
        (area.y + top..area.bottom()).zip(lines.iter().skip(ui.scroll))
    {
        if text.is_empty() {
            out.set_string(area.x, y, fit(name, width), *style);
            continue;
        }
        out.set_string(area.x, y, pad(name, *names, false), *named);
        let x = area.x + u16::try_from(*names).unwrap_or(0) + 1;
        let room = usize::from(area.right().saturating_sub(x));
        out.set_string(x, y, fit(text, room), *style);
    }
}

/// What stays above the page in two lines at most, one where there is little room.
fn pinned(title: &str, area: Rect) -> Vec<String> {
    let width = usize::from(area.width);
    if area.height < 12 || title.width() <= width {
        return vec![title.to_owned()];
    }
    let mut lines = textwrap::wrap(title, width).into_iter();
    let first = lines.next().unwrap_or_default().into_owned();
    let rest: Vec<_> = lines.collect();
    vec![first, rest.join(" ")]
}

/// The width of the longest name up to the next heading.
fn longest(facts: &[DetailLine]) -> usize {
    let part = facts.iter().take_while(|line| line.text.is_some());
    part.map(|line| line.name.width()).max().unwrap_or(0)
}
