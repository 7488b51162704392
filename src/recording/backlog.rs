//! Events that wait for the disk. When there are too many, events of the noisiest container are
//! dropped, and a `lost` event replaces each gap.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::event::{ContainerId, Event, Kind, Lost, LostReason};
use crate::shedding::shed;

/// The queue between the core thread and the recorder's thread.
#[derive(Debug)]
pub(super) struct Backlog {
    waiting: Mutex<Queued>,
    changed: Condvar,
    /// Maximum number of waiting events.
    limit: usize,
    /// Approximate maximum of their bytes.
    most: usize,
}

#[derive(Debug, Default)]
struct Queued {
    events: Vec<Arc<Event>>,
    /// Their approximate bytes.
    bytes: usize,
    closed: bool,
}

/// The backlog takes no more events: the recording ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

impl Backlog {
    /// A backlog of at most `limit` events, at least 16, and of about `most` bytes.
    pub(super) fn new(limit: usize, most: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            limit: limit.max(16),
            most,
        }
    }

    /// Adds an event; never blocks for long. Returns how many events were dropped to make room.
    ///
    /// # Errors
    /// When the recording ended.
    pub(super) fn push(&self, event: Arc<Event>) -> Result<u64, Closed> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(Closed);
        }
        waiting.bytes += event.weight();
        waiting.events.push(event);
        let held = waiting.events.len();
        // Each event that stays may have a gap before it, so that twice as many entries remain.
        let dropped = if held > self.limit {
            thin_out(&mut waiting.events, self.limit / 4)
        } else if waiting.bytes > self.most && held > 1 {
            thin_out(&mut waiting.events, held / 4)
        } else {
            0
        };
        if dropped > 0 {
            waiting.bytes = waiting.events.iter().map(|event| event.weight()).sum();
        }
        drop(waiting);
        self.changed.notify_one();
        Ok(dropped)
    }

    /// Takes all waiting events; waits for the first. Nothing is left once this returns `None`.
    pub(super) fn take(&self) -> Option<Vec<Arc<Event>>> {
        let mut waiting = self.waiting.lock();
        while waiting.events.is_empty() && !waiting.closed {
            self.changed.wait(&mut waiting);
        }
        let events = std::mem::take(&mut waiting.events);
        waiting.bytes = 0;
        (!events.is_empty()).then_some(events)
    }

    /// Whether the recording should end.
    pub(super) fn is_closed(&self) -> bool {
        self.waiting.lock().closed
    }

    /// Closes the backlog. Returns the number of waiting events.
    pub(super) fn close(&self) -> usize {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        self.changed.notify_all();
        waiting.events.len()
    }
}

/// A stretch of missing events, all numbers from `first` to `last`.
struct MissingEvents {
    first: u64,
    last: u64,
    /// The last one's time.
    end: crate::event::Timestamp,
    /// Their container; `None` when they were of several containers, or of none.
    container: Option<ContainerId>,
}

/// Drops all but `keep` events and puts a `lost` event where one or more are missing. Returns how
/// many were dropped now.
fn thin_out(events: &mut Vec<Arc<Event>>, keep: usize) -> u64 {
    let mut gaps: Vec<MissingEvents> = Vec::new();
    events.retain(|event| {
        let Some(count) = recorder_loss(event) else {
            return true;
        };
        gaps.push(MissingEvents {
            first: event.seq.saturating_sub(count.saturating_sub(1)),
            last: event.seq,
            end: event.ts,
            container: event.container.clone(),
        });
        false
    });
    let mut dropped = 0;
    shed(
        events,
        keep,
        |event| Some(&**event),
        |event| {
            dropped += 1;
            gaps.push(MissingEvents {
                first: event.seq,
                last: event.seq,
                end: event.ts,
                container: event.container.clone(),
            });
        },
    );
    gaps.sort_by_key(|gap| gap.first);
    gaps.dedup_by(|next, gap| {
        let adjacent = gap.last.checked_add(1) == Some(next.first);
        if adjacent {
            gap.last = next.last;
            gap.end = next.end;
            if gap.container != next.container {
                gap.container = None;
            }
        }
        adjacent
    });
    events.extend(gaps.into_iter().map(|gap| Arc::new(gap.event())));
    events.sort_by_key(|event| event.seq);
    dropped
}

