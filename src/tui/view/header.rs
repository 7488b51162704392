//! First line (what is watched and how it stands), tabs, last line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::core::Core;
use crate::event::escape;
use crate::tui::app::{Pane, Ui};
use crate::tui::rows;
use crate::tui::source::Status;
use crate::tui::text::fit;
use crate::tui::theme::Theme;

/// Writes parts one after the other; what does not fit is left out from the end.
fn parts(parts: &[(String, Style)], area: Rect, out: &mut Buffer) {
    let mut x = area.x;
    for (text, style) in parts {
        let left = usize::from(area.right().saturating_sub(x));
        if left == 0 {
            break;
        }
        let text = fit(text, left);
        (x, _) = out.set_stringn(x, area.y, &text, left, *style);
        x = (x + 1).min(area.right());
    }
}

pub(super) fn status(core: &Core, status: &Status, area: Rect, theme: &Theme, out: &mut Buffer) {
    let lost = core.state.totals.lost;
    let rate = core.state.recent.rate(core.state.now.seconds());
    let engine = if status.degraded {
        theme.bad()
    } else {
        theme.good()
    };
    let clean = |text: &str| escape(text.as_bytes()).to_string();
    // What must be seen stands first: a narrow terminal cuts at the end.
    parts(
        &[
            ("hullwatch".to_owned(), theme.accent()),
            (
                format!("LOST {lost}"),
                if lost == 0 { theme.dim() } else { theme.bad() },
            ),
            (clean(&status.mode), theme.bad()),
            (format!("{rate}/s"), theme.text()),
            (clean(&status.host), theme.title()),
            (clean(&status.engine), engine),
            (clean(&status.tier), engine),
        ]
        .into_iter()
        .filter(|(text, _)| !text.is_empty())
        .collect::<Vec<_>>(),
        area,
        out,
    );
}

pub(super) fn tabs(core: &Core, ui: &Ui, area: Rect, theme: &Theme, out: &mut Buffer) {
    let running = core.state.containers.values().filter(|c| c.running).count();
    let mut tabs = Vec::new();
    if let Some(id) = &ui.container {
        tabs.push((rows::name(core, &Some(id.clone())) + " ›", theme.accent()));
    }
    for (number, pane) in (1..).zip(Pane::ALL) {
        let count = match pane {
            Pane::Containers => format!(" {running}"),
            Pane::Findings => format!(" {}", core.detector.findings().len()),
            _ => String::new(),
        };
        let wide = area.width >= 76;
        let title = if wide || pane == ui.pane {
            format!("{number} {}{count}", pane.title())
        } else {
            number.to_string()
        };
        let style = if pane == ui.pane {
            theme.selected()
        } else {
            theme.text()
        };
        tabs.push((title, style));
    }
    parts(&tabs, area, out);
}

pub(super) fn footer(ui: &Ui, area: Rect, theme: &Theme, out: &mut Buffer) {
    let parts_ = if ui.typing {
        vec![(format!("/{}█", ui.filter), theme.accent())]
    } else if let Some(message) = &ui.message {
        vec![(escape(message.as_bytes()).to_string(), theme.title())]
    } else if !ui.filter.is_empty() {
        vec![
            (format!("/{}", ui.filter), theme.accent()),
            ("Esc clears".to_owned(), theme.dim()),
        ]
    } else {
        vec![(
            "Enter in  Esc out  / filter  s sort  p pause  r record  ? keys  q leave".to_owned(),
            theme.dim(),
        )]
    };
    parts(&parts_, area, out);
}
