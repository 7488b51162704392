//! Limits of what is published.

use std::time::Duration;

/// What the server keeps, and how the stream is divided.
#[derive(Debug, Clone)]
pub struct PublishLimits {
    /// Age at which the server removes blocks.
    pub keep: Duration,
    /// Bytes of all hosts that the server keeps. `None`: 10 GiB, or less where the server has less room.
    pub max_bytes: Option<u64>,
    /// Number of servers that keep each block.
    pub replicas: usize,
    /// A reader who begins late reads at most this much time from the beginning of a segment.
    pub segment: Duration,
    /// A segment is ended after these bytes.
    pub segment_bytes: u64,
}

impl Default for PublishLimits {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(24 * 3600),
            max_bytes: None,
            replicas: 1,
            segment: Duration::from_secs(3600),
            segment_bytes: 32 << 20,
        }
    }
}
