//! The selected row in a few lines, below its table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget as _};
use unicode_width::UnicodeWidthStr as _;

use crate::core::Core;
use crate::tui::detail;
use crate::tui::rows::{Query, RowKey};
use crate::tui::text::{fit, pad};
use crate::tui::theme::Theme;

/// Minimum width of the names of facts; the maximum is a quarter of the line.
const NAMES: usize = 3;

pub(super) fn draw(
    core: &Core,
    query: &Query<'_>,
    key: &RowKey,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let width = usize::from(area.width);
    let Some((title, facts)) = detail::brief(core, query, key) else {
        return;
    };
    let style = title.severity.map_or(theme.dim(), |s| theme.severity(s));
    let title = fit(&title.name, width.saturating_sub(8));
    let mut lines = vec![Line::from(vec![
        Span::styled("── ", theme.dim()),
        Span::styled(title, style),
        Span::styled(format!(" {}", "─".repeat(width)), theme.dim()),
    ])];
    let shown = usize::from(area.height.saturating_sub(1));
    let longest = facts.iter().take(shown).map(|line| line.name.width()).max();
    let names = longest.unwrap_or(0).min(width / 4).max(NAMES);
    let room = width.saturating_sub(names + 2);
    lines.extend(facts.iter().take(shown).map(|line| {
        let style = line.severity.map_or(theme.dim(), |s| theme.severity(s));
        let text = line.text.as_deref().unwrap_or_default();
        Line::from(vec![
            Span::raw(" "),
            Span::styled(pad(&line.name, names, false), style),
            Span::raw(" "),
            Span::styled(fit(text, room), theme.text()),
        ])
    }));
    Paragraph::new(lines).render(area, out);
}
