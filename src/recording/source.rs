//! The bytes of a recording: from a file or memory, plain or zstd, from any known position.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::RecordingError;
use super::growing::{GrowingFile, GrowthSignal};

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Frames nearer than this are not noted, so that a file of tiny frames costs no memory.
const FRAME_SPACING: u64 = 1 << 20;

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

    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Growing(path, _) => path.display().to_string(),
            Self::Memory(name, _) => (*name).to_owned(),
        }
    }

    /// What tells a reader that it need not wait for more; `None` where it never does.
    pub(super) fn growth(&self) -> Option<&Arc<GrowthSignal>> {
        match self {
            Self::Growing(_, growth) => Some(growth),
            Self::File(_) | Self::Memory(..) => None,
        }
    }

    /// The same bytes, as far as they are written.
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
        let file = |path| File::open(path).map(|file| BufReader::with_capacity(128 << 10, file));
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
    /// Bytes handed out since `open`.
    produced: u64,
    compressed: bool,
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

    fn next_frame(&mut self) -> io::Result<bool> {
        let mut raw = match std::mem::replace(&mut self.inner, Codec::Done) {
            Codec::Plain(raw) => raw,
            Codec::Zstd(decoder) => decoder.finish(),
            Codec::Done => return Ok(false),
        };
        if raw.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let spaced = |&(first, _): &(u64, u64)| self.produced - first >= FRAME_SPACING;
        if self.frames.last().is_none_or(spaced) {
            self.frames.push((self.produced, raw.at));
        }
        self.inner = Codec::Zstd(zstd::Decoder::with_buffer(raw)?.single_frame());
        Ok(true)
    }
}

impl Read for ByteStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = match &mut self.inner {
                Codec::Plain(raw) => raw.read(buf)?,
                Codec::Zstd(decoder) => match decoder.read(buf)? {
                    0 if !buf.is_empty() => {
                        if self.next_frame()? {
                            continue;
                        }
                        0
                    }
                    n => n,
                },
                Codec::Done => 0,
            };
            self.produced += n as u64;
            return Ok(n);
        }
    }
}
