//! The screen of many hosts: lists of hosts, incidents and findings, from which a host is opened.

mod draw;
mod rows;
mod screen;

use std::time::{Duration, Instant};

use color_eyre::eyre::{WrapErr as _, bail};
use crossterm::event::{Event as Input, KeyEvent};
use parking_lot::Mutex;

use super::action::Action;
use super::chord::Chord;
use super::config::Config;
use super::terminal;
use super::wait::Waiter;
use crate::event::Timestamp;
use crate::fleet::{Fleet, HostName};
use rows::FleetPane;
pub use screen::FleetScreen;

/// Interval of frames without input.
const FRAME: Duration = Duration::from_secs(1);

/// What the user chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetChoice {
    /// To leave.
    Leave,
    /// To open this host: at its present, or shortly before this time.
    Open(HostName, Option<Timestamp>),
}

/// Shows the hosts until the user leaves or opens one. `name`: the server.
///
/// # Errors
/// When the terminal cannot be opened or written.
pub fn run_fleet(
    fleet: &Mutex<Fleet>,
    name: &str,
    view: &mut FleetScreen,
    config: &Config,
) -> color_eyre::Result<FleetChoice> {
    let mut waiter = Waiter::new()?;
    let mut screen = terminal::open().wrap_err("cannot open the terminal")?;
    terminal::watch_over()?;
    let mut look = config.look.clone();
    let mut run = || -> color_eyre::Result<FleetChoice> {
        let mut due = Instant::now();
        loop {
            if Instant::now() >= due {
                let glyphs = look.theme.glyphs();
                screen.draw(glyphs, |frame| {
                    let area = frame.area();
                    let fleet = fleet.lock();
                    draw::draw(&fleet, name, view, area, &look.theme, frame.buffer_mut());
                })?;
                due = Instant::now() + FRAME;
            }
            let woken = waiter.wait(Some(due.saturating_duration_since(Instant::now())));
            if woken.hung_up || woken.ended || terminal::panicked() {
                return Ok(FleetChoice::Leave);
            }
            if woken.stopped {
                terminal::suspend(&mut screen)?;
            } else if woken.continued {
                terminal::retake(&mut screen)?;
            }
            if woken.resized {
                screen.resized()?;
            }
            if woken.resized || woken.stopped || woken.continued || !woken.input.is_empty() {
                due = Instant::now();
            }
            // A theme that cannot be read leaves the one before.
            let _ = look.refresh();
            for input in woken.input {
                if let Input::Key(key) = input {
                    let fleet = fleet.lock();
                    if let Some(choice) = view.press(&key, &fleet, config) {
                        return Ok(choice);
                    }
                }
            }
        }
    };
    let done = run();
    terminal::restore();
    if terminal::panicked() {
        terminal::let_it_tell();
        bail!("hullwatch failed internally; the terminal was restored");
    }
    done
}

