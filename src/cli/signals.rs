//! Signals that end a command: noted, so that it can flush its output and exit cleanly.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// True once a signal asked the program to end.
#[derive(Debug, Clone)]
pub(super) struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// From now on INT, TERM, HUP and QUIT are noted; a second one ends the program at once.
    pub(super) fn install() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(&flag),
            )?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    pub(super) fn ended(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
