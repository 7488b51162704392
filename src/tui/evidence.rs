//! Writes evidence on a thread of its own, so that the screen stays responsive.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::export::{EvidenceProgress, GatheredEvidence};
use super::text::bytes;
use crate::collect::give_up_privileges;
use crate::event::Timestamp;

/// Interval between two progress reports.
const TICK: Duration = Duration::from_secs(1);
/// Time limit for the thread to remove an incomplete file when the program ends.
const LEAVING: Duration = Duration::from_secs(2);

/// Evidence that is being written.
#[derive(Debug)]
struct EvidenceJob {
    /// The finding or incident.
    name: String,
    progress: Arc<EvidenceProgress>,
    done: Receiver<String>,
    /// When the progress was last shown.
    reported: Instant,
}

type EvidenceTask = Box<dyn FnOnce() + Send>;

/// Writes one archive at a time.
#[derive(Debug)]
pub(super) struct EvidenceWriter {
    work: Sender<EvidenceTask>,
    job: Option<EvidenceJob>,
}

impl EvidenceWriter {
    /// Starts its thread. `here`: this host is watched. Call it before the calling thread gives up the
    /// right to read the programs of other processes: Landlock would refuse it to its threads as well.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(here: bool) -> io::Result<Self> {
        let (work, queue) = channel::<EvidenceTask>();
        thread::Builder::new()
            .name("evidence".to_owned())
            .spawn(move || {
                if here {
                    give_up_privileges();
                }
                queue.iter().for_each(|work| work());
            })?;
        Ok(Self { work, job: None })
    }

    /// Begins; returns the message.
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
            let message = evidence.write(now, reveal, Path::new("."), &seen);
            // The screen may have ended.
            let _ = answer.send(message.unwrap_or_else(|error| error));
        };
        if self.work.send(Box::new(work)).is_err() {
            return format!("the evidence of {name} is not written: its thread has failed");
        }
        let message = format!("writing the evidence of {name}…");
        self.job = Some(EvidenceJob {
            name,
            progress,
            done,
            reported: Instant::now(),
        });
        message
    }

    /// The finding or incident whose evidence is being written.
    pub(super) fn name(&self) -> Option<&str> {
        self.job.as_ref().map(|job| job.name.as_str())
    }

    /// The finding or incident and the progress, for the first line.
    pub(super) fn under_way(&self) -> Option<String> {
        let job = self.job.as_ref()?;
        let written = bytes(job.progress.written());
        Some(format!("WRITING {} {written}", job.name))
    }

    /// The result, once there is one; and whether there is something new to show.
    pub(super) fn news(&mut self) -> (Option<String>, bool) {
        let Some(job) = &mut self.job else {
            return (None, false);
        };
        let message = match job.done.try_recv() {
            Ok(message) => message,
            Err(TryRecvError::Disconnected) => {
                format!(
                    "the evidence of {} is incomplete: its thread failed",
                    job.name
                )
            }
            Err(TryRecvError::Empty) => {
                let tick = job.reported.elapsed() >= TICK;
                if tick {
                    job.reported = Instant::now();
                }
                return (None, tick);
            }
        };
        self.job = None;
        (Some(message), true)
    }

    /// Stops the writing; returns the outcome, if anything was being written.
    pub(super) fn stop(self) -> Option<String> {
        let job = self.job?;
        job.progress.stop();
        Some(match job.done.recv_timeout(LEAVING) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                format!(
                    "the evidence of {} is incomplete: hullwatch ended while writing it",
                    job.name
                )
            }
        })
    }
}
