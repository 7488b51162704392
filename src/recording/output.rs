//! The file of a recording: plain or compressed bytes, with every line kept until the file holds it.

use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::RecordingError;
use crate::user_files::{self, Creation};

/// A new zstd frame begins after this many bytes of lines, so that a reader can seek and a
/// damaged place costs at most this much.
pub(super) const FRAME_BYTES: u64 = 4 << 20;

/// Lines that are kept until the file holds them for certain, bytes: with more, the file is flushed.
const MAX_PENDING: usize = 8 << 20;
/// Room for such lines that stays.
const PENDING: usize = 64 << 10;

/// Bytes that are collected before they are written.
const BUFFER: usize = 256 << 10;

/// How long to wait for the lock, in milliseconds: a process that tests it holds it for a moment.
const LOCKING: u32 = 200;

/// Is called with the error while the disk is full; waits, and returns whether to try again. With
/// `None`: the disk is not full any more.
pub(super) type WhenFull = Box<dyn FnMut(Option<&io::Error>) -> bool + Send>;

type FrameEncoder = zstd::Encoder<'static, BufWriter<RecordingFile>>;

enum Sink {
    Plain(BufWriter<RecordingFile>),
    Zstd(Box<FrameEncoder>),
    /// Only while one frame is exchanged for the next.
    Between,
}

/// The file, and how many bytes were written to it.
struct RecordingFile {
    file: File,
    written: Arc<AtomicU64>,
    /// Bytes that a full disk still accepts.
    #[cfg(test)]
    room: Option<Arc<AtomicU64>>,
}

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

/// The open file of a recording.
pub(super) struct RecordingOutput {
    path: PathBuf,
    /// The same open file, to detect changes by other processes.
    check: File,
    /// Bytes written to it.
    stored: Arc<AtomicU64>,
    sink: Sink,
    /// It had no name from the start.
    unnamed: bool,
    /// How often others had written into the file.
    foreign: u64,
    /// Bytes of lines in the frame so far.
    frame_bytes: u64,
    /// Lines written since the last point from which they can be written again: the last flush, of
    /// a compressed file the begin of the frame.
    pending: Vec<u8>,
    /// Bytes of the file up to that point.
    checkpoint: u64,
    when_full: Option<WhenFull>,
    /// Bytes that a full disk still accepts.
    #[cfg(test)]
    room: Option<Arc<AtomicU64>>,
}

impl RecordingOutput {
    /// Creates `path`. A name ending in `.zst` is compressed.
    ///
    /// # Errors
    /// When the file exists already or cannot be created.
    pub(super) fn create(path: &Path) -> Result<Self, RecordingError> {
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
        let stored = Arc::new(AtomicU64::new(0));
        let file = RecordingFile {
            file,
            written: Arc::clone(&stored),
            #[cfg(test)]
            room: None,
        };
        let sink = sink(path, file).map_err(fail)?;
        Ok(Self::new(path.to_owned(), check, stored, sink))
    }

    /// Writes into a pipe or an open file, compressed; the reader of a pipe decides how fast.
    ///
    /// # Errors
    /// When the pipe cannot be used.
    pub(super) fn to_pipe(pipe: File) -> io::Result<Self> {
        let check = pipe.try_clone()?;
        let stored = Arc::new(AtomicU64::new(0));
        let file = RecordingFile {
            file: pipe,
            written: Arc::clone(&stored),
            #[cfg(test)]
            room: None,
        };
        let file = BufWriter::with_capacity(BUFFER, file);
        let sink = Sink::Zstd(Box::new(frame(file)?));
        Ok(Self::new(PathBuf::from("the link"), check, stored, sink))
    }

    fn new(path: PathBuf, check: File, stored: Arc<AtomicU64>, sink: Sink) -> Self {
        let unnamed = check.metadata().is_ok_and(|facts| facts.nlink() == 0);
        Self {
            path,
            check,
            stored,
            sink,
            unnamed,
            foreign: 0,
            frame_bytes: 0,
            pending: Vec::new(),
            checkpoint: 0,
            when_full: None,
            #[cfg(test)]
            room: None,
        }
    }

    /// From now on `when_full` decides how long a full disk is waited for: the file is cut to its
    /// certain part, and writing continues from there.
    pub(super) fn when_full(&mut self, when_full: WhenFull) {
        self.when_full = Some(when_full);
    }

