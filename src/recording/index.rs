//! Index of a recording: keyframes, findings, gaps. Built on its own thread while the recording
//! already plays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::rates::Rates;
use super::read_ahead::{ReadAhead, RecordingPiece};
use super::report::ReadReport;
use super::source::FilePosition;
use crate::core::{Core, PackedCore};
use crate::detect::{FindingId, Severity};
use crate::event::{ContainerId, Event, Kind, Timestamp};

/// Initial number of events between keyframes; doubles when there are too many keyframes. Seeking
/// in a file of a million events replays at most this many.
const SPACING: u64 = 16_384;
const KEYFRAMES: usize = 64;
const GAPS: usize = 4096;
/// Containers whose rates are kept.
const RATED: usize = 256;
/// Where a finding was first raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingMark {
    /// Which.
    pub id: FindingId,
    /// Its container.
    pub container: Option<ContainerId>,
    /// Severity when it was raised.
    pub severity: Severity,
    /// When.
    pub ts: Timestamp,
    /// Number of events after which the finding exists.
    pub ordinal: u64,
}

/// A span of time with missing events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The last time before it.
    pub from: Timestamp,
    /// The first time after it.
    pub to: Timestamp,
    /// The container, if known.
    pub container: Option<ContainerId>,
    /// Number of lost events; 0 when unknown.
    pub count: u64,
    /// The cause.
    pub reason: String,
}

/// The whole state at one position of the recording.
#[derive(Clone)]
pub(super) struct Keyframe {
    /// Events before it.
    pub(super) ordinal: u64,
    /// Highest sequence number before it.
    pub(super) seq: u64,
    pub(super) place: FilePosition,
    /// The time there.
    pub(super) now: Timestamp,
    pub(super) core: KeptCore,
}

/// A stored core.
#[derive(Clone)]
pub(super) enum KeptCore {
    /// Uncompressed: fast to store and to restore, but large.
    Whole(Arc<Core>),
    /// Compressed.
    PackedCore(Arc<PackedCore>),
}

impl KeptCore {
    /// Restores the core; `None` when it cannot be unpacked.
    pub(super) fn core(&self) -> Option<Core> {
        match self {
            Self::Whole(core) => Some((**core).clone()),
            Self::PackedCore(frozen) => frozen.thaw(),
        }
    }
}

/// The index.
#[derive(Default)]
pub(super) struct RecordingIndex {
    pub(super) keyframes: Vec<Keyframe>,
    pub(super) findings: Vec<FindingMark>,
    pub(super) gaps: Vec<Gap>,
    pub(super) rates: Rates,
    /// By container; bounded.
    pub(super) by_container: BTreeMap<ContainerId, Rates>,
    pub(super) begin: Option<Timestamp>,
    pub(super) end: Timestamp,
    pub(super) events: u64,
    pub(super) report: ReadReport,
    /// Offset in the stored file up to which it was read; for a compressed one, of the last frame.
    pub(super) read: u64,
    /// Everything in the file was read at least once: further events are being written now.
    pub(super) caught_up: bool,
    pub(super) done: bool,
}

/// Overview of the whole time: span, event rates, findings, gaps.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Times of the first and the last event.
    pub span: (Timestamp, Timestamp),
    /// Events per step of time.
    pub rates: Rates,
    /// Positions at which findings are raised, in order.
    pub findings: Vec<FindingMark>,
    /// Spans with missing events.
    pub gaps: Vec<Gap>,
}

impl RecordingIndex {
    /// The overview of everything, or of these containers.
    pub(super) fn overview(&self, of: Option<&BTreeSet<ContainerId>>) -> Overview {
        let begin = self.begin.unwrap_or(self.end);
        let span = (begin, self.end.max(begin));
        let Some(of) = of else {
            return Overview {
                span,
                rates: self.rates.clone(),
                findings: self.findings.clone(),
                gaps: self.gaps.clone(),
            };
        };
        let mut rates = Rates::default();
        for own in of.iter().filter_map(|id| self.by_container.get(id)) {
            rates.join(own);
        }
        let own =
            |container: &Option<ContainerId>| container.as_ref().is_some_and(|id| of.contains(id));
        let findings = self.findings.iter().filter(|mark| own(&mark.container));
        // Losses without a container may belong to them.
        let gaps = self.gaps.iter();
        let gaps = gaps.filter(|gap| gap.container.is_none() || own(&gap.container));
        Overview {
            span,
            rates,
            findings: findings.cloned().collect(),
            gaps: gaps.cloned().collect(),
        }
    }
}

