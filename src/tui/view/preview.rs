//! The selected row in a few lines, below its table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

use crate::core::Core;
use crate::tui::app::Ui;
use crate::tui::detail;
use crate::tui::rows::RowKey;
use crate::tui::text::{fit, pad};
use crate::tui::theme::Theme;

/// Least width of the names of facts; the most is a quarter of the line.
const NAMES: usize = 3;

pub(super) fn draw(
    core: &Core,
    ui: &Ui,
    key: &RowKey,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let width = usize::from(area.width);
    let Some((title, facts)) = detail::brief(core, &ui.query(), key) else {
        return;
    };
    let style = title.severity.map_or(theme.dim(), |s| theme.severity(s));
    let title = fit(&title.name, width.saturating_sub(8));
    let rule = format!("── {title} {}", "─".repeat(width));
    out.set_stringn(area.x, area.y, rule, width, theme.dim());
    out.set_string(area.x + 3, area.y, title, style);
    let shown = usize::from(area.height.saturating_sub(1));
    let longest = facts.iter().take(shown).map(|line| line.name.width()).max();
    let names = longest.unwrap_or(0).min(width / 4).max(NAMES);
    for (y, line) in (area.y + 1..area.bottom()).zip(facts) {
        let style = line.severity.map_or(theme.dim(), |s| theme.severity(s));
        out.set_string(area.x + 1, y, pad(&line.name, names, false), style);
        let x = area.x + 2 + u16::try_from(names).unwrap_or(0);
        let room = width.saturating_sub(names + 2);
        out.set_string(
            x,
            y,
            fit(&line.text.unwrap_or_default(), room),
            theme.text(),
        );
    }
}
