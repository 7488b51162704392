//! The timeline: events per second, findings, gaps and the time shown.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::text::{fit, span};
use super::theme::{Theme, Token};
use super::zone::Zone;
use crate::detect::Severity;
use crate::event::Timestamp;
use crate::recording::{Overview, Rates};

/// Columns of the label.
const NAMES: u16 = 10;
/// Smallest width of the timeline and height of the screen that show one.
const NARROW: u16 = 10;
const LOW: u16 = 14;
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// What is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The first and the last moment.
    pub(super) span: (Timestamp, Timestamp),
    /// Where one is.
    pub(super) cursor: Timestamp,
    /// Events per step.
    pub(super) rates: Rates,
    /// Findings, where they are raised.
    pub(super) findings: Vec<(Timestamp, Severity)>,
    /// Times for which something is missing.
    pub(super) gaps: Vec<(Timestamp, Timestamp)>,
}

impl Timeline {
    /// Of what a player plays, or of what is remembered of this host; one is at `cursor`.
    pub(super) fn of(all: Overview, cursor: Timestamp) -> Self {
        let findings = all.findings.iter();
        Self {
            span: all.span,
            cursor,
            rates: all.rates,
            findings: findings.map(|mark| (mark.ts, mark.severity)).collect(),
            gaps: all.gaps.iter().map(|gap| (gap.from, gap.to)).collect(),
        }
    }

    /// Why it cannot be seen on a screen of that size, if so.
    pub(super) fn too_small(area: Rect) -> Option<String> {
        if Self::lines(area.height) == 0 {
            return Some(format!("no room for the timeline: it needs {LOW} lines"));
        }
        let least = NAMES + NARROW;
        (area.width < least).then(|| format!("no room for the timeline: it needs {least} columns"))
    }

    /// Lines it takes of a screen of that height; 0 where there is no room.
    pub(super) fn lines(height: u16) -> u16 {
        match height {
            24.. => 4,
            LOW.. => 3,
            _ => 0,
        }
    }

    fn column(&self, at: Timestamp, width: u16) -> u16 {
        let (from, to) = self.span;
        let whole = to.since(from).as_nanos().max(1);
        let part = at.since(from).as_nanos().min(whole) * u128::from(width.saturating_sub(1));
        u16::try_from(part / whole).unwrap_or(0)
    }

    /// The most events of a step in each column.
    fn bars(&self, width: u16) -> Vec<u32> {
        let mut bars = vec![0; usize::from(width)];
        for (number, count) in (self.rates.first..).zip(&self.rates.counts) {
            let at = Timestamp(
                number
                    .saturating_mul(self.rates.step)
                    .saturating_mul(1_000_000_000),
            );
            let bar = &mut bars[usize::from(self.column(at, width))];
            *bar = (*bar).max(*count);
        }
        bars
    }

    /// Draws it.
    pub(super) fn draw(&self, area: Rect, zone: &Zone, theme: &Theme, out: &mut Buffer) {
        let width = area.width.saturating_sub(NAMES);
        if width < NARROW || area.height < 3 {
            return;
        }
        let border = theme.style(Token::Border);
        let (from, to) = self.span;
        let title = format!(
            "── timeline {} .. {}  {} ",
            zone.clock(from),
            zone.clock(to),
            span(to.since(from))
        );
        let rule = "─".repeat(usize::from(area.width));
        out.set_string(area.x, area.y, rule, border);
        out.set_string(
            area.x,
            area.y,
            fit(&title, usize::from(area.width)),
            theme.dim(),
        );
        let x = area.x + NAMES;
        let row = |number: u16| area.y + number;
        out.set_string(area.x, row(1), "events", theme.dim());
        let bars = self.bars(width);
        let most = bars.iter().copied().max().unwrap_or(0);
        for (at, count) in (x..).zip(&bars) {
            if let Some(bar) = level(*count, most) {
                out.set_string(at, row(1), bar, theme.style(Token::Spark));
            }
        }
        let last = row(area.height - 1);
        let line = "─".repeat(usize::from(width));
        out.set_string(x, last, line, border);
        if area.height > 3 {
            out.set_string(area.x, row(2), "findings", theme.dim());
        }
        let mut worst = vec![None; usize::from(width)];
        for (ts, severity) in &self.findings {
            let place = &mut worst[usize::from(self.column(*ts, width))];
            *place = (*place).max(Some(*severity));
        }
        for (at, severity) in (x..).zip(worst) {
            if let Some(severity) = severity {
                let letter = severity.letter().to_string();
                let y = if area.height > 3 { row(2) } else { last };
                out.set_string(at, y, letter, theme.severity(severity));
            }
        }
        // A gap is one: nothing is known there, and the line is broken.
        for (from, to) in &self.gaps {
            for at in self.column(*from, width)..=self.column(*to, width) {
                out.set_string(x + at, row(1), "?", theme.bad());
                out.set_string(x + at, last, " ", Style::new());
            }
        }
        let cursor = x + self.column(self.cursor, width);
        let style = theme.accent().add_modifier(Modifier::BOLD);
        out.set_string(cursor, last, "┃", style);
        let time = zone.clock(self.cursor);
        out.set_string(area.x, last, time, theme.title());
    }
}

/// The bar of a count: none for none, and doubling steps, so that a burst hides nothing.
fn level(count: u32, most: u32) -> Option<&'static str> {
    let of = |count: u32| f64::from(count).ln_1p();
    let steps = 7.0;
    (count > 0).then(|| {
        let part = of(count) / of(most).max(f64::MIN_POSITIVE) * steps;
        let place = (0..8)
            .rev()
            .find(|step| f64::from(*step) <= part)
            .unwrap_or(0);
        BARS[usize::try_from(place).unwrap_or(0)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_break_the_line_and_the_cursor_is_where_one_is() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000_000);
        let timeline = Timeline {
            span: (at(0), at(99)),
            cursor: at(50),
            rates: Rates {
                step: 1,
                first: 0,
                counts: (0..100).map(|n| n % 7).collect(),
            },
            findings: vec![(at(10), Severity::High), (at(10), Severity::Low)],
            gaps: vec![(at(70), at(80))],
        };
        let area = Rect::new(0, 0, 110, 4);
        let mut buffer = Buffer::empty(area);
        timeline.draw(area, &Zone::default(), &Theme::mono(), &mut buffer);
        let symbol = |x: u16, y: u16| buffer[(x, y)].symbol().to_owned();
        assert_eq!(symbol(NAMES + 10, 2), "H");
        assert_eq!(symbol(NAMES + 50, 3), "┃");
        assert_eq!(symbol(NAMES + 75, 1), "?");
        assert_eq!(symbol(NAMES + 75, 3), " ");
        assert_eq!(symbol(NAMES + 6, 1), "█");
        assert_eq!(symbol(NAMES + 7, 1), " ", "nothing happened");
    }
}
