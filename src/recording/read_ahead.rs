//! Reads a recording on its own thread, so that parsing and applying run in parallel.

use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;

use super::reader::{RecordedItem, RecordingReader};
use super::report::ReadReport;
use super::source::FilePosition;
use super::{Header, RecordingError};
use crate::event::Event;

/// A batch ends at each multiple of this number of events, or at this number of bytes; keyframes
/// are taken there.
const BATCH: u64 = 1024;
/// Approximate bytes of events: events of a hostile file are as long as a line may be.
const BATCH_BYTES: usize = 2 << 20;
/// Number of batches that may wait.
const QUEUE: usize = 8;

/// One element of a recording, in order.
#[derive(Debug)]
pub enum RecordingPiece {
    /// An event.
    Event(Arc<Event>),
    /// A recorded finding as JSON, to compare the replay with.
    Finding(Vec<u8>),
    /// Damaged lines or missing events at this position.
    Gap {
        /// Lines that could not be read.
        damaged: u64,
        /// Sequence numbers that are missing.
        missing: u64,
    },
}

/// Elements of a recording, and the state of the file after them.
#[derive(Debug)]
pub struct Batch {
    /// In order.
    pub pieces: Vec<RecordingPiece>,
    /// Report on the file up to here.
    pub report: ReadReport,
    pub(super) place: FilePosition,
    /// It ended because it was full, not because there was no more.
    pub(super) full: bool,
}

/// A recording read ahead of its consumer.
#[derive(Debug)]
pub struct ReadAhead {
    header: Header,
    name: String,
    batches: Receiver<Batch>,
}

impl ReadAhead {
    /// Continues reading `reader` on another thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(reader: RecordingReader) -> Result<Self, RecordingError> {
        let (sender, batches) = crossbeam_channel::bounded(QUEUE);
        let header = reader.header().clone();
        let name = reader.report().name.clone();
        std::thread::Builder::new()
            .name("read".to_owned())
            .spawn(move || read(reader, &sender))
            .map_err(|error| RecordingError::Read {
                name: name.clone(),
                error,
            })?;
        Ok(Self {
            header,
            name,
            batches,
        })
    }

    /// The recording's first line.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next batch. The last one has a complete report; `None` after it.
    pub fn next_batch(&mut self) -> Option<Batch> {
        self.batches.recv().ok()
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Sends batches until the end, or until the receiver is gone.
fn read(mut reader: RecordingReader, out: &Sender<Batch>) {
    let mut gaps = (0, 0);
    let mut total = 0;
    loop {
        let batch = batch(&mut reader, &mut total, &mut gaps);
        let complete = batch.report.complete;
        if out.send(batch).is_err() || complete {
            return;
        }
    }
}

/// The next elements, up to a full batch; of a growing file those already written.
fn batch(reader: &mut RecordingReader, total: &mut u64, gaps: &mut (u64, u64)) -> Batch {
    let mut pieces = Vec::new();
    let mut full = false;
    let mut bytes = 0;
    while !full {
        let next = if pieces.is_empty() {
            reader.next_item()
        } else {
            reader.item_that_is_there()
        };
        let piece = match next {
            Some(RecordedItem::Event(event)) => {
                *total += 1;
                bytes += event.weight();
                full = total.is_multiple_of(BATCH) || bytes >= BATCH_BYTES;
                Some(RecordingPiece::Event(Arc::from(event)))
            }
            Some(RecordedItem::Finding(line)) => {
                bytes += line.len();
                full = bytes >= BATCH_BYTES;
                Some(RecordingPiece::Finding(line.to_owned()))
            }
            None => None,
        };
        let report = reader.report();
        let now = (report.damaged, report.missing);
        if now != *gaps {
            pieces.push(RecordingPiece::Gap {
                damaged: now.0 - gaps.0,
                missing: now.1 - gaps.1,
            });
            *gaps = now;
        }
        match piece {
            Some(piece) => pieces.push(piece),
            None => break,
        }
    }
    Batch {
        pieces,
        report: reader.report().clone(),
        place: reader.place(),
        full,
    }
}
