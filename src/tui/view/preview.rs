//! The selected row in a few lines, below its table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::core::Core;
use crate::tui::app::Ui;
use crate::tui::detail;
use crate::tui::rows::Key;
use crate::tui::text::{fit, pad};
use crate::tui::theme::Theme;

/// Width of the names of facts.
const NAMES: usize = 10;

pub(super) fn draw(core: &Core, ui: &Ui, key: &Key, area: Rect, theme: &Theme, out: &mut Buffer) {
    let width = usize::from(area.width);
    let Some((title, facts)) = detail::brief(core, ui, key) else {
        return;
    };
    let title = format!("── {} ", fit(&title, width.saturating_sub(8)));
    let rule = title + &"─".repeat(width);
    out.set_stringn(area.x, area.y, rule, width, theme.dim());
    for (y, (name, text)) in (area.y + 1..area.bottom()).zip(facts) {
        out.set_string(area.x + 1, y, pad(&name, NAMES, false), theme.dim());
        let x = area.x + 2 + 10;
        let room = width.saturating_sub(NAMES + 2);
        out.set_string(x, y, fit(&text, room), theme.text());
    }
}
