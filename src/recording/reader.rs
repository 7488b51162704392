//! Reads a recording as a stream: header, then events; notes every damage.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::growing::GrowthSignal;
use super::line_reader::{LineReader, MAX_LINE, NextLine};
use super::report::{Damage, ReadReport};
use super::source::{ByteSource, FilePosition};
use super::{Header, RecordingError, SCHEMA};
use crate::event::{ContainerIds, Event, EventError, Kind, LostReason, Timestamp};
use crate::memory::MemoryBudget;

/// The elements of a recording, in order.
#[derive(Debug)]
pub enum RecordedItem<'a> {
    /// An event.
    Event(Box<Event>),
    /// A recorded finding as JSON, to compare the replay with.
    Finding(&'a [u8]),
}

enum Step {
    Event(Box<Event>),
    Finding(std::ops::Range<usize>),
    Other,
    End,
}

/// Reads a recording once, from the beginning.
pub struct RecordingReader {
    header: Header,
    lines: LineReader,
    report: ReadReport,
    last_seq: u64,
    last_ts: Timestamp,
    ids: ContainerIds,
    ended: bool,
    /// The file is still being written; reported when its end was read.
    growth: Option<Arc<GrowthSignal>>,
    /// The finding line returned last.
    finding: Vec<u8>,
}

#[derive(Deserialize)]
struct LineType<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct LineDigest<'a> {
    #[serde(borrow)]
    sha256: Cow<'a, str>,
}

/// Further content of the end line; no digest covers it, so it must match the lines before it.
#[derive(Deserialize)]
struct EndFields<'a> {
    #[serde(borrow)]
    ts: Cow<'a, str>,
    events: u64,
}

impl Header {
    /// Reads the first line of a recording.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        read_header(line)
    }
}

