//! Signals that end a command: noted, so that it can flush its output and exit cleanly.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::collect::give_up_everything;

/// For this long after the first signal further ones change nothing: a recording is being
/// completed, and would be left without its end. After it a signal ends the program at once, as
/// a reader of its output that has stopped may block it forever.
const COMPLETION: Duration = Duration::from_secs(10);

/// True once a signal requested the end of the program.
#[derive(Debug, Clone)]
pub(super) struct StopSignal {
    requested: Arc<AtomicBool>,
    /// Nothing is left to complete.
    released: Arc<AtomicBool>,
}

impl StopSignal {
    /// From now on INT, TERM, HUP and QUIT are noted.
    pub(super) fn install() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let released = Arc::new(AtomicBool::new(false));
        let (noted, at_once) = (Arc::clone(&flag), Arc::clone(&released));
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                give_up_everything();
                let mut first = None;
                for signal in signals.forever() {
                    noted.store(true, Ordering::Relaxed);
                    let first = *first.get_or_insert_with(Instant::now);
                    if at_once.load(Ordering::Relaxed) || first.elapsed() > COMPLETION {
                        std::process::exit(128 + signal);
                    }
                }
            })?;
        Ok(Self {
            requested: flag,
            released,
        })
    }

    /// From now on a signal ends the program at once: only printing is left, and its reader may have
    /// stopped reading.
    pub(super) fn release(&self) {
        self.released.store(true, Ordering::Relaxed);
    }

    /// A signal requested the end.
    pub(super) fn ended(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}
