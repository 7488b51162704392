//! Writes evidence on a thread of its own, so that the screen answers meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::{Duration, Instant};

use super::export::{EvidenceProgress, GatheredEvidence};
use super::text::bytes;
use crate::event::Timestamp;

/// Between two reports of how far it is.
const TICK: Duration = Duration::from_secs(1);
/// How long leaving waits for the thread to remove what it has begun.
const LEAVING: Duration = Duration::from_secs(2);

/// Evidence that is being written.
#[derive(Debug)]
struct EvidenceJob {
    /// What it is of.
    name: String,
    progress: Arc<EvidenceProgress>,
    done: Receiver<String>,
    /// When its progress was last shown.
    told: Instant,
}

/// Writes the evidence of one thing at a time.
#[derive(Debug, Default)]
pub(super) struct EvidenceWriter {
    job: Option<EvidenceJob>,
}

impl EvidenceWriter {
    /// Begins; what to say.
    pub(super) fn begin(
        &mut self,
        evidence: GatheredEvidence,
        now: Timestamp,
        reveal: bool,
    ) -> String {
        let name = evidence.name().to_owned();
        let progress = Arc::new(EvidenceProgress::default());
        let (answer, done) = channel();
        let seen = Arc::clone(&progress);
        let work = move || {
            let said = evidence.write(now, reveal, Path::new("."), &seen);
            // The screen may be gone.
            let _ = answer.send(said.unwrap_or_else(|error| error));
        };
        let thread = std::thread::Builder::new().name("evidence".to_owned());
        if let Err(error) = thread.spawn(work) {
            return format!("the evidence of {name} is not written: {error}");
        }
        let said = format!("writing the evidence of {name}…");
        self.job = Some(EvidenceJob {
            name,
            progress,
            done,
            told: Instant::now(),
        });
        said
    }

    /// What is being written.
    pub(super) fn name(&self) -> Option<&str> {
        self.job.as_ref().map(|job| job.name.as_str())
    }

    /// What is being written and how far it is, for the first line.
    pub(super) fn under_way(&self) -> Option<String> {
        let job = self.job.as_ref()?;
        let written = bytes(job.progress.written());
        Some(format!("WRITING {} {written}", job.name))
    }

    /// What came of it, once it is done; and whether there is something new to show.
    pub(super) fn news(&mut self) -> (Option<String>, bool) {
        let Some(job) = &mut self.job else {
            return (None, false);
        };
        let said = match job.done.try_recv() {
            Ok(said) => said,
            Err(TryRecvError::Disconnected) => {
                format!(
                    "the evidence of {} is not complete: its thread failed",
                    job.name
                )
            }
            Err(TryRecvError::Empty) => {
                let tick = job.told.elapsed() >= TICK;
                if tick {
                    job.told = Instant::now();
                }
                return (None, tick);
            }
        };
        self.job = None;
        (Some(said), true)
    }

    /// Stops what is being written; what became of it, if anything was.
    pub(super) fn stop(self) -> Option<String> {
        let job = self.job?;
        job.progress.stop();
        Some(match job.done.recv_timeout(LEAVING) {
            Ok(said) => said,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                format!(
                    "the evidence of {} is not complete: left while it was written",
                    job.name
                )
            }
        })
    }
}
