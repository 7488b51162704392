//! Draws a whole screen: header, tabs, the pane or a detail, and the last line.

mod header;
mod pane;
mod reading;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::Ui;
use super::source::Status;
use super::theme::Theme;
use crate::core::Core;

/// Draws the core as the person looks at it. Fixes nothing in `ui` but the page size and a
/// selection that is gone.
pub fn draw(
    core: &Core,
    ui: &mut Ui,
    status: &Status,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let line = |y: u16| Rect::new(area.x, area.y + y, area.width, 1);
    if area.height == 0 || area.width == 0 {
        return;
    }
    header::status(core, status, line(0), theme, out);
    if area.height < 4 {
        return;
    }
    header::tabs(core, ui, line(1), theme, out);
    header::footer(ui, line(area.height - 1), theme, out);
    let body = Rect::new(area.x, area.y + 2, area.width, area.height - 3);
    ui.page = usize::from(body.height.saturating_sub(1));
    if ui.help {
        reading::help(ui, body, theme, out);
    } else if ui.detail.is_some() {
        reading::detail(core, ui, body, theme, out);
    } else {
        pane::draw(core, ui, body, theme, out);
    }
}
