//! Records a running event stream on its own thread; the caller never blocks.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::backlog::Backlog;
use super::output::WhenFull;
use super::writer::{RecordingSummary, Writer};
use super::{Header, RecordingError, Redaction};
use crate::core::Core;
use crate::event::{ContainerIds, Event, Kind, Lost, LostReason};
use crate::masking::mask_json;
use crate::memory::Share;
use crate::system;

/// Maximum number of events that wait for the disk. Beyond it, the backlog drops some, and records
/// them as lost.
const QUEUE: usize = 65_536;
/// Interval of the check whether a full disk has space again.
const PATIENCE: Duration = Duration::from_millis(500);

/// Status of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecorderStatus {
    /// The file.
    pub path: PathBuf,
    /// Events in it.
    pub events: u64,
    /// Bytes of lines in it, before compression.
    pub bytes: u64,
    /// Events missing in it: the disk was too slow, or failed. After a failure those since the last
    /// flushed tick count as missing.
    pub lost: u64,
    /// Why it ended early.
    pub error: Option<String>,
    /// Why it waits: the disk is full. It continues when there is space.
    pub waits: Option<String>,
}

/// Where a recording goes.
#[derive(Debug)]
pub enum RecordingTarget<'a> {
    /// Nowhere: a follower sees it.
    Nowhere,
    /// Into a file, which is created.
    File(&'a Path),
    /// Into a pipe, compressed. Its reader may be slow: no more events wait for it than this, and the
    /// others are counted as lost.
    Pipe {
        /// The end to write to.
        end: File,
        /// Maximum number of events that wait.
        waiting: usize,
    },
}

/// Sees every event that is recorded, and the core after it, on the recorder's thread.
pub trait Follower: Send {
    /// One event.
    fn event(&mut self, event: &Event, core: &Core);
}

/// Records a running stream, or only follows it.
///
/// It keeps a [`Core`] of its own that sees exactly what the file holds. A recording that begins
/// in the middle thus holds the findings that its replay gives, not those of the whole run.
#[derive(Debug)]
pub struct Recorder {
    backlog: Arc<Backlog>,
    status: Arc<Mutex<RecorderStatus>>,
    thread: JoinHandle<Result<RecordingSummary, RecordingError>>,
}

impl Recorder {
    /// Creates the file and begins with `snapshot`: the current state, as events.
    ///
    /// # Errors
    /// When the file exists or cannot be created.
    pub fn start(
        path: &Path,
        header: &Header,
        snapshot: Vec<Event>,
    ) -> Result<Self, RecordingError> {
        Self::start_with(RecordingTarget::File(path), header, snapshot, None)
    }

    /// Begins with a follower that sees exactly what is recorded.
    ///
    /// # Errors
    /// When the file exists or cannot be created.
    pub fn start_with(
        target: RecordingTarget<'_>,
        header: &Header,
        snapshot: Vec<Event>,
        follower: Option<Box<dyn Follower>>,
    ) -> Result<Self, RecordingError> {
        let (mut path, mut queue, mut pipe, mut writer) = (Path::new(""), QUEUE, None, None);
        match target {
            RecordingTarget::Nowhere => {}
            RecordingTarget::File(file) => {
                path = file;
                writer = Some(Writer::create(path, header)?);
            }
            RecordingTarget::Pipe { end, waiting } => {
                queue = waiting.min(QUEUE);
                pipe = Some(end);
            }
        }
        tracing::info!(path = ?path, "recording");
        let core = Core::new(header.settings.clone());
        let first = header.clone();
        let backlog = Arc::new(Backlog::new(
            queue,
            header.settings.memory.of(Share::Backlog),
        ));
        let queue = Arc::clone(&backlog);
        let status = Arc::new(Mutex::new(RecorderStatus {
            path: path.to_owned(),
            ..RecorderStatus::default()
        }));
        let shared = Arc::clone(&status);
        let thread = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || {
                // It writes into what is open, and decodes nothing of other processes.
                let _ = system::confine_files();
                // The header goes into a pipe here: its reader may be slow.
                let writer = match pipe {
                    Some(pipe) => Writer::to_pipe(pipe, &first).map(Some),
                    None => Ok(writer.map(|mut writer| {
                        writer.when_full(when_full(Arc::clone(&queue), Arc::clone(&shared)));
                        writer
                    })),
                };
                let masked = first.redaction == Redaction::Secrets;
                record(writer, follower, core, masked, snapshot, &queue, &shared)
            })
            .map_err(|error| RecordingError::Create {
                path: path.to_owned(),
                error,
            })?;
        Ok(Self {
            backlog,
            status,
            thread,
        })
    }

    /// Ends the recording after the queued events, without waiting for it.
    pub fn close(&self) {
        self.backlog.close();
    }

    /// Queues the next event; never blocks.
    pub fn event(&mut self, event: &Arc<Event>) {
        // Locked while queueing: after a failure every event is counted once, here or where the
        // failure is noted.
        let mut status = self.status.lock();
        let dropped = self.backlog.push(Arc::clone(event)).unwrap_or(1);
        if dropped > 0 {
            tracing::warn!(seq = event.seq, dropped, "the recorder cannot follow");
        }
        status.lost += dropped;
    }

    /// The current status.
    #[must_use]
    pub fn status(&self) -> RecorderStatus {
        self.status.lock().clone()
    }

    /// Writes the queued events and the end line, and closes the file.
    ///
    /// # Errors
    /// When the file could not be written.
    pub fn finish(self) -> Result<RecordingSummary, RecordingError> {
        let Self {
            backlog,
            status,
            thread,
        } = self;
        backlog.close();
        thread.join().unwrap_or_else(|_| {
            Err(RecordingError::Write {
                path: status.lock().path.clone(),
                error: std::io::Error::other("the recorder ended unexpectedly"),
            })
        })
    }
}

