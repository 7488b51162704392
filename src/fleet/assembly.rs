//! Makes one recording of the segments of a host: each event once, in its order.

use std::fs::File;
use std::sync::Arc;

use super::block::{BlockEnd, SegmentDecoder, SegmentId, StreamBlock};
use crate::core::Core;
use crate::event::{ContainerIds, Event};
use crate::memory::MemoryBudget;
use crate::recording::{Header, Writer};

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assembled {
    /// It was taken.
    Taken,
    /// It was taken before, or is of a segment whose beginning is not there.
    Skipped,
    /// It is of another run of the publisher.
    Other,
    /// It was the last one.
    Over,
}

/// The recording so far.
pub struct Assembly {
    /// Until the first header.
    file: Option<File>,
    /// Its largest number of bytes of lines.
    most: u64,
    memory: MemoryBudget,
    written: Option<WrittenRecording>,
    /// The segment that is read, and the number of the next block.
    at: Option<(SegmentId, u64)>,
    decoder: SegmentDecoder,
    ids: ContainerIds,
}

struct WrittenRecording {
    writer: Writer,
    /// Finds what a replay of it finds.
    core: Core,
    /// Number of the last event.
    last: u64,
}

impl Assembly {
    /// Writes into this file, at most so many bytes of lines, and needs no more memory than this.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(file: File, most: u64, memory: MemoryBudget) -> std::io::Result<Self> {
        Ok(Self {
            file: Some(file),
            most,
            memory,
            written: None,
            at: None,
            decoder: SegmentDecoder::new()?,
            ids: ContainerIds::default(),
        })
    }

    /// Takes the next block of the server.
    ///
    /// # Errors
    /// When a block is missing or damaged, or the recording cannot be written: it ends there.
    pub fn take(&mut self, block: &StreamBlock, bytes: &[u8]) -> Result<Assembled, String> {
        match &self.at {
            None if block.number > 0 => return Ok(Assembled::Skipped),
            None => {}
            Some((segment, _)) if segment.session != block.segment.session => {
                return Ok(Assembled::Other);
            }
            Some((segment, next)) => {
                let here = (block.segment.number, block.number);
                if here < (segment.number, *next) {
                    return Ok(Assembled::Skipped);
                }
                let follows = here == (segment.number, *next)
                    || (*next == u64::MAX && here == (segment.number + 1, 0));
                if !follows {
                    return Err(
                        "blocks are missing that were removed before they were read: open the host again"
                            .to_owned(),
                    );
                }
            }
        }
        if block.number == 0 {
            self.decoder = SegmentDecoder::new().map_err(|error| error.to_string())?;
        }
        let mut done = Ok(());
        let Self {
            file,
            written,
            ids,
            memory,
            decoder,
            ..
        } = self;
        let read = decoder.push(bytes, |line| {
            if done.is_ok() {
                done = take_line(line, file, written, ids, *memory);
            }
        });
        read.map_err(|error| format!("a block is damaged: {error}"))?;
        done?;
        let length = self
            .written
            .as_ref()
            .map_or(0, |written| written.writer.bytes());
        if length > self.most {
            return Err(format!(
                "the temporary recording is full at {} MiB",
                self.most >> 20
            ));
        }
        // After its end only the next segment follows.
        let next = match block.end {
            Some(_) => u64::MAX,
            None => block.number + 1,
        };
        self.at = Some((block.segment.clone(), next));
        Ok(match block.end {
            Some(BlockEnd::Stream) => Assembled::Over,
            Some(BlockEnd::Segment) | None => Assembled::Taken,
        })
    }

    /// Writes the end of the recording.
    ///
    /// # Errors
    /// When it cannot be written, or nothing was read.
    pub fn finish(self) -> Result<(), String> {
        let Some(written) = self.written else {
            return Ok(());
        };
        let findings = written.core.detector.findings();
        let done = written.writer.finish(findings);
        done.map(drop).map_err(|error| error.to_string())
    }
}

fn take_line(
    line: &[u8],
    file: &mut Option<File>,
    written: &mut Option<WrittenRecording>,
    ids: &mut ContainerIds,
    memory: MemoryBudget,
) -> Result<(), String> {
    if let Some(file) = file.take_if(|_| line.starts_with(br#"{"type":"session""#)) {
        let header = Header::read(line)?;
        let mut header = header;
        header.settings.memory = header.settings.memory.min(memory);
        *written = Some(WrittenRecording {
            writer: Writer::to_pipe(file, &header).map_err(|error| error.to_string())?,
            core: Core::new(header.settings),
            last: 0,
        });
        return Ok(());
    }
    // Digests, findings and the end are written anew; a later segment begins with the state, which is
    // known.
    let (Some(written), Ok(event)) = (written, Event::from_json_sharing(line, ids)) else {
        return Ok(());
    };
    if event.seq <= written.last {
        return Ok(());
    }
    written.last = event.seq;
    let event = Arc::new(event);
    written.core.apply(&event);
    let findings = written.core.detector.findings();
    written
        .writer
        .record(&event, findings)
        .map_err(|error| error.to_string())
}

impl std::fmt::Debug for Assembly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assembly")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
