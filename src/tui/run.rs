//! The main loop: draws at once after input, otherwise only after changes, rarely, and within the
//! byte budget.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use color_eyre::eyre::{WrapErr as _, bail, eyre};
use crossterm::event::{Event as Input, KeyEvent};

use super::action::Action;
use super::bookmark::Bookmark;
use super::budget::Budget;
use super::config::Config;
use super::drawn::FrameRows;
use super::evidence::EvidenceWriter;
use super::pane::Pane;
use super::recording::written;
use super::rows::RowKey;
use super::silence::Keeper;
use super::source::{Attach, Source};
use super::status::Status;
use super::terminal::{self, Screen};
use super::theme::Chosen;
use super::ui::{ActionRequest, SourceKind, Ui};
use super::view;
use super::viewpoint::Viewpoint;
use super::wait::{Waiter, Woken};
use crate::core::Core;
use crate::event::Timestamp;
use crate::link::LinkBoard;
use crate::machine::Machine;
use crate::memory::MemoryBudget;
use crate::recording::Player;
use crate::response;

/// Minimum interval between two background frames without news.
const FRAME: Duration = Duration::from_secs(1);
/// Minimum interval while a recording plays, or after a finding, a loss or an error.
const NEWS: Duration = Duration::from_millis(250);

/// Interval between two readings of the host for its page.
const MACHINE: Duration = Duration::from_secs(2);

/// How long a collector on another host may take to be told of the end, when the loop is stuck.
const GOODBYE: Duration = Duration::from_secs(1);

/// Keys that come faster than this belong to a held key.
const HELD: Duration = Duration::from_millis(250);
/// Time after the last of them at which the delayed parts are drawn.
const LET_GO: Duration = Duration::from_millis(120);

/// Shows this host until the user leaves; ends the watch and its recording. The screen is there
/// before `attach` is done.
///
/// # Errors
/// When watching does not begin, or the terminal cannot be opened or written.
pub fn run_live(attach: Attach, config: &Config) -> color_eyre::Result<()> {
    let source = |waker| Source::attach(attach, waker);
    run(source, SourceKind::Host, config, |_| {}).map(drop)
}

/// The initial position in a recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReplayFrom {
    /// Its beginning; it plays.
    #[default]
    Beginning,
    /// Its present while it is being written, which is followed; else its end.
    Present,
    /// This moment.
    Moment(Timestamp),
}

/// Shows a recording until the user leaves.
///
/// # Errors
/// When the terminal cannot be opened or written.
pub fn run_replay(mut player: Player, from: ReplayFrom, config: &Config) -> color_eyre::Result<()> {
    player.set_playing(from == ReplayFrom::Beginning);
    let source = |_| Ok(Source::Replay(Box::new(player)));
    let prepare = |app: &mut App| match from {
        ReplayFrom::Beginning => {}
        // The first line shows how much of it has been read.
        ReplayFrom::Present => drop(app.viewpoint.present(&app.ui.display.zone)),
        ReplayFrom::Moment(at) => app.viewpoint.go_when_read(Some(at)),
    };
    run(source, SourceKind::Recording, config, prepare).map(drop)
}

/// Shows the demo until the user leaves: its end, paused at the worst incident, with a guide.
///
/// # Errors
/// When the terminal cannot be opened or written.
pub fn run_demo(mut player: Player, config: &Config) -> color_eyre::Result<()> {
    while player.step() {}
    let incident = player
        .core()
        .ranked_incidents()
        .first()
        .map(|incident| incident.id);
    let source = |_| Ok(Source::Replay(Box::new(player)));
    let prepare = |app: &mut App| {
        app.ui.guide = true;
        app.ui.show(Pane::Incidents);
        if let Some(id) = incident {
            app.ui.open(RowKey::Incident(id));
        }
    };
    run(source, SourceKind::Recording, config, prepare).map(drop)
}

/// View options for a recording that another process makes.
#[derive(Debug, Default)]
pub struct Attached {
    /// The bookmark of the last run.
    pub bookmark: Bookmark,
    /// The policy file that silences may be written to.
    pub policy: Option<PathBuf>,
    /// The link by which the recording arrives from another host.
    pub link: Option<LinkBoard>,
}

/// Shows a recording that is still being written, until the user leaves or the terminal is closed.
/// The recording continues. Returns the view.
///
/// # Errors
/// When the terminal cannot be opened or written.
pub fn run_attached(
    mut player: Player,
    config: &Config,
    attached: Attached,
) -> color_eyre::Result<Bookmark> {
    player.follow();
    let source = |_| Ok(Source::Replay(Box::new(player)));
    run(source, SourceKind::Attached, config, |app| {
        if let Some(link) = attached.link.clone() {
            terminal::at_last(Box::new(move || link.leave_within(GOODBYE)));
        }
        app.viewpoint.go_when_read(attached.bookmark.at);
        app.viewpoint.arrives_by(attached.link);
        app.policy = attached.policy;
        attached.bookmark.open(&mut app.ui);
    })
}

