//! Charts of the last minute, one line high. A bar covers whole seconds of the clock, so that the
//! chart changes only a few times a minute: each change costs bytes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;
use ratatui::widgets::{Sparkline, Widget as _};

use super::text::{count, fit};
use super::theme::{Theme, Token};
use crate::event::Timestamp;
use crate::state::Container;

/// Seconds of a bar.
const STEP: usize = 5;
/// Bars of a minute.
pub(super) const BARS: usize = 60 / STEP;
/// Height of a full bar.
const FULL: u64 = 8;

/// The greatest value in each step of the last minute, the latest last; `values` has one for each
/// second.
pub(super) fn bars(values: impl DoubleEndedIterator<Item = u32>, now: Timestamp) -> Vec<u64> {
    let mut bars = vec![0; BARS];
    // The latest bar covers the seconds of its step that have passed.
    let begun = usize::try_from(now.seconds().rem_euclid(STEP as i64)).unwrap_or(0) + 1;
    for (at, value) in values.rev().enumerate() {
        let back = (at + STEP - begun) / STEP;
        if let Some(bar) = BARS.checked_sub(back + 1).and_then(|at| bars.get_mut(at)) {
            *bar = u64::from(value).max(*bar);
        }
    }
    bars
}

/// The value of a full bar for a container's CPU: its limit, or one core.
pub(super) fn cpu_limit(container: &Container) -> u64 {
    match container.info.limits.cpu_milli {
        0 => 1000,
        limit => limit.into(),
    }
}

/// The most of one second, in words.
fn peak(most: u64) -> String {
    match most {
        0 => "none".to_owned(),
        most => format!("peak {}/s", count(most)),
    }
}

/// Draws the bars; a hundredth of `most` is the least that is seen.
pub(super) fn draw(bars: &[u64], most: u64, style: Style, area: Rect, out: &mut Buffer) {
    let most = most.max(1);
    let levels = bars
        .iter()
        .map(|value| match value.saturating_mul(FULL) / most {
            0 => u64::from(value.saturating_mul(100) >= most),
            level => level.min(FULL),
        });
    Sparkline::default()
        .data(levels)
        .max(FULL)
        .style(style)
        .render(area, out);
}

/// The line above a container's page: CPU, connections and programs of the last minute, as many as
/// fit.
pub(super) fn line(
    container: &Container,
    now: Timestamp,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    let cpu = u64::from(container.cpu_milli);
    let latest = |bars: &[u64]| bars.iter().max().copied().unwrap_or(0);
    let connects = bars(container.connects.counts(), now);
    let execs = bars(container.execs.counts(), now);
    let (connected, run) = (latest(&connects), latest(&execs));
    let charts = [
        (
            "cpu",
            bars(container.cpu_history.iter().copied(), now),
            cpu_limit(container),
            format!("{}.{} %", cpu / 10, cpu % 10),
        ),
        ("new connections", connects, connected, peak(connected)),
        ("programs run", execs, run, peak(run)),
    ];
    let mut x = area.x;
    for (name, bars, most, text) in charts {
        let width = u16::try_from(name.len() + BARS + text.len() + 2).unwrap_or(u16::MAX);
        if x.saturating_add(width) > area.right() {
            return;
        }
        let at = |x: u16, width: usize| Rect {
            x,
            width: u16::try_from(width).unwrap_or(u16::MAX),
            ..area
        };
        let mut put = |text: &str, style: Style, x: u16| {
            Span::styled(fit(text, text.len()), style).render(at(x, text.len()), out);
            x + u16::try_from(text.len()).unwrap_or(0) + 1
        };
        let chart = put(name, theme.dim(), x);
        let after = chart + u16::try_from(BARS).unwrap_or(0) + 1;
        put(&text, theme.text(), after);
        draw(&bars, most, theme.style(Token::Spark), at(chart, BARS), out);
        x = x.saturating_add(width + 3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_does_not_change_within_its_seconds() {
        let at = |second: i64| Timestamp(second * 1_000_000_000);
        // At second 103 the latest step began at 100: four values belong to it.
        let shown = bars([9, 1, 2, 3, 4].into_iter(), at(103));
        assert_eq!(shown[BARS - 1], 4);
        assert_eq!(shown[BARS - 2], 9);
        assert_eq!(shown[BARS - 3], 0);
        let shown = bars([9, 1, 2, 3, 4, 0].into_iter(), at(104));
        assert_eq!(shown[BARS - 2..], [9, 4]);
        let shown = bars([9, 1, 2, 3, 4, 0, 7].into_iter(), at(105));
        assert_eq!(shown[BARS - 3..], [9, 4, 7]);
        let shown = bars(std::iter::repeat_n(5, 600), at(105));
        assert_eq!(shown, [5; BARS]);
    }

    #[test]
    fn the_least_value_is_visible() {
        let area = Rect::new(0, 0, 4, 1);
        let mut out = Buffer::empty(area);
        draw(&[0, 10, 500, 2000], 1000, Style::new(), area, &mut out);
        let text: String = (0..4).map(|x| out[(x, 0)].symbol()).collect();
        assert_eq!(text, " ▁▄█");
    }
}
