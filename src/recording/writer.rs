//! Writes a recording: appends lines, flushes at each tick, never overwrites.

use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Header, RecordingError};
use crate::detect::Finding;
use crate::event::{Event, Kind, Timestamp};
use crate::text::hex;
use crate::user_files::{self, Creation};

/// A new zstd frame begins after this many bytes of lines, so that a reader can seek and a
/// damaged place costs at most this much.
const FRAME_BYTES: u64 = 4 << 20;

/// Lines that are kept until the file holds them for certain, bytes: more are not waited with.
const MAX_PENDING: usize = 8 << 20;
/// Room for such lines that stays.
const PENDING: usize = 64 << 10;

/// How long to wait for the lock, in milliseconds: a process that tests it holds it for a moment.
const LOCKING: u32 = 200;

enum Sink {
    Plain(BufWriter<RecordingFile>),
    Zstd(Box<zstd::Encoder<'static, BufWriter<RecordingFile>>>),
    /// Only while one frame is exchanged for the next.
    Between,
}

/// The file, and how many bytes were written to it.
struct RecordingFile {
    file: File,
    written: Arc<AtomicU64>,
    /// Bytes that a full disk still takes.
    #[cfg(test)]
    room: Option<Arc<AtomicU64>>,
}

/// Called when the disk is full: waits, and returns whether to retry; `None`: it is not full any
/// more.
pub(super) type WhenFull = Box<dyn FnMut(Option<&io::Error>) -> bool + Send>;

impl Write for RecordingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        let bytes = match &self.room {
            Some(room) => {
                let room = usize::try_from(room.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
                if room == 0 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                &bytes[..bytes.len().min(room)]
            }
            None => bytes,
        };
        let count = self.file.write(bytes)?;
        #[cfg(test)]
        if let Some(room) = &self.room {
            room.fetch_sub(count as u64, Ordering::Relaxed);
        }
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Result of a finished recording.
#[derive(Default, Debug, Clone, PartialEq, Eq)]
pub struct RecordingSummary {
    /// Where.
    pub path: PathBuf,
    /// Events.
    pub events: u64,
    /// Bytes of lines, before compression.
    pub bytes: u64,
}

/// Writes one recording file.
pub struct Writer {
    path: PathBuf,
    /// The same open file, to see what others did to it.
    check: File,
    /// Bytes written to it.
    stored: Arc<AtomicU64>,
    sink: Sink,
    hasher: Sha256,
    line: Vec<u8>,
    events: u64,
    bytes: u64,
    frame_bytes: u64,
    /// Lines written since the last point from which they can be written again: the last flush, of
    /// a compressed file the begin of the frame.
    pending: Vec<u8>,
    /// Bytes of the file up to that point.
    checkpoint: u64,
    when_full: Option<WhenFull>,
    /// Bytes that a full disk still takes.
    #[cfg(test)]
    pub(super) room: Option<Arc<AtomicU64>>,
    last: Timestamp,
    /// Findings as last written, in the engine's order.
    written: Vec<Arc<Finding>>,
}

#[derive(Serialize)]
struct Tagged<'a, T: Serialize> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    fields: &'a T,
}

#[derive(Serialize)]
struct DigestLine<'a> {
    events: u64,
    sha256: &'a str,
}

#[derive(Serialize)]
struct EndLine<'a> {
    ts: Timestamp,
    events: u64,
    sha256: &'a str,
}

