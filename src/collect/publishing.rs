//! The stream of this host for a publisher: in segments that begin with the state.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::shared::LiveShared;
use crate::core::Core;
use crate::recording::{Header, Recorder, RecordingTarget, SegmentSource};
use crate::state;

/// A watch as a source of segments. Secrets in them are masked.
pub struct LivePublishing {
    shared: Arc<LiveShared>,
    /// The header of each segment, but for its time and settings.
    header: Header,
    /// Events that earlier segments lost.
    lost: u64,
}

impl LivePublishing {
    pub(super) fn new(shared: Arc<LiveShared>, header: Header) -> Self {
        Self {
            shared,
            header: header.masked(),
            lost: 0,
        }
    }
}

impl SegmentSource for LivePublishing {
    fn begin(&mut self, pipe: File) -> Result<(), String> {
        let core = self.shared.core.lock();
        let mut published = self.shared.published.lock();
        if self.shared.stop.load(Ordering::Relaxed) {
            return Err("the watch has ended".to_owned());
        }
        let header = Header {
            started: core.state.now,
            settings: core.detector.settings().clone(),
            ..self.header.clone()
        }
        .masked();
        let next = self.shared.seq.load(Ordering::Relaxed) + 1;
        // The state has the numbers of the events that led to it, so that a reader of the previous
        // segment, and a recording of this host, find no number missing.
        let count = state::snapshot(&core.state, 1).len() as u64;
        let first = next.saturating_sub(count).max(1);
        let target = RecordingTarget::Pipe {
            end: pipe,
            waiting: usize::MAX,
        };
        let events = state::snapshot(&core.state, first);
        let recorder = Recorder::start_with(target, &header, events, None)
            .map_err(|error| error.to_string())?;
        let unnumbered = (first + count).saturating_sub(next);
        self.shared.seq.fetch_add(unnumbered, Ordering::Relaxed);
        if let Some(before) = published.replace(recorder) {
            before.close();
            self.lost += before.status().lost;
        }
        Ok(())
    }

    fn lost(&self) -> u64 {
        let published = self.shared.published.lock();
        self.lost
            + published
                .as_ref()
                .map_or(0, |recorder| recorder.status().lost)
    }

    fn last(&self) -> u64 {
        self.shared.seq.load(Ordering::Relaxed)
    }

    fn core(&self) -> Arc<Mutex<Core>> {
        Arc::clone(&self.shared.core)
    }
}

impl std::fmt::Debug for LivePublishing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LivePublishing").finish_non_exhaustive()
    }
}
