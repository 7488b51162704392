//! The parts that evidence archives have in common: events as lines, JSON files, the tar itself.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use crate::core::Core;
use crate::event::{Timestamp, escape_json};
use crate::masking::mask_json;

/// A file of the archive: its name and content.
pub(super) type ArchiveFile = (&'static str, Vec<u8>);

/// Events that findings rest on.
pub(super) struct EvidenceEvents {
    /// One JSON object a line.
    pub(super) lines: Vec<u8>,
    /// How many they are.
    pub(super) count: usize,
    /// Numbers of those that are no longer in memory.
    pub(super) gone: Vec<u64>,
}

impl EvidenceEvents {
    /// The events with these numbers, in this order.
    ///
    /// # Errors
    /// When an event has no JSON form.
    pub(super) fn of(
        core: &Core,
        numbers: impl IntoIterator<Item = u64>,
        masked: bool,
    ) -> io::Result<Self> {
        let mut events = Self {
            lines: Vec::new(),
            count: 0,
            gone: Vec::new(),
        };
        for number in numbers {
            let Some(event) = core.event(number) else {
                events.gone.push(number);
                continue;
            };
            let mut line = Vec::new();
            event.write_json(&mut line)?;
            if masked {
                let mut value: Value = serde_json::from_slice(&line)?;
                mask_json(&mut value);
                line = serde_json::to_vec(&value)?;
            }
            events.lines.extend_from_slice(&escape_json(&line));
            events.lines.push(b'\n');
            events.count += 1;
        }
        Ok(events)
    }
}

/// A value as a file; `masked`: secrets in it are replaced.
///
/// # Errors
/// When it has no JSON form.
pub(super) fn json_file(value: &impl Serialize, masked: bool) -> io::Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    if masked {
        mask_json(&mut value);
    }
    Ok(escape_json(&serde_json::to_vec_pretty(&value)?).into_owned())
}

/// Writes the archive, all files in one folder.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(
    out: impl Write,
    folder: &str,
    at: Timestamp,
    files: &[ArchiveFile],
) -> io::Result<()> {
    append(tar::Builder::new(out), folder, at, files)
}

/// Adds these files to an archive and ends it.
///
/// # Errors
/// When it cannot be written.
pub(super) fn append<W: Write>(
    mut archive: tar::Builder<W>,
    folder: &str,
    at: Timestamp,
    files: &[ArchiveFile],
) -> io::Result<()> {
    let seconds = u64::try_from(at.seconds()).unwrap_or(0);
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(seconds);
        archive.append_data(&mut header, format!("{folder}/{name}"), content.as_slice())?;
    }
    archive.into_inner()?.flush()
}
