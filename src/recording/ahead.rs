//! Reads a session on a thread of its own, so that parsing and applying use two cores.

use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;

use super::reader::{Item, Reader};
use super::report::ReadReport;
use super::source::Place;
use super::{Header, SessionError};
use crate::event::Event;

/// A batch ends where a multiple of so many events was read. Keyframes lie there.
pub(super) const BATCH: u64 = 1024;
/// Batches that may wait.
const QUEUE: usize = 8;

/// A piece of a session.
#[derive(Debug)]
pub enum Piece {
    /// An event.
    Event(Arc<Event>),
    /// A finding as it was when recorded: its JSON, to compare with.
    Finding(Vec<u8>),
    /// Here the file is damaged or lacks events: this many lines or events.
    Gap {
        /// Lines that could not be read.
        damaged: u64,
        /// Sequence numbers that are missing.
        missing: u64,
    },
}

/// Some pieces, and how the file stands after them.
#[derive(Debug)]
pub struct Batch {
    /// In order.
    pub pieces: Vec<Piece>,
    /// What was noted about the file up to here.
    pub report: ReadReport,
    pub(super) place: Place,
}

/// A session that is read ahead.
#[derive(Debug)]
pub struct Ahead {
    header: Header,
    name: String,
    batches: Receiver<Batch>,
}

impl Ahead {
    /// Goes on reading `reader` on another thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(reader: Reader) -> Result<Self, SessionError> {
        let (sender, batches) = crossbeam_channel::bounded(QUEUE);
        let header = reader.header().clone();
        let name = reader.report().name.clone();
        std::thread::Builder::new()
            .name("read".to_owned())
            .spawn(move || read(reader, &sender))
            .map_err(|error| SessionError::Read {
                name: name.clone(),
                error,
            })?;
        Ok(Self {
            header,
            name,
            batches,
        })
    }

    /// The session's first line.
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

/// Sends batches until the end, or until nobody wants more.
fn read(mut reader: Reader, out: &Sender<Batch>) {
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

/// What comes next, up to a full batch; of a file that is still being written what is there.
fn batch(reader: &mut Reader, total: &mut u64, gaps: &mut (u64, u64)) -> Batch {
    let mut pieces = Vec::new();
    let mut full = false;
    while !full {
        let next = if pieces.is_empty() {
            reader.next_item()
        } else {
            reader.item_that_is_there()
        };
        let piece = match next {
            Some(Item::Event(event)) => {
                *total += 1;
                full = total.is_multiple_of(BATCH);
                Some(Piece::Event(Arc::from(event)))
            }
            Some(Item::Finding(line)) => Some(Piece::Finding(line.to_owned())),
            None => None,
        };
        let report = reader.report();
        let now = (report.damaged, report.missing);
        if now != *gaps {
            pieces.push(Piece::Gap {
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
    }
}
