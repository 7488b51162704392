//! The loop: draw at once on input, otherwise only when something changed, at most four times a
//! second.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use color_eyre::eyre::WrapErr as _;
use crossterm::event::{self, Event as Input, KeyCode, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::action::{Action, action};
use super::app::{Pane, Ui};
use super::rows::Key;
use super::source::Source;
use super::terminal::{self, Screen};
use super::theme::Theme;
use super::view;
use crate::collect::Live;
use crate::core::Core;
use crate::session::Player;

/// Between two pictures nobody asked for.
const FRAME: Duration = Duration::from_millis(250);
/// How long a signal may wait to be noticed.
const LISTEN: Duration = Duration::from_millis(100);

/// Shows this host until the person leaves; ends the watch and its recording.
///
/// # Errors
/// When the terminal cannot be opened or written.
pub fn run_live(live: Live) -> color_eyre::Result<()> {
    run(Source::Live(Box::new(live)))
}

/// Shows a recording until the person leaves.
///
/// # Errors
/// When the terminal cannot be opened or written.
pub fn run_replay(mut player: Player) -> color_eyre::Result<()> {
    player.set_playing(true);
    run(Source::Replay(Box::new(player)))
}

struct App {
    source: Source,
    ui: Ui,
    theme: Theme,
    /// The picture as it was when it was frozen.
    frozen: Option<Box<Core>>,
    drawn_events: u64,
}

fn run(source: Source) -> color_eyre::Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    let mut screen = terminal::open().wrap_err("cannot open the terminal")?;
    let mut app = App {
        source,
        ui: Ui::default(),
        theme: Theme::from_environment(),
        frozen: None,
        drawn_events: u64::MAX,
    };
    let done = app.turn(&mut screen, &ended);
    terminal::restore();
    let recorded = match app.source {
        Source::Live(live) => {
            let recorded = live
                .status()
                .recording
                .is_some()
                .then(|| live.stop_recording());
            live.stop();
            recorded
        }
        Source::Replay(_) => None,
    };
    if let Some(recorded) = recorded {
        let summary = recorded?;
        eprintln!("hullwatch: recorded {}", summary.path.display());
    }
    match done {
        // The terminal is gone: there is nobody to tell.
        Err(error) if hung_up(&error) => Ok(()),
        done => Ok(done?),
    }
}

fn hung_up(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EIO) || error.kind() == io::ErrorKind::BrokenPipe
}

impl App {
    fn turn(&mut self, screen: &mut Screen, ended: &AtomicBool) -> io::Result<()> {
        let mut drawn = Instant::now();
        let mut played = Instant::now();
        self.draw(screen)?;
        while !ended.load(Ordering::Relaxed) {
            let mut asked = false;
            // A reader at the end of its input would be asked for ever: that is seen first.
            if terminal::hung_up(LISTEN) {
                return Ok(());
            }
            // All that was typed meanwhile is drawn at once.
            while event::poll(Duration::ZERO)? {
                match event::read()? {
                    Input::Key(key) if key.kind != KeyEventKind::Release => {
                        if self.ui.typing {
                            self.typed(key.code);
                        } else if let Some(action) = action(&key)
                            && self.act(action, screen)?
                        {
                            return Ok(());
                        }
                        asked = true;
                    }
                    Input::Resize(..) => asked = true,
                    _ => {}
                }
            }
            if let Source::Replay(player) = &mut self.source {
                let elapsed = played.elapsed();
                played = Instant::now();
                player.advance(elapsed);
            }
            let due = drawn.elapsed() >= FRAME
                && self.frozen.is_none()
                && self.source.with(|core| core.state.totals.events) != self.drawn_events;
            if asked || due {
                self.draw(screen)?;
                drawn = Instant::now();
            }
        }
        Ok(())
    }

