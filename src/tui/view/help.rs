//! The help: sentences about the keys as they are bound, those of this place first, then by group;
//! and the meaning of every sign.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Widget as _};
use unicode_width::UnicodeWidthStr as _;

use crate::event::escape;
use crate::tui::action::{ACTIONS, Action, ActionGroup, ActionScope, Entry};
use crate::tui::drawn::Drawn;
use crate::tui::text::{fit, pad};
use crate::tui::theme::Theme;
use crate::tui::ui::Ui;

/// Cells of the keys, and of a column with its sentences.
const KEYS: usize = 15;
const COLUMN: usize = 58;

/// The meaning of every sign on the screen.
const SIGNS: &[(&str, &str)] = &[
    (
        "C H M L I .",
        "severity: critical, high, medium, low, info, none",
    ),
    (
        "ACTIVE",
        "it runs, is connected, or happened in the last 5 minutes",
    ),
    ("a › b", "b followed a; in the second line: breadcrumbs"),
    ("Δ4 in DRIFT", "4 files differ from the image"),
    ("+ ~ -", "a file was added, changed, deleted"),
    (
        "▁▃▆█",
        "the last minute, a bar for 5 seconds; in the timeline events",
    ),
    ("┃ ? timeline", "the moment shown; events are missing here"),
    (
        "> process",
        "started by exec from outside, such as docker exec",
    ),
    ("x5m in AGE", "ended: it ran for 5 minutes"),
    ("3× text", "three similar ones in one row"),
    (
        "+ before text",
        "folded: → unfolds a tree, the tree key lists peers",
    ),
    ("▌ and *", "the selected row, a marked row"),
    ("↑ ↓ in titles", "the table is sorted by this column"),
    ("2 of 9", "the filter shows 2 of 9 rows"),
    ("…", "shortened: open the row, or scroll with →"),
    ("\\x1b", "an escaped control byte from a container"),
    ("● REC", "a recording is being written"),
    ("0 lost", "events that were lost since watching began"),
];

