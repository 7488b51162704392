//! A running stream as a row of recordings, each of which can be read alone: what a publisher needs.

use std::fs::File;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::core::Core;

/// A stream that is recorded into pipes, one segment after another.
pub trait SegmentSource: Send {
    /// Begins a segment, which contains the state and then every event, and ends the one before. No
    /// event is lost between the two. Never waits for the pipe's reader.
    ///
    /// # Errors
    /// When the stream has ended, or the segment cannot begin.
    fn begin(&mut self, pipe: File) -> Result<(), String>;

    /// Events that were dropped because the pipe's reader was too slow.
    fn lost(&self) -> u64;

    /// Number of the latest event.
    fn last(&self) -> u64;

    /// The state and findings of the whole stream.
    fn core(&self) -> Arc<Mutex<Core>>;
}
