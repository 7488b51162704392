//! Recordings: the event stream on disk. Writes, reads, verifies and plays it.
//!
//! JSON Lines, optionally zstd. The first line is the [`Header`], then events as they came; a
//! `digest` line after each tick holds the SHA-256 of all bytes before it; `finding` lines are for
//! `jq` and for comparison, never an input of a replay; the last line is `end`.

mod backlog;
mod compare;
#[cfg(test)]
pub(crate) mod demo;
mod error;
mod feed;
mod growing;
mod header;
mod index;
mod line_reader;
mod output;
mod past;
mod player;
mod rates;
mod read_ahead;
mod reader;
mod recorder;
mod report;
pub mod ring;
mod seek;
mod segments;
mod source;
mod writer;

pub use compare::Comparison;
pub use error::RecordingError;
pub use growing::{is_written, path_is_written};
pub use header::{BlindRule, Header, Redaction, SCHEMA, cgroup_mode};
pub use index::{FindingMark, Gap, Overview};
pub use past::{PAST_BYTES, Past};
pub use player::Player;
pub use rates::Rates;
pub use read_ahead::{Batch, ReadAhead, RecordingPiece};
pub use reader::{RecordedItem, RecordingReader};
pub use recorder::{Follower, Recorder, RecorderStatus, RecordingTarget};
pub use report::{Damage, ReadReport};
pub use segments::SegmentSource;
pub use writer::{RecordingSummary, Writer, finding_line};

#[cfg(test)]
mod tests;