/// The running screen.
pub(super) struct App {
    pub(super) viewpoint: Viewpoint,
    pub(super) ui: Ui,
    pub(super) keeper: Keeper,
    /// Evidence that is being written.
    pub(super) evidence: EvidenceWriter,
    /// Leaving was requested once, while a recording runs.
    pub(super) leaving: bool,
    /// The action whose key must be pressed again.
    pub(super) question: Option<Action>,
    pub(super) look: Chosen,
    /// The policy file that silences are written into while attached.
    pub(super) policy: Option<PathBuf>,
    /// Bytes that a recording opened here may hold, where that is set.
    pub(super) memory: Option<MemoryBudget>,
    /// Reads this host for its page, and when it last did.
    machine: (Machine, Option<Instant>),
    /// Why a recording that was ended here had failed.
    pub(super) failed: Option<String>,
    /// The state that the last frame showed.
    drawn: (u64, News),
}

/// Changes that are drawn soon.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct News {
    findings: usize,
    lost: u64,
    containers: usize,
}

fn run(
    source: impl FnOnce(super::wait::Waker) -> io::Result<Source>,
    kind: SourceKind,
    config: &Config,
    prepare: impl FnOnce(&mut App),
) -> color_eyre::Result<Bookmark> {
    let mut waiter = Waiter::new()?;
    let mut screen = terminal::open().wrap_err("cannot open the terminal")?;
    let mut app = App {
        viewpoint: Viewpoint::new(source(waiter.waker()?)?, kind),
        ui: Ui::new(config, kind),
        keeper: Keeper::default(),
        evidence: EvidenceWriter::start(kind == SourceKind::Host)?,
        leaving: false,
        question: None,
        look: config.look.clone(),
        policy: None,
        memory: config.memory,
        machine: (Machine::default(), None),
        failed: None,
        drawn: (u64::MAX, News::default()),
    };
    let (uid, name) = response::person();
    app.ui.person = match name.is_empty() {
        true => format!("uid {uid}"),
        false => name.escaped().to_string(),
    };
    prepare(&mut app);
    screen.mouse(app.ui.display.mouse)?;
    terminal::watch_over()?;
    let done = app.turn(
        &mut screen,
        &mut waiter,
        Budget::new(config.bps, Instant::now()),
    );
    terminal::restore();
    let bookmark = app.bookmark();
    if let Some(message) = app.evidence.stop() {
        last_words(&message);
    }
    let recorded = app.viewpoint.end();
    if terminal::panicked() {
        terminal::let_it_tell();
        bail!("hullwatch failed internally; the terminal was restored");
    }
    if let Some(recorded) = recorded {
        last_words(&written(&recorded?));
    }
    if let Some(error) = app.failed {
        bail!(error);
    }
    match done {
        // The terminal is closed: a message could not be read.
        Err(error) if error.downcast_ref().is_some_and(hung_up) => Ok(bookmark),
        done => done.map(|()| bookmark),
    }
}

/// Prints a line on the restored terminal. The terminal may be closed: printing must not end the
/// program before its recording is complete.
fn last_words(line: &str) {
    if terminal::takes_output(&io::stderr()) {
        let _ = writeln!(io::stderr(), "hullwatch: {line}");
    }
}

fn hung_up(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EIO) || error.kind() == io::ErrorKind::BrokenPipe
}

impl App {
    fn turn(
        &mut self,
        screen: &mut Screen,
        waiter: &mut Waiter,
        mut budget: Budget,
    ) -> color_eyre::Result<()> {
        let mut played = Instant::now();
        self.draw(screen)?;
        let mut drawn = Instant::now();
        let mut typed: Option<Instant> = None;
        loop {
            let held = self.ui.hurry;
            let woken = waiter.wait(Some(if held { LET_GO } else { NEWS }));
            if woken.hung_up || woken.ended || terminal::panicked() {
                return Ok(());
            }
            let requested = woken.resized || woken.continued || !woken.input.is_empty();
            if !woken.input.is_empty() {
                self.ui.hurry = typed.is_some_and(|last| last.elapsed() < HELD);
                typed = Some(Instant::now());
            }
            let let_go = held && !requested && typed.is_none_or(|last| last.elapsed() >= LET_GO);
            if let_go {
                self.ui.hurry = false;
            }
            if self.answer(woken, screen, waiter)? {
                return Ok(());
            }
            let attached = self.viewpoint.attached().map_err(|e| eyre!(e))?;
            self.play(played.elapsed());
            played = Instant::now();
            let look = self.look_again() | self.answered() | self.evidence_written();
            let now = Instant::now();
            // On a link that is behind, a held key is answered when there is budget.
            let moves = self.ui.hurry && self.ui.drawn.listing.is_some();
            let waits = requested && moves && !look && budget.behind(now);
            if (requested && !waits) || attached || look || let_go {
                budget.spend(self.draw(screen)?);
                drawn = now;
            } else if waits {
                continue;
            } else if self.due(now.saturating_duration_since(drawn)) && budget.wait(now).is_zero() {
                budget.spend(self.draw(screen)?);
                drawn = now;
            }
        }
    }

