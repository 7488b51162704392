//! The recent past of a running watch, in memory: what a [`super::Player`] goes back into.
//!
//! Events lie in stretches that each begin with a keyframe. When more than the limit is held,
//! the oldest stretch goes as a whole; the newest always stays.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::index::{Index, Keyframe, Walk};
use super::report::ReadReport;
use super::source::Place;
use crate::core::Core;
use crate::event::{Event, Kind, Timestamp};

/// Events of a stretch: a step back replays at most this many.
const STRETCH: usize = 8192;
/// Bytes held unless said otherwise.
pub const PAST_BYTES: usize = 12 << 20;

struct Stretch {
    /// Events of the watch before it.
    first: u64,
    events: Vec<Arc<Event>>,
    /// With its keyframe.
    bytes: usize,
}

#[derive(Default)]
struct Tape {
    stretches: VecDeque<Stretch>,
    bytes: usize,
    walk: Walk,
}

/// The recent past: events and keyframes, bounded in bytes (as estimated).
pub struct Past {
    limit: usize,
    tape: Mutex<Tape>,
    pub(super) index: Arc<Mutex<Index>>,
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Past")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Past {
    /// Remembers about `limit` bytes of what follows `core`.
    #[must_use]
    pub fn new(limit: usize, core: &Core) -> Self {
        let past = Self {
            limit,
            tape: Mutex::default(),
            index: Arc::default(),
        };
        past.tape.lock().begin(core, &mut past.index.lock());
        past
    }

    /// Takes an event; `core` has applied it.
    pub fn push(&self, event: &Arc<Event>, core: &Core) {
        let mut tape = self.tape.lock();
        let mut index = self.index.lock();
        tape.walk.event(event, core);
        if let Some(stretch) = tape.stretches.back_mut() {
            let bytes = weight(event);
            stretch.events.push(Arc::clone(event));
            stretch.bytes += bytes;
            let full = stretch.events.len() >= STRETCH;
            tape.bytes += bytes;
            if full || stretch_is(tape.stretches.back(), self.limit / 4) {
                tape.begin(core, &mut index);
            }
        }
        tape.walk.publish(ReadReport::default(), &mut index);
        while tape.bytes > self.limit && tape.stretches.len() > 1 {
            tape.forget(&mut index);
        }
    }

    /// Events taken so far, forgotten ones too.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.index.lock().events
    }

    /// The number of the oldest event that is remembered.
    pub(super) fn first(&self) -> u64 {
        self.tape.lock().stretches.front().map_or(0, |s| s.first)
    }

    /// The event with that number, from 0; `None` when it was forgotten or is yet to come.
    pub(super) fn get(&self, number: u64) -> Option<Arc<Event>> {
        let tape = self.tape.lock();
        let after = tape.stretches.partition_point(|s| s.first <= number);
        let stretch = tape.stretches.get(after.checked_sub(1)?)?;
        let at = usize::try_from(number - stretch.first).ok()?;
        stretch.events.get(at).cloned()
    }

    /// Bytes held, as estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tape.lock().bytes
    }
}

fn stretch_is(stretch: Option<&Stretch>, large: usize) -> bool {
    stretch.is_some_and(|stretch| stretch.bytes >= large && stretch.events.len() > 64)
}

impl Tape {
    fn begin(&mut self, core: &Core, index: &mut Index) {
        let bytes = keyframe_weight(core);
        index.keyframes.push(Keyframe {
            ordinal: self.walk.events,
            seq: self.walk.seq,
            place: Place::default(),
            core: Arc::new(core.clone()),
        });
        self.bytes += bytes;
        self.stretches.push_back(Stretch {
            first: self.walk.events,
            events: Vec::new(),
            bytes,
        });
    }

    /// Lets go of the oldest stretch.
    fn forget(&mut self, index: &mut Index) {
        let Some(gone) = self.stretches.pop_front() else {
            return;
        };
        self.bytes -= gone.bytes;
        if !index.keyframes.is_empty() {
            index.keyframes.remove(0);
        }
        let Some(first) = self.stretches.front() else {
            return;
        };
        index.findings.retain(|mark| mark.ordinal > first.first);
        if let Some(event) = first.events.first().or(gone.events.last()) {
            self.walk.begin = Some(event.ts);
            index.begin = Some(event.ts);
            index.gaps.retain(|gap| gap.to >= event.ts);
            index.rates.forget(event.ts);
        }
    }
}

/// About how many bytes an event holds.
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

/// About how many bytes a keyframe holds; the events in it are shared.
fn keyframe_weight(core: &Core) -> usize {
    let state = &core.state;
    state.containers.len() * 4096
        + state.processes.len() * 1024
        + state.connections.len() * 768
        + state.files.len() * 768
        + state.recent.events.len() * 8
        + state.recent.seconds.len() * 16
        + core.detector.findings().len() * 4096
        + 16_384
}