impl Writer {
    /// Creates `path` and writes the header. A name ending in `.zst` is compressed.
    ///
    /// # Errors
    /// When the file exists already or cannot be created or written.
    pub fn create(path: &Path, header: &Header) -> Result<Self, RecordingError> {
        let fail = |error| RecordingError::create(path, error);
        // A recording holds arguments and paths of other people's programs: only for its owner.
        let file = user_files::create(path, Creation::Append).map_err(fail)?;
        // For as long as it is open: a reader waits at its end for more. A check whether
        // it is locked holds it for a moment; where a file system knows no locks it is read as it
        // is.
        for _ in 0..LOCKING {
            if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let check = file.try_clone().map_err(fail)?;
        let written = Arc::new(AtomicU64::new(0));
        let file = RecordingFile {
            file,
            written: Arc::clone(&written),
            #[cfg(test)]
            room: None,
        };
        let sink = sink(path, file).map_err(fail)?;
        let mut writer = Self {
            path: path.to_owned(),
            check,
            stored: written,
            sink,
            hasher: Sha256::new(),
            line: Vec::with_capacity(4096),
            events: 0,
            bytes: 0,
            frame_bytes: 0,
            pending: Vec::new(),
            checkpoint: 0,
            when_full: None,
            #[cfg(test)]
            room: None,
            last: header.started,
            written: Vec::new(),
        };
        writer.tagged("session", header)?;
        writer.flush()?;
        Ok(writer)
    }

    /// From now on a full disk is waited for as long as `when_full` says so: the file is cut to
    /// what it holds for certain, and goes on from there.
    pub(super) fn when_full(&mut self, when_full: WhenFull) {
        self.when_full = Some(when_full);
    }

    /// Where it writes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Events so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Bytes of lines so far, before compression.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends an event, and the findings as they stand after it: a new one at once, a changed
    /// one with the next tick. After a tick everything is on its way to the disk.
    ///
    /// Each finding's line is where a replay has the same state, so that it can be compared
    /// exactly.
    ///
    /// # Errors
    /// When the file cannot be written; the writer is of no use afterwards.
    pub fn record(
        &mut self,
        event: &Event,
        findings: &[Arc<Finding>],
    ) -> Result<(), RecordingError> {
        self.line.clear();
        event
            .write_json(&mut self.line)
            .map_err(|e| self.fail(e.into()))?;
        self.write_line()?;
        self.events += 1;
        self.last = self.last.max(event.ts);
        if !matches!(event.kind, Kind::Tick(_)) {
            let known = self.written.len();
            self.write_findings(findings, known)?;
            // A reader that follows the recording gets a finding at once.
            return if self.written.len() > known {
                self.flush()
            } else {
                Ok(())
            };
        }
        self.write_findings(findings, 0)?;
        let sha256 = hex(&self.hasher.clone().finalize());
        let events = self.events;
        self.tagged(
            "digest",
            &DigestLine {
                events,
                sha256: &sha256,
            },
        )?;
        self.flush()
    }

    /// [`Writer::record`] for a stream without findings.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn event(&mut self, event: &Event) -> Result<(), RecordingError> {
        self.record(event, &[])
    }