    fn typed(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.ui.typing = false,
            KeyCode::Esc => {
                self.ui.typing = false;
                self.ui.filter.clear();
            }
            KeyCode::Backspace => {
                self.ui.filter.pop();
            }
            KeyCode::Char(c) => self.ui.filter.push(c),
            _ => {}
        }
    }

    /// Does what was asked; true to leave.
    fn act(&mut self, asked: Action, screen: &mut Screen) -> io::Result<bool> {
        match (asked, &mut self.source) {
            (Action::Quit, _) => return Ok(true),
            (Action::Suspend, _) => terminal::suspend(screen)?,
            (Action::Pause, Source::Replay(player)) => {
                let playing = player.playing();
                player.set_playing(!playing);
            }
            (Action::Pause, Source::Live(live)) => {
                self.frozen = match self.frozen.take() {
                    Some(_) => None,
                    None => Some(Box::new(live.core().lock().clone())),
                };
            }
            (Action::Record, Source::Live(live)) => self.ui.message = Some(record(live)),
            (Action::Record, Source::Replay(_)) => {
                self.ui.message = Some("this is a recording already".to_owned());
            }
            (Action::Step(by), Source::Replay(player)) => {
                player.set_playing(false);
                let done = if by > 0 {
                    Ok(player.step())
                } else {
                    player.step_back()
                };
                self.ui.message = done.err().map(|error| error.to_string());
            }
            (Action::Speed(by), Source::Replay(player)) => {
                let factor = if by > 0 { 2.0 } else { 0.5 };
                player.set_speed((player.speed() * factor).clamp(0.125, 64.0));
            }
            (Action::Seek(seconds), Source::Replay(player)) => {
                let by = Duration::from_secs(u64::from(seconds.unsigned_abs()));
                let at = player.position();
                let to = if seconds > 0 {
                    at.plus(by)
                } else {
                    at.minus(by)
                };
                self.ui.message = player.seek(to).err().map(|error| error.to_string());
            }
            (Action::Moment, Source::Replay(player)) => {
                let finding = match (self.ui.pane, &self.ui.detail, self.ui.selected()) {
                    (_, Some(Key::Finding(id)), _)
                    | (Pane::Findings, _, Some(Key::Finding(id))) => Some(*id),
                    _ => None,
                };
                self.ui.message = match finding {
                    None => Some("select a finding first".to_owned()),
                    Some(id) => {
                        player.set_playing(false);
                        player.seek_finding(id).err().map(|error| error.to_string())
                    }
                };
            }
            (Action::Step(_) | Action::Speed(_) | Action::Seek(_) | Action::Moment, _) => {
                self.ui.message = Some("only in a recording: hullwatch replay FILE".to_owned());
            }
            (other, source) => {
                let ui = &mut self.ui;
                match &self.frozen {
                    Some(core) => ui.apply(other, core),
                    None => source.with(|core| ui.apply(other, core)),
                }
            }
        }
        Ok(false)
    }

    fn draw(&mut self, screen: &mut Screen) -> io::Result<()> {
        let status = self.source.status(self.frozen.is_some());
        let (ui, theme, frozen) = (&mut self.ui, &self.theme, self.frozen.as_deref());
        let mut drawn = 0;
        let source = &self.source;
        // The core is locked only while the buffer is filled; writing comes after.
        screen.draw(|frame| {
            let area = frame.area();
            let mut paint = |core: &Core| {
                drawn = core.state.totals.events;
                view::draw(core, ui, &status, area, theme, frame.buffer_mut());
            };
            match frozen {
                Some(core) => paint(core),
                None => source.with(paint),
            }
        })?;
        self.drawn_events = drawn;
        Ok(())
    }
}

fn record(live: &Live) -> String {
    if live.status().recording.is_some() {
        return match live.stop_recording() {
            Ok(summary) => format!("recorded {}", summary.path.display()),
            Err(error) => error.to_string(),
        };
    }
    let now = live.core().lock().state.now.to_jiff();
    let path = PathBuf::from(format!("hullwatch-{}.jsonl", now.strftime("%Y%m%d-%H%M%S")));
    match live.start_recording(&path) {
        Ok(()) => format!("recording to {}", path.display()),
        Err(error) => error.to_string(),
    }
}
