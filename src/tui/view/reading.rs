//! A page: the details of a row.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Widget as _};
use unicode_width::UnicodeWidthStr as _;

use super::process_tree;
use crate::core::Core;
use crate::state::Container;
use crate::tui::detail::{DetailLine, facts, headline, severity};
use crate::tui::drawn::Drawn;
use crate::tui::pane::Pane;
use crate::tui::rows::RowKey;
use crate::tui::spark;
use crate::tui::text::{fit, pad};
use crate::tui::theme::Theme;
use crate::tui::ui::Ui;

/// Width from which an overview has two columns.
const WIDE: usize = 120;
/// Minimum width and height of a page with charts.
const ROOMY: (u16, u16) = (70, 14);
/// Maximum width of the names of facts.
const NAMES: usize = 26;

pub(super) fn draw(
    core: &Core,
    ui: &Ui,
    drawn: &mut Drawn,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    drawn.current = None;
    let query = ui.query();
    let key = ui.page_of();
    let found = key.as_ref().and_then(|key| {
        let (_, facts) = facts(core, &query, key)?;
        Some((headline(core, &query, key)?, facts))
    });
    let gone = || ("removed: not known at this moment".to_owned(), Vec::new());
    let (title, facts) = found.unwrap_or_else(gone);
    let width = usize::from(area.width);
    let pinned = pinned(&title, area);
    let top = u16::try_from(pinned.len()).unwrap_or(1).min(area.height);
    let container = key.as_ref().and_then(|key| charted(core, ui, key, area));
    let chart = u16::from(container.is_some());
    let parts = [
        Constraint::Length(top),
        Constraint::Length(chart),
        Constraint::Fill(1),
    ];
    let [above, minute, body] = Layout::vertical(parts).areas(area);
    if let Some(container) = container {
        spark::line(container, core.state.now, minute, theme, out);
    }
    let pinned = pinned
        .iter()
        .map(|line| Span::styled(fit(line, width), theme.title()));
    Paragraph::new(Text::from_iter(pinned)).render(above, out);
    // The letter at the beginning of a finding's title.
    if let Some(severity) = key.as_ref().and_then(|key| severity(core, key)) {
        let letter = Rect::new(area.x, area.y, 1, 1).intersection(area);
        out.set_style(letter, theme.badge(severity));
    }
    let beside = matches!(key, Some(RowKey::Container(_))) && ui.at.pane == Pane::Overview;
    // A search counts lines from the top.
    let lines = match beside && width >= WIDE && ui.found.is_empty() {
        true => columns(&facts, width, theme),
        false => lines(&facts, width, theme),
    };
    let height = usize::from(body.height);
    drawn.page = height;
    drawn.scroll = ui.at.scroll.min(lines.len().saturating_sub(height));
    let page: Vec<Line<'_>> = lines.into_iter().skip(drawn.scroll).take(height).collect();
    Paragraph::new(page).render(body, out);
}

/// The container whose last minute is drawn above a page, if it fits.
fn charted<'a>(core: &'a Core, ui: &Ui, key: &RowKey, area: Rect) -> Option<&'a Container> {
    if area.height < ROOMY.1 || area.width < ROOMY.0 || ui.display.no_charts {
        return None;
    }
    let id = match key {
        RowKey::Container(id) => id.clone(),
        RowKey::Incident(id) => core.incident(*id)?.container,
        _ => return None,
    };
    core.state.container(&Some(id)).filter(|c| c.running)
}

