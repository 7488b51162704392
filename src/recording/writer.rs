//! Writes a recording: appends lines, flushes at each tick, never overwrites.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::AtomicU64;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::output::{RecordingOutput, WhenFull};
use super::{Header, RecordingError};
use crate::detect::Finding;
use crate::event::{Event, Kind, Timestamp};
use crate::text::hex;
use crate::user_files;

/// Result of a finished recording.
#[derive(Default, Debug, Clone, PartialEq, Eq)]
pub struct RecordingSummary {
    /// Where.
    pub path: PathBuf,
    /// Events.
    pub events: u64,
    /// Bytes of lines, before compression.
    pub bytes: u64,
    /// How often others had written into the file; what they wrote was cut off.
    pub foreign: u64,
}

/// Writes one recording file.
pub struct Writer {
    output: RecordingOutput,
    hasher: Sha256,
    line: Vec<u8>,
    events: u64,
    bytes: u64,
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
        Self::begin(RecordingOutput::create(path)?, header).inspect_err(|_| {
            // Nothing is in it: without it the name can be used once there is room.
            let _ = user_files::remove(path);
        })
    }

    /// Writes the header into a pipe or an open file, compressed as everything after it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn to_pipe(pipe: File, header: &Header) -> Result<Self, RecordingError> {
        let output = RecordingOutput::to_pipe(pipe);
        let output = output.map_err(|error| RecordingError::create(Path::new("the link"), error));
        Self::begin(output?, header)
    }

    fn begin(output: RecordingOutput, header: &Header) -> Result<Self, RecordingError> {
        let mut writer = Self {
            output,
            hasher: Sha256::new(),
            line: Vec::with_capacity(4096),
            events: 0,
            bytes: 0,
            last: header.started,
            written: Vec::new(),
        };
        writer.tagged("session", header)?;
        writer.flush()?;
        Ok(writer)
    }

    /// From now on `when_full` decides how long a full disk is waited for.
    pub(super) fn when_full(&mut self, when_full: WhenFull) {
        self.output.when_full(when_full);
    }

    /// Where it writes.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.output.path()
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

    /// Passes everything written so far to the operating system.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<(), RecordingError> {
        self.output.flush()
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
        let path = self.output.path().to_owned();
        let foreign = self.output.finish()?;
        Ok(RecordingSummary {
            path,
            events: self.events,
            bytes: self.bytes,
            foreign,
        })
    }

    /// Lets a test put a failing file in place of the real one.
    #[cfg(test)]
    pub(super) fn redirect(&mut self, file: File) {
        self.output.redirect(file);
    }

    /// For tests: the disk accepts only this many further bytes.
    #[cfg(test)]
    pub(super) fn limit(&mut self, room: &Arc<AtomicU64>) {
        self.output.limit(room);
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
        self.bytes += u64::try_from(self.line.len()).unwrap_or(u64::MAX);
        self.output.write(&self.line)
    }

    fn fail(&self, error: io::Error) -> RecordingError {
        self.output.fail(error)
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("path", &self.output.path())
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