    /// Where it writes.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(&mut self, line: &[u8]) -> Result<(), RecordingError> {
        self.pending.extend_from_slice(line);
        self.frame_bytes += u64::try_from(line.len()).unwrap_or(u64::MAX);
        let done = match &mut self.sink {
            Sink::Plain(file) => file.write_all(line),
            Sink::Zstd(encoder) => encoder.write_all(line),
            Sink::Between => Err(closed()),
        };
        self.unless_full(done, false)?;
        if self.pending.len() > MAX_PENDING {
            self.flush()?;
        }
        Ok(())
    }

    /// Passes everything written so far to the operating system, and begins the next frame when
    /// this one is full.
    ///
    /// # Errors
    /// When the file cannot be written, or others removed or cut it.
    pub(super) fn flush(&mut self) -> Result<(), RecordingError> {
        let end_frame = self.frame_bytes >= FRAME_BYTES;
        let done = self.hand_over(end_frame);
        self.unless_full(done, end_frame)?;
        if self.cut_foreign()? {
            // The next flush ends the frame.
            return self.untouched();
        }
        if end_frame {
            self.frame_bytes = 0;
        }
        if end_frame || matches!(self.sink, Sink::Plain(_)) {
            // The file holds every line so far.
            self.pending.clear();
            self.pending.shrink_to(PENDING);
            self.checkpoint = self.stored.load(Ordering::Relaxed);
        }
        self.untouched()
    }

    /// Flushes, ends the last frame, and waits until the disk has it all. Returns how often others had
    /// written into the file; what they wrote was cut off.
    ///
    /// # Errors
    /// When the file cannot be written, or others removed or cut it.
    pub(super) fn finish(mut self) -> Result<u64, RecordingError> {
        // A full disk is waited for here, so that little is left to write.
        self.flush()?;
        let done = match std::mem::replace(&mut self.sink, Sink::Between) {
            Sink::Plain(file) => file.into_inner().map_err(io::IntoInnerError::into_error),
            Sink::Zstd(encoder) => encoder
                .finish()
                .and_then(|file| file.into_inner().map_err(io::IntoInnerError::into_error)),
            Sink::Between => Err(closed()),
        };
        done.and_then(|file| match file.file.metadata()?.is_file() {
            true => file.file.sync_all(),
            false => Ok(()),
        })
        .map_err(|error| self.fail(error))?;
        self.untouched()?;
        Ok(self.foreign)
    }

    /// The error of a write that failed.
    pub(super) fn fail(&self, error: io::Error) -> RecordingError {
        RecordingError::Write {
            path: self.path.clone(),
            error,
        }
    }

    /// Cuts off what others wrote into the file, and writes again what is pending: a frame that
    /// contains their bytes could not be read, nor anything after it. Returns whether there was any.
    fn cut_foreign(&mut self) -> Result<bool, RecordingError> {
        let facts = self.check.metadata().map_err(|error| self.fail(error))?;
        let any = facts.is_file() && facts.len() > self.stored.load(Ordering::Relaxed);
        if any {
            self.foreign += 1;
            tracing::warn!(path = ?self.path, "others write into the recording");
            self.sink = Sink::Between;
            let done = self.write_again(false);
            self.unless_full(done, false)?;
        }
        Ok(any)
    }

    /// Waits while the disk is full, and then writes again what is pending; with `end_frame` the
    /// frame ends with it, as it was to do.
    fn unless_full(
        &mut self,
        mut done: io::Result<()>,
        end_frame: bool,
    ) -> Result<(), RecordingError> {
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
            // Bytes that did not reach the file are written again.
            self.sink = Sink::Between;
            self.untouched()?;
            done = self.write_again(end_frame);
        }
        if let Some(when_full) = self.when_full.as_mut().filter(|_| waited) {
            when_full(None);
        }
        Ok(())
    }

    fn write_again(&mut self, end_frame: bool) -> io::Result<()> {
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
            Sink::Plain(file) => file.write_all(&self.pending)?,
            Sink::Zstd(encoder) => encoder.write_all(&self.pending)?,
            Sink::Between => return Err(closed()),
        }
        self.hand_over(end_frame)
    }

    /// Flushes the buffers into the file; with `end_frame` it continues with a new frame.
    fn hand_over(&mut self, end_frame: bool) -> io::Result<()> {
        match &mut self.sink {
            Sink::Plain(file) => return file.flush(),
            Sink::Zstd(encoder) if !end_frame => return encoder.flush(),
            Sink::Zstd(_) | Sink::Between => {}
        }
        let Sink::Zstd(encoder) = std::mem::replace(&mut self.sink, Sink::Between) else {
            return Err(closed());
        };
        let mut file = encoder.finish()?;
        file.flush()?;
        self.sink = Sink::Zstd(Box::new(frame(file)?));
        Ok(())
    }

    /// Notices when others removed or cut the file.
    fn untouched(&self) -> Result<(), RecordingError> {
        let facts = self.check.metadata().map_err(|e| self.fail(e))?;
        let (size, written) = (facts.len(), self.stored.load(Ordering::Relaxed));
        let path = self.path.clone();
        if facts.is_file() && facts.nlink() == 0 && !self.unnamed {
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

    /// Lets a test put a failing file in place of the real one.
    #[cfg(test)]
    pub(super) fn redirect(&mut self, file: File) {
        self.sink = Sink::Plain(BufWriter::new(RecordingFile {
            file,
            written: Arc::default(),
            room: None,
        }));
    }

    /// For tests: the disk accepts only this many further bytes.
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
}

/// A name ending in `.zst` is compressed.
fn sink(path: &Path, file: RecordingFile) -> io::Result<Sink> {
    let file = BufWriter::with_capacity(BUFFER, file);
    if path.extension().is_some_and(|e| e == "zst") {
        Ok(Sink::Zstd(Box::new(frame(file)?)))
    } else {
        Ok(Sink::Plain(file))
    }
}

fn frame(file: BufWriter<RecordingFile>) -> io::Result<FrameEncoder> {
    let mut encoder = zstd::Encoder::new(file, 3)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

fn closed() -> io::Error {
    io::Error::other("an earlier write failed")
}
