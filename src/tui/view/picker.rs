//! A list to choose from, over the table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

use crate::tui::picker::Picker;
use crate::tui::text::pad;
use crate::tui::theme::Theme;
use crate::tui::ui::Ui;

pub(super) fn draw(ui: &Ui, picker: &Picker, area: Rect, theme: &Theme, out: &mut Buffer) {
    let items = picker.items(ui.at.pane, ui.table());
    let widest = items
        .iter()
        .map(|(_, words)| words.width())
        .max()
        .unwrap_or(0);
    let width = (widest.max(picker.title().width()) + 6).min(usize::from(area.width));
    let height = (items.len() + 1).min(usize::from(area.height));
    let x = area.right() - u16::try_from(width).unwrap_or(area.width);
    let title = pad(&format!(" {}", picker.title()), width, false);
    out.set_string(x, area.y, title, theme.selected());
    let page = height.saturating_sub(1).max(1);
    let first = picker.at / page * page;
    for (y, (at, (chosen, words))) in (area.y + 1..)
        .zip(items.iter().enumerate().skip(first))
        .take(page)
        .filter(|(y, _)| *y < area.bottom())
    {
        let marker = if at == picker.at { "▌" } else { " " };
        let sign = if *chosen { "x" } else { " " };
        let text = pad(&format!("{marker}{sign} {words}"), width, false);
        let style = if at == picker.at {
            theme.title()
        } else {
            theme.text()
        };
        out.set_string(x, y, text, style);
    }
}
