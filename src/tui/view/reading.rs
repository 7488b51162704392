//! A page that is read: the detail of a row.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::core::Core;
use crate::tui::app::Ui;
use crate::tui::detail::{Fact, facts};
use crate::tui::text::{fit, pad};
use crate::tui::theme::Theme;

/// Width of the names of facts.
const NAMES: usize = 18;

pub(super) fn detail(core: &Core, ui: &mut Ui, area: Rect, theme: &Theme, out: &mut Buffer) {
    let key = ui.page_of();
    ui.current = None;
    let found = key.and_then(|key| facts(core, ui, &key));
    match found {
        Some((title, facts)) => page(&title, &facts, ui, area, theme, out),
        None => page(
            "gone",
            &[("it is no longer there".to_owned(), None)],
            ui,
            area,
            theme,
            out,
        ),
    }
}

fn page(title: &str, facts: &[Fact], ui: &mut Ui, area: Rect, theme: &Theme, out: &mut Buffer) {
    let width = usize::from(area.width);
    out.set_string(area.x, area.y, fit(title, width), theme.title());
    let names = NAMES.min(width / 3);
    let mut lines = Vec::new();
    for (name, text) in facts {
        match text {
            None => {
                lines.push((String::new(), String::new(), theme.text()));
                lines.push((name.clone(), String::new(), theme.accent()));
            }
            Some(text) => {
                let mut name = name.as_str();
                let mut rest: Vec<char> = text.chars().collect();
                // Long facts go on below.
                loop {
                    let take = rest.len().min(width.saturating_sub(names + 1).max(8));
                    let part: String = rest.drain(..take).collect();
                    lines.push((name.to_owned(), part, theme.text()));
                    name = "";
                    if rest.is_empty() {
                        break;
                    }
                }
            }
        }
    }
    let height = usize::from(area.height.saturating_sub(1));
    ui.scroll = ui.scroll.min(lines.len().saturating_sub(height));
    for (y, (name, text, style)) in (area.y + 1..area.bottom()).zip(lines.iter().skip(ui.scroll)) {
        if text.is_empty() {
            out.set_string(area.x, y, fit(name, width), *style);
            continue;
        }
        out.set_string(area.x, y, pad(name, names, false), theme.dim());
        let x = area.x + u16::try_from(names).unwrap_or(0) + 1;
        let room = usize::from(area.right().saturating_sub(x));
        out.set_string(x, y, fit(text, room), *style);
    }
}
