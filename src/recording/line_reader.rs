//! Splits a byte stream into numbered lines of bounded length and hashes them.

use std::io::{self, Read as _};

use bstr::ByteSlice as _;
use sha2::{Digest as _, Sha256};

use super::source::{ByteStream, FilePosition};
use crate::text::hex;

/// A longer line is skipped. The longest genuine line (a process with 100 kB of arguments that are
/// not UTF-8) is below a tenth of this.
pub(super) const MAX_LINE: usize = 8 << 20;

const CHUNK: usize = 128 << 10;

/// The next line, or why there is none.
#[derive(Debug)]
pub(super) enum NextLine<'a> {
    /// A whole line, without its newline.
    Line(&'a [u8]),
    /// A line longer than [`MAX_LINE`] was skipped.
    TooLong,
    /// The file ends in the middle of a line, or of a zstd frame.
    Cut,
    /// The file cannot be read or decompressed further.
    Broken(io::Error),
    /// The file ends after a whole line.
    End,
}

/// Lines of a stream.
pub(super) struct LineReader {
    stream: ByteStream,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were returned already.
    start: usize,
    /// Bytes of `buffer` that hold data.
    end: usize,
    /// Number of the line returned last, from 1.
    pub(super) number: u64,
    /// Decompressed bytes before `start`.
    offset: u64,
    hasher: Option<Sha256>,
    /// Length with newline of the line returned last, hashed only when the next is requested:
    /// a digest line is checked against the bytes before it.
    last: usize,
    failed: Option<io::Error>,
    ended: bool,
}

impl LineReader {
    /// Lines of `stream`; with `hash`, [`LineReader::digest`] is kept.
    pub(super) fn new(stream: ByteStream, hash: bool) -> Self {
        Self {
            stream,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            number: 0,
            offset: 0,
            hasher: hash.then(Sha256::new),
            last: 0,
            failed: None,
            ended: false,
        }
    }

    /// SHA-256 of all bytes before the line returned last.
    pub(super) fn digest(&self) -> Option<String> {
        let hasher = self.hasher.clone()?;
        Some(hex(&hasher.finalize()))
    }

    /// The line returned last, with its newline.
    pub(super) fn current(&self) -> &[u8] {
        self.buffer
            .get(self.start..self.start + self.last)
            .unwrap_or_default()
    }

    /// Compressed frames that could not be read to their end.
    pub(super) fn damaged_frames(&self) -> u64 {
        self.stream.damaged()
    }

    /// From where to read to get the next line again, for a stream opened at the beginning.
    pub(super) fn place(&self) -> FilePosition {
        self.stream.place(self.offset + self.last as u64)
    }

    /// True when the next line need not be read first.
    pub(super) fn has_next(&self) -> bool {
        let rest = self.buffer.get(self.start + self.last..self.end);
        rest.is_some_and(|rest| rest.find_byte(b'\n').is_some())
    }

    /// The next line.
    pub(super) fn next(&mut self) -> NextLine<'_> {
        self.take_last();
        let mut searched = self.start;
        let mut too_long = false;
        loop {
            let newline = self
                .buffer
                .get(searched..self.end)
                .and_then(|data| data.find_byte(b'\n'));
            if let Some(at) = newline {
                self.number += 1;
                self.last = searched + at + 1 - self.start;
                if too_long {
                    return NextLine::TooLong;
                }
                let line = self.start..searched + at;
                return NextLine::Line(self.buffer.get(line).unwrap_or_default());
            }
            if self.end - self.start > MAX_LINE {
                // Only its bytes in the hash are kept.
                too_long = true;
                self.last = self.end - self.start;
                self.take_last();
            }
            searched = self.end;
            if self.ended {
                return self.at_end(too_long);
            }
            let moved = self.fill();
            searched -= moved;
        }
    }

    fn at_end(&mut self, too_long: bool) -> NextLine<'_> {
        let rest = self.end - self.start;
        self.last = rest;
        match self.failed.take() {
            Some(e) if e.kind() != io::ErrorKind::UnexpectedEof => NextLine::Broken(e),
            Some(_) => NextLine::Cut,
            None if rest > 0 || too_long => NextLine::Cut,
            None => NextLine::End,
        }
    }

    /// Hashes and drops the line returned last.
    fn take_last(&mut self) {
        let line = self.start..self.start + self.last;
        if let (Some(hasher), Some(bytes)) = (&mut self.hasher, self.buffer.get(line)) {
            hasher.update(bytes);
        }
        self.start += self.last;
        self.offset += self.last as u64;
        self.last = 0;
    }

    /// Reads more; returns by how much the data moved to the front of the buffer.
    fn fill(&mut self) -> usize {
        let moved = self.start;
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= moved;
        self.start = 0;
        if self.buffer.len() - self.end < CHUNK / 2 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.stream.read(free) {
            Ok(0) => self.ended = true,
            Ok(n) => self.end += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                self.failed = Some(e);
                self.ended = true;
            }
        }
        moved
    }
}
