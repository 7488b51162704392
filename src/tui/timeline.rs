//! The timeline: events per second, findings, gaps and the time shown.

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Sparkline, Widget as _};
use unicode_width::UnicodeWidthStr as _;

use super::drawn::FrameRows;
use super::rows;
use super::text::{fit, span};
use super::theme::{Theme, Token};
use super::ui::Ui;
use super::zone::Zone;
use crate::core::Core;
use crate::detect::Severity;
use crate::event::{ContainerId, Timestamp};
use crate::recording::{Overview, Rates};

/// Columns of the label, unless the time needs more.
const NAMES: u16 = 10;
/// Smallest width of the timeline and height of the screen that show one.
const NARROW: u16 = 10;
const LOW: u16 = 14;

/// The containers of a timeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TimelineScope {
    /// `None`: all.
    pub(super) containers: Option<BTreeSet<ContainerId>>,
    /// Their name.
    pub(super) name: String,
}

impl Ui {
    /// The container that is shown; else, under a filter, those of the rows that match. Also
    /// returns these rows, so that the frame need not make them again.
    pub(super) fn timeline_scope(&self, core: &Core) -> (TimelineScope, Option<FrameRows>) {
        if let Some(id) = &self.at.container {
            let scope = TimelineScope {
                containers: Some(BTreeSet::from([id.clone()])),
                name: rows::name(core, &Some(id.clone())),
            };
            return (scope, None);
        }
        if self.filter().is_empty() {
            return (TimelineScope::default(), None);
        }
        let rows = FrameRows::new(core, self.outline(core));
        let own = |row: &rows::Row| rows::container_of(core, &row.key);
        let scope = TimelineScope {
            containers: Some(rows.listing.iter().filter_map(own).collect()),
            name: format!("/{}", self.filter().text()),
        };
        (scope, Some(rows))
    }
}

/// The data of a timeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The first and the last moment.
    pub(super) span: (Timestamp, Timestamp),
    /// The moment shown.
    pub(super) cursor: Timestamp,
    /// Events per step.
    pub(super) rates: Rates,
    /// Findings, at the moment they were raised.
    pub(super) findings: Vec<(Timestamp, Severity)>,
    /// Spans with missing events.
    pub(super) gaps: Vec<(Timestamp, Timestamp)>,
    /// The name of its containers, unless it covers everything.
    pub(super) name: String,
}

impl Timeline {
    /// The timeline of a player, or of the past of this host, at `cursor`. `name`: of its
    /// containers.
    pub(super) fn of(all: Overview, cursor: Timestamp, name: String) -> Self {
        let findings = all.findings.iter();
        Self {
            span: all.span,
            cursor,
            rates: all.rates,
            findings: findings.map(|mark| (mark.ts, mark.severity)).collect(),
            gaps: all.gaps.iter().map(|gap| (gap.from, gap.to)).collect(),
            name,
        }
    }

    /// Why it does not fit on a screen of that size, if so.
    pub(super) fn too_small(area: Rect) -> Option<String> {
        if Self::lines(area.height) == 0 {
            return Some(format!("no room for the timeline: it needs {LOW} lines"));
        }
        let least = NAMES + NARROW;
        (area.width < least).then(|| format!("no room for the timeline: it needs {least} columns"))
    }

    /// Its height on a screen of that height; 0 where it does not fit.
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
        let clock = zone.clock(self.cursor);
        let names = u16::try_from(clock.width() + 1).unwrap_or(NAMES).max(NAMES);
        let width = area.width.saturating_sub(names);
        if width < NARROW || area.height < 3 {
            return;
        }
        let border = theme.style(Token::Border);
        let (from, to) = self.span;
        let of = match self.name.as_str() {
            "" => String::new(),
            name => format!("of {} ", fit(name, usize::from(area.width / 4))),
        };
        let title = format!(
            "── timeline {of}{} .. {}  {} ",
            zone.clock(from),
            zone.clock(to),
            span(to.since(from))
        );
        Block::new()
            .borders(Borders::TOP)
            .border_style(border)
            .title(Span::styled(
                fit(&title, usize::from(area.width)),
                theme.dim(),
            ))
            .render(area, out);
        let [_, names, plot] = split(area, names);
        let label = |row: u16, text: String, style: Style, out: &mut Buffer| {
            Line::styled(text, style).render(nth(names, row), out);
        };
        label(0, "events".to_owned(), theme.dim(), out);
        let bars = self.bars(width);
        let most = usual(&bars);
        Sparkline::default()
            .data(bars.iter().map(|count| level(*count, most)))
            .max(STEPS)
            .style(theme.style(Token::Spark))
            .render(nth(plot, 0), out);
        let last = plot.height - 1;
        let mut base = vec![Span::styled("─", border); usize::from(width)];
        // A gap is drawn as one: nothing is known there, and the line is broken.
        for (from, to) in &self.gaps {
            for at in self.column(*from, width)..=self.column(*to, width) {
                let place = Rect {
                    x: plot.x + at,
                    width: 1,
                    ..nth(plot, 0)
                };
                Span::styled("?", theme.bad()).render(place, out);
                base[usize::from(at)] = Span::raw(" ");
            }
        }
        let mut worst = vec![None; usize::from(width)];
        for (ts, severity) in &self.findings {
            let place = &mut worst[usize::from(self.column(*ts, width))];
            *place = (*place).max(Some(*severity));
        }
        let letter = |severity: Severity| {
            Span::styled(severity.letter().to_string(), theme.severity(severity))
        };
        if area.height > 3 {
            label(1, "findings".to_owned(), theme.dim(), out);
            let letters = worst.iter().map(|w| w.map_or(Span::raw(" "), letter));
            Line::from_iter(letters).render(nth(plot, 1), out);
        } else {
            for (span, severity) in base.iter_mut().zip(&worst) {
                if let (Some(severity), "─") = (severity, span.content.as_ref()) {
                    *span = letter(*severity);
                }
            }
        }
        let cursor = usize::from(self.column(self.cursor, width));
        let style = theme.accent().add_modifier(Modifier::BOLD);
        base[cursor] = Span::styled("┃", style);
        Line::from(base).render(nth(plot, last), out);
        label(last, clock, theme.title(), out);
    }
}

