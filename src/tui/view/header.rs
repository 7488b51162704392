//! The first line: the source and its status.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget as _;
use unicode_width::UnicodeWidthStr as _;

use super::minor;
use crate::core::Core;
use crate::detect::Severity;
use crate::event::{Timestamp, escape};
use crate::tui::status::{Shown, Status};
use crate::tui::text::{count, fit};
use crate::tui::theme::{Theme, Token};
use crate::tui::ui::Ui;

/// The parts with a blank between them, in at most `width` columns; the last one that fits is cut
/// with `…`, and later ones are left out.
pub(super) fn line(parts: Vec<(String, Style)>, width: u16) -> Line<'static> {
    let mut room = usize::from(width);
    let mut spans = Vec::with_capacity(parts.len() * 2);
    for (text, style) in parts {
        if !spans.is_empty() {
            spans.push(Span::raw(" "));
            room = room.saturating_sub(1);
        }
        if room == 0 {
            break;
        }
        let text = fit(&text, room);
        room -= text.width();
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

/// A part of the first line.
struct Part {
    text: String,
    style: Style,
    /// Priority: the lowest stays, the highest is dropped first when the width does not suffice.
    rank: u8,
}

/// The source on the left, its status on the right, in fixed positions.
pub(super) fn status(
    core: &Core,
    ui: &Ui,
    status: &Status,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let part = |rank: u8, text: &str, style: Style| Part {
        text: escape(text.as_bytes()).to_string(),
        style,
        rank,
    };
    let engine = if status.degraded {
        theme.bad()
    } else {
        theme.good()
    };
    let left = vec![
        part(3, "hullwatch", theme.accent()),
        part(6, &status.host, theme.title()),
        part(7, &status.engine, engine),
        part(8, &minor::probes(&status.tier), engine),
    ];
    let time = match status.time {
        Shown::Live => theme.style(Token::Live),
        Shown::Paused => theme.style(Token::Paused).add_modifier(Modifier::REVERSED),
        Shown::Replay => theme.style(Token::Replay),
    };
    let mut right = vec![part(1, &status.mode, time)];
    let clock = status.clock.unwrap_or(core.state.now);
    if clock != Timestamp::default() {
        let rate = core.state.recent.rate(clock.seconds());
        right.push(part(4, &ui.display.zone.clock(clock), theme.dim()));
        right.push(part(
            5,
            &format!("{:>4}/s", count(u64::from(rate))),
            theme.text(),
        ));
    }
    right.push(part(0, &status.unwatched, theme.bad()));
    let lost = core.state.totals.lost;
    let lost_style = if lost == 0 { theme.dim() } else { theme.bad() };
    right.push(part(0, &format!("{lost} lost"), lost_style));
    if let Some(step) = core.state.clock_set() {
        right.push(part(2, &format!("clock set {step}"), theme.bad()));
    }
    let unreported = core.detector.unreported();
    if unreported > 0 {
        let text = format!("{} findings dropped", count(unreported));
        right.push(part(1, &text, theme.bad()));
    }
    right.extend(
        by_severity(core, theme)
            .into_iter()
            .map(|(text, style)| part(1, &text, style)),
    );
    let lesser = minor::findings(core, theme).into_iter();
    right.extend(lesser.map(|(rank, text, style)| part(rank, &text, style)));
    right.push(part(2, &status.doing, theme.bad()));
    let trouble = status.trouble.as_ref().map_or("", |(what, _)| what);
    right.push(part(0, trouble, theme.bad()));
    place(left, right, area, out);
}

/// Writes as many of the parts as fit, some on the left and some on the right.
fn place(mut left: Vec<Part>, mut right: Vec<Part>, area: Rect, out: &mut Buffer) {
    let room = usize::from(area.width);
    let width = |parts: &[Part]| -> usize { parts.iter().map(|p| p.text.width() + 1).sum() };
    left.retain(|p| !p.text.is_empty());
    right.retain(|p| !p.text.is_empty());
    while (width(&left) + width(&right)).saturating_sub(1) > room {
        let last = left.iter().chain(&right).map(|p| p.rank).max();
        let Some(last) = last.filter(|last| *last > 0) else {
            break;
        };
        left.retain(|p| p.rank != last);
        right.retain(|p| p.rank != last);
    }
    let shown = |parts: Vec<Part>| -> Vec<(String, Style)> {
        parts.into_iter().map(|p| (p.text, p.style)).collect()
    };
    line(shown(left), area.width).render(area, out);
    line(shown(right), area.width)
        .right_aligned()
        .render(area, out);
}

/// The content on the smallest terminals: the counts.
pub(super) fn counts(core: &Core, area: Rect, theme: &Theme, out: &mut Buffer) {
    let running = core.state.containers.values().filter(|c| c.running).count();
    let lost = core.state.totals.lost;
    let lost_style = if lost == 0 { theme.dim() } else { theme.bad() };
    let mut all = vec![
        ("hullwatch".to_owned(), theme.accent()),
        (format!("{running} cont"), theme.text()),
    ];
    all.extend(by_severity(core, theme));
    all.push((format!("{lost} lost"), lost_style));
    line(all, area.width).render(area, out);
}

/// Findings by letter: `1C 2H 3M`.
pub(super) fn by_severity(core: &Core, theme: &Theme) -> Vec<(String, Style)> {
    let of = |severity| {
        let findings = core.detector.findings().iter();
        let alike = findings.filter(|f| f.severity == severity && f.is_open());
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
