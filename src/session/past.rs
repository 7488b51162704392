//! The recent past of a running watch, in memory: what a [`super::Player`] goes back into.
//!
//! Events lie in stretches; only the newest is kept as it is, the others are packed as the lines of
//! a session file would be. Some begin with a keyframe. When more than the limit is held, the
//! oldest go, up to the next keyframe; the newest always stays.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;

use super::index::{Index, Keyframe, Walk};
use super::report::ReadReport;
use super::source::Place;
use crate::core::Core;
use crate::event::{ContainerIds, Event, Kind, Timestamp};

/// Events of a stretch: so many are packed, or unpacked, at once.
const STRETCH: usize = 4096;
/// Events after which there is another keyframe: a step back replays at most about this many.
const KEYFRAME: u64 = 16_384;
/// Bytes held unless said otherwise.
pub const PAST_BYTES: usize = 12 << 20;
/// How hard packing tries: as little as it can, for it happens while events wait.
const LEVEL: i32 = 1;

struct Stretch {
    /// Events of the watch before it.
    first: u64,
    /// When it begins, once it has.
    begin: Option<Timestamp>,
    /// A keyframe stands before it.
    keyframe: bool,
    /// Its events; empty when packed.
    events: Vec<Arc<Event>>,
    packed: Arc<[u8]>,
    /// With its keyframe.
    bytes: usize,
}

#[derive(Default)]
struct Tape {
    stretches: VecDeque<Stretch>,
    bytes: usize,
    /// Since the last keyframe.
    since: (u64, usize),
    walk: Walk,
}

/// Events by the number of the first.
type Unpacked = (u64, Vec<Arc<Event>>);

/// The recent past: events and keyframes, bounded in bytes (as estimated).
pub struct Past {
    limit: usize,
    tape: Mutex<Tape>,
    /// The stretch that was read last.
    unpacked: Mutex<Unpacked>,
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
            unpacked: Mutex::default(),
            index: Arc::default(),
        };
        past.tape.lock().begin(core, true, &mut past.index.lock());
        past
    }

    /// Takes an event; `core` has applied it.
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
                let (events, bytes) = tape.since;
                let keyframe = events >= KEYFRAME || bytes >= self.limit / 4;
                tape.begin(core, keyframe, &mut index);
            }
        }
        tape.walk.publish(ReadReport::default(), &mut index);
        while tape.bytes > self.limit && tape.forget(&mut index) {}
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
            *unpacked = (first, unpack(&packed)?);
        }
        let at = usize::try_from(number - first).ok()?;
        unpacked.1.get(at).cloned()
    }

    /// Bytes held, as estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tape.lock().bytes
    }
}

/// Events as a session file holds them, in little room; `None` when one cannot be written so.
fn pack(events: &[Arc<Event>]) -> Option<Vec<u8>> {
    let mut packer = zstd::Encoder::new(Vec::new(), LEVEL).ok()?;
    let mut line = Vec::new();
    for event in events {
        line.clear();
        event.write_json(&mut line).ok()?;
        packer.write_all(&line).ok()?;
    }
    packer.finish().ok()
}

fn unpack(packed: &[u8]) -> Option<Vec<Arc<Event>>> {
    let lines = zstd::decode_all(packed).ok()?;
    let mut ids = ContainerIds::default();
    let lines = lines.split(|byte| *byte == b'\n').filter(|l| !l.is_empty());
    lines
        .map(|line| Event::from_json_sharing(line, &mut ids).map(Arc::new).ok())
        .collect()
}

impl Tape {
    fn begin(&mut self, core: &Core, keyframe: bool, index: &mut Index) {
        let mut bytes = 0;
        if keyframe {
            bytes = keyframe_weight(core, self.since.0);
            index.keyframes.push(Keyframe {
                ordinal: self.walk.events,
                seq: self.walk.seq,
                place: Place::default(),
                core: Arc::new(core.clone()),
            });
            self.since = (0, 0);
        }
        self.bytes += bytes;
        self.stretches.push_back(Stretch {
            first: self.walk.events,
            begin: None,
            keyframe,
            events: Vec::new(),
            packed: Arc::default(),
            bytes,
        });
    }

    /// Packs the newest stretch, which is full. One that cannot be packed stays as it is.
    fn pack(&mut self) {
        let Some(stretch) = self.stretches.back_mut() else {
            return;
        };
        self.since.0 += stretch.events.len() as u64;
        let Some(packed) = pack(&stretch.events) else {
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

    /// Lets go of the oldest stretches up to the next keyframe; false when there is none.
    fn forget(&mut self, index: &mut Index) -> bool {
        let Some(next) = (1..self.stretches.len()).find(|at| self.stretches[*at].keyframe) else {
            return false;
        };
        for gone in self.stretches.drain(..next) {
            self.bytes -= gone.bytes;
        }
        if !index.keyframes.is_empty() {
            index.keyframes.remove(0);
        }
        let Some(first) = self.stretches.front() else {
            return false;
        };
        index.findings.retain(|mark| mark.ordinal > first.first);
        if let Some(begin) = first.begin {
            self.walk.begin = Some(begin);
            index.begin = Some(begin);
            index.gaps.retain(|gap| gap.to >= begin);
            index.rates.forget(begin);
        }
        true
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

/// About how many bytes a keyframe holds that is the `since`th event after the one before. What
/// the tables hold is shared with that one unless it changed since, and an event changes about one
/// entry; the recent events are held by nobody else once their stretch is packed.
fn keyframe_weight(core: &Core, since: u64) -> usize {
    let state = &core.state;
    let (containers, findings) = (state.containers.len(), core.detector.findings().len());
    let entries = state.processes.len() + state.connections.len() + state.files.len();
    let changed = entries.min(usize::try_from(since).unwrap_or(usize::MAX));
    let running = state.containers.values().filter(|c| c.running).count();
    let events: usize = state.recent.events.iter().map(|event| weight(event)).sum();
    running * 8192
        + changed * 512
        + (containers + entries) * 96
        + findings * 160
        + events
        + state.recent.seconds.len() * 16
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
        let (memory, mut past) = watched(60 << 10);
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
