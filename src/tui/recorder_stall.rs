//! Detects a recorder that reports nothing: each second should bring an event.

use std::time::Duration;

use super::text::distance;

/// Shorter silence may be a slow disk, or a busy host.
const LONG: Duration = Duration::from_secs(5);

/// Time since the last event.
#[derive(Debug, Default)]
pub(super) struct RecorderStall {
    so_far: Duration,
    /// The same in whole seconds, as the last frame showed it.
    shown: Option<u64>,
}

impl RecorderStall {
    /// Advances the time, with or without a new event.
    pub(super) fn hear(&mut self, something: bool, elapsed: Duration) {
        self.so_far = if something {
            Duration::ZERO
        } else {
            self.so_far + elapsed
        };
    }

    fn seconds(&self) -> Option<u64> {
        (self.so_far >= LONG).then_some(self.so_far.as_secs())
    }

    /// The silence, if it is long enough to be shown.
    pub(super) fn shown_as(&self) -> Option<String> {
        self.seconds()
            .map(|seconds| distance(Duration::from_secs(seconds)))
    }

    /// Whether the last frame showed another value.
    pub(super) fn is_news(&self) -> bool {
        self.shown != self.seconds()
    }

    /// A frame was drawn.
    pub(super) fn shown(&mut self) {
        self.shown = self.seconds();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_silence_is_shown_and_an_event_ends_it() {
        let mut quiet = RecorderStall::default();
        for _ in 0..9 {
            quiet.hear(false, Duration::from_millis(500));
        }
        assert!(quiet.shown_as().is_none() && !quiet.is_news());
        quiet.hear(false, Duration::from_millis(600));
        assert_eq!(quiet.shown_as().as_deref(), Some("00:05"));
        assert!(quiet.is_news());
        quiet.shown();
        assert!(!quiet.is_news());
        quiet.hear(true, Duration::from_millis(500));
        assert!(quiet.shown_as().is_none() && quiet.is_news());
    }
}
