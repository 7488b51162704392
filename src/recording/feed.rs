//! The source of a player's events: a recording's lines, or the past kept in memory.

use std::sync::Arc;

use super::RecordingError;
use super::index::Keyframe;
use super::line_reader::{LineReader, NextLine};
use super::past::Past;
use super::source::{ByteSource, FilePosition};
use crate::event::{ContainerIds, Event};

/// Events from a position on, without verification: the index does that.
pub(super) enum Feed {
    Recording(Box<(LineReader, ContainerIds)>),
    /// The number of the next event.
    Past(Arc<Past>, u64),
}

/// The source of a player's events.
#[derive(Debug)]
pub(super) enum EventSource {
    Recording(ByteSource),
    Past(Arc<Past>),
}

impl EventSource {
    pub(super) fn open(&self, keyframe: &Keyframe) -> Result<Feed, RecordingError> {
        match self {
            Self::Recording(source) => Feed::open(source, keyframe.place),
            Self::Past(past) => Ok(Feed::Past(Arc::clone(past), keyframe.ordinal)),
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Recording(source) => source.name(),
            Self::Past(_) => "memory".to_owned(),
        }
    }
}

impl Feed {
    pub(super) fn open(source: &ByteSource, place: FilePosition) -> Result<Self, RecordingError> {
        let lines = LineReader::new(source.open(place)?, false);
        Ok(Self::Recording(Box::new((lines, ContainerIds::default()))))
    }

    pub(super) fn next(&mut self) -> Option<Arc<Event>> {
        let (lines, ids) = match self {
            Self::Recording(recording) => (&mut recording.0, &mut recording.1),
            Self::Past(past, next) => {
                let event = past.get(*next)?;
                *next += 1;
                return Some(event);
            }
        };
        loop {
            match lines.next() {
                NextLine::Line(line) => {
                    if let Ok(event) = Event::from_json_sharing(line, ids) {
                        return Some(Arc::new(event));
                    }
                }
                NextLine::TooLong => {}
                NextLine::Cut | NextLine::Broken(_) | NextLine::End => return None,
            }
        }
    }
}
