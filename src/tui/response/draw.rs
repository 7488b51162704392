//! Draws the menu of responses: the list, and below it effect, command line and undo of the
//! selected one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Clear, Paragraph, Widget as _};

use super::ResponseDialog;
use crate::event::escape;
use crate::response::{ResponseWork, Suggestion};
use crate::tui::rows::Query;
use crate::tui::text::fit;
use crate::tui::theme::Theme;

/// A line: text, style.
type MenuLine = (String, Style);

/// Draws the menu over the whole area.
pub(in crate::tui) fn draw(
    query: &Query<'_>,
    dialog: &ResponseDialog,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let width = usize::from(area.width);
    Clear.render(area, out);
    let Some(chosen) = dialog.chosen() else {
        return;
    };
    let details = details(query, dialog, chosen, width, theme);
    let height = usize::from(area.height);
    // The command is most important: the list gets the remaining lines, at least three.
    let for_list = height.saturating_sub(details.len()).max(4).min(height);
    let (room, all) = (for_list.saturating_sub(1), dialog.suggestions.len());
    // The last row of a longer list counts the others.
    let rows = if all > room {
        room.saturating_sub(1)
    } else {
        all
    }
    .max(1);
    let first = (dialog.at + 1).saturating_sub(rows);
    let title = format!("Responses to {}", chosen.named);
    let mut lines: Vec<MenuLine> = vec![(title, theme.selected())];
    let listed = dialog.suggestions.iter().enumerate().skip(first).take(rows);
    lines.extend(listed.map(|(at, suggestion)| {
        let title = query.masked(&suggestion.title).into_owned();
        match at == dialog.at {
            true => (format!("▌{title}"), theme.title()),
            false => (format!(" {title}"), theme.text()),
        }
    }));
    if all > rows {
        lines.push((format!(" … {} more", all - rows), theme.dim()));
    }
    lines.extend(details);
    let cut = lines.len() > height;
    lines.truncate(height);
    if let Some((words, _)) = lines.last_mut().filter(|_| cut) {
        words.push_str(" …");
    }
    let text: Text<'_> = lines
        .into_iter()
        .map(|(words, style)| {
            let words = escape(words.as_bytes()).to_string();
            Line::styled(fit(&words, width), style)
        })
        .collect();
    Paragraph::new(text).style(theme.text()).render(area, out);
}

/// Effect, whole command line and undo of the selected response.
fn details(
    query: &Query<'_>,
    dialog: &ResponseDialog,
    chosen: &Suggestion,
    width: usize,
    theme: &Theme,
) -> Vec<MenuLine> {
    let mut lines = vec![(String::new(), theme.text())];
    let wrapped = |text: &str, style: Style, lines: &mut Vec<MenuLine>| {
        let shown = query.masked(text);
        let rows = textwrap::wrap(&shown, textwrap::Options::new(width.max(10)));
        lines.extend(rows.into_iter().map(|row| (row.into_owned(), style)));
    };
    if dialog.confirming {
        let what = format!("{} {}", chosen.action.name(), chosen.named);
        let question = format!("Run it now: {what}?  y runs it, any other key cancels.");
        wrapped(&question, theme.bad(), &mut lines);
    }
    wrapped(&chosen.effect, theme.text(), &mut lines);
    wrapped(&chosen.command, theme.accent(), &mut lines);
    if let Some(undo) = &chosen.undo {
        wrapped(&format!("undo: {undo}"), theme.dim(), &mut lines);
    }
    let how = match &chosen.work {
        ResponseWork::ByHand(why) => format!("Copy the command: {why}."),
        _ if dialog.allowed => "Enter runs it, after a confirmation.".to_owned(),
        _ => "Copy the command. With --allow-actions hullwatch can run it.".to_owned(),
    };
    wrapped(&how, theme.dim(), &mut lines);
    lines
}

/// The keys of the menu.
pub(in crate::tui) fn keys(dialog: &ResponseDialog) -> &'static str {
    match (dialog.confirming, dialog.makes()) {
        (true, _) => "y run it  any other key: cancel",
        (false, true) => "Enter run it  y copy  u copy undo  ↑ ↓ choose  Esc back",
        (false, false) => "Enter y copy  u copy undo  ↑ ↓ choose  Esc back",
    }
}
