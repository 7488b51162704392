//! Records a running event stream on its own thread; the caller never blocks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use parking_lot::Mutex;

use super::writer::{RecordingSummary, Writer};
use super::{Header, RecordingError};
use crate::core::Core;
use crate::event::{Event, Kind, Lost, LostReason, Timestamp};

/// Number of events that may wait for the disk; further ones are dropped, counted, and recorded as
/// lost.
const QUEUE: usize = 65_536;

/// Status of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecorderStatus {
    /// The file.
    pub path: PathBuf,
    /// Events in it.
    pub events: u64,
    /// Bytes of lines in it, before compression.
    pub bytes: u64,
    /// Events that are missing in it: the disk was too slow, or failed. After a failure those
    /// since the last tick that reached the disk count as missing.
    pub lost: u64,
    /// Why it ended before its time.
    pub error: Option<String>,
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
    events: Sender<Arc<Event>>,
    status: Arc<Mutex<RecorderStatus>>,
    /// Dropped since the last event that found room.
    dropped: u64,
    last_dropped: (u64, Timestamp),
    thread: JoinHandle<Result<RecordingSummary, RecordingError>>,
}

impl Recorder {
    /// Creates the file and begins with `snapshot`: what is there already, as events.
    ///
    /// # Errors
    /// When the file exists or cannot be created.
    pub fn start(
        path: &Path,
        header: &Header,
        snapshot: Vec<Event>,
    ) -> Result<Self, RecordingError> {
        Self::start_with(Some(path), header, snapshot, None)
    }

    /// The same with a follower that sees exactly what the file holds; without a path there is no
    /// file.
    ///
    /// # Errors
    /// When the file exists or cannot be created.
    pub fn start_with(
        path: Option<&Path>,
        header: &Header,
        snapshot: Vec<Event>,
        follower: Option<Box<dyn Follower>>,
    ) -> Result<Self, RecordingError> {
        let writer = path.map(|path| Writer::create(path, header)).transpose()?;
        let path = path.unwrap_or(Path::new(""));
        tracing::info!(path = ?path, "recording");
        let core = Core::new(header.settings.clone());
        let (events, queue) = crossbeam_channel::bounded(QUEUE);
        let status = Arc::new(Mutex::new(RecorderStatus {
            path: path.to_owned(),
            ..RecorderStatus::default()
        }));
        let shared = Arc::clone(&status);
        let thread = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || record(writer, follower, core, snapshot, &queue, &shared))
            .map_err(|error| RecordingError::Create {
                path: path.to_owned(),
                error,
            })?;
        Ok(Self {
            events,
            status,
            dropped: 0,
            last_dropped: (0, Timestamp::default()),
            thread,
        })
    }

    /// Queues the next event; never blocks.
    pub fn event(&mut self, event: &Arc<Event>) {
        if self.dropped > 0 {
            // In the place of the last event that is missing.
            let lost = lost(self.dropped, event.seq.saturating_sub(1), event.ts);
            if self.events.try_send(Arc::new(lost)).is_ok() {
                self.dropped = 0;
            }
        }
        // No event may precede the line that explains the gap before it.
        let explained = self.dropped == 0;
        // Locked while sending: after a failure every event is counted once, here or where the
        // failure is noted.
        let mut status = self.status.lock();
        if status.error.is_some() {
            status.lost += 1;
        } else if !explained
            || matches!(
                self.events.try_send(Arc::clone(event)),
                Err(TrySendError::Full(_))
            )
        {
            if self.dropped == 0 {
                tracing::warn!(seq = event.seq, "the recorder's queue is full");
            }
            self.dropped += 1;
            self.last_dropped = (event.seq, event.ts);
            status.lost += 1;
        }
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
            events,
            status,
            dropped,
            last_dropped: (seq, ts),
            thread,
        } = self;
        if dropped > 0 {
            // Fails only when the thread ended, which the join tells.
            let _ = events.send(Arc::new(lost(dropped, seq, ts)));
        }
        drop(events);
        thread.join().unwrap_or_else(|_| {
            Err(RecordingError::Write {
                path: status.lock().path.clone(),
                error: std::io::Error::other("the recorder ended unexpectedly"),
            })
        })
    }
}

fn lost(count: u64, seq: u64, ts: Timestamp) -> Event {
    Event {
        seq,
        ts,
        container: None,
        pid: 0,
        nspid: 0,
        kind: Kind::Lost(Lost {
            reason: LostReason::Recorder,
            count,
            detail: String::new(),
        }),
    }
}

fn record(
    mut writer: Option<Writer>,
    mut follower: Option<Box<dyn Follower>>,
    mut core: Core,
    snapshot: Vec<Event>,
    queue: &Receiver<Arc<Event>>,
    status: &Mutex<RecorderStatus>,
) -> Result<RecordingSummary, RecordingError> {
    let mut taken = 0;
    let write = || {
        for event in snapshot.into_iter().map(Arc::new).chain(queue.iter()) {
            taken += 1;
            core.apply(&event);
            if let Some(follower) = &mut follower {
                follower.event(&event, &core);
            }
            let Some(writer) = &mut writer else { continue };
            writer.record(&event, core.detector.findings())?;
            if matches!(event.kind, Kind::Tick(_)) {
                let mut status = status.lock();
                status.events = writer.events();
                status.bytes = writer.bytes();
            }
        }
        Ok(())
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
        let waiting = queue.len() as u64;
        status.lost += taken - status.events + waiting;
        status.error = Some(RecordingError::to_string(error));
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The other side takes events as fast as it can from a queue with hardly any room.
    #[test]
    fn a_gap_is_explained_before_the_event_behind_it() {
        let (events, queue) = crossbeam_channel::bounded(2);
        let mut recorder = Recorder {
            events,
            status: Arc::default(),
            dropped: 0,
            last_dropped: (0, Timestamp::default()),
            thread: std::thread::spawn(|| {
                Ok(RecordingSummary {
                    path: PathBuf::new(),
                    events: 0,
                    bytes: 0,
                })
            }),
        };
        let taker = std::thread::spawn(move || {
            let (mut last, mut lost, mut unexplained) = (0, 0, 0);
            for event in queue.iter() {
                match &event.kind {
                    Kind::Lost(gap) => lost += gap.count,
                    _ if event.seq != last + 1 => unexplained += 1,
                    _ => {}
                }
                last = event.seq;
            }
            (last, lost, unexplained)
        });
        const EVENTS: u64 = 300_000;
        for seq in 1..=EVENTS {
            let event = Event {
                kind: Kind::Tick(Box::default()),
                ..lost(0, seq, Timestamp(0))
            };
            recorder.event(&Arc::new(event));
        }
        let counted = recorder.status().lost;
        recorder.finish().unwrap();
        let (last, lost, unexplained) = taker.join().unwrap();
        assert_eq!((last, lost, unexplained), (EVENTS, counted, 0));
        assert!(lost > 0, "the queue was never full");
    }
}
