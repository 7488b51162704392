//! A block of a recording as a message: its place in the recording, and its digest.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use async_nats::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::text::hex;

const SEGMENT: &str = "Hullwatch-Segment";
const NUMBER: &str = "Hullwatch-Block";
const FIRST: &str = "Hullwatch-First";
const LAST: &str = "Hullwatch-Last";
const DIGEST: &str = "Hullwatch-Sha256";
const END: &str = "Hullwatch-End";
const BEGIN: &str = "Hullwatch-Begin";
/// Bytes of lines that one block may hold: it comes from another host.
const MOST_LINES: usize = 64 << 20;
/// Largest window of a frame, as a power of two.
const WINDOW: u32 = 24;

/// Names one of the recordings that a run of the publisher makes, one after another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentId {
    /// The run: when it began, and a random part.
    pub session: String,
    /// Its number in the run, from 1.
    pub number: u64,
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:06}", self.session, self.number)
    }
}

impl FromStr for SegmentId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (session, number) = text.rsplit_once('-').ok_or(())?;
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if session.is_empty() || session.len() > 64 || !session.chars().all(valid) {
            return Err(());
        }
        let number = number.parse().map_err(drop)?;
        let session = session.to_owned();
        Ok(Self { session, number })
    }
}

/// What ends with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockEnd {
    /// The segment: another one follows.
    Segment,
    /// The stream: hullwatch was ended there.
    Stream,
}

/// A part of a segment. The bytes of all its blocks in their order are a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamBlock {
    /// The segment.
    pub segment: SegmentId,
    /// Its number in the segment, from 0.
    pub number: u64,
    /// Numbers of the first and last event that end in it; `None` when none does.
    pub events: Option<(u64, u64)>,
    /// The number that the server gave the first block of the segment; `None` in that block.
    pub begin: Option<u64>,
    /// Whether it is the last one.
    pub end: Option<BlockEnd>,
}

impl StreamBlock {
    /// The headers of its message.
    #[must_use]
    pub fn headers(&self, bytes: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let number = self.number.to_string();
        let id = format!("hullwatch-{}-{number}", self.segment);
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
        headers.insert(SEGMENT, self.segment.to_string());
        headers.insert(NUMBER, number);
        if let Some((first, last)) = self.events {
            headers.insert(FIRST, first.to_string());
            headers.insert(LAST, last.to_string());
        }
        if let Some(begin) = self.begin {
            headers.insert(BEGIN, begin.to_string());
        }
        match self.end {
            None => {}
            Some(BlockEnd::Segment) => headers.insert(END, "segment"),
            Some(BlockEnd::Stream) => headers.insert(END, "stream"),
        }
        headers.insert(DIGEST, hex(&Sha256::digest(bytes)));
        headers
    }

    /// The block of a message; an error says what is wrong with it.
    ///
    /// # Errors
    /// When a header is missing or invalid, or the bytes are not those of the digest.
    pub fn read(headers: Option<&HeaderMap>, bytes: &[u8]) -> Result<Self, &'static str> {
        let headers = headers.ok_or("it has no headers")?;
        let text = |name: &str| headers.get(name).map(|value| value.as_str());
        let number = |name: &str| text(name)?.parse::<u64>().ok();
        if text(DIGEST) != Some(&hex(&Sha256::digest(bytes))) {
            return Err("its digest does not match");
        }
        let segment = text(SEGMENT).ok_or("it names no segment")?;
        Ok(Self {
            segment: segment.parse().map_err(|()| "it names no segment")?,
            number: number(NUMBER).ok_or("it has no number")?,
            events: number(FIRST).zip(number(LAST)),
            begin: number(BEGIN),
            end: text(END).map(|end| match end {
                "stream" => BlockEnd::Stream,
                _ => BlockEnd::Segment,
            }),
        })
    }
}

/// Takes the lines of a segment out of its blocks.
pub struct SegmentDecoder(zstd::stream::write::Decoder<'static, BlockLines>);

/// Decompressed bytes, bounded.
struct BlockLines(Vec<u8>);

impl Write for BlockLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_LINES {
            return Err(io::Error::other("a block holds too much"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SegmentDecoder {
    /// At the beginning of a segment.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> io::Result<Self> {
        let mut decoder = zstd::stream::write::Decoder::new(BlockLines(Vec::new()))?;
        decoder.window_log_max(WINDOW)?;
        Ok(Self(decoder))
    }

    /// Takes the next block; passes each line that ends in it.
    ///
    /// # Errors
    /// When the bytes are damaged, or hold too much.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()?;
        let lines = &mut self.0.get_mut().0;
        let complete = lines
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        for one in lines
            .get(..complete)
            .unwrap_or_default()
            .split(|b| *b == b'\n')
        {
            if !one.is_empty() {
                line(one);
            }
        }
        lines.drain(..complete);
        lines.shrink_to(64 << 10);
        Ok(())
    }
}

impl fmt::Debug for SegmentDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentDecoder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_its_place_and_its_digest() {
        let block = StreamBlock {
            segment: "20260101T000000-0a1b-000002".parse().unwrap(),
            number: 7,
            events: Some((3, 9)),
            begin: Some(5),
            end: Some(BlockEnd::Stream),
        };
        assert_eq!(block.segment.session, "20260101T000000-0a1b");
        let headers = block.headers(b"bytes");
        assert_eq!(
            StreamBlock::read(Some(&headers), b"bytes"),
            Ok(block.clone())
        );
        assert!(StreamBlock::read(Some(&headers), b"other").is_err());
        assert!(StreamBlock::read(None, b"bytes").is_err());
        let id = headers.get("Nats-Msg-Id").unwrap().as_str();
        assert_eq!(id, "hullwatch-20260101T000000-0a1b-000002-7");
        for wrong in ["", "-1", "a b-1", "a", "a-x", "\u{1b}-1"] {
            assert!(wrong.parse::<SegmentId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn lines_come_out_whole_however_the_bytes_are_cut() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.write_all(b"one\ntwo\nth").unwrap();
        encoder.flush().unwrap();
        encoder.write_all(b"ree\n").unwrap();
        // Another frame follows.
        let mut bytes = encoder.finish().unwrap();
        bytes.extend(zstd::encode_all(&b"four\n"[..], 3).unwrap());
        for size in [1, 3, bytes.len()] {
            let mut decoder = SegmentDecoder::new().unwrap();
            let mut lines = Vec::new();
            for part in bytes.chunks(size) {
                let mut keep = |line: &[u8]| lines.push(String::from_utf8(line.to_vec()).unwrap());
                decoder.push(part, &mut keep).unwrap();
            }
            assert_eq!(lines, ["one", "two", "three", "four"]);
        }
        let mut decoder = SegmentDecoder::new().unwrap();
        assert!(decoder.push(b"no frame", |_| ()).is_err());
        let bomb = zstd::encode_all(&vec![b'x'; MOST_LINES + 1][..], 3).unwrap();
        assert!(SegmentDecoder::new().unwrap().push(&bomb, |_| ()).is_err());
    }
}