/// The keys of actions as the screen shows them, at most `each` of every one.
pub(super) fn signs(ui: &Ui, entries: &[&'static Entry], each: usize) -> String {
    let mut signs: Vec<String> = Vec::new();
    // First keys first: j k, then their arrows.
    for nth in 0..each {
        for entry in entries {
            signs.extend(ui.keys.keys(entry).nth(nth).map(|key| key.sign()));
        }
    }
    match &signs[..] {
        // Without a key: the command line has it.
        [] => entries
            .first()
            .map(|entry| format!(":{}", entry.name))
            .unwrap_or_default(),
        // 1 2 3 4 5 6
        [first, .., last] if signs.len() > 4 && signs.iter().all(|s| digit(s)) => {
            format!("{first}..{last}")
        }
        _ => signs.join(" "),
    }
}

fn digit(sign: &str) -> bool {
    sign.len() == 1 && sign.bytes().all(|b| b.is_ascii_digit())
}

#[derive(Clone)]
enum HelpLine {
    Heading(&'static str),
    Key(String, String, bool),
    Blank,
}

/// Rows with the same two words share a line.
fn merged(ui: &Ui, entries: &[&'static Entry], works: bool) -> Vec<HelpLine> {
    let sentence = |same: &[&'static Entry]| match same {
        [one] => one.help.to_owned(),
        [one, other] => format!("{}; {}", one.help, other.help),
        views => {
            let names: Vec<&str> = views.iter().map(|entry| entry.name).collect();
            format!("{}: {}", views[0].brief, names.join(", "))
        }
    };
    entries
        .chunk_by(|a, b| a.brief == b.brief)
        .map(|same| HelpLine::Key(signs(ui, same, 4), sentence(same), works))
        .collect()
}

fn lines(ui: &Ui) -> Vec<HelpLine> {
    let rows = |wanted: &dyn Fn(&Entry) -> bool| -> Vec<&'static Entry> {
        ACTIONS.iter().filter(|entry| wanted(entry)).collect()
    };
    if !ui.dialog.search.is_empty() {
        let search = ui.dialog.search.to_lowercase();
        let found = rows(&|e| {
            let keys: Vec<String> = e.keys.iter().map(|key| (*key).to_lowercase()).collect();
            e.name.contains(&search)
                || e.brief.to_lowercase().contains(&search)
                || e.help.to_lowercase().contains(&search)
                || keys.contains(&search)
        });
        return found
            .into_iter()
            .map(|e| {
                let words = format!("{} ({})", e.help, e.name);
                HelpLine::Key(signs(ui, &[e], 4), words, ui.works(e.place))
            })
            .collect();
    }
    let mut out = Vec::new();
    let mut section = |title, lines: Vec<HelpLine>| {
        if lines.is_empty() {
            return;
        }
        if !out.is_empty() {
            out.push(HelpLine::Blank);
        }
        out.push(HelpLine::Heading(title));
        out.extend(lines);
    };
    let here = rows(&|e| e.place != ActionScope::Anywhere && ui.works(e.place));
    section("HERE", merged(ui, &here, true));
    for group in ActionGroup::ALL {
        let general = rows(&|e| e.group == group && e.place == ActionScope::Anywhere);
        section(group.title(), merged(ui, &general, true));
    }
    let elsewhere = rows(&|e| !ui.works(e.place));
    section("NOT HERE", merged(ui, &elsewhere, false));
    let signs = SIGNS
        .iter()
        .map(|(sign, means)| HelpLine::Key((*sign).to_owned(), (*means).to_owned(), true));
    section("SIGNS", signs.collect());
    out
}

pub(super) fn draw(ui: &Ui, drawn: &mut Drawn, area: Rect, theme: &Theme, out: &mut Buffer) {
    let width = usize::from(area.width);
    let title = if ui.dialog.search.is_empty() {
        let close = ui.keys.sign(Action::Help);
        format!(
            "Keys: {}   type to search, {close} closes",
            ui.at.pane.title()
        )
    } else {
        format!("Keys with: {}", escape(ui.dialog.search.as_bytes()))
    };
    let [top, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    Line::styled(fit(&title, width), theme.title()).render(top, out);
    let height = usize::from(area.height.saturating_sub(1)).max(1);
    let lines = lines(ui);
    if lines.is_empty() {
        Paragraph::new("no key matches")
            .style(theme.text())
            .render(body, out);
    }
    // A search shows sentences, which want the whole width.
    let columns = if ui.dialog.search.is_empty() {
        (width / COLUMN).clamp(1, lines.len().div_ceil(height).max(1))
    } else {
        1
    };
    let each = width / columns;
    let room = each.saturating_sub(2).max(1);
    let lines: Vec<HelpLine> = lines.iter().flat_map(|line| line.wrapped(room)).collect();
    let per_column = lines.len().div_ceil(columns).max(height.min(lines.len()));
    drawn.page = usize::from(area.height.saturating_sub(1));
    drawn.scroll = ui.at.scroll.min(per_column.saturating_sub(height));
    for (column, chunk) in lines.chunks(per_column.max(1)).take(columns).enumerate() {
        let place = Rect {
            x: body.x + u16::try_from(column * each).unwrap_or(0),
            width: u16::try_from(room).unwrap_or(u16::MAX),
            ..body
        };
        let shown = chunk.iter().skip(drawn.scroll).take(height);
        let text: Text<'_> = shown.map(|line| line.draw(room, theme)).collect();
        Paragraph::new(text).render(place.intersection(body), out);
    }
}

impl HelpLine {
    /// The lines that its sentence takes in `room` columns.
    fn wrapped(&self, room: usize) -> Vec<Self> {
        let Self::Key(keys, words, works) = self else {
            return vec![self.clone()];
        };
        let names = KEYS.min(room / 2).max(keys.width().min(room));
        let parts = textwrap::wrap(words, room.saturating_sub(names + 1).max(8));
        let parts = parts.into_iter().enumerate();
        let line = |(at, part): (usize, std::borrow::Cow<'_, str>)| {
            let keys = if at == 0 { keys.clone() } else { String::new() };
            Self::Key(keys, part.into_owned(), *works)
        };
        parts.map(line).collect()
    }

    /// The line in `room` columns.
    fn draw(&self, room: usize, theme: &Theme) -> Line<'static> {
        match self {
            Self::Heading(title) => Line::styled(fit(title, room), theme.accent()),
            Self::Key(keys, words, works) => {
                let names = KEYS.min(room / 2).max(keys.width().min(room));
                let style = if *works { theme.text() } else { theme.dim() };
                Line::from(vec![
                    Span::styled(pad(keys, names, false), style),
                    Span::raw(" "),
                    Span::styled(fit(words, room.saturating_sub(names + 1)), theme.dim()),
                ])
            }
            Self::Blank => Line::default(),
        }
    }
}
