//! Opens the terminal and, whatever happens, restores it: the one place that does.

use std::io::{self, BufWriter, Stdout, Write as _, stdin, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::{cursor, execute, terminal};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// True while the screen is ours.
static OPEN: AtomicBool = AtomicBool::new(false);

pub(super) type Screen = Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// Takes the screen. Restored by [`restore`], which a panic calls too.
pub(super) fn open() -> io::Result<Screen> {
    enter()?;
    watch_for_hang_up();
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

/// Waits for input, at most `for_`; true when the terminal is gone.
pub(super) fn hung_up(for_: Duration) -> bool {
    let input = stdin();
    let mut watched = [PollFd::new(&input, PollFlags::IN)];
    let wait = Timespec::try_from(for_).unwrap_or_default();
    // An interrupted wait is a short one.
    let _ = poll(&mut watched, Some(&wait));
    watched[0]
        .revents()
        .intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
}

/// Ends the program when the terminal went while its input was being read and the loop, which
/// looks between reads, does not come back.
fn watch_for_hang_up() {
    std::thread::spawn(|| {
        let input = stdin();
        loop {
            // No event asked for: only a hang-up wakes it.
            let mut watched = [PollFd::new(&input, PollFlags::empty())];
            let _ = poll(&mut watched, None);
            if watched[0].revents().intersects(PollFlags::HUP) {
                std::thread::sleep(Duration::from_millis(400));
                if OPEN.load(Ordering::SeqCst) {
                    std::process::exit(1);
                }
                return;
            }
        }
    });
}

/// Stops as the shell's job control asks, and takes the screen again when continued.
pub(super) fn suspend(screen: &mut Screen) -> io::Result<()> {
    restore();
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
    enter()?;
    screen.clear()
}
