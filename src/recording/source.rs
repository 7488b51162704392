//! The bytes of a recording: from a file or memory, plain or zstd, from any known position.

use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::RecordingError;
use super::growing::{GrowingFile, GrowthSignal};
use crate::user_files;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Minimum distance of noted frames, so that a file of tiny frames costs no memory.
const FRAME_SPACING: u64 = 1 << 20;

/// Maximum number of damaged frames of one file that are skipped; bounds the time of a hostile
/// file.
const MAX_DAMAGED: u64 = 64;

/// Largest window of a frame, as a power of two: each reader of a hostile file would take as much memory.
/// Ours have 2 MiB, those that zstd makes without --ultra or --long at most 8.
const WINDOW: u32 = 24;

trait SeekableRead: BufRead + Seek + Send {}
impl<T: BufRead + Seek + Send> SeekableRead for T {}

/// A recording's bytes, which can be opened more than once.
#[derive(Debug, Clone)]
pub(super) enum ByteSource {
    File(PathBuf),
    /// A file that is still being written: its reader waits for more.
    Growing(PathBuf, Arc<GrowthSignal>),
    Memory(&'static str, &'static [u8]),
}

/// A position at which reading can resume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FilePosition {
    /// Offset in the stored file: of the line, or of a zstd frame before it.
    pub(super) stored: u64,
    /// Decompressed bytes to skip after `stored`.
    pub(super) skip: u64,
}

impl ByteSource {
    pub(super) fn file(path: &Path) -> Self {
        Self::File(path.to_owned())
    }

    /// Bytes of the stored file now; 0 when that is not known.
    pub(super) fn length(&self) -> u64 {
        let of = |path| {
            let file = user_files::open(path).ok()?;
            Some(file.metadata().ok()?.len())
        };
        match self {
            Self::File(path) | Self::Growing(path, _) => of(path).unwrap_or_default(),
            Self::Memory(_, bytes) => bytes.len() as u64,
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Growing(path, _) => path.display().to_string(),
            Self::Memory(name, _) => (*name).to_owned(),
        }
    }

    /// Whether a reader need not wait for more; `None` if it never waits.
    pub(super) fn growth(&self) -> Option<&Arc<GrowthSignal>> {
        match self {
            Self::Growing(_, growth) => Some(growth),
            Self::File(_) | Self::Memory(..) => None,
        }
    }

    /// The bytes written so far, without waiting.
    pub(super) fn standing(self) -> Self {
        match self {
            Self::Growing(path, _) => Self::File(path),
            other => other,
        }
    }

    /// Opens the decompressed bytes from `place` on.
    pub(super) fn open(&self, place: FilePosition) -> Result<ByteStream, RecordingError> {
        self.try_open(place).map_err(|error| RecordingError::Read {
            name: self.name(),
            error,
        })
    }

    fn try_open(&self, place: FilePosition) -> io::Result<ByteStream> {
        let file =
            |path| user_files::open(path).map(|file| BufReader::with_capacity(128 << 10, file));
        let mut raw: Box<dyn SeekableRead> = match self {
            Self::File(path) => Box::new(file(path)?),
            Self::Growing(path, growth) => {
                Box::new(GrowingFile::new(file(path)?, Arc::clone(growth)))
            }
            Self::Memory(_, bytes) => Box::new(Cursor::new(*bytes)),
        };
        let compressed = raw.fill_buf()?.starts_with(&ZSTD_MAGIC);
        if place.stored > 0 {
            raw.seek(SeekFrom::Start(place.stored))?;
        }
        let raw = CountingReader {
            raw,
            at: place.stored,
        };
        let mut stream = ByteStream {
            inner: Codec::Plain(raw),
            frames: Vec::new(),
            produced: 0,
            compressed,
            frame: place.stored,
            damaged: 0,
            separate: false,
        };
        if compressed {
            stream.next_frame()?;
        }
        // Skipping inside a frame means decompressing up to there.
        let skipped = io::copy(&mut (&mut stream).take(place.skip), &mut io::sink())?;
        if skipped < place.skip {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(stream)
    }
}

/// Counts what was consumed, so that frame starts are known.
struct CountingReader {
    raw: Box<dyn SeekableRead>,
    at: u64,
}

impl CountingReader {
    fn seek_to(&mut self, offset: u64) -> io::Result<()> {
        self.raw.seek(SeekFrom::Start(offset))?;
        self.at = offset;
        Ok(())
    }

