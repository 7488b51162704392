//! A list to choose from, over the table.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::{Clear, List, ListItem, Paragraph, Widget};
use unicode_width::UnicodeWidthStr as _;

use crate::tui::picker::Picker;
use crate::tui::text::fit;
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
    let width = u16::try_from(width).unwrap_or(area.width);
    let place = Rect {
        x: area.right() - width,
        width,
        height: u16::try_from(height).unwrap_or(area.height),
        ..area
    };
    let [top, list] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(place);
    Clear.render(place, out);
    Paragraph::new(format!(" {}", picker.title()))
        .style(theme.selected())
        .render(top, out);
    let page = height.saturating_sub(1).max(1);
    let first = picker.at / page * page;
    let shown = items.iter().enumerate().skip(first).take(page);
    let rows = shown.map(|(at, (chosen, words))| {
        let (marker, style) = if at == picker.at {
            ("▌", theme.title())
        } else {
            (" ", theme.text())
        };
        let sign = if *chosen { "x" } else { " " };
        let text = fit(&format!("{marker}{sign} {words}"), usize::from(width));
        ListItem::new(text).style(style)
    });
    Widget::render(List::new(rows), list, out);
}