    /// Hands everything written so far to the operating system.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<(), RecordingError> {
        let new_frame = self.frame_bytes >= FRAME_BYTES;
        let done = match &mut self.sink {
            Sink::Plain(file) => file.flush(),
            Sink::Zstd(encoder) if !new_frame => encoder.flush(),
            _ => self.next_frame(),
        };
        if new_frame {
            self.frame_bytes = 0;
        }
        let plain = matches!(self.sink, Sink::Plain(_));
        self.unless_full(done)?;
        if plain || new_frame {
            self.certain();
        }
        self.untouched()
    }

    /// The file holds every line so far.
    fn certain(&mut self) {
        self.pending.clear();
        self.pending.shrink_to(PENDING);
        self.checkpoint = self.stored.load(Ordering::Relaxed);
    }

    /// Waits while the disk is full, and then writes again what is pending.
    fn unless_full(&mut self, mut done: io::Result<()>) -> Result<(), RecordingError> {
        let mut waited = false;
        while let Err(error) = done {
            let full = matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            );
            let again = match &mut self.when_full {
                Some(when_full) => full && when_full(Some(&error)),
                None => false,
            };
            if !again {
                return Err(self.fail(error));
            }
            waited = true;
            // What does not reach the file is written again.
            self.sink = Sink::Between;
            self.untouched()?;
            done = self.write_again();
        }
        if let Some(when_full) = self.when_full.as_mut().filter(|_| waited) {
            when_full(None);
        }
        Ok(())
    }

    fn write_again(&mut self) -> io::Result<()> {
        self.check.set_len(self.checkpoint)?;
        self.stored.store(self.checkpoint, Ordering::Relaxed);
        let file = RecordingFile {
            file: self.check.try_clone()?,
            written: Arc::clone(&self.stored),
            #[cfg(test)]
            room: self.room.clone(),
        };
        self.sink = sink(&self.path, file)?;
        match &mut self.sink {
            Sink::Plain(file) => file.write_all(&self.pending).and_then(|()| file.flush()),
            Sink::Zstd(encoder) => encoder
                .write_all(&self.pending)
                .and_then(|()| encoder.flush()),
            Sink::Between => Err(closed()),
        }
    }

    /// Notices when others removed or cut the file.
    fn untouched(&self) -> Result<(), RecordingError> {
        let facts = self.check.metadata().map_err(|e| self.fail(e))?;
        let (size, written) = (facts.len(), self.stored.load(Ordering::Relaxed));
        let path = self.path.clone();
        if facts.is_file() && facts.nlink() == 0 {
            return Err(RecordingError::Removed(path));
        }
        if facts.is_file() && size < written {
            return Err(RecordingError::Truncated {
                path,
                size,
                written,
            });
        }
        Ok(())
    }

    /// Writes the findings' final state and the end line, and closes the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self, findings: &[Arc<Finding>]) -> Result<RecordingSummary, RecordingError> {
        self.write_findings(findings, 0)?;
        let sha256 = hex(&self.hasher.clone().finalize());
        let (ts, events) = (self.last, self.events);
        self.tagged(
            "end",
            &EndLine {
                ts,
                events,
                sha256: &sha256,
            },
        )?;
        // A full disk is waited for here, so that little is left to write.
        self.flush()?;
        let done = match std::mem::replace(&mut self.sink, Sink::Between) {
            Sink::Plain(file) => file.into_inner().map_err(io::IntoInnerError::into_error),
            Sink::Zstd(encoder) => encoder
                .finish()
                .and_then(|file| file.into_inner().map_err(io::IntoInnerError::into_error)),
            Sink::Between => Err(closed()),
        };
        done.and_then(|file| file.file.sync_all())
            .map_err(|e| self.fail(e))?;
        self.untouched()?;
        Ok(RecordingSummary {
            path: self.path.clone(),
            events: self.events,
            bytes: self.bytes,
        })
    }

    /// Lets a test put a failing file in place of the real one.
    #[cfg(test)]
    pub(super) fn redirect(&mut self, file: File) {
        self.sink = Sink::Plain(BufWriter::new(RecordingFile {
            file,
            written: Arc::default(),
            room: None,
        }));
    }

    /// Lets a test have the disk take so many bytes more.
    #[cfg(test)]
    pub(super) fn limit(&mut self, room: &Arc<AtomicU64>) {
        self.room = Some(Arc::clone(room));
        let file = match &mut self.sink {
            Sink::Plain(file) => file.get_mut(),
            Sink::Zstd(encoder) => encoder.get_mut().get_mut(),
            Sink::Between => return,
        };
        file.room = Some(Arc::clone(room));
    }

    /// Writes those of `findings[from..]` that are not as last written.
    fn write_findings(
        &mut self,
        findings: &[Arc<Finding>],
        from: usize,
    ) -> Result<(), RecordingError> {
        for (i, finding) in findings.iter().enumerate().skip(from) {
            match self.written.get_mut(i) {
                Some(written) if written == finding => continue,
                Some(written) => written.clone_from(finding),
                None => self.written.push(finding.clone()),
            }
            self.tagged("finding", &**finding)?;
        }
        Ok(())
    }

    fn tagged<T: Serialize>(
        &mut self,
        kind: &'static str,
        fields: &T,
    ) -> Result<(), RecordingError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &Tagged { kind, fields })
            .map_err(|e| self.fail(e.into()))?;
        self.line.push(b'\n');
        self.write_line()
    }

    fn write_line(&mut self) -> Result<(), RecordingError> {
        self.hasher.update(&self.line);
        self.pending.extend_from_slice(&self.line);
        let length = u64::try_from(self.line.len()).unwrap_or(u64::MAX);
        self.bytes += length;
        self.frame_bytes += length;
        let done = match &mut self.sink {
            Sink::Plain(file) => file.write_all(&self.line),
            Sink::Zstd(encoder) => encoder.write_all(&self.line),
            Sink::Between => Err(closed()),
        };
        self.unless_full(done)?;
        if self.pending.len() > MAX_PENDING {
            self.flush()?;
        }
        Ok(())
    }

    fn next_frame(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.sink, Sink::Between) {
            Sink::Plain(mut file) => {
                let done = file.flush();
                self.sink = Sink::Plain(file);
                done
            }
            Sink::Zstd(encoder) => {
                let mut file = encoder.finish()?;
                file.flush()?;
                self.sink = Sink::Zstd(Box::new(frame(file)?));
                Ok(())
            }
            Sink::Between => Err(closed()),
        }
    }

    fn fail(&self, error: io::Error) -> RecordingError {
        RecordingError::Write {
            path: self.path.clone(),
            error,
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("path", &self.path)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

/// A finding as its line in a recording file, with its newline.
///
/// # Errors
/// Only if a value cannot be represented in JSON, which no finding holds.
pub fn finding_line(finding: &Finding) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(&Tagged {
        kind: "finding",
        fields: finding,
    })?;
    line.push(b'\n');
    Ok(line)
}

/// A name ending in `.zst` is compressed.
fn sink(path: &Path, file: RecordingFile) -> io::Result<Sink> {
    let file = BufWriter::with_capacity(256 << 10, file);
    if path.extension().is_some_and(|e| e == "zst") {
        Ok(Sink::Zstd(Box::new(frame(file)?)))
    } else {
        Ok(Sink::Plain(file))
    }
}

fn frame(
    file: BufWriter<RecordingFile>,
) -> io::Result<zstd::Encoder<'static, BufWriter<RecordingFile>>> {
    let mut encoder = zstd::Encoder::new(file, 3)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

fn closed() -> io::Error {
    io::Error::other("an earlier write failed")
}