/// Events per step of time, for a picture of the whole: bounded, so the steps grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rates {
    /// Seconds of a step.
    pub step: i64,
    /// The first step's number: its time in seconds is `first * step`.
    pub first: i64,
    /// Events of each step.
    pub counts: VecDeque<u32>,
}

/// More steps than this are joined in pairs.
const STEPS: usize = 4096;

impl Default for Rates {
    fn default() -> Self {
        Self {
            step: 1,
            first: 0,
            counts: VecDeque::new(),
        }
    }
}

impl Rates {
    pub(super) fn add(&mut self, at: Timestamp) {
        let second = at.seconds();
        if self.counts.is_empty() {
            self.first = second.div_euclid(self.step);
        }
        loop {
            let number = (second.div_euclid(self.step) - self.first).max(0);
            let place = usize::try_from(number).unwrap_or(usize::MAX);
            if place < STEPS {
                if place >= self.counts.len() {
                    self.counts.resize(place + 1, 0);
                }
                self.counts[place] = self.counts[place].saturating_add(1);
                return;
            }
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        let mut joined = VecDeque::with_capacity(STEPS);
        let from = self.first.div_euclid(2);
        for (number, count) in (self.first..).zip(&self.counts) {
            let place = usize::try_from(number.div_euclid(2) - from).unwrap_or(0);
            if place >= joined.len() {
                joined.resize(place + 1, 0_u32);
            }
            joined[place] = joined[place].saturating_add(*count);
        }
        self.counts = joined;
        self.first = from;
        self.step *= 2;
    }

    fn forget(&mut self, before: Timestamp) {
        while self.counts.len() > 1 && (self.first + 1) * self.step <= before.seconds() {
            self.counts.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::session::{Item, Player, Reader};

    static DEMO: &[u8] = include_bytes!("../../demo/demo.jsonl.zst");

    /// The demo as if it were watched, remembered within `limit`.
    fn watched(limit: usize) -> (Arc<Past>, Player) {
        let mut reader = Reader::from_memory("demo", DEMO).unwrap();
        let header = reader.header().clone();
        let mut core = Core::new(header.settings.clone());
        let past = Arc::new(Past::new(limit, &core));
        while let Some(item) = reader.next_item() {
            if let Item::Event(event) = item {
                let event = Arc::from(event);
                core.apply(&event);
                past.push(&event, &core);
                assert!(past.bytes() <= limit + 2 * (limit / 4 + 65 * 8192));
            }
        }
        let player = Player::of_past(&past, header, core);
        (past, player)
    }

    #[test]
    fn going_back_shows_what_a_recording_shows() {
        let (_, mut past) = watched(PAST_BYTES);
        let mut recorded = Player::from_memory("demo", DEMO).unwrap();
        recorded.wait_indexed();
        while recorded.step() {}
        for _ in 0..5 {
            assert!(past.step_back().unwrap() && recorded.step_back().unwrap());
            assert_eq!(past.core().state.now, recorded.core().state.now);
        }
        for back in [10, 20, 7] {
            let to = past.position().minus(std::time::Duration::from_secs(back));
            past.seek(to).unwrap();
            recorded.seek(to).unwrap();
            assert_eq!(past.ordinal(), recorded.ordinal());
            assert_eq!(
                past.core().detector.findings(),
                recorded.core().detector.findings()
            );
        }
        assert_eq!(past.findings(), recorded.findings());
        assert_eq!(past.rates(), recorded.rates());
        assert!(past.next_finding().unwrap());
        while past.step() {}
        assert_eq!(past.ordinal(), recorded.events());
    }

    #[test]
    fn what_is_forgotten_is_out_of_reach_and_the_rest_is_right() {
        let (memory, mut past) = watched(400 << 10);
        let first = memory.first();
        assert!(first > 0, "nothing was forgotten");
        let (begin, end) = past.span();
        assert!(begin < end);
        past.seek(Timestamp::default()).unwrap();
        assert_eq!(past.ordinal().max(first), past.ordinal());
        assert!(past.findings().iter().all(|mark| mark.ordinal > first));
        let mut recorded = Player::from_memory("demo", DEMO).unwrap();
        recorded.wait_indexed();
        recorded.seek_ordinal(past.ordinal()).unwrap();
        assert_eq!(
            past.core().detector.findings(),
            recorded.core().detector.findings()
        );
    }

    #[test]
    fn rates_join_their_steps_when_there_are_too_many() {
        let mut rates = Rates::default();
        for second in 0..20_000 {
            rates.add(Timestamp(second * 1_000_000_000));
        }
        assert!(rates.counts.len() <= STEPS);
        assert_eq!(rates.counts.iter().sum::<u32>(), 20_000);
        assert_eq!(rates.step, 8);
    }
}