/// The event without secrets, as a reader will see it. One that cannot be masked becomes a lost one.
fn mask(event: &Arc<Event>, ids: &mut ContainerIds) -> Arc<Event> {
    // Nothing in these is text of a program.
    if matches!(event.kind, Kind::Tick(_) | Kind::Lost(_)) {
        return Arc::clone(event);
    }
    let mut masked = || {
        let mut line = Vec::new();
        event.write_json(&mut line).ok()?;
        let mut value = serde_json::from_slice(&line).ok()?;
        mask_json(&mut value);
        let line = serde_json::to_vec(&value).ok()?;
        Event::from_json_sharing(&line, ids).ok()
    };
    Arc::new(masked().unwrap_or_else(|| Event {
        kind: Kind::Lost(Lost {
            reason: LostReason::Recorder,
            count: 1,
            detail: "it could not be masked".to_owned(),
        }),
        ..Event::clone(event)
    }))
}

/// Waits for space on the disk until the recording should end; meanwhile the backlog takes events,
/// and notes those that it drops.
fn when_full(backlog: Arc<Backlog>, status: Arc<Mutex<RecorderStatus>>) -> WhenFull {
    Box::new(move |full| {
        let Some(error) = full else {
            tracing::info!("the disk has room again");
            status.lock().waits = None;
            return true;
        };
        tracing::warn!(%error, "the disk is full");
        status.lock().waits = Some(error.to_string());
        std::thread::sleep(PATIENCE);
        !backlog.is_closed()
    })
}

fn record(
    writer: Result<Option<Writer>, RecordingError>,
    mut follower: Option<Box<dyn Follower>>,
    mut core: Core,
    masked: bool,
    snapshot: Vec<Event>,
    backlog: &Backlog,
    status: &Mutex<RecorderStatus>,
) -> Result<RecordingSummary, RecordingError> {
    let mut taken = 0;
    let mut masked = masked.then(ContainerIds::default);
    let (mut writer, failed) = match writer {
        Ok(writer) => (writer, None),
        Err(error) => (None, Some(error)),
    };
    let write = || {
        if let Some(error) = failed {
            return Err(error);
        }
        let mut batch = snapshot.into_iter().map(Arc::new).collect();
        loop {
            taken += Vec::len(&batch) as u64;
            for event in &batch {
                let event = match &mut masked {
                    Some(ids) => &mask(event, ids),
                    None => event,
                };
                core.apply(event);
                if let Some(follower) = &mut follower {
                    follower.event(event, &core);
                }
                let Some(writer) = &mut writer else { continue };
                writer.record(event, core.detector.findings())?;
                if matches!(event.kind, Kind::Tick(_)) {
                    let mut status = status.lock();
                    status.events = writer.events();
                    status.bytes = writer.bytes();
                }
            }
            match backlog.take() {
                Some(events) => batch = events,
                None => return Ok(()),
            }
        }
    };
    let done = write().and_then(|()| match writer {
        Some(writer) => writer.finish(core.detector.findings()),
        None => Ok(RecordingSummary::default()),
    });
    match &done {
        Ok(summary) => tracing::info!(events = summary.events, "recording complete"),
        Err(error) => tracing::error!(%error, "recording ended early"),
    }
    if let Err(error) = &done {
        let mut status = status.lock();
        let waiting = backlog.close() as u64;
        status.lost += taken - status.events + waiting;
        status.error = Some(RecordingError::to_string(error));
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;

    /// The other side takes events as fast as it can from a backlog with hardly any room.
    #[test]
    fn a_gap_is_explained_before_the_event_behind_it() {
        let backlog = Arc::new(Backlog::new(16, usize::MAX));
        let mut recorder = Recorder {
            backlog: Arc::clone(&backlog),
            status: Arc::default(),
            thread: std::thread::spawn(|| {
                Ok(RecordingSummary {
                    path: PathBuf::new(),
                    events: 0,
                    bytes: 0,
                    foreign: 0,
                })
            }),
        };
        let taker = std::thread::spawn(move || {
            let (mut last, mut lost, mut unexplained) = (0, 0, 0);
            while let Some(events) = backlog.take() {
                for event in events {
                    match &event.kind {
                        Kind::Lost(gap) if gap.reason == LostReason::Recorder => lost += gap.count,
                        _ if event.seq != last + 1 => unexplained += 1,
                        _ => {}
                    }
                    last = event.seq;
                }
            }
            (last, lost, unexplained)
        });
        const EVENTS: u64 = 300_000;
        for seq in 1..=EVENTS {
            let event = Event {
                seq,
                ts: Timestamp(seq.cast_signed()),
                container: None,
                pid: 0,
                nspid: 0,
                kind: Kind::Tick(Box::default()),
            };
            recorder.event(&Arc::new(event));
        }
        let counted = recorder.status().lost;
        recorder.finish().unwrap();
        let (last, lost, unexplained) = taker.join().unwrap();
        assert_eq!((last, lost, unexplained), (EVENTS, counted, 0));
        assert!(lost > 0, "the backlog was never full");
    }
}
