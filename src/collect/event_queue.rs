//! The queue of events to the core thread: bounded; dropped events are counted by container.

use std::collections::BTreeMap;

use crossbeam_channel::{Sender, TrySendError};

use crate::event::{ContainerId, Event};
use crate::shedding::shed;

/// Maximum number of batches that wait for the core thread.
pub(super) const QUEUE: usize = 16;
/// Events in a batch. A quiet container's event waits for no more than [`QUEUE`] batches of others.
const BATCH: usize = 4_096;
/// Maximum number of events that wait while that queue is full. Beyond it, half are dropped and
/// counted as lost.
const MAX_WAITING: usize = 65_536;

pub(super) struct EventQueue<'a> {
    waiting: Vec<Event>,
    /// Events dropped since the last call.
    dropped: BTreeMap<Option<ContainerId>, u64>,
    /// Approximate bytes of the waiting events, and their maximum.
    bytes: usize,
    most: usize,
    out: &'a Sender<Vec<Event>>,
}

impl<'a> EventQueue<'a> {
    pub(super) fn new(out: &'a Sender<Vec<Event>>, most: usize) -> Self {
        Self {
            waiting: Vec::new(),
            dropped: BTreeMap::new(),
            bytes: 0,
            most,
            out,
        }
    }

    /// Adds an event; when the queue is full, events of the noisiest container are dropped.
    pub(super) fn push(&mut self, event: Event) {
        let weight = event.weight();
        let full =
            self.waiting.len() >= MAX_WAITING || self.bytes.saturating_add(weight) > self.most;
        if full && !self.waiting.is_empty() {
            let keep = (self.waiting.len() / 2).min(MAX_WAITING / 2);
            let dropped = &mut self.dropped;
            shed(
                &mut self.waiting,
                keep,
                |event| Some(event),
                |event| *dropped.entry(event.container).or_default() += 1,
            );
            self.bytes = self.waiting.iter().map(Event::weight).sum();
        }
        self.bytes += weight;
        self.waiting.push(event);
    }

    /// The number of events in the next batch: at least one, and with the other batches no more than
    /// as many bytes as may wait here.
    fn batch(&self) -> usize {
        let mut room = self.most / (QUEUE + 1);
        let fits = |event: &&Event| {
            let left = room.checked_sub(event.weight());
            room = left.unwrap_or(0);
            left.is_some()
        };
        let events = self.waiting.iter().take(BATCH);
        events.take_while(fits).count().max(1)
    }

    /// The number of events dropped since the last call, by container.
    pub(super) fn take_dropped(&mut self) -> BTreeMap<Option<ContainerId>, u64> {
        std::mem::take(&mut self.dropped)
    }

    /// Sends waiting events to the core thread; blocks only on request.
    pub(super) fn hand_on(&mut self, wait: bool) {
        while !self.waiting.is_empty() {
            let later = self.waiting.split_off(self.batch());
            let batch = std::mem::replace(&mut self.waiting, later);
            if wait {
                // Fails only when the core thread has ended.
                let _ = self.out.send(batch);
            } else if let Err(TrySendError::Full(mut batch)) = self.out.try_send(batch) {
                batch.append(&mut self.waiting);
                self.waiting = batch;
                self.bytes = self.waiting.iter().map(Event::weight).sum();
                return;
            }
        }
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Fork, Kind, Tick, Timestamp};

    fn event(container: Option<&ContainerId>, kind: Kind) -> Event {
        Event {
            seq: 0,
            ts: Timestamp(0),
            container: container.cloned(),
            pid: 0,
            nspid: 0,
            kind,
        }
    }

    #[test]
    fn a_full_queue_drops_forks_of_the_noisy_container_and_counts_them() {
        let (out, taken) = crossbeam_channel::bounded(1);
        let mut queue = EventQueue::new(&out, usize::MAX);
        let id = ContainerId::new("a");
        queue.push(event(None, Kind::Tick(Box::<Tick>::default())));
        queue.hand_on(false);
        // The core thread accepts nothing more now.
        for _ in 0..MAX_WAITING {
            queue.push(event(Some(&id), Kind::Fork(Fork::default())));
        }
        assert!(queue.take_dropped().is_empty());
        queue.push(event(None, Kind::Tick(Box::<Tick>::default())));
        assert_eq!(
            queue.take_dropped(),
            [(Some(id), MAX_WAITING as u64 / 2)].into()
        );
        queue.hand_on(false);
        let mut events = taken.recv().unwrap().len();
        while !queue.waiting.is_empty() {
            queue.hand_on(false);
            let batch = taken.recv().unwrap();
            assert!(batch.len() <= BATCH);
            events += batch.len();
        }
        events += taken.try_iter().map(|batch| batch.len()).sum::<usize>();
        assert_eq!(events, MAX_WAITING / 2 + 2);
    }
}
