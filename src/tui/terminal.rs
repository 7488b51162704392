//! Opens the terminal and, whatever happens, restores it: the one place that does.

use std::io::{self, BufWriter, Stdout, Write as _, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::{cursor, execute, terminal};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// True while the screen is ours.
static OPEN: AtomicBool = AtomicBool::new(false);

pub(super) type Screen = Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// Takes the screen. Restored by [`restore`], which a panic calls too.
pub(super) fn open() -> io::Result<Screen> {
    enter()?;
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        before(info);
    }));
    // 64 KiB: a frame leaves in one write.
    Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(
        1 << 16,
        stdout(),
    )))
}

fn enter() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    OPEN.store(true, Ordering::SeqCst);
    execute!(stdout(), terminal::EnterAlternateScreen, cursor::Hide)
}

/// Gives the screen back. May be called any number of times, from any thread.
pub(super) fn restore() {
    if OPEN.swap(false, Ordering::SeqCst) {
        // On a terminal that hung up there is nobody to tell.
        let _ = execute!(stdout(), terminal::LeaveAlternateScreen, cursor::Show);
        let _ = terminal::disable_raw_mode();
        let _ = stdout().flush();
    }
}

/// Stops as the shell's job control asks, and takes the screen again when continued.
pub(super) fn suspend(screen: &mut Screen) -> io::Result<()> {
    restore();
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
    enter()?;
    screen.clear()
}
