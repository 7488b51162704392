//! Plays a recording into a [`Core`]: play, pause, step, seek by time, event and finding.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::feed::{EventSource, Feed};
use super::growing::{self, GrowthSignal};
use super::index::{self, FindingMark, Gap, Keyframe, Overview, RecordingIndex};
use super::past::Past;
use super::rates::Rates;
use super::read_ahead::ReadAhead;
use super::reader::RecordingReader;
use super::report::ReadReport;
use super::source::ByteSource;
use super::{Header, RecordingError};
use crate::core::Core;
use crate::event::{ContainerId, Event, Timestamp};
use crate::memory::MemoryBudget;

/// At most this many events are applied by one [`Player::advance`], so that a screen stays alive
/// at any speed; the rest follows with the next call.
const ADVANCE_LIMIT: usize = 10_000;

/// Further behind the present than this, the player seeks to a keyframe.
const FAR: u64 = 20_000;

/// Number of retries when the starting point was dropped meanwhile.
const AGAIN: usize = 4;

/// Plays a recording. The playhead is a time; every event up to it is applied to [`Player::core`].
pub struct Player {
    pub(super) source: EventSource,
    pub(super) header: Header,
    pub(super) core: Core,
    pub(super) feed: Feed,
    /// Read but not yet applied.
    pub(super) pending: Option<Arc<Event>>,
    /// Events applied.
    pub(super) ordinal: u64,
    pub(super) seq: u64,
    pub(super) playhead: Timestamp,
    pub(super) playing: bool,
    /// Follows the present of a recording that is still being written.
    pub(super) following: bool,
    pub(super) speed: f64,
    pub(super) index: Arc<Mutex<RecordingIndex>>,
    /// The recording was still being written when it was opened.
    pub(super) growth: Option<Arc<GrowthSignal>>,
    /// Bytes of the stored file when it was opened.
    pub(super) length: u64,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) indexer: Option<std::thread::JoinHandle<()>>,
}