impl FleetScreen {
    fn press(&mut self, key: &KeyEvent, fleet: &Fleet, config: &Config) -> Option<FleetChoice> {
        let action = config.keys.entry(Chord::from(key))?.action;
        if self.help {
            self.help = false;
            return matches!(action, Action::QuitNow).then_some(FleetChoice::Leave);
        }
        let rows = rows::rows(fleet, self.pane);
        let at = self.at(&rows);
        let page = isize::try_from(self.height.max(1)).unwrap_or(1);
        let to = match action {
            Action::Quit | Action::QuitNow => return Some(FleetChoice::Leave),
            Action::Help => {
                self.help = true;
                return None;
            }
            Action::NextPane | Action::PreviousPane => {
                self.pane = self.pane.next(action == Action::NextPane);
                return None;
            }
            Action::Show(_) => {
                // The digits 1, 2, 3 here.
                if let crossterm::event::KeyCode::Char(digit) = key.code {
                    self.pane = FleetPane::of_digit(digit).unwrap_or(self.pane);
                }
                return None;
            }
            Action::Enter => {
                let row = rows.into_iter().nth(at)?;
                return Some(FleetChoice::Open(row.host?, row.at));
            }
            Action::Move(by) => at.saturating_add_signed(by),
            Action::Page(pages) => at.saturating_add_signed(pages.saturating_mul(page)),
            Action::HalfPage(pages) => at.saturating_add_signed(pages.saturating_mul(page / 2)),
            Action::First => 0,
            Action::Last => usize::MAX,
            _ => return None,
        };
        if let Some(row) = rows.get(to.min(rows.len().saturating_sub(1))) {
            self.selected[self.pane as usize].clone_from(&row.key);
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crossterm::event::{KeyCode, KeyModifiers};
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    use super::*;
    use crate::event::Severity;
    use crate::fleet::{FindingDigest, HostSummary, IncidentDigest};
    use crate::tui::theme::Theme;

    fn fleet() -> Fleet {
        let mut fleet = Fleet {
            complete: true,
            ..Fleet::default()
        };
        for (name, severity, containers) in [
            ("quiet", None, 3),
            ("web-1", Some(Severity::Critical), 14),
            ("db.example", Some(Severity::High), 2),
        ] {
            let incidents = severity.map(|severity| IncidentDigest {
                id: "I-0001".to_owned(),
                severity,
                rank: 10 + severity as u32,
                container: "shop".to_owned(),
                image: "shop:1".to_owned(),
                what: "server shell > miner".to_owned(),
                first: Timestamp(1_780_000_000_000_000_000),
                last: Timestamp(1_780_000_060_000_000_000),
                active: true,
            });
            let findings = severity.map(|severity| FindingDigest {
                rule: "drift.exec-new".to_owned(),
                image: "shop:1".to_owned(),
                severity,
                title: "a program that is not in the image ran".to_owned(),
                findings: 2,
                last: Timestamp(1_780_000_060_000_000_000),
            });
            let summary = HostSummary {
                version: "0.1.0".to_owned(),
                at: Timestamp(1_780_000_070_000_000_000),
                containers,
                all_incidents: u64::from(severity.is_some()),
                incidents: incidents.into_iter().collect(),
                findings: findings.into_iter().collect(),
                ..HostSummary::default()
            };
            let json = serde_json::to_vec(&summary).unwrap();
            let subject = HostName::new(name.as_bytes()).summary();
            fleet.take(&subject, &json, Timestamp(1_780_000_070_200_000_000));
        }
        fleet
    }

    fn drawn(view: &mut FleetScreen, width: u16, height: u16) -> String {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        draw::draw(
            &fleet(),
            "nats:4222",
            view,
            area,
            &Theme::default(),
            &mut buffer,
        );
        let lines = (0..height).map(|y| {
            let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
            line.trim_end().to_owned() + "\n"
        });
        lines.collect()
    }

    fn press(view: &mut FleetScreen, code: KeyCode) -> Option<FleetChoice> {
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        view.press(&key, &fleet(), &Config::default())
    }

    #[test]
    fn the_worst_host_is_first_and_enter_opens_it() {
        let mut view = FleetScreen::default();
        let shown = drawn(&mut view, 100, 12);
        let order: Vec<usize> = ["web-1", "db.example", "quiet"]
            .iter()
            .map(|name| shown.find(name).unwrap())
            .collect();
        assert!(order.is_sorted(), "{shown}");
        assert!(
            shown.contains("3 hosts") && shown.contains("server shell > miner"),
            "{shown}"
        );
        let host = |name: &str| HostName::new(name.as_bytes());
        let opened = press(&mut view, KeyCode::Enter);
        assert_eq!(opened, Some(FleetChoice::Open(host("web-1"), None)));
        assert_eq!(press(&mut view, KeyCode::Char('j')), None);
        let opened = press(&mut view, KeyCode::Enter);
        assert_eq!(opened, Some(FleetChoice::Open(host("db.example"), None)));
        // An incident is opened at its time.
        assert_eq!(press(&mut view, KeyCode::Char('2')), None);
        let opened = press(&mut view, KeyCode::Enter);
        assert!(
            matches!(opened, Some(FleetChoice::Open(_, Some(_)))),
            "{opened:?}"
        );
        assert_eq!(press(&mut view, KeyCode::Tab), None);
        let findings = drawn(&mut view, 100, 12);
        assert!(
            findings.contains("drift.exec-new") && findings.contains("2 hosts"),
            "{findings}"
        );
        assert_eq!(press(&mut view, KeyCode::Char('?')), None);
        assert!(drawn(&mut view, 100, 20).contains("only reads"));
        assert_eq!(press(&mut view, KeyCode::Char('j')), None);
        assert_eq!(
            press(&mut view, KeyCode::Char('q')),
            Some(FleetChoice::Leave)
        );
    }

    #[test]
    fn every_size_is_drawn() {
        let mut view = FleetScreen::default();
        for (width, height) in [
            (0, 0),
            (1, 1),
            (7, 3),
            (20, 4),
            (40, 5),
            (80, 24),
            (300, 60),
        ] {
            for _ in 0..3 {
                drawn(&mut view, width, height);
                press(&mut view, KeyCode::Tab);
            }
        }
    }
}
