//! The recent past of a running watch, in memory, for a [`super::Player`].
//!
//! Events are stored in stretches; only the newest is uncompressed. Some begin with a keyframe,
//! which is compressed as well: on a host with many short-lived processes it holds thousands that
//! ended. Beyond the limit the oldest are dropped, up to the next keyframe; the newest two
//! keyframes and everything between them always stay.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::index::{IndexBuilder, KeptCore, Keyframe, Overview, RecordingIndex};
use super::report::ReadReport;
use super::source::FilePosition;
use crate::core::{Core, PackedCore};
use crate::event::{ContainerId, Event, Kind, Timestamp, pack, unpack};

/// Number of events of a stretch.
const STRETCH: usize = 4096;
/// Number of events after which there may be another keyframe, and after which there is one: a step
/// back replays at most about that many.
const KEYFRAME: (u64, u64) = (16_384, 65_536);
/// A keyframe that is larger than the events after it waits until they take this many times its
/// size: a longer past is worth more than a quick step.
const EVENTS_PER_KEYFRAME: usize = 2;
/// Bytes held by default.
pub const PAST_BYTES: usize = 12 << 20;

struct Stretch {
    /// Number of earlier events of the watch.
    first: u64,
    /// Time of its first event, if there is one.
    begin: Option<Timestamp>,
    /// Its events; empty when packed.
    events: Vec<Arc<Event>>,
    packed: Arc<[u8]>,
    /// It begins with a keyframe.
    bytes: usize,
}

#[derive(Default)]
struct PastBuffer {
    stretches: VecDeque<Stretch>,
    bytes: usize,
    /// Events since the last keyframe, and their size in bytes.
    since: (u64, usize),
    /// Bytes of the last keyframe that was packed.
    keyframe: usize,
    /// The numbers of keyframes that are not packed yet.
    whole: Vec<u64>,
    walk: IndexBuilder,
}

/// Events by the number of the first.
type Unpacked = (u64, Vec<Arc<Event>>);

/// The recent past: events and keyframes, bounded in bytes (as estimated).
pub struct Past {
    limit: usize,
    tape: Mutex<PastBuffer>,
    /// The stretch that was read last.
    unpacked: Mutex<Unpacked>,
    pub(super) index: Arc<Mutex<RecordingIndex>>,
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Past")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Past {
    /// Keeps about `limit` bytes of the events that follow `core`.
    #[must_use]
    pub fn new(limit: usize, core: &Core) -> Self {
        let past = Self {
            limit,
            tape: Mutex::default(),
            unpacked: Mutex::default(),
            index: Arc::default(),
        };
        past.tape.lock().begin(core, true, &mut past.index.lock());
        past.settle();
        past
    }

    /// Packs a keyframe that [`Past::push`] stored unpacked. This takes a while on a busy host: the
    /// pushing thread calls it while the core is unlocked.
    pub fn settle(&self) {
        let whole = std::mem::take(&mut self.tape.lock().whole);
        whole
            .into_iter()
            .for_each(|ordinal| self.settle_one(ordinal));
    }

    fn settle_one(&self, ordinal: u64) {
        let at =
            |index: &RecordingIndex| index.keyframes.iter().rposition(|k| k.ordinal == ordinal);
        let whole = {
            let index = self.index.lock();
            match at(&index).map(|at| index.keyframes[at].core.clone()) {
                Some(KeptCore::Whole(core)) => core,
                _ => return,
            }
        };
        let frozen = whole.freeze();
        let bytes = frozen
            .as_ref()
            .map_or_else(|| weight_of(&whole), PackedCore::bytes);
        drop(whole);
        let mut tape = self.tape.lock();
        let mut index = self.index.lock();
        let Some(at) = at(&index) else {
            return;
        };
        if let Some(frozen) = frozen {
            index.keyframes[at].core = KeptCore::PackedCore(Arc::new(frozen));
        }
        let estimated = std::mem::replace(&mut tape.keyframe, bytes);
        if let Some(stretch) = tape.stretches.iter_mut().find(|s| s.first == ordinal) {
            stretch.bytes = (stretch.bytes + bytes).saturating_sub(estimated);
            tape.bytes = (tape.bytes + bytes).saturating_sub(estimated);
        }
    }

    /// Adds an event; `core` has applied it.
    pub fn push(&self, event: &Arc<Event>, core: &Core) {
        let mut tape = self.tape.lock();
        let mut index = self.index.lock();
        tape.walk.event(event, core);
        if let Some(stretch) = tape.stretches.back_mut() {
            let bytes = weight(event);
            stretch.begin.get_or_insert(event.ts);
            stretch.events.push(Arc::clone(event));
            stretch.bytes += bytes;
            let events = stretch.events.len();
            let full = events >= STRETCH || (events > 64 && stretch.bytes >= self.limit / 4);
            tape.bytes += bytes;
            if full {
                tape.pack();
                let keyframe = tape.due(self.limit);
                tape.begin(core, keyframe, &mut index);
            }
        }
        tape.walk.publish(ReadReport::default(), &mut index);
        while tape.bytes > self.limit && tape.forget(&mut index) {}
    }

