//! The source of events: this host, or a recording.

use std::io;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use super::terminal;
use super::wait::Waker;
use crate::collect::{Live, give_up_files, give_up_privileges};
use crate::core::Core;
use crate::recording::{Player, RecordingError, RecordingSummary};

/// Starts watching; returns the error as text.
pub type Attach = Box<dyn FnOnce() -> Result<Live, String> + Send>;

/// The source of events.
#[derive(Debug)]
pub(super) enum Source {
    /// This host, once the probes are attached.
    Attaching(Box<Core>, Receiver<Result<Live, String>>),
    /// This host.
    Live(Box<Live>),
    /// A recording.
    Replay(Box<Player>),
}

impl Source {
    /// Runs `attach` on another thread, which wakes the loop afterwards.
    pub(super) fn attach(attach: Attach, waker: Waker) -> io::Result<Self> {
        let (done, result) = bounded(1);
        std::thread::Builder::new()
            .name("attach".to_owned())
            .spawn(move || {
                // Nobody waits any more: the watch ends when it is dropped here.
                let _ = done.send(attach());
                waker.wake();
            })?;
        Ok(Self::Attaching(Box::default(), result))
    }

    /// Switches to watching once the probes are attached; true when that just happened.
    ///
    /// # Errors
    /// Why watching cannot begin.
    pub(super) fn attached(&mut self) -> Result<bool, String> {
        let Self::Attaching(_, result) = self else {
            return Ok(false);
        };
        let live = match result.try_recv() {
            Ok(done) => done?,
            Err(TryRecvError::Empty) => return Ok(false),
            Err(TryRecvError::Disconnected) => return Err("attaching failed".to_owned()),
        };
        // The attaching thread has dropped privileges for itself and the threads it started.
        give_up_privileges();
        give_up_files();
        terminal::at_last(Box::new(live.finisher()));
        *self = Self::Live(Box::new(live));
        Ok(true)
    }

    /// Ends the watch, and its recording if one runs; returns the outcome.
    pub(super) fn end(self) -> Option<Result<RecordingSummary, RecordingError>> {
        match self {
            // A pending attachment is dropped when it is done.
            Self::Attaching(..) | Self::Replay(_) => None,
            Self::Live(live) => live.stop(),
        }
    }

    /// Reads the core.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Core) -> T) -> T {
        match self {
            Self::Attaching(core, _) => read(core),
            Self::Live(live) => read(&live.core().lock()),
            Self::Replay(player) => read(player.core()),
        }
    }
}