    /// Goes to the next place that begins with `magic`; false where there is none.
    fn find(&mut self, magic: [u8; 4]) -> io::Result<bool> {
        let mut last = [0; 4];
        let mut seen = 0_u64;
        loop {
            let bytes = self.raw.fill_buf()?;
            if bytes.is_empty() {
                return Ok(false);
            }
            for (i, byte) in bytes.iter().enumerate() {
                last.rotate_left(1);
                last[3] = *byte;
                seen += 1;
                if seen >= 4 && last == magic {
                    let begin = self.at + i as u64 + 1 - 4;
                    self.seek_to(begin)?;
                    return Ok(true);
                }
            }
            let length = bytes.len();
            self.raw.consume(length);
            self.at += length as u64;
        }
    }
}

impl Read for CountingReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.raw.read(buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl BufRead for CountingReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.raw.fill_buf()
    }
    fn consume(&mut self, n: usize) {
        self.at += n as u64;
        self.raw.consume(n);
    }
}

enum Codec {
    Plain(CountingReader),
    Zstd(zstd::Decoder<'static, CountingReader>),
    Done,
}

/// Decompressed bytes.
pub(super) struct ByteStream {
    inner: Codec,
    /// Where frames begin: number of their first decompressed byte, offset in the stored file.
    frames: Vec<(u64, u64)>,
    /// Bytes returned since `open`.
    produced: u64,
    compressed: bool,
    /// Offset in the stored file at which the current frame begins.
    frame: u64,
    /// Frames that could not be decompressed to their end.
    damaged: u64,
    /// A newline is due: it ends the line that a damaged frame cut.
    separate: bool,
}

impl ByteStream {
    /// The place of decompressed byte `offset`, for a stream opened at the beginning.
    pub(super) fn place(&self, offset: u64) -> FilePosition {
        if !self.compressed {
            return FilePosition {
                stored: offset,
                skip: 0,
            };
        }
        let after = self.frames.partition_point(|&(first, _)| first <= offset);
        let (first, stored) = after
            .checked_sub(1)
            .and_then(|i| self.frames.get(i).copied())
            .unwrap_or_default();
        FilePosition {
            stored,
            skip: offset - first,
        }
    }

    /// Frames that could not be decompressed to their end.
    pub(super) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Goes to the next frame behind a damaged one; false where there is none.
    fn skip_damage(&mut self) -> io::Result<bool> {
        let mut raw = match std::mem::replace(&mut self.inner, Codec::Done) {
            Codec::Plain(raw) => raw,
            Codec::Zstd(decoder) => decoder.finish(),
            Codec::Done => return Ok(false),
        };
        if self.damaged >= MAX_DAMAGED {
            return Ok(false);
        }
        raw.seek_to(self.frame + 1)?;
        if !raw.find(ZSTD_MAGIC)? {
            return Ok(false);
        }
        self.damaged += 1;
        self.separate = true;
        self.inner = Codec::Plain(raw);
        self.next_frame()
    }

    fn next_frame(&mut self) -> io::Result<bool> {
        let mut raw = match std::mem::replace(&mut self.inner, Codec::Done) {
            Codec::Plain(raw) => raw,
            Codec::Zstd(decoder) => decoder.finish(),
            Codec::Done => return Ok(false),
        };
        if raw.fill_buf()?.is_empty() {
            return Ok(false);
        }
        self.frame = raw.at;
        let spaced = |&(first, _): &(u64, u64)| self.produced - first >= FRAME_SPACING;
        if self.frames.last().is_none_or(spaced) {
            self.frames.push((self.produced, raw.at));
        }
        let mut decoder = zstd::Decoder::with_buffer(raw)?.single_frame();
        decoder.window_log_max(WINDOW)?;
        self.inner = Codec::Zstd(decoder);
        Ok(true)
    }
}

impl Read for ByteStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = match &mut self.inner {
                Codec::Plain(raw) => raw.read(buf)?,
                Codec::Zstd(_) if self.separate && !buf.is_empty() => {
                    self.separate = false;
                    buf[0] = b'\n';
                    1
                }
                Codec::Zstd(decoder) => match decoder.read(buf) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                    Err(error) => {
                        if self.skip_damage()? {
                            continue;
                        }
                        return Err(error);
                    }
                    Ok(0) if !buf.is_empty() => {
                        if self.next_frame()? {
                            continue;
                        }
                        0
                    }
                    Ok(n) => n,
                },
                Codec::Done => 0,
            };
            self.produced += n as u64;
            return Ok(n);
        }
    }
}
