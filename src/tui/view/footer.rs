//! The last line: what is being typed, what was said, what is wrong, or the keys that work here.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr as _;

use super::header::parts;
use super::help::signs;
use crate::event::escape;
use crate::tui::action::{ACTIONS, Action, Entry};
use crate::tui::app::Ui;
use crate::tui::prompt::Prompt;
use crate::tui::silence;
use crate::tui::source::{Shown, Status};
use crate::tui::text::fit;
use crate::tui::theme::Theme;

pub(super) fn draw(
    ui: &Ui,
    status: &Status,
    policy_refused: Option<&str>,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    if let Some(prompt) = &ui.prompt {
        typing(prompt, area, theme, out);
    } else if let Some(message) = &ui.message {
        let said = (escape(message.as_bytes()).to_string(), theme.title());
        parts(&[said], area, out);
    } else if let Some(sheet) = &ui.sheet {
        parts(&[(silence::keys(sheet).to_owned(), theme.dim())], area, out);
    } else if let Some(why) = policy_refused {
        let why = escape(why.as_bytes());
        parts(
            &[(format!("policy refused: {why}"), theme.bad())],
            area,
            out,
        );
    } else if !ui.filter().is_empty() {
        let clear = ui.keys.sign(Action::Back);
        let filter = escape(ui.filter().text().as_bytes());
        parts(
            &[
                (format!("/{filter}"), theme.accent()),
                (format!("{clear} clears"), theme.dim()),
            ],
            area,
            out,
        );
    } else {
        keys(ui, status, area, theme, out);
    }
}

/// The line, scrolled so that the cursor is seen, and behind it what is wrong with it.
fn typing(prompt: &Prompt, area: Rect, theme: &Theme, out: &mut Buffer) {
    let width = usize::from(area.width);
    let shown = |text: &str| escape(text.as_bytes()).to_string();
    let (left, right) = prompt.halves();
    let (mut left, right) = (shown(left), shown(right));
    while left.width() + 3 > width && !left.is_empty() {
        left.remove(0);
    }
    let mut rest = right.chars();
    let under = rest.next().unwrap_or(' ').to_string();
    let mut x = area.x;
    let mut put = |text: &str, style: Style| {
        let room = usize::from(area.right().saturating_sub(x));
        (x, _) = out.set_stringn(x, area.y, fit(text, room), room, style);
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
}

/// What the key does at the moment that is shown; `None` where that is nothing.
fn brief(entry: &Entry, status: &Status) -> Option<&'static str> {
    match entry.action {
        Action::Pause if status.time == Shown::Paused => Some("play"),
        Action::Present => status.present,
        _ => Some(entry.brief),
    }
}

/// The keys that work here, as many as fit; help always.
fn keys(ui: &Ui, status: &Status, area: Rect, theme: &Theme, out: &mut Buffer) {
    let mut here: Vec<&'static Entry> = ACTIONS
        .iter()
        .filter(|entry| entry.rank > 0 && ui.works(entry.place))
        .collect();
    here.sort_by_key(|entry| entry.rank);
    let mut hints: Vec<(String, &str)> = Vec::new();
    for same in here.chunk_by(|a, b| a.brief == b.brief) {
        let keys = signs(ui, same, 1);
        if let Some(brief) = brief(same[0], status).filter(|_| !keys.is_empty()) {
            hints.push((keys, brief));
        }
    }
    let help = hints.iter().position(|(_, brief)| *brief == "help");
    let help = help.map(|at| hints.remove(at));
    let mut room = usize::from(area.width);
    if let Some((key, brief)) = help {
        let text = format!("{key} {brief}");
        let width = text.width().min(room);
        let x = area.right() - u16::try_from(width).unwrap_or(0);
        out.set_string(x, area.y, fit(&text, width), theme.dim());
        room = room.saturating_sub(width + 1);
    }
    let mut x = area.x;
    for (key, brief) in hints {
        let width = key.width() + brief.width() + 3;
        if width > room + 2 {
            break;
        }
        (x, _) = out.set_stringn(x, area.y, &key, room, theme.text());
        (x, _) = out.set_stringn(x + 1, area.y, brief, room, theme.dim());
        x += 2;
        room = room.saturating_sub(width);
    }
}