impl Player {
    /// Opens a recording file, plain or zstd, at its beginning, paused. An index of it is built
    /// meanwhile; until [`Player::indexed`] the span's end and the list of findings grow. Of a
    /// file that is still being written that is so until its writer ends.
    ///
    /// # Errors
    /// When the file cannot be read or is not a recording.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        Self::open_within(path, None)
    }

    /// The same, with no more memory than `limit`, whatever the recording says.
    ///
    /// # Errors
    /// When the file cannot be read or is not a recording.
    pub fn open_within(path: &Path, limit: Option<MemoryBudget>) -> Result<Self, RecordingError> {
        if path.is_file() && growing::path_is_written(path) {
            let source = ByteSource::Growing(path.to_owned(), Arc::default());
            return Self::from_source(source, limit);
        }
        Self::from_source(ByteSource::file(path), limit)
    }

    /// Plays a recording in memory.
    ///
    /// # Errors
    /// When it is not a recording.
    pub fn from_memory(name: &'static str, bytes: &'static [u8]) -> Result<Self, RecordingError> {
        Self::from_source(ByteSource::Memory(name, bytes), None)
    }

    fn from_source(
        source: ByteSource,
        limit: Option<MemoryBudget>,
    ) -> Result<Self, RecordingError> {
        // Its first line exists, or it is not a recording: nothing is waited for.
        RecordingReader::from_source(&source.clone().standing())?;
        let reader = RecordingReader::from_source(&source)?.within(limit);
        let header = reader.header().clone();
        let start = reader.place();
        let growth = source.growth().cloned();
        // Playing never waits: only the index does.
        let source = source.standing();
        let mut feed = Feed::open(&source, start)?;
        let pending = growth.is_none().then(|| feed.next()).flatten();
        let length = source.length();
        let index = Arc::new(Mutex::new(RecordingIndex::default()));
        index.lock().report = reader.report().clone();
        let stop = Arc::new(AtomicBool::new(false));
        let ahead = ReadAhead::start(reader)?;
        let (shared, stopped) = (Arc::clone(&index), Arc::clone(&stop));
        let indexer = std::thread::Builder::new()
            .name("index".to_owned())
            .spawn(move || index::build(ahead, start, &shared, &stopped))
            .map_err(|error| RecordingError::Read {
                name: source.name(),
                error,
            })?;
        Ok(Self {
            core: Core::new(header.settings.clone()),
            playhead: pending.as_ref().map_or(header.started, |e| e.ts),
            source: EventSource::Recording(source),
            header,
            feed,
            pending,
            ordinal: 0,
            seq: 0,
            playing: false,
            following: false,
            speed: 1.0,
            index,
            growth,
            length,
            stop,
            indexer: Some(indexer),
        })
    }

    /// Goes back into the past of a running watch: begins, paused, at the present of `core`, which
    /// is after every event of `past`.
    #[must_use]
    pub fn of_past(past: &Arc<Past>, header: Header, core: Core) -> Self {
        let ordinal = past.events();
        Self {
            playhead: core.state.now,
            core,
            source: EventSource::Past(Arc::clone(past)),
            header,
            feed: Feed::Past(Arc::clone(past), ordinal),
            pending: None,
            ordinal,
            seq: 0,
            playing: false,
            following: false,
            speed: 1.0,
            index: Arc::clone(&past.index),
            growth: None,
            length: 0,
            stop: Arc::default(),
            indexer: None,
        }
    }

    /// Updates the span: the end of a running watch, and of a recording that is still being
    /// written, grows; the beginning of a watch's past is dropped.
    pub(super) fn catch_up(&mut self) -> Result<(), RecordingError> {
        let first = self.first();
        if self.ordinal < first {
            let keyframe = self.last_keyframe(|k| k.ordinal <= first);
            self.resume(keyframe, false)?;
            self.playhead = self.core.state.now;
        } else if self.pending.is_none() {
            self.pending = self.read();
        }
        Ok(())
    }

    /// The number of the oldest reachable event.
    pub(super) fn first(&self) -> u64 {
        match &self.source {
            EventSource::Past(past) => past.first(),
            EventSource::Recording(_) => 0,
        }
    }

    /// Whether it plays the past of a running watch, whose beginning is dropped.
    #[must_use]
    pub fn forgets(&self) -> bool {
        matches!(self.source, EventSource::Past(_))
    }

    /// Goes to the last keyframe `before` the goal, or continues from here if the goal is `ahead`,
    /// and applies events while it is `short` of it.
    pub(super) fn reach(
        &mut self,
        before: impl Fn(&Keyframe) -> bool,
        ahead: impl Fn(&Self) -> bool,
        short: impl Fn(&Self) -> bool,
    ) -> Result<(), RecordingError> {
        self.following = false;
        for _ in 0..AGAIN {
            self.catch_up()?;
            let keyframe = self.last_keyframe(&before);
            self.resume(keyframe, ahead(self))?;
            while short(self) && self.apply_pending() {}
            if self.ordinal >= self.first() {
                break;
            }
        }
        Ok(())
    }

    /// The next event. In a file that is still being written only one that the index has read: a
    /// reader that meets the end of a file in the middle of a line, or of a frame, cannot continue.
    pub(super) fn read(&mut self) -> Option<Arc<Event>> {
        if self.growth.is_some() && self.ordinal >= self.index.lock().events {
            return None;
        }
        self.feed.next()
    }

    /// True while the recording is still being written.
    #[must_use]
    pub fn growing(&self) -> bool {
        self.growth.is_some() && !self.indexed()
    }

    /// True at the present of such a recording; [`Player::advance`] stays there.
    #[must_use]
    pub fn following(&self) -> bool {
        self.following
    }

    /// Goes to the present of a recording that is still being written, and follows it; false for
    /// other recordings.
    pub fn follow(&mut self) -> bool {
        self.playing = false;
        self.following = self.growing();
        self.following
    }

    /// Continues with newly written events.
    fn stay(&mut self) -> Result<usize, RecordingError> {
        let growing = self.growing();
        let before = self.ordinal;
        if self.events() - before > FAR {
            let keyframe = self.last_keyframe(|_| true);
            self.resume(keyframe, true)?;
        }
        self.catch_up()?;
        let mut applied = 0;
        while applied < ADVANCE_LIMIT && self.apply_pending() {
            applied += 1;
        }
        self.playhead = self.playhead.max(self.core.state.now);
        // Whether all of it was applied, and no more will come.
        self.following = growing || self.pending.is_some();
        Ok(usize::try_from(self.ordinal - before).unwrap_or(usize::MAX))
    }

    /// Events per step of time.
    #[must_use]
    pub fn rates(&self) -> Rates {
        self.index.lock().rates.clone()
    }

    /// The recording's first line.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The file's name, as the user gave it.
    #[must_use]
    pub fn name(&self) -> String {
        self.source.name()
    }

    /// The core at the playhead.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The core, to read its changes.
    pub fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    /// The playhead.
    #[must_use]
    pub fn position(&self) -> Timestamp {
        self.playhead
    }

    /// Sequence number of the latest event applied; 0 at the beginning.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Number of events applied.
    #[must_use]
    pub fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Times of the first and the last event, as far as the index has read.
    #[must_use]
    pub fn span(&self) -> (Timestamp, Timestamp) {
        let index = self.index.lock();
        let begin = index.begin.unwrap_or(self.playhead);
        (begin, index.end.max(begin).max(self.core.state.now))
    }

    /// Overview by time, as far as the index has read: of everything, or of these containers.
    #[must_use]
    pub fn overview(&self, of: Option<&BTreeSet<ContainerId>>) -> Overview {
        Overview {
            span: self.span(),
            ..self.index.lock().overview(of)
        }
    }

    /// Number of events in the recording, as far as the index has read.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.index.lock().events.max(self.ordinal)
    }

    /// True once the whole file was read.
    #[must_use]
    pub fn indexed(&self) -> bool {
        self.index.lock().done
    }

    /// How much of the file the index has read, in percent; `None` once it has read everything.
    #[must_use]
    pub fn indexing(&self) -> Option<u64> {
        let index = self.index.lock();
        let reads = !index.done && !index.caught_up && !self.forgets();
        reads.then(|| (index.read.saturating_mul(100) / self.length.max(1)).min(99))
    }

    /// Waits until the whole file was read.
    pub fn wait_indexed(&mut self) {
        if let Some(indexer) = self.indexer.take() {
            // The panic was reported already; the index then stays incomplete.
            let _ = indexer.join();
        }
    }

    /// The report about the file so far.
    #[must_use]
    pub fn report(&self) -> ReadReport {
        self.index.lock().report.clone()
    }

    /// Spans with missing events.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        self.index.lock().gaps.clone()
    }

    /// Positions at which findings are raised, in order.
    #[must_use]
    pub fn findings(&self) -> Vec<FindingMark> {
        self.index.lock().findings.clone()
    }

    /// True when every event was applied.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.pending.is_none()
    }

    /// True while [`Player::advance`] moves the playhead.
    #[must_use]
    pub fn playing(&self) -> bool {
        self.playing || self.following
    }

    /// Plays or pauses.
    pub fn set_playing(&mut self, playing: bool) {
        self.playing = playing;
        self.following = false;
    }

    /// Seconds of the recording per second; 1 at first.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// Sets the speed, between 1/16 and 1024.
    pub fn set_speed(&mut self, speed: f64) {
        if speed.is_finite() {
            self.speed = speed.clamp(1.0 / 16.0, 1024.0);
        }
    }

    /// Lets `elapsed` of real time pass. Returns the number of events applied. Pauses at the end;
    /// where the recording is still being written it stays at its present.
    pub fn advance(&mut self, elapsed: Duration) -> usize {
        if self.following {
            // If a file cannot be read again, the display does not change.
            return self.stay().unwrap_or_else(|_| {
                self.following = false;
                0
            });
        }
        // Dropped events cannot be played; in memory there is no other error.
        if !self.playing || self.catch_up().is_err() {
            return 0;
        }
        let target = self.playhead.plus(elapsed.mul_f64(self.speed));
        let mut applied = 0;
        while applied < ADVANCE_LIMIT && self.pending.as_ref().is_some_and(|e| e.ts <= target) {
            self.apply_pending();
            applied += 1;
        }
        match &self.pending {
            // Dropped while it was played: the next call continues where the memory begins.
            None if self.ordinal < self.first() => {}
            None => {
                self.playing = false;
                self.following = self.growing();
                self.playhead = self.playhead.max(self.core.state.now);
            }
            // Behind: the playhead waits for due events.
            Some(next) if next.ts <= target => self.playhead = self.playhead.max(next.ts),
            Some(_) => self.playhead = target,
        }
        applied
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(growth) = &self.growth {
            growth.stop();
        }
        self.wait_indexed();
    }
}

impl std::fmt::Debug for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Player")
            .field("source", &self.source)
            .field("ordinal", &self.ordinal)
            .field("playhead", &self.playhead)
            .finish_non_exhaustive()
    }
}