    /// Handles all input and signals; true to leave.
    fn answer(&mut self, woken: Woken, screen: &mut Screen, waiter: &Waiter) -> io::Result<bool> {
        let burst = woken.burst;
        let fast = || burst || waiter.more_follows();
        if woken.stopped {
            terminal::suspend(screen)?;
        } else if woken.continued {
            terminal::retake(screen)?;
        }
        if woken.resized {
            screen.resized()?;
        }
        for input in woken.input {
            let leaves = match input {
                Input::Key(key) => {
                    let mut typed = self.ui.typed_as(&key).into_iter();
                    typed.try_fold(false, |leaves, key| {
                        let requested = self.press(&key);
                        Ok::<_, io::Error>(self.follow(requested, screen, fast)? || leaves)
                    })?
                }
                Input::Mouse(event) => {
                    let requested = self.ui.click(&event).map(ActionRequest::from);
                    self.follow(requested, screen, || false)?
                }
                Input::Paste(text) => {
                    let ui = &mut self.ui;
                    self.viewpoint.with(|core| ui.paste(&text, core));
                    false
                }
                _ => false,
            };
            if leaves {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether enough changed for a background frame, `after` the last one.
    fn due(&self, after: Duration) -> bool {
        if after < NEWS {
            return false;
        }
        if self.viewpoint.stall_is_news() {
            return after >= FRAME;
        }
        if self.viewpoint.waits() {
            return true;
        }
        let (events, news) = self.viewpoint.with(shown);
        let playing = self.viewpoint.plays();
        events != self.drawn.0 && (playing || after >= FRAME || news != self.drawn.1)
    }

    /// Reads the theme's files again when they changed; true when there is something to draw.
    fn look_again(&mut self) -> bool {
        self.look.refresh().unwrap_or_else(|error| {
            self.ui.message = Some(format!("the previous theme stays: {error}"));
            true
        })
    }

    fn press(&mut self, key: &KeyEvent) -> Option<ActionRequest> {
        let confirmed = self.confirmed(key);
        if confirmed.is_some() {
            self.ui.message = None;
            return confirmed;
        }
        let ui = &mut self.ui;
        self.viewpoint.with(|core| ui.press(key, core))
    }

    /// The content of the first line and the timeline.
    pub(super) fn status(&self) -> Status {
        self.status_and_rows().0
    }

    /// The content of the first line and the timeline, and the rows if the timeline needed them.
    fn status_and_rows(&self) -> (Status, Option<FrameRows>) {
        let mut rows = None;
        let mut status = self.viewpoint.status(self.ui.display.timeline, |core| {
            let (scope, made) = self.ui.timeline_scope(core);
            rows = made;
            scope
        });
        if let Some(writing) = self.evidence.under_way() {
            let others = std::mem::take(&mut status.doing);
            status.doing = format!("{writing} {others}").trim_end().to_owned();
        }
        (status, rows)
    }

    /// Reads the host again while its page is shown, at a limited rate.
    fn read_machine(&mut self) {
        if self.ui.at.detail != Some(RowKey::Machine) {
            return;
        }
        if let Some(recorded) = self.viewpoint.recorded_machine() {
            self.ui.machine = recorded;
            return;
        }
        let (machine, last) = &mut self.machine;
        if self.ui.machine.is_none() || last.is_none_or(|last| last.elapsed() >= MACHINE) {
            self.ui.machine = Some(machine.read(Path::new(".")));
            *last = Some(Instant::now());
        }
    }

    fn draw(&mut self, screen: &mut Screen) -> io::Result<usize> {
        self.read_machine();
        let (status, rows) = self.status_and_rows();
        self.ui.frame_rows = rows;
        self.viewpoint.frame_drawn();
        let (ui, look, drawn) = (&mut self.ui, &self.look, &mut self.drawn);
        let viewpoint = &self.viewpoint;
        // The core is locked only while the buffer is filled; writing comes after.
        screen.draw(look.theme.glyphs(), |frame| {
            let area = frame.area();
            let buffer = frame.buffer_mut();
            viewpoint.with(|core| {
                *drawn = shown(core);
                let drawn = view::draw(core, ui, &status, area, &look.theme, buffer);
                ui.keep(drawn);
            });
        })
    }
}

/// The state that decides whether a frame is up to date.
fn shown(core: &Core) -> (u64, News) {
    let news = News {
        findings: core.detector.findings().len(),
        lost: core.state.totals.lost,
        containers: core.state.containers.len(),
    };
    (core.state.totals.events, news)
}