impl RecordingReader {
    /// Opens a recording file, plain or zstd, and reads its header.
    ///
    /// # Errors
    /// When it cannot be read or is not a recording.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        Self::from_source(&ByteSource::file(path))
    }

    /// From now on no more memory than this is used, whatever its first line says.
    #[must_use]
    pub fn within(mut self, limit: Option<MemoryBudget>) -> Self {
        let memory = &mut self.header.settings.memory;
        *memory = limit.map_or(*memory, |limit| limit.min(*memory));
        self
    }

    /// True when a file begins as a recording does. Opened with the rights of the program: only for
    /// files that no user named.
    #[must_use]
    pub fn is_recording(path: &Path) -> bool {
        use std::io::{BufRead as _, BufReader, Read as _};
        const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
        let Ok(file) = std::fs::File::open(path) else {
            return false;
        };
        let mut file = BufReader::new(file.take(MAX_LINE as u64));
        let compressed = file.fill_buf().is_ok_and(|bytes| bytes.starts_with(&MAGIC));
        let mut line = Vec::new();
        let read = if compressed {
            zstd::Decoder::with_buffer(file).and_then(|decoder| {
                let decoded = decoder.take(MAX_LINE as u64);
                BufReader::new(decoded).read_until(b'\n', &mut line)
            })
        } else {
            file.read_until(b'\n', &mut line)
        };
        read.is_ok() && read_header(&line).is_ok()
    }

    /// Reads a recording in memory.
    ///
    /// # Errors
    /// When it is not a recording.
    pub fn from_memory(name: &'static str, bytes: &'static [u8]) -> Result<Self, RecordingError> {
        Self::from_source(&ByteSource::Memory(name, bytes))
    }

    pub(super) fn from_source(source: &ByteSource) -> Result<Self, RecordingError> {
        let name = source.name();
        let mut lines = LineReader::new(source.open(FilePosition::default())?, true);
        let not = |cause: String| RecordingError::NotARecording {
            name: name.clone(),
            cause,
        };
        let header = match lines.next() {
            NextLine::Line(line) => read_header(line).map_err(not)?,
            NextLine::End => return Err(not("the file is empty".to_owned())),
            NextLine::TooLong => return Err(not("its first line is too long".to_owned())),
            NextLine::Cut => return Err(not("it ends within its first line".to_owned())),
            NextLine::Broken(error) => return Err(RecordingError::Read { name, error }),
        };
        let report = ReadReport {
            name,
            lines: 1,
            newer: (header.schema > SCHEMA).then_some(header.schema),
            ..ReadReport::default()
        };
        Ok(Self {
            last_ts: header.started,
            header,
            lines,
            report,
            last_seq: 0,
            ids: ContainerIds::default(),
            ended: false,
            growth: source.growth().cloned(),
            finding: Vec::new(),
        })
    }

    /// The first line.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The report about the file so far.
    #[must_use]
    pub fn report(&self) -> &ReadReport {
        &self.report
    }

    /// The position from which to read the rest again.
    pub(super) fn place(&self) -> FilePosition {
        self.lines.place()
    }

    /// The next event or recorded finding; `None` where the file ends or cannot be read further,
    /// which [`RecordingReader::report`] distinguishes.
    pub fn next_item(&mut self) -> Option<RecordedItem<'_>> {
        loop {
            match self.step() {
                Step::Other => {}
                step => return self.item(step),
            }
        }
    }

    /// The next item without waiting: also `None` when the file is still being written and the next
    /// item may be yet to come.
    pub(super) fn item_that_is_there(&mut self) -> Option<RecordedItem<'_>> {
        while self.growth.is_none() || self.lines.has_next() {
            match self.step() {
                Step::Other => {}
                step => return self.item(step),
            }
        }
        None
    }

    fn item(&self, step: Step) -> Option<RecordedItem<'_>> {
        match step {
            Step::Event(event) => Some(RecordedItem::Event(event)),
            Step::Finding(range) => Some(RecordedItem::Finding(
                self.finding.get(range).unwrap_or_default(),
            )),
            Step::Other | Step::End => None,
        }
    }

    fn step(&mut self) -> Step {
        if self.report.complete {
            return Step::End;
        }
        let number = self.lines.number + 1;
        let line = match self.lines.next() {
            NextLine::Line(line) => line,
            NextLine::TooLong => {
                let limit = MAX_LINE >> 20;
                self.report.lines += 1;
                self.report
                    .note_damage(number, format!("line is longer than {limit} MiB"));
                return Step::Other;
            }
            end => {
                if matches!(end, NextLine::Broken(_)) {
                    self.report.damaged += 1;
                }
                let cause = match end {
                    NextLine::Cut => {
                        Some("the file was cut here; replayed up to this line".to_owned())
                    }
                    NextLine::Broken(e) => Some(format!(
                        "cannot read further: {e}; replayed up to this line"
                    )),
                    _ if self.ended => None,
                    _ => Some(
                        "the file ends without an end line: it was cut or is still being written"
                            .to_owned(),
                    ),
                };
                self.report.cut = cause.map(|cause| Damage {
                    line: number,
                    cause,
                });
                self.report.complete = true;
                self.report.damaged_frames = self.lines.damaged_frames();
                return Step::End;
            }
        };
        self.report.lines += 1;
        if self.ended {
            // None of it belongs to this recording, whoever appended it.
            let cause = match quick_type(line) {
                Some(b"session") => "another recording begins here: separate the two to replay it",
                _ => "there is data after the end line",
            };
            self.report.note_damage(number, cause.to_owned());
            return Step::Other;
        }
        // The writer puts the type first; a line that has it elsewhere is read in full.
        match quick_type(line) {
            Some(b"digest" | b"end") => {}
            Some(b"finding") => {
                self.finding.clear();
                self.finding.extend_from_slice(line);
                return Step::Finding(0..self.finding.len());
            }
            _ => match Event::from_json_sharing(line, &mut self.ids) {
                Ok(event) => {
                    // A `lost` event reports the recorder's own losses.
                    let reported =
                        matches!(&event.kind, Kind::Lost(l) if l.reason == LostReason::Recorder);
                    if self.last_seq > 0 && event.seq > self.last_seq.saturating_add(1) && !reported
                    {
                        let gap = event.seq - self.last_seq - 1;
                        self.report.missing = self.report.missing.saturating_add(gap);
                    }
                    self.last_seq = event.seq;
                    self.last_ts = self.last_ts.max(event.ts);
                    self.report.events += 1;
                    return Step::Event(Box::new(event));
                }
                Err(EventError::UnknownType(kind)) if kind == "digest" || kind == "end" => {}
                Err(EventError::UnknownType(kind)) if kind == "finding" => {
                    self.finding.clear();
                    self.finding.extend_from_slice(line);
                    return Step::Finding(0..self.finding.len());
                }
                Err(EventError::UnknownType(kind)) => {
                    self.report.note_unknown(&kind);
                    return Step::Other;
                }
                Err(EventError::Json(e)) => {
                    // A later version's type may lack the common fields.
                    let unknown = serde_json::from_slice::<LineType<'_>>(line)
                        .ok()
                        .filter(|t| !crate::event::KNOWN_TYPES.contains(&&*t.kind))
                        .map(|t| t.kind.into_owned());
                    match unknown.as_deref() {
                        Some("digest" | "end") => {}
                        Some(kind) => {
                            self.report.note_unknown(kind);
                            return Step::Other;
                        }
                        None => {
                            self.report.note_damage(number, json_cause(&e));
                            return Step::Other;
                        }
                    }
                }
            },
        }
        self.seal(number)
    }

    /// Checks a digest or end line. The line itself is still in the buffer of `lines`.
    fn seal(&mut self, number: u64) -> Step {
        let expected = self.lines.digest();
        let line = self.lines.current();
        let is_end = serde_json::from_slice::<LineType<'_>>(line).is_ok_and(|t| t.kind == "end");
        match serde_json::from_slice::<LineDigest<'_>>(line) {
            Ok(sealed) if expected.as_deref() == Some(&*sealed.sha256) => {
                if self.report.mismatch.is_none() {
                    self.report.digests += 1;
                    self.report.proven = number - 1;
                }
            }
            Ok(_) => {
                self.report.mismatch.get_or_insert(number);
            }
            Err(e) => self.report.note_damage(number, json_cause(&e)),
        }
        if is_end {
            self.ended = true;
            if let Some(growth) = &self.growth {
                growth.over();
            }
            match serde_json::from_slice::<EndFields<'_>>(line) {
                // Lines of unknown types may have been events, too.
                Ok(_) if !self.report.unknown.is_empty() || self.report.damaged > 0 => {}
                Ok(end)
                    if end.events == self.report.events && *end.ts == *self.last_ts.to_string() => {
                }
                Ok(_) => self.report.note_damage(
                    number,
                    "the end line does not match the events before it".to_owned(),
                ),
                Err(e) => self.report.note_damage(number, json_cause(&e)),
            }
        }
        Step::Other
    }
}

