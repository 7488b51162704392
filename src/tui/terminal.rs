//! Takes over the terminal, and restores it in every case: the only place that does.

use std::io::{self, Stdout, Write as _, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ratatui::layout::{Rect, Size};
use ratatui::{Frame, Terminal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::abilities::Abilities;
use super::backend::{CompactBackend, mend_wide};
use super::theme::Glyphs;
use crate::collect::give_up_everything;

/// The terminal's settings before it was taken over; some while hullwatch uses it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
/// A thread panicked while hullwatch used the terminal.
static PANICKED: AtomicBool = AtomicBool::new(false);
/// The error was reported.
static ERROR_REPORTED: AtomicBool = AtomicBool::new(false);
/// Work that must be done before the program ends, even if the loop is stuck.
static LAST: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// Time limit for the loop to end after a hang-up or a signal.
const PATIENCE: Duration = Duration::from_millis(350);

/// Time limit for the error report; resolving function names takes a while.
const TELLING: Duration = Duration::from_secs(5);

/// Largest screen that is drawn, columns and rows: a cell takes memory.
const LARGEST: (u16, u16) = (2000, 1000);

/// Alternate screen, no cursor, bracketed paste.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h";
/// Plain text, no synchronized update, no bracketed paste, no mouse, the cursor, and the normal
/// screen.
const LEAVE: &[u8] = b"\x1b[m\x1b[?2026l\x1b[?2004l\x1b[?1006l\x1b[?1000l\x1b[?25h\x1b[?1049l";

/// Clicks and the wheel, never motion: a slow link would transfer all of it.
const MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";
const NO_MOUSE: &[u8] = b"\x1b[?1006l\x1b[?1000l";

/// The terminal while hullwatch uses it.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: Terminal<CompactBackend<Stdout>>,
    mouse: bool,
}

/// Takes over the terminal. [`restore`] gives it back; a panic calls it too.
pub(super) fn open() -> io::Result<Screen> {
    enter()?;
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.store(true, Ordering::SeqCst);
            restore();
            before(info);
            ERROR_REPORTED.store(true, Ordering::SeqCst);
        }));
    });
    let backend = CompactBackend::new(stdout(), size(), Abilities::from_environment());
    Ok(Screen {
        terminal: Terminal::new(backend)?,
        mouse: false,
    })
}

/// The terminal's size; 80x24 if it does not report one. Of one that is too large, which a serial line
/// may report, a part is used.
fn size() -> Size {
    match tcgetwinsize(stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Size::new(size.ws_col.min(LARGEST.0), size.ws_row.min(LARGEST.1))
        }
        _ => Size::new(80, 24),
    }
}

fn enter() -> io::Result<()> {
    let input = stdin();
    let before = tcgetattr(&input)?;
    let mut raw = before.clone();
    raw.make_raw();
    tcsetattr(&input, OptionalActions::Now, &raw)?;
    *BEFORE.lock() = Some(before);
    let mut out = stdout();
    out.write_all(ENTER)?;
    out.flush()
}

/// Restores the terminal. May be called any number of times, from any thread.
pub(super) fn restore() {
    let Some(before) = BEFORE.lock().take() else {
        return;
    };
    // The modes first: writing may block on a terminal that is not read. After a hang-up errors do
    // not matter.
    let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    let mut out = stdout();
    if !takes_output(&out) {
        return;
    }
    let _ = out.write_all(LEAVE).and_then(|()| out.flush());
}

/// Whether the terminal takes output now, or soon; nothing may wait for one that is not read.
pub(super) fn takes_output(out: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(out, PollFlags::OUT)];
    let wait = Timespec::try_from(PATIENCE).unwrap_or_default();
    poll(&mut polled, Some(&wait)) != Ok(0)
}

/// Whether a thread panicked while hullwatch used the terminal: it was restored then.
pub(super) fn panicked() -> bool {
    PANICKED.load(Ordering::SeqCst)
}

/// Waits until the panicked thread has restored the terminal and reported the cause: otherwise the
/// end of the program would interrupt that.
pub(super) fn let_it_tell() {
    let until = Instant::now() + TELLING;
    while !ERROR_REPORTED.load(Ordering::SeqCst) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Registers work that must be done before the program ends, even when the loop that holds the
/// terminal is blocked in a write to it.
pub(super) fn at_last(keep: Box<dyn FnOnce() + Send>) {
    *LAST.lock() = Some(keep);
}

/// Ends the program after a signal or a hang-up when the loop does not end by itself: it may be
/// blocked in a write to a terminal that is not read.
pub(super) fn watch_over() -> io::Result<()> {
    // One thread watches for the whole program, which may open several screens in turn.
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if WATCHED.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    let (requested, ask) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        signal_hook::low_level::pipe::register(signal, ask.try_clone()?)?;
    }
    std::thread::Builder::new()
        .name("last resort".to_owned())
        .spawn(move || {
            // It lets others finish and ends the program.
            give_up_everything();
            let input = stdin();
            // The input wakes it only by a hang-up.
            let mut watched = [
                PollFd::new(&input, PollFlags::empty()),
                PollFd::from_borrowed_fd(requested.as_fd(), PollFlags::IN),
            ];
            while poll(&mut watched, None) == Err(rustix::io::Errno::INTR) {}
            std::thread::sleep(PATIENCE);
            let stuck = BEFORE.lock().take();
            if let Some(before) = stuck {
                let _ = tcsetattr(&input, OptionalActions::Now, &before);
                if let Some(last) = LAST.lock().take() {
                    last();
                }
                std::process::exit(1);
            }
        })?;
    Ok(())
}

/// Stops for the shell's job control, and takes over the terminal again when continued.
pub(super) fn suspend(screen: &mut Screen) -> io::Result<()> {
    restore();
    kill_process(getpid(), Signal::STOP)?;
    retake(screen)
}

/// Another program used the terminal meanwhile: takes it over again and redraws.
pub(super) fn retake(screen: &mut Screen) -> io::Result<()> {
    // After a stop from outside it was not restored.
    if let Some(before) = BEFORE.lock().take() {
        tcsetattr(stdin(), OptionalActions::Now, &before)?;
    }
    enter()?;
    if screen.mouse {
        screen.terminal.backend_mut().write_raw(MOUSE)?;
    }
    screen.resized()
}

impl Screen {
    /// Takes over the terminal's size; the next frame is drawn whole.
    pub(super) fn resized(&mut self) -> io::Result<()> {
        self.terminal.backend_mut().resize(size());
        self.terminal.autoresize()?;
        self.terminal.clear()
    }

    /// Uses the mouse, or leaves it to the terminal.
    pub(super) fn mouse(&mut self, ours: bool) -> io::Result<()> {
        if self.mouse == ours {
            return Ok(());
        }
        self.mouse = ours;
        let backend = self.terminal.backend_mut();
        backend.write_raw(if ours { MOUSE } else { NO_MOUSE })
    }

    /// The cells of the screen.
    pub(super) fn area(&mut self) -> Rect {
        self.terminal.get_frame().area()
    }

    /// Draws a frame and sends what changed; returns the number of bytes sent.
    pub(super) fn draw(
        &mut self,
        glyphs: Glyphs,
        render: impl FnOnce(&mut Frame<'_>),
    ) -> io::Result<usize> {
        if self.terminal.backend_mut().set_glyphs(glyphs) {
            self.terminal.clear()?;
        }
        self.terminal.draw(|frame| {
            render(frame);
            mend_wide(frame.buffer_mut());
        })?;
        Ok(self.terminal.backend().sent())
    }
}