/// How many events this one reports as missing in the recording.
fn recorder_loss(event: &Event) -> Option<u64> {
    match &event.kind {
        Kind::Lost(lost) if lost.reason == LostReason::Recorder => Some(lost.count),
        _ => None,
    }
}

impl MissingEvents {
    /// The event that replaces a gap, with the number of its last event.
    fn event(self) -> Event {
        Event {
            seq: self.last,
            ts: self.end,
            container: self.container,
            pid: 0,
            nspid: 0,
            kind: Kind::Lost(Lost {
                reason: LostReason::Recorder,
                count: self.last - self.first + 1,
                detail: String::new(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Fork, Timestamp};

    fn event(seq: u64, container: char, kind: Kind) -> Arc<Event> {
        Arc::new(Event {
            seq,
            ts: Timestamp(seq.cast_signed()),
            container: Some(ContainerId::new(&container.to_string().repeat(64))),
            pid: 1,
            nspid: 1,
            kind,
        })
    }

    fn fork() -> Kind {
        Kind::Fork(Fork::default())
    }

    fn tick() -> Kind {
        Kind::Tick(Box::default())
    }

    /// Checks that every number from 1 on exists or is reported as lost; returns how many are
    /// missing.
    fn explained(events: &[Arc<Event>], last: u64) -> u64 {
        let (mut next, mut missing) = (1, 0);
        for event in events {
            let count = recorder_loss(event);
            missing += count.unwrap_or(0);
            next += count.unwrap_or(1);
            assert_eq!(event.seq + 1, next);
        }
        assert_eq!(next, last + 1);
        missing
    }

    #[test]
    fn the_noisy_container_loses_and_every_gap_is_explained() {
        let backlog = Backlog::new(256, usize::MAX);
        let mut dropped = 0;
        for seq in 1..=10_000 {
            let kind = if seq % 1_000 == 0 { tick() } else { fork() };
            let container = if seq % 997 == 0 { 'b' } else { 'a' };
            dropped += backlog.push(event(seq, container, kind)).unwrap_or(0);
            assert!(backlog.waiting.lock().events.len() <= 256);
        }
        let events = backlog.take().unwrap_or_default();
        assert_eq!(explained(&events, 10_000), dropped);
        assert!(dropped > 9_000);
        let of_b = |event: &&Arc<Event>| {
            let id = event.container.as_ref().map(ToString::to_string);
            id.is_some_and(|id| id.starts_with('b')) && recorder_loss(event).is_none()
        };
        assert!(events.iter().filter(of_b).count() >= 9);
        let ticks = events.iter().filter(|e| matches!(e.kind, Kind::Tick(_)));
        assert_eq!(ticks.count(), 10);
        let of_one = events.iter().filter(|e| recorder_loss(e).is_some());
        assert!(of_one.clone().all(|gap| gap.container.is_some()));
    }

    #[test]
    fn the_limit_is_kept_even_if_every_second_event_stays() {
        let backlog = Backlog::new(64, usize::MAX);
        let mut dropped = 0;
        for seq in 1..=1_000 {
            let kind = if seq % 2 == 0 { tick() } else { fork() };
            dropped += backlog.push(event(seq, 'a', kind)).unwrap_or(0);
            assert!(backlog.waiting.lock().events.len() <= 64);
        }
        let events = backlog.take().unwrap_or_default();
        assert_eq!(explained(&events, 1_000), dropped);
    }

    #[test]
    fn a_closed_backlog_returns_waiting_entries_and_accepts_no_more() {
        let backlog = Backlog::new(64, usize::MAX);
        assert_eq!(backlog.push(event(1, 'a', fork())), Ok(0));
        assert_eq!(backlog.close(), 1);
        assert_eq!(backlog.push(event(2, 'a', fork())), Err(Closed));
        assert_eq!(backlog.take().map(|events| events.len()), Some(1));
        assert!(backlog.take().is_none());
    }
}
