//! The first line: what is watched and how it stands.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::core::Core;
use crate::detect::Severity;
use crate::event::escape;
use crate::tui::source::Status;
use crate::tui::text::fit;
use crate::tui::theme::{Theme, Token};

/// Writes parts one after the other; what does not fit is left out from the end.
pub(super) fn parts(parts: &[(String, Style)], area: Rect, out: &mut Buffer) {
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
    let mode = if status.mode.starts_with("PAUSED") {
        theme.style(Token::Paused).add_modifier(Modifier::REVERSED)
    } else {
        theme.bad()
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
            (clean(&status.mode), mode),
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

/// All there is room for on the smallest terminals: the counts.
pub(super) fn counts(core: &Core, area: Rect, theme: &Theme, out: &mut Buffer) {
    let running = core.state.containers.values().filter(|c| c.running).count();
    let lost = core.state.totals.lost;
    let lost_style = if lost == 0 { theme.dim() } else { theme.bad() };
    let mut all = vec![
        ("hullwatch".to_owned(), theme.accent()),
        (format!("{running} cont"), theme.text()),
    ];
    all.extend(by_severity(core, theme));
    all.push((format!("LOST {lost}"), lost_style));
    parts(&all, area, out);
}

/// Findings by letter: `1C 2H 3M`.
pub(super) fn by_severity(core: &Core, theme: &Theme) -> Vec<(String, Style)> {
    let of = |severity| {
        let findings = core.detector.findings().iter();
        let alike = findings.filter(|f| f.severity == severity && f.silenced.is_none());
        alike.count()
    };
    [Severity::Critical, Severity::High, Severity::Medium]
        .into_iter()
        .map(|severity| (severity, of(severity)))
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| {
            (
                format!("{count}{}", severity.letter()),
                theme.severity(severity),
            )
        })
        .collect()
}
