//! The stream on disk: write, read, verify, play.
//!
//! JSON Lines, optionally zstd. The first line is the [`Header`], then events as they came; a
//! `digest` line after each tick holds the SHA-256 of all bytes before it; `finding` lines are
//! for people with `jq` and for comparison, never an input of a replay; the last line is `end`.

mod ahead;
mod compare;
mod error;
mod header;
mod index;
mod lines;
mod past;
mod player;
mod reader;
mod recorder;
mod report;
mod seek;
mod source;
mod tail;
mod writer;

pub use ahead::{Ahead, Batch, Piece};
pub use compare::Comparison;
pub use error::SessionError;
pub use header::{Blind, Header, Redaction, SCHEMA, cgroup_mode};
pub use index::{FindingMark, Gap, Overview};
pub use past::{PAST_BYTES, Past, Rates};
pub use player::Player;
pub use reader::{Item, Reader};
pub use recorder::{Recorder, RecorderStatus};
pub use report::{Damage, ReadReport};
pub use tail::{is_written, path_is_written};
pub use writer::{Summary, Writer, finding_line};

#[cfg(test)]
mod tests;
