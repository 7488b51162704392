//! Where events come from: this host, or a recording.

use std::io;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use super::terminal;
use super::wait::Waker;
use crate::collect::{Live, give_up_privileges};
use crate::core::Core;
use crate::recording::{Player, RecordingError, RecordingSummary};

/// Begins to watch; in words why it could not.
pub type Attach = Box<dyn FnOnce() -> Result<Live, String> + Send>;

/// Where events come from.
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
    /// Has `attach` done on another thread, which wakes the loop after it.
    pub(super) fn attach(attach: Attach, waker: Waker) -> io::Result<Self> {
        let (done, result) = bounded(1);
        std::thread::Builder::new()
            .name("attach".to_owned())
            .spawn(move || {
                // Nobody waits any more: the watch ends with what is dropped here.
                let _ = done.send(attach());
                waker.wake();
            })?;
        Ok(Self::Attaching(Box::default(), result))
    }

    /// Goes over to watching when the probes are attached; true when they just were.
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
        // The thread that attached has done so for itself and those it began.
        give_up_privileges();
        terminal::at_last(Box::new(live.finisher()));
        *self = Self::Live(Box::new(live));
        Ok(true)
    }

    /// Ends the watch, and its recording if one runs: how that went.
    pub(super) fn end(self) -> Option<Result<RecordingSummary, RecordingError>> {
        match self {
            // What still attaches is let go of when it is done.
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