/// Reads a recording to its end and publishes the index; `start` is the position of its first
/// event.
pub(super) fn build(
    mut ahead: ReadAhead,
    start: FilePosition,
    index: &Mutex<RecordingIndex>,
    stop: &AtomicBool,
) {
    let mut core = Core::new(ahead.header().settings.clone());
    let mut walk = IndexBuilder::default();
    index.lock().keyframes.push(Keyframe {
        ordinal: 0,
        seq: 0,
        place: start,
        now: core.state.now,
        core: KeptCore::Whole(Arc::new(core.clone())),
    });
    let mut spacing = SPACING;
    while let Some(batch) = ahead.next_batch() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        for piece in batch.pieces {
            match piece {
                RecordingPiece::Event(event) => {
                    walk.close_gap(event.ts);
                    core.apply(&event);
                    walk.event(&event, &core);
                }
                RecordingPiece::Gap { damaged, missing } => walk.open_gap(damaged, missing),
                RecordingPiece::Finding(_) => {}
            }
        }
        let before = index.lock().keyframes.last().map_or(0, |k| k.ordinal);
        let due = walk.events > before && walk.events.is_multiple_of(spacing);
        let keyframe = due.then(|| Keyframe {
            ordinal: walk.events,
            seq: walk.seq,
            place: batch.place,
            now: core.state.now,
            core: KeptCore::Whole(Arc::new(core.clone())),
        });
        walk.close_gap(walk.end);
        walk.publish(batch.report, &mut index.lock());
        let mut index = index.lock();
        index.read = batch.place.stored;
        // A batch is full unless it ends at what is being written.
        index.caught_up |= !batch.full;
        index.keyframes.extend(keyframe);
        if index.keyframes.len() > KEYFRAMES {
            spacing *= 2;
            index
                .keyframes
                .retain(|k| k.ordinal.is_multiple_of(spacing));
        }
    }
}

/// Entries found since the last publication, and totals.
#[derive(Default)]
pub(super) struct IndexBuilder {
    findings: Vec<FindingMark>,
    /// Times of events with their containers.
    times: Vec<(Timestamp, Option<ContainerId>)>,
    known_findings: usize,
    gaps: Vec<Gap>,
    pub(super) begin: Option<Timestamp>,
    end: Timestamp,
    last_tick: Timestamp,
    pub(super) events: u64,
    pub(super) seq: u64,
    /// Lines damaged and events missing since the last event.
    open: (u64, u64),
}

impl IndexBuilder {
    pub(super) fn event(&mut self, event: &Event, core: &Core) {
        let begin = *self.begin.get_or_insert(event.ts);
        self.events += 1;
        self.seq = self.seq.max(event.seq);
        self.end = self.end.max(event.ts);
        match &event.kind {
            Kind::Lost(lost) => self.gaps.push(Gap {
                from: self.last_tick.max(begin),
                to: event.ts,
                container: event.container.clone(),
                count: lost.count,
                reason: reason_text(lost.reason).to_owned(),
            }),
            Kind::Tick(_) => self.last_tick = event.ts,
            _ => self.times.push((event.ts, event.container.clone())),
        }
        let findings = core.detector.findings();
        for finding in findings.get(self.known_findings..).unwrap_or_default() {
            self.findings.push(FindingMark {
                id: finding.id,
                container: finding.container.clone(),
                severity: finding.severity,
                ts: event.ts,
                ordinal: self.events,
            });
        }
        self.known_findings = findings.len();
    }

    fn open_gap(&mut self, damaged: u64, missing: u64) {
        self.open.0 += damaged;
        self.open.1 = self.open.1.saturating_add(missing);
    }

    /// Turns damage and missing events before `to` into a gap.
    fn close_gap(&mut self, to: Timestamp) {
        let (damaged, missing) = std::mem::take(&mut self.open);
        if damaged > 0 || missing > 0 {
            let reason = if damaged > 0 {
                "the recording file is damaged here"
            } else {
                "missing from the recording file"
            };
            self.gaps.push(Gap {
                from: self.end,
                to: to.max(self.end),
                container: None,
                count: damaged.max(missing),
                reason: reason.to_owned(),
            });
        }
    }

    pub(super) fn publish(&mut self, report: ReadReport, index: &mut RecordingIndex) {
        for (at, container) in self.times.drain(..) {
            index.rates.add(at);
            let Some(id) = container else {
                continue;
            };
            if let Some(own) = index.by_container.get_mut(&id) {
                own.add(at);
            } else if index.by_container.len() < RATED {
                index.by_container.entry(id).or_default().add(at);
            }
        }
        index.findings.append(&mut self.findings);
        for gap in self.gaps.drain(..) {
            let full = index.gaps.len() >= GAPS;
            match index.gaps.last_mut() {
                // Adjacent gaps are merged; beyond the bound everything is merged into the last.
                Some(last)
                    if full
                        || (last.container == gap.container
                            && last.reason == gap.reason
                            && gap.from <= last.to) =>
                {
                    last.to = last.to.max(gap.to);
                    last.count = last.count.saturating_add(gap.count);
                }
                _ => index.gaps.push(gap),
            }
        }
        index.begin = self.begin;
        index.end = self.end;
        index.events = self.events;
        index.done = report.complete;
        index.report = report;
    }
}

fn reason_text(reason: crate::event::LostReason) -> &'static str {
    use crate::event::LostReason as R;
    match reason {
        R::RingFull => "the kernel's ring buffer was full",
        R::Recursion => "a probe was already running on that CPU",
        R::BadRecord => "a record could not be decoded",
        R::Queue => "a queue inside hullwatch was full",
        R::MapFull => "a kernel map was full",
        R::Engine => "the engine's event stream was interrupted",
        R::Recorder => "the recording, or the link to it, could not keep up",
    }
}
