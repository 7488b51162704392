//! The loop: draw at once on input, otherwise only when something changed, seldom, and within the
//! byte budget.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use color_eyre::eyre::{WrapErr as _, bail, eyre};
use crossterm::event::{Event as Input, KeyEvent};

use ratatui::layout::Rect;

use super::action::Action;
use super::bookmark::Bookmark;
use super::budget::Budget;
use super::config::Config;
use super::export;
use super::recording::{record, written};
use super::response::ResponseRequest;
use super::rows::RowKey;
use super::silence::{Keeper, PolicyEdit};
use super::source::{Attach, Source};
use super::status::Status;
use super::terminal::{self, Screen};
use super::theme::Chosen;
use super::time_travel;
use super::timeline::Timeline;
use super::ui::{ActionRequest, SourceKind, Ui};
use super::view;
use super::viewpoint::Viewpoint;
use super::wait::{Waiter, Woken};
use crate::core::Core;
use crate::machine::Machine;
use crate::recording::Player;

/// Least time between two background frames without news.
const FRAME: Duration = Duration::from_secs(1);
/// The same while a recording plays, or when there is a finding, a loss, a trouble.
const NEWS: Duration = Duration::from_millis(250);

/// Said when keys came faster than anybody types and would have changed something.
const TOO_FAST: &str = "not done: so many keys at once look like pasted text; press the key alone";
/// Between two readings of the host for its page.
const MACHINE: Duration = Duration::from_secs(2);

/// Keys that come faster than this are one that is held.
const HELD: Duration = Duration::from_millis(250);
/// How long after the last of them all that waited is drawn.
const LET_GO: Duration = Duration::from_millis(120);

/// Shows this host until the person leaves; ends the watch and its recording. The screen is
/// there before `attach` is done.
///
/// # Errors
/// When watching does not begin, or the terminal cannot be opened or written.
pub fn run_live(attach: Attach, config: &Config) -> color_eyre::Result<()> {
    let source = |waker| Source::attach(attach, waker);
    run(source, SourceKind::Host, config, |_| {}).map(drop)
}

/// Shows a recording until the person leaves.
///
/// # Errors
/// When the terminal cannot be opened or written.
pub fn run_replay(mut player: Player, config: &Config) -> color_eyre::Result<()> {
    player.set_playing(true);
    let source = |_| Ok(Source::Replay(Box::new(player)));
    run(source, SourceKind::Recording, config, |_| {}).map(drop)
}

/// Shows the demo until the person leaves: its end, paused at the worst incident, with a guide.
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
        if let Some(id) = incident {
            app.ui.open(RowKey::Incident(id));
        }
    };
    run(source, SourceKind::Recording, config, prepare).map(drop)
}

/// How a recording that another run of the program makes is looked at.
#[derive(Debug, Default)]
pub struct Attached {
    /// The bookmark of the last run.
    pub bookmark: Bookmark,
    /// The policy file that silences may be written into.
    pub policy: Option<PathBuf>,
}

/// Shows a session that is still being written, until the person leaves or the terminal goes. The
/// recording goes on. Returns what was looked at.
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
        app.viewpoint.go_when_read(attached.bookmark.at);
        app.policy = attached.policy;
        attached.bookmark.open(&mut app.ui);
    })
}

/// The running screen.
pub(super) struct App {
    pub(super) viewpoint: Viewpoint,
    pub(super) ui: Ui,
    keeper: Keeper,
    /// Leaving was asked for once, while a recording runs.
    pub(super) leaving: bool,
    /// The action whose key must be pressed again.
    pub(super) question: Option<Action>,
    look: Chosen,
    /// The policy file that silences are written into while attached.
    policy: Option<PathBuf>,
    /// Reads this host for its page, and when it last did.
    machine: (Machine, Option<Instant>),
    /// A recording that was ended here had failed: why.
    failed: Option<String>,
    /// What the last frame showed.
    drawn: (u64, News),
}