/// The title's line, the labels, and the plot to their right.
fn split(area: Rect, names: u16) -> [Rect; 3] {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let columns = [Constraint::Length(names), Constraint::Fill(1)];
    let [names, plot] = Layout::horizontal(columns).areas(body);
    [title, names, plot]
}

/// One line of an area.
fn nth(area: Rect, row: u16) -> Rect {
    Rect {
        y: area.y + row,
        height: 1,
        ..area
    }
}

/// Height of a full bar.
const STEPS: u64 = 8;

/// The value of a full bar: 95 of 100 columns with events are at most this high, so that a burst
/// hides nothing.
fn usual(bars: &[u32]) -> u32 {
    let mut counts: Vec<u32> = bars.iter().copied().filter(|count| *count > 0).collect();
    counts.sort_unstable();
    let at = (counts.len() * 95).div_ceil(100).saturating_sub(1);
    counts.get(at).copied().unwrap_or(0)
}

/// The height of a bar: proportional up to that of `most`; at least one step for any event.
fn level(count: u32, most: u32) -> u64 {
    match (u64::from(count) * STEPS).checked_div(u64::from(most)) {
        None => 0,
        Some(level) => level.clamp(u64::from(count > 0), STEPS),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tui::tests::{demo, screen};
    use crate::tui::{Action, Pane};

    #[test]
    fn a_frame_reuses_the_rows_that_the_timeline_needed() {
        let mut core = demo();
        let mut ui = Ui::default();
        ui.apply(Action::Show(Pane::Findings), &core);
        assert!(ui.timeline_scope(&core).1.is_none(), "no filter, no rows");
        ui.table_mut().set_filter(Pane::Findings, "cron").unwrap();
        let (scope, rows) = ui.timeline_scope(&core);
        let rows = rows.unwrap();
        assert_eq!(scope.containers.unwrap().len(), 1);
        let made = Arc::clone(&rows.listing);
        ui.frame_rows = Some(rows.clone());
        screen(&core, &mut ui, 120, 40);
        assert!(Arc::ptr_eq(ui.drawn.listing.as_ref().unwrap(), &made));
        assert!(ui.frame_rows.is_none(), "for one frame only");
        // An event may change rows: they are made again.
        ui.frame_rows = Some(rows);
        core.state.totals.events += 1;
        screen(&core, &mut ui, 120, 40);
        assert!(!Arc::ptr_eq(ui.drawn.listing.as_ref().unwrap(), &made));
    }

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
            name: String::new(),
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
        // The local time has a longer suffix.
        let mut zone = Zone::default();
        zone.turn();
        let mut buffer = Buffer::empty(area);
        timeline.draw(area, &zone, &Theme::mono(), &mut buffer);
        let last: String = (0..110).map(|x| buffer[(x, 3)].symbol()).collect();
        let clock = zone.clock(at(50)) + " ";
        assert!(last.starts_with(&clock), "{last}");
    }

    #[test]
    fn a_burst_does_not_flatten_the_rest() {
        let mut bars = vec![10; 98];
        bars.extend([5, 9000]);
        let most = usual(&bars);
        assert_eq!(most, 10);
        let levels = [0, 1, 5, 10, 9000].map(|count| level(count, most));
        assert_eq!(levels, [0, 1, 4, 8, 8]);
        assert_eq!(level(0, usual(&[0, 0])), 0);
    }
}