impl std::fmt::Debug for RecordingReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordingReader")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

fn quick_type(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(br#"{"type":""#)?;
    rest.get(..rest.iter().take(16).position(|&b| b == b'"')?)
}

/// How files begin that were packed or rewritten after recording, and what undoes it.
const FOREIGN: [(&[u8], &str); 8] = [
    (b"\x1f\x8b", "it is compressed with gzip: unpack it"),
    (b"\xfd7zXZ", "it is compressed with xz: unpack it"),
    (b"BZh", "it is compressed with bzip2: unpack it"),
    (b"PK\x03\x04", "it is in a zip file: unpack it"),
    (
        b"\x28\xb5\x2f\xfd",
        "it is compressed with zstd twice: unpack it once",
    ),
    (
        b"\xef\xbb\xbf",
        "it begins with a byte order mark: remove that",
    ),
    (b"\xff\xfe", "it is encoded as UTF-16: convert it to UTF-8"),
    (b"\xfe\xff", "it is encoded as UTF-16: convert it to UTF-8"),
];

fn read_header(line: &[u8]) -> Result<Header, String> {
    if let Some((_, what)) = FOREIGN.iter().find(|(magic, _)| line.starts_with(magic)) {
        return Err(format!("{what} first"));
    }
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err("its first line is not a JSON object".to_owned());
    }
    let typed: LineType<'_> = serde_json::from_slice(line).map_err(|e| json_cause(&e))?;
    if typed.kind != "session" {
        return Err(format!(
            "its first line has type {:?} instead of \"session\"",
            typed.kind
        ));
    }
    let header: Header = serde_json::from_slice(line).map_err(|e| json_cause(&e))?;
    if header.schema == 0 {
        return Err("its first line has no schema number".to_owned());
    }
    Ok(header)
}

/// Every event is one line, so that serde's "line 1" would only mislead.
fn json_cause(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let cause = text.split(" at line ").next().unwrap_or(&text);
    // What is printed is escaped once more, which would double its backslashes.
    let cause = cause.replace(" (\\u0000-\\u001F)", "");
    let column = error.column();
    format!(
        "{} (column {column})",
        crate::event::escape(cause.as_bytes())
    )
}
