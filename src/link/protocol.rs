//! The messages of a link.
//!
//! The collector's side begins with a line, [`Hello`]; login scripts may print lines before it. Then it
//! sends frames. The screen's side answers with lines: where to continue, what it has, and the end.

use std::fmt;

use bstr::ByteSlice as _;

/// The version of these messages.
pub const PROTOCOL: u32 = 1;

/// The first word of the greeting.
const MARK: &str = "HULLWATCH-LINK";
/// Longest greeting, bytes.
const MOST_HELLO: usize = 256;
/// Longest content of a frame that is accepted, bytes.
const MOST_CONTENT: usize = 64 << 10;
/// Bytes before the content of a frame.
pub(super) const HEAD: usize = 13;

/// The greeting of the collector's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its [`PROTOCOL`].
    pub protocol: u32,
    /// Its version of hullwatch.
    pub version: String,
    /// The collector is there; otherwise it has ended.
    pub there: bool,
}

impl Hello {
    /// The greeting of this version.
    #[must_use]
    pub fn here(there: bool) -> Self {
        Self {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            there,
        }
    }

    /// Reads a line; `None` when it is no greeting.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        // A login script may have printed something without a newline before it.
        let line = line.get(line.find(MARK)? + MARK.len()..)?;
        if line.len() > MOST_HELLO {
            return None;
        }
        let line = std::str::from_utf8(line).ok()?.strip_prefix(' ')?;
        let mut words = line.trim_end().split(' ');
        Some(Self {
            protocol: words.next()?.parse().ok()?,
            version: words.next()?.to_owned(),
            there: words.next()? == "ready",
        })
    }
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = if self.there { "ready" } else { "gone" };
        write!(f, "{MARK} {} {} {there}", self.protocol, self.version)
    }
}

/// A message to the screen's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// Bytes of the recording, with the offset of the first.
    Data(u64, Vec<u8>),
    /// The recording is complete.
    End,
}

impl Frame {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (kind, offset, content): (u8, u64, &[u8]) = match self {
            Self::Data(offset, content) => (b'd', *offset, content),
            Self::End => (b'e', 0, &[]),
        };
        out.push(kind);
        out.extend(
            u32::try_from(content.len())
                .unwrap_or(u32::MAX)
                .to_be_bytes(),
        );
        out.extend(offset.to_be_bytes());
        out.extend(content);
    }

    /// Takes a frame from the front of `bytes`; `None` when it is not there completely.
    ///
    /// # Errors
    /// When it is no frame.
    pub(super) fn take(bytes: &mut Vec<u8>) -> Result<Option<Self>, String> {
        let Some((head, rest)) = bytes.split_at_checked(HEAD) else {
            return Ok(None);
        };
        let (kind, head) = head.split_at(1);
        let (length, offset) = head.split_at(4);
        let length = length
            .try_into()
            .map(u32::from_be_bytes)
            .unwrap_or_default();
        let offset = offset
            .try_into()
            .map(u64::from_be_bytes)
            .unwrap_or_default();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > MOST_CONTENT {
            return Err(format!("a message of {length} bytes"));
        }
        let Some(content) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = match kind {
            b"d" => Self::Data(offset, content.to_vec()),
            b"e" => Self::End,
            _ => return Err("a message of an unknown kind".to_owned()),
        };
        bytes.drain(..HEAD + length);
        Ok(Some(frame))
    }
}

/// A line to the collector's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScreenAnswer {
    /// Send from this offset on.
    From(u64),
    /// Everything before this offset is here.
    Has(u64),
    /// The screen was closed.
    Bye,
}

impl ScreenAnswer {
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let (word, number) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "from" => number.parse().ok().map(Self::From),
            "has" => number.parse().ok().map(Self::Has),
            "bye" => Some(Self::Bye),
            _ => None,
        }
    }
}

impl fmt::Display for ScreenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(offset) => writeln!(f, "from {offset}"),
            Self::Has(offset) => writeln!(f, "has {offset}"),
            Self::Bye => writeln!(f, "bye"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let hello = Hello::here(true);
        assert_eq!(Hello::parse(format!("{hello}\n").as_bytes()), Some(hello));
        let gone = Hello::here(false);
        let after_a_prompt = format!("$ {gone}");
        assert_eq!(Hello::parse(after_a_prompt.as_bytes()), Some(gone.clone()));
        assert_eq!(
            Hello::parse(format!("motd{gone}\r\n").as_bytes()),
            Some(gone)
        );
        for line in ["", "hello", "HULLWATCH-LINK", "HULLWATCH-LINK x 1 ready"] {
            assert_eq!(Hello::parse(line.as_bytes()), None, "{line}");
        }
        for answer in [
            ScreenAnswer::From(7),
            ScreenAnswer::Has(u64::MAX),
            ScreenAnswer::Bye,
        ] {
            let line = answer.to_string();
            assert_eq!(
                ScreenAnswer::parse(line.trim_end().as_bytes()),
                Some(answer)
            );
        }
        let frames = [
            Frame::Data(3, b"abc".to_vec()),
            Frame::Data(6, Vec::new()),
            Frame::End,
        ];
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut bytes));
        let last = bytes.split_off(bytes.len() - 1);
        let mut read = Vec::new();
        while let Some(frame) = Frame::take(&mut bytes).unwrap() {
            read.push(frame);
        }
        assert_eq!(read, frames[..2]);
        bytes.extend(last);
        assert_eq!(Frame::take(&mut bytes), Ok(Some(Frame::End)));
        assert!(bytes.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_are_refused_or_wait_for_more(
            mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        ) {
            let before = bytes.len();
            while let Ok(Some(_)) = Frame::take(&mut bytes) {}
            proptest::prop_assert!(bytes.len() <= before);
            let _ = (Hello::parse(&bytes), ScreenAnswer::parse(&bytes));
        }
    }
}
