//! The last line: the input line, the last message, an error, or the keys that apply here.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget as _;
use unicode_width::UnicodeWidthStr as _;

use super::header::line;
use super::help::signs;
use crate::event::escape;
use crate::tui::action::{ACTIONS, Action, ActionGroup, Entry};
use crate::tui::prompt::Prompt;
use crate::tui::response;
use crate::tui::rows::RowKey;
use crate::tui::silence;
use crate::tui::status::{Shown, Status};
use crate::tui::text::fit;
use crate::tui::theme::Theme;
use crate::tui::ui::{SourceKind, Ui};

pub(super) fn draw(
    ui: &Ui,
    subject: Option<&RowKey>,
    status: &Status,
    trouble: Option<&str>,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let (words, style) = if let Some(prompt) = &ui.dialog.prompt {
        typing(prompt, area, theme).render(area, out);
        return;
    } else if let Some(message) = &ui.message {
        (escape(message.as_bytes()).to_string(), theme.title())
    } else if let Some(sheet) = &ui.dialog.silence {
        (silence::keys(sheet).to_owned(), theme.dim())
    } else if let Some(dialog) = &ui.dialog.response {
        (response::keys(dialog).to_owned(), theme.dim())
    } else if let Some(trouble) = trouble {
        (escape(trouble.as_bytes()).to_string(), theme.bad())
    } else if let Some(picker) = &ui.dialog.picker {
        (picker.keys().to_owned(), theme.dim())
    } else if ui.dialog.help {
        (help(ui), theme.dim())
    } else {
        let area = filter(ui, area, theme, out);
        keys(ui, subject, status, area, theme, out);
        return;
    };
    line(vec![(words, style)], area.width).render(area, out);
}

/// The keys of the help: all others search it.
fn help(ui: &Ui) -> String {
    let close = ui.keys.sign(Action::Help);
    if ui.dialog.search.is_empty() {
        format!("Esc {close} closes  typing searches  ↑ ↓ PgUp PgDn scroll")
    } else {
        format!("Esc clears the search  {close} closes  ↑ ↓ PgUp PgDn scroll")
    }
}

/// The filter of the table, in a third of the line; returns the remaining width.
fn filter(ui: &Ui, area: Rect, theme: &Theme, out: &mut Buffer) -> Rect {
    if ui.filter().is_empty() || !ui.listing() {
        return area;
    }
    let filter = escape(ui.filter().text().as_bytes());
    let most = usize::from(area.width / 3).max(12);
    let text = fit(&format!("/{filter}"), most);
    let taken = u16::try_from(text.width() + 2).unwrap_or(u16::MAX);
    Line::styled(text, theme.accent()).render(area, out);
    let x = area.x.saturating_add(taken).min(area.right());
    Rect {
        x,
        width: area.right() - x,
        ..area
    }
}

/// Its priority in the footer, the lowest first; 0: never shown.
fn rank(ui: &Ui, subject: Option<&RowKey>, entry: &Entry) -> u8 {
    let recording = ui.source == SourceKind::Recording;
    match entry.action {
        // The next step there is usually to leave a page or a filter.
        Action::Back if !ui.listing() || !ui.filter().is_empty() => 5,
        // On a page it goes to related findings; on its row it would open the same page as Enter.
        Action::Why if matches!(ui.at.detail, Some(RowKey::Finding(_))) => 16,
        Action::Why if matches!(subject, Some(RowKey::Finding(_))) => 0,
        Action::Silence | Action::Acknowledge if recording => 0,
        // A recording is for going through its time.
        _ if recording && entry.group == ActionGroup::Time && entry.rank > 0 => entry.rank - 37,
        Action::Pause => 24,
        _ => entry.rank,
    }
}

/// The effect of a key here and now, in two words; `None` without one.
fn brief(ui: &Ui, status: &Status, entry: &Entry) -> Option<&'static str> {
    Some(match entry.action {
        Action::Back if ui.listing() && !ui.filter().is_empty() => "clears",
        Action::Ended => ui.at.pane.over(),
        Action::Why if matches!(ui.at.detail, Some(RowKey::Finding(_))) => "related",
        Action::Filter if !ui.listing() => "search",
        Action::Pause if status.time == Shown::Paused => "play",
        Action::Present => return status.present,
        _ => entry.brief,
    })
}

/// The input line, scrolled to the cursor, and its error.
fn typing(prompt: &Prompt, area: Rect, theme: &Theme) -> Line<'static> {
    let width = usize::from(area.width);
    let shown = |text: &str| escape(text.as_bytes()).to_string();
    let (left, right) = prompt.halves();
    let (mut left, right) = (shown(left), shown(right));
    while left.width() + 3 > width && !left.is_empty() {
        left.remove(0);
    }
    let mut rest = right.chars();
    let under = rest.next().unwrap_or(' ').to_string();
    let mut room = width;
    let mut line = Line::default();
    let mut put = |text: &str, style: Style| {
        let text = fit(text, room);
        room -= text.width().min(room);
        line.push_span(Span::styled(text, style));
    };
    put(prompt.purpose.sign(), theme.accent());
    put(&left, theme.accent());
    put(&under, theme.selected());
    put(rest.as_str(), theme.accent());
    if !prompt.hint.is_empty() {
        put(&format!("  {}", shown(&prompt.hint)), theme.dim());
    }
    if let Some(error) = &prompt.error {
        put(&format!("  {}", shown(error)), theme.bad());
    }
    line
}

/// The keys that apply here, the most important first, as many as fit; help always.
fn keys(
    ui: &Ui,
    subject: Option<&RowKey>,
    status: &Status,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let mut here: Vec<&'static Entry> = ACTIONS
        .iter()
        .filter(|entry| rank(ui, subject, entry) > 0 && ui.works_on(entry.place, subject))
        .collect();
    here.sort_by_key(|entry| rank(ui, subject, entry));
    let mut hints: Vec<(String, &str)> = Vec::new();
    for same in here.chunk_by(|a, b| a.brief == b.brief) {
        let keys = signs(ui, same, 1);
        if let Some(brief) = brief(ui, status, same[0]).filter(|_| !keys.is_empty()) {
            hints.push((keys, brief));
        }
    }
    let help = hints.iter().position(|(_, brief)| *brief == "help");
    let help = help.map(|at| hints.remove(at));
    let mut room = usize::from(area.width);
    if let Some((key, brief)) = help {
        let text = format!("{key} {brief}");
        let width = text.width().min(room);
        Line::styled(fit(&text, width), theme.dim())
            .right_aligned()
            .render(area, out);
        room = room.saturating_sub(width + 1);
    }
    let mut line = Line::default();
    let mut most = room;
    for (key, brief) in hints {
        let width = key.width() + brief.width() + 3;
        // Less important keys fill the remaining width.
        if width > room + 2 {
            continue;
        }
        let gap = if line.spans.is_empty() { "" } else { "  " };
        let parts = [
            (gap.to_owned(), Style::new()),
            (key, theme.text()),
            (" ".to_owned(), Style::new()),
            (brief.to_owned(), theme.dim()),
        ];
        for (text, style) in parts {
            let text = fit(&text, most);
            most = most.saturating_sub(text.width());
            line.push_span(Span::styled(text, style));
        }
        room = room.saturating_sub(width);
    }
    line.render(area, out);
}