/// The overview in two columns: findings and connections on the left, drift on the right; the other
/// facts below.
fn columns(facts: &[DetailLine], width: usize, theme: &Theme) -> Vec<Line<'static>> {
    let mut starts: Vec<usize> = (0..facts.len())
        .filter(|at| facts[*at].text.is_none())
        .collect();
    starts.push(facts.len());
    let [findings, drift, connections, rest, ..] = starts[..] else {
        return lines(facts, width, theme);
    };
    let half = width / 2 - 1;
    let part = |from: usize, to: usize| lines(&facts[from..to], half, theme);
    let mut left = part(findings, drift);
    left.extend(part(connections, rest));
    let right = part(drift, connections);
    let height = left.len().max(right.len());
    left.resize(height, Line::default());
    let mut right = right.into_iter();
    let mut all: Vec<Line<'static>> = left
        .into_iter()
        .map(|mut line| {
            if let Some(beside) = right.next() {
                line.push_span(" ".repeat((half + 2).saturating_sub(line.width())));
                line.spans.extend(beside.spans);
            }
            line
        })
        .collect();
    all.extend(lines(&facts[rest..], width, theme));
    all
}

/// A process's page: its facts, and below them its tree, which gets a third of the page or the free
/// lines.
pub(super) fn draw_process(
    core: &Core,
    ui: &Ui,
    pid: u32,
    drawn: &mut Drawn,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let facts = facts(core, &ui.query(), &RowKey::Process(pid)).map_or(Vec::new(), |(_, f)| f);
    let facts = lines(&facts, usize::from(area.width), theme).len();
    // A title above the facts, a blank line below them.
    let free = usize::from(area.height).saturating_sub(facts + 2);
    let third = usize::from(area.height) / 3;
    let height = process_tree::height(core, ui, pid).min(free.max(third));
    let above = (usize::from(area.height) - height).min(facts + 2);
    let rows = [above, height].map(|rows| Constraint::Length(u16::try_from(rows).unwrap_or(0)));
    let [above, below] = Layout::vertical(rows).areas(area);
    draw(core, ui, drawn, above, theme, out);
    process_tree::draw(core, ui, pid, below, theme, out);
}

/// The facts as lines: their names in a column, long texts continued below.
fn lines(facts: &[DetailLine], width: usize, theme: &Theme) -> Vec<Line<'static>> {
    let mut names = NAMES;
    let mut lines = Vec::new();
    let mut begins = true;
    for (at, fact) in facts.iter().enumerate() {
        let named = fact.severity.map_or(theme.dim(), |s| theme.severity(s));
        let Some(text) = &fact.text else {
            lines.push(Line::default());
            lines.push(Span::styled(fit(&fact.name, width), theme.accent()).into());
            begins = true;
            continue;
        };
        if begins {
            names = longest(&facts[at..]).min(NAMES).min(width / 3);
            begins = false;
        }
        let room = width.saturating_sub(names + 1).max(8);
        let mut name = fact.name.as_str();
        for part in wrapped(fact.keys, text, room) {
            lines.push(if part.is_empty() {
                Span::styled(fit(name, width), theme.text()).into()
            } else {
                let room = width.saturating_sub(names + 1);
                Line::from(vec![
                    Span::styled(pad(name, names, false), named),
                    Span::raw(" "),
                    Span::styled(fit(&part, room), theme.text()),
                ])
            });
            name = "";
        }
    }
    lines
}

/// A text in lines. In a line of keys each key stays with the first of its words.
fn wrapped(keys: bool, text: &str, room: usize) -> Vec<String> {
    let mut text = Cow::Borrowed(text);
    if keys {
        let parts = text
            .split(BETWEEN_KEYS)
            .map(|part| part.replacen(' ', KEPT, 1));
        text = Cow::Owned(parts.collect::<Vec<_>>().join(BETWEEN_KEYS));
    }
    let lines = textwrap::wrap(&text, room).into_iter();
    lines.map(|line| line.replace(KEPT, " ")).collect()
}

/// Between two keys with their words.
const BETWEEN_KEYS: &str = "   ";
/// A space at which no line ends.
const KEPT: &str = "\u{a0}";

/// The lines that stay above the page: at most two, or one on a low screen.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_with_its_word() {
        let text = "A respond: commands   w next";
        assert_eq!(wrapped(true, text, 23), ["A respond: commands", "w next"]);
        assert_eq!(
            wrapped(false, text, 23),
            ["A respond: commands   w", "next"]
        );
    }
}