    /// Number of events so far, including dropped ones.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.index.lock().events
    }

    /// The number of the oldest event that is kept.
    pub(super) fn first(&self) -> u64 {
        self.tape.lock().stretches.front().map_or(0, |s| s.first)
    }

    /// The event with that number, from 0; `None` when it was dropped or is yet to come.
    pub(super) fn get(&self, number: u64) -> Option<Arc<Event>> {
        let (first, packed) = {
            let tape = self.tape.lock();
            let after = tape.stretches.partition_point(|s| s.first <= number);
            let stretch = tape.stretches.get(after.checked_sub(1)?)?;
            let at = usize::try_from(number - stretch.first).ok()?;
            if stretch.packed.is_empty() {
                return stretch.events.get(at).cloned();
            }
            (stretch.first, Arc::clone(&stretch.packed))
        };
        let mut unpacked = self.unpacked.lock();
        if unpacked.0 != first || unpacked.1.is_empty() {
            let events = unpack(&packed)?;
            *unpacked = (first, events.into_iter().map(Arc::new).collect());
        }
        let at = usize::try_from(number - first).ok()?;
        unpacked.1.get(at).cloned()
    }

    /// Overview of the past: of everything, or of these containers.
    #[must_use]
    pub fn overview(&self, of: Option<&BTreeSet<ContainerId>>) -> Overview {
        self.index.lock().overview(of)
    }

    /// Estimated size in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tape.lock().bytes
    }
}

impl PastBuffer {
    /// Whether another keyframe is worth its size.
    fn due(&self, limit: usize) -> bool {
        let (events, bytes) = self.since;
        let (least, most) = KEYFRAME;
        bytes >= limit / 4
            || events >= most
            || (events >= least && bytes >= EVENTS_PER_KEYFRAME * self.keyframe)
    }

    fn begin(&mut self, core: &Core, keyframe: bool, index: &mut RecordingIndex) {
        let mut bytes = 0;
        if keyframe {
            // A clone shares nearly everything with the core. It is packed later, to about the size
            // of the one before.
            bytes = self.keyframe;
            index.keyframes.push(Keyframe {
                ordinal: self.walk.events,
                seq: self.walk.seq,
                place: FilePosition::default(),
                now: core.state.now,
                core: KeptCore::Whole(Arc::new(core.clone())),
            });
            self.since = (0, 0);
            self.whole.push(self.walk.events);
        }
        self.bytes += bytes;
        self.stretches.push_back(Stretch {
            first: self.walk.events,
            begin: None,
            events: Vec::new(),
            packed: Arc::default(),
            bytes,
        });
    }

    /// Packs the newest stretch, which is full. If that fails it stays unpacked.
    fn pack(&mut self) {
        let Some(stretch) = self.stretches.back_mut() else {
            return;
        };
        self.since.0 += stretch.events.len() as u64;
        let Some(packed) = pack(stretch.events.iter().map(|event| &**event)) else {
            self.since.1 += stretch.bytes;
            return;
        };
        let held: usize = stretch.events.iter().map(|event| weight(event)).sum();
        let saved = held.saturating_sub(packed.len());
        stretch.bytes -= saved;
        self.bytes -= saved;
        self.since.1 += packed.len();
        stretch.packed = packed.into();
        stretch.events = Vec::new();
    }

    /// Drops the oldest stretches up to the next keyframe; false when these must stay.
    fn forget(&mut self, index: &mut RecordingIndex) -> bool {
        // The newest keyframe has no events after it yet: alone it would be no past.
        let [_, next, _, ..] = &index.keyframes[..] else {
            return false;
        };
        let (next, now) = (next.ordinal, next.now);
        while self.stretches.front().is_some_and(|s| s.first < next) {
            if let Some(gone) = self.stretches.pop_front() {
                self.bytes -= gone.bytes;
            }
        }
        index.keyframes.remove(0);
        let first = self.stretches.front().and_then(|stretch| stretch.begin);
        // The past begins there, whatever else is known.
        let begin = first.unwrap_or(now).max(now);
        self.walk.begin = Some(begin);
        index.begin = Some(begin);
        index.findings.retain(|mark| mark.ordinal > next);
        index.gaps.retain(|gap| gap.to >= begin);
        index.rates.forget(begin);
        index.by_container.retain(|_, rates| {
            rates.forget(begin);
            (rates.first + 1) * rates.step > begin.seconds()
        });
        true
    }
}

/// Approximate size of an event.
fn weight(event: &Event) -> usize {
    let held = match &event.kind {
        Kind::Exec(k) => {
            let argv: usize = k.argv.iter().map(|arg| arg.len() + 32).sum();
            size_of_val(&**k) + argv + k.exe.len() + k.cwd.len()
        }
        Kind::Process(k) => {
            let argv: usize = k.argv.iter().map(|arg| arg.len() + 32).sum();
            size_of_val(&**k) + argv + k.exe.len() + k.cwd.len()
        }
        Kind::File(k) => size_of_val(&**k) + k.path.len() + 32,
        Kind::Tick(k) => size_of_val(&**k) + 128 * k.usage.len(),
        Kind::Container(_) => 4096,
        _ => 256,
    };
    size_of::<Event>() + 16 + held
}

/// Approximate size of an unpacked core.
fn weight_of(core: &Core) -> usize {
    let state = &core.state;
    state.containers.len() * 4096
        + state.processes.len() * 1024
        + state.connections.len() * 768
        + state.files.len() * 768
        + state.recent.events.len() * 600
        + state.recent.seconds.len() * 16
        + 16_384
}

#[cfg(test)]
mod tests;
