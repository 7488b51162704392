//! Seeking in a recording: by event, time, or finding.

use super::RecordingError;
use super::feed::{EventSource, Feed};
use super::index::{FindingMark, Keyframe};
use super::player::Player;
use super::reader::RecordingReader;
use crate::core::Core;
use crate::detect::FindingId;
use crate::event::Timestamp;

impl Player {
    /// Applies one event and moves the playhead to it. Returns false at the end.
    pub fn step(&mut self) -> bool {
        self.following = false;
        if self.catch_up().is_err() || !self.apply_pending() {
            return false;
        }
        self.playhead = self.core.state.now;
        true
    }

    /// Goes back by one event. Returns false at the beginning.
    ///
    /// # Errors
    /// When the file cannot be read again.
    pub fn step_back(&mut self) -> Result<bool, RecordingError> {
        match self.ordinal.checked_sub(1) {
            // Dropped events cannot be reached.
            Some(before) if before < self.first() => Ok(false),
            Some(before) => self.seek_ordinal(before).map(|()| true),
            None => Ok(false),
        }
    }

    /// Moves the playhead to `to`, limited to the recording's span.
    ///
    /// # Errors
    /// When the file cannot be read again.
    pub fn seek(&mut self, to: Timestamp) -> Result<(), RecordingError> {
        self.reach(
            |keyframe| keyframe.now <= to,
            |player| player.ordinal > 0 && player.core.state.now <= to,
            |player| player.pending.as_ref().is_some_and(|e| e.ts <= to),
        )?;
        let begin = self.index.lock().begin.unwrap_or(to);
        let end = if self.at_end() {
            self.core.state.now
        } else {
            to
        };
        self.playhead = to.min(end).max(begin);
        Ok(())
    }

    /// Moves to just after the event with sequence number `seq` (or the first after it).
    ///
    /// # Errors
    /// When the file cannot be read again.
    pub fn seek_seq(&mut self, seq: u64) -> Result<(), RecordingError> {
        self.reach(
            |keyframe| keyframe.seq < seq,
            |player| player.seq < seq,
            |player| player.seq < seq,
        )?;
        self.playhead = self.core.state.now;
        Ok(())
    }

    /// Moves to just after the first `ordinal` events.
    ///
    /// # Errors
    /// When the file cannot be read again.
    pub fn seek_ordinal(&mut self, ordinal: u64) -> Result<(), RecordingError> {
        self.reach(
            |keyframe| keyframe.ordinal <= ordinal,
            |player| player.ordinal <= ordinal,
            |player| player.ordinal < ordinal,
        )?;
        self.playhead = match (&self.pending, self.ordinal) {
            (Some(first), 0) => first.ts,
            _ => self.core.state.now,
        };
        Ok(())
    }

    /// Moves to where a finding is raised. Returns false when the recording has no such finding,
    /// as far as the index has read.
    ///
    /// # Errors
    /// When the file cannot be read again.
    pub fn seek_finding(&mut self, id: FindingId) -> Result<bool, RecordingError> {
        let mark = self.find_mark(|marks| marks.iter().find(|m| m.id == id).cloned());
        self.seek_mark(mark)
    }

    /// Moves to the next finding after the playhead. Returns false when there is none.
    ///
    /// # Errors
    /// When the file cannot be read again.
    pub fn next_finding(&mut self) -> Result<bool, RecordingError> {
        let here = self.ordinal;
        let mark = self.find_mark(|m| m.iter().find(|m| m.ordinal > here).cloned());
        self.seek_mark(mark)
    }

    /// Moves to the last finding before the playhead. Returns false when there is none.
    ///
    /// # Errors
    /// When the file cannot be read again.
    pub fn previous_finding(&mut self) -> Result<bool, RecordingError> {
        let here = self.ordinal;
        let mark = self.find_mark(|m| m.iter().rfind(|m| m.ordinal < here).cloned());
        self.seek_mark(mark)
    }

    fn find_mark(
        &self,
        pick: impl FnOnce(&[FindingMark]) -> Option<FindingMark>,
    ) -> Option<FindingMark> {
        pick(&self.index.lock().findings)
    }

    fn seek_mark(&mut self, mark: Option<FindingMark>) -> Result<bool, RecordingError> {
        match mark {
            Some(mark) => self.seek_ordinal(mark.ordinal).map(|()| true),
            None => Ok(false),
        }
    }

    /// The last keyframe for which `before` holds; it holds for a prefix of them.
    pub(super) fn last_keyframe(&self, before: impl Fn(&Keyframe) -> bool) -> Option<Keyframe> {
        let index = self.index.lock();
        let after = index.keyframes.partition_point(before);
        index.keyframes.get(after.saturating_sub(1)).cloned()
    }

    /// Continues from here when the target is ahead and no keyframe is nearer to it.
    pub(super) fn resume(
        &mut self,
        keyframe: Option<Keyframe>,
        forward: bool,
    ) -> Result<(), RecordingError> {
        match keyframe {
            Some(k) if !forward || k.ordinal > self.ordinal => {
                let core = k.core.core().ok_or_else(|| RecordingError::Read {
                    name: self.source.name(),
                    error: std::io::ErrorKind::InvalidData.into(),
                })?;
                // Nothing after this can fail: core and feed change together.
                self.feed = self.source.open(&k)?;
                self.core = core;
                self.ordinal = k.ordinal;
                self.seq = k.seq;
                self.pending = self.read();
            }
            None if !forward => {
                // The index has not even begun: from the first line on.
                let EventSource::Recording(source) = &self.source else {
                    return Ok(());
                };
                let reader = RecordingReader::from_source(source)?;
                self.feed = Feed::open(source, reader.place())?;
                self.core = Core::new(self.header.settings.clone());
                self.ordinal = 0;
                self.seq = 0;
                self.pending = self.read();
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn apply_pending(&mut self) -> bool {
        let Some(event) = self.pending.take() else {
            return false;
        };
        self.core.apply(&event);
        self.ordinal += 1;
        self.seq = self.seq.max(event.seq);
        self.pending = self.read();
        true
    }
}