/// What is drawn soon when it changes.
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
        leaving: false,
        question: None,
        look: config.look.clone(),
        policy: None,
        machine: (Machine::default(), None),
        failed: None,
        drawn: (u64::MAX, News::default()),
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
    let recorded = app.viewpoint.end();
    if terminal::panicked() {
        terminal::let_it_tell();
        bail!("a part of the program failed; the terminal was given back");
    }
    if let Some(recorded) = recorded {
        eprintln!("hullwatch: {}", written(&recorded?));
    }
    if let Some(error) = app.failed {
        bail!(error);
    }
    match done {
        // The terminal is gone: there is nobody to tell.
        Err(error) if error.downcast_ref().is_some_and(hung_up) => Ok(bookmark),
        done => done.map(|()| bookmark),
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
            let asked = woken.resized || woken.continued || !woken.input.is_empty();
            if !woken.input.is_empty() {
                self.ui.hurry = typed.is_some_and(|last| last.elapsed() < HELD);
                typed = Some(Instant::now());
            }
            let let_go = held && !asked && typed.is_none_or(|last| last.elapsed() >= LET_GO);
            if let_go {
                self.ui.hurry = false;
            }
            if self.answer(woken, screen, waiter)? {
                return Ok(());
            }
            let attached = self.viewpoint.attached().map_err(|e| eyre!(e))?;
            self.play(played.elapsed());
            played = Instant::now();
            let look = self.look_again() | self.answered();
            let now = Instant::now();
            // A moving key that is held on a link that is behind is answered when there is room.
            let moves = self.ui.hurry && self.ui.drawn.listing.is_some();
            let waits = asked && moves && !look && budget.behind(now);
            if (asked && !waits) || attached || look || let_go {
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

    /// Does all that was typed or signalled; true to leave.
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
                        let asked = self.press(&key);
                        Ok::<_, io::Error>(self.follow(asked, screen, fast)? || leaves)
                    })?
                }
                Input::Mouse(event) => {
                    let asked = self.ui.click(&event).map(ActionRequest::from);
                    self.follow(asked, screen, || false)?
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

    /// Does what a key or a click asked for, if it did; true to leave. `fast` tells whether keys
    /// came faster than anybody types.
    fn follow(
        &mut self,
        asked: Option<ActionRequest>,
        screen: &mut Screen,
        fast: impl Fn() -> bool,
    ) -> io::Result<bool> {
        let before = self.question.take();
        let leaves = match asked {
            Some(asked) if self.asks(&asked, before) => false,
            Some(asked) if self.changes(asked.action) && fast() => {
                self.ui.message = Some(TOO_FAST.to_owned());
                false
            }
            Some(asked) => self.act(&asked, screen)?,
            None => false,
        };
        // A form was filled in, or an entry of a list removed.
        if let Some(edit) = self.ui.baseline_edit.take() {
            self.ui.message = Some(edit.make());
        }
        if let Some(edit) = self.ui.policy_edit.take() {
            self.ui.message = Some(if fast() {
                TOO_FAST.to_owned()
            } else {
                self.fulfil(edit)
            });
        }
        if let Some(request) = self.ui.response.take() {
            self.ui.message = Some(self.respond(request));
        }
        Ok(leaves)
    }

    /// Copies the line of a response, or has it made.
    fn respond(&mut self, request: ResponseRequest) -> String {
        let suggestion = match request {
            ResponseRequest::Copy(line, what) => {
                return export::copy_line(line, what, &mut io::stdout());
            }
            ResponseRequest::Make(suggestion) => suggestion,
        };
        match self.viewpoint.source() {
            Source::Live(live) if self.viewpoint.is_present() => {
                let what = format!("{} {}", suggestion.action.name(), suggestion.named);
                match live.respond(*suggestion) {
                    Ok(()) => format!("{what}: under way"),
                    Err(why) => format!("{what}: refused: {why}"),
                }
            }
            Source::Live(_) => {
                let key = self.ui.keys.sign(Action::Present);
                format!("the past is shown: {key} returns to the present first")
            }
            _ => "responses are made only while this host is watched".to_owned(),
        }
    }

    /// Shows what came of responses; true when there is something to draw.
    fn answered(&mut self) -> bool {
        let Source::Live(live) = self.viewpoint.source() else {
            return false;
        };
        match live.answered() {
            Some(response) => {
                self.ui.message = Some(response.sentence());
                true
            }
            None => false,
        }
    }

    /// Writes into the policy file of this host, or of its recorder.
    fn fulfil(&mut self, edit: PolicyEdit) -> String {
        if let Source::Live(live) = self.viewpoint.source() {
            let said = self.keeper.fulfil(edit, live.policy_path());
            live.reread_policy();
            return said;
        }
        match self.viewpoint.recorders_policy(self.policy.as_deref()) {
            Ok(path) => self.keeper.fulfil(edit, Some(path)),
            Err(why) => why,
        }
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
            self.ui.message = Some(format!("the old theme stays: {error}"));
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

    /// What the first line and the timeline show.
    fn status(&self) -> Status {
        self.viewpoint.status(self.ui.display.timeline)
    }

    /// Shows the timeline, or no longer; what to say where that is not seen.
    fn turn_timeline(&mut self, area: Rect) -> Option<String> {
        let shown = self.status().timeline.is_some();
        self.ui.display.timeline = Some(!shown);
        if let Some(said) = Timeline::too_small(area) {
            return Some(said);
        }
        if shown {
            return None;
        }
        if self.status().timeline.is_none() {
            return Some("nothing is remembered yet".to_owned());
        }
        let key = self.ui.keys.sign(Action::Zoom);
        (self.ui.display.zoom)
            .then(|| format!("only the table is shown: {key} brings the timeline back"))
    }

    /// Whether leaving needs a second word: a recording runs and nothing was asked yet.
    fn stays(&mut self) -> bool {
        let Source::Live(live) = self.viewpoint.source() else {
            return false;
        };
        let Some(recording) = live.status().recording.filter(|_| !self.leaving) else {
            return false;
        };
        self.leaving = true;
        let (path, key) = (recording.path.display(), self.ui.keys.sign(Action::Quit));
        self.ui.message = Some(match recording.error {
            Some(error) => format!("the recording FAILED: {key} again leaves; {error}"),
            None => format!("{key} again ends the recording and leaves: {path}"),
        });
        true
    }

    /// Does what was asked; true to leave.
    fn act(&mut self, asked: &ActionRequest, screen: &mut Screen) -> io::Result<bool> {
        if asked.action != Action::Quit {
            self.leaving = false;
        }
        if export::takes(asked.action) {
            self.take(asked, screen.area());
            return Ok(false);
        }
        match (asked.action, self.viewpoint.source()) {
            (Action::Quit, _) if !self.ui.inside() => return Ok(!self.stays()),
            (Action::QuitNow, _) => return Ok(true),
            (Action::Redraw, _) => screen.resized()?,
            (Action::Bundle, _) if export::harden_is_shown(&self.ui) => {
                self.take(asked, screen.area());
            }
            (Action::Bundle, _) => self.bundle(),
            (Action::NextTheme, _) => {
                self.ui.message = Some(format!("theme {}", self.look.advance()));
            }
            (Action::Suspend, _) => terminal::suspend(screen)?,
            (Action::Present, _) => self.present(),
            (Action::Timeline, _) => {
                self.ui.message = self.turn_timeline(screen.area());
            }
            (Action::Scan, Source::Live(live)) => {
                let subject = match self.ui.subject() {
                    Some(RowKey::Container(id)) => Some(id.clone()),
                    _ => self.ui.at.container.clone(),
                };
                if let Some(id) = subject {
                    self.ui.message = Some(
                        if live.scan(&id) {
                            "comparing with the image…; differences appear below"
                        } else {
                            "too many comparisons wait"
                        }
                        .to_owned(),
                    );
                    self.ui.at.detail = Some(RowKey::Container(id));
                }
            }
            (Action::Scan, Source::Replay(_)) => {
                self.ui.message = Some("only while a host is watched".to_owned());
            }
            (Action::Moment, _) => self.travel(asked),
            (action, _) if time_travel::moves(action) => self.travel(asked),
            (Action::Open, _) if asked.argument.is_some() => self.open(asked),
            (Action::Record, Source::Live(live)) => {
                let said = record(live);
                self.failed = self.failed.take().or(said.as_ref().err().cloned());
                self.ui.message = Some(said.unwrap_or_else(|error| error));
            }
            _ => {
                let ui = &mut self.ui;
                self.viewpoint.with(|core| ui.ask(asked, core));
                screen.mouse(ui.display.mouse)?;
            }
        }
        Ok(false)
    }

    /// Copies, or writes a file.
    fn take(&mut self, asked: &ActionRequest, area: Rect) {
        let status = self.status();
        let (ui, theme) = (&self.ui, &self.look.theme);
        let screen = export::Appearance {
            status: &status,
            theme,
            area,
        };
        let take = |core: &Core| export::act(asked, core, ui, &screen, &mut io::stdout());
        let said = self.viewpoint.with(take);
        self.ui.message = said;
    }

    /// Writes the evidence of what is selected.
    fn bundle(&mut self) {
        let here =
            self.viewpoint.is_present() && matches!(self.viewpoint.source(), Source::Live(_));
        let ui = &self.ui;
        let gather = |core: &Core| (export::GatheredEvidence::of(core, ui, here), core.state.now);
        let (gathered, now) = self.viewpoint.with(gather);
        let reveal = ui.display.reveal;
        let said = gathered.and_then(|evidence| evidence.write(now, reveal, Path::new(".")));
        self.ui.message = Some(said.unwrap_or_else(|error| error));
    }

    /// Reads the host anew where its page is shown, not more often than it is worth.
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
        let status = self.status();
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

/// What decides whether a frame is still up to date.
fn shown(core: &Core) -> (u64, News) {
    let news = News {
        findings: core.detector.findings().len(),
        lost: core.state.totals.lost,
        containers: core.state.containers.len(),
    };
    (core.state.totals.events, news)
}
