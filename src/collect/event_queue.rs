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
    out: &'a Sender<Vec<Event>>,
}

impl<'a> EventQueue<'a> {
    pub(super) fn new(out: &'a Sender<Vec<Event>>) -> Self {
        Self {
            waiting: Vec::new(),
            dropped: BTreeMap::new(),
            out,
        }
    }

    /// Adds an event; when the queue is full, events of the noisiest container are dropped.
    pub(super) fn push(&mut self, event: Event) {
        if self.waiting.len() >= MAX_WAITING {
            let dropped = &mut self.dropped;
            shed(
                &mut self.waiting,
                MAX_WAITING / 2,
                |event| Some(event),
                |event| *dropped.entry(event.container).or_default() += 1,
            );
        }
        self.waiting.push(event);
    }

    /// The number of events dropped since the last call, by container.
    pub(super) fn take_dropped(&mut self) -> BTreeMap<Option<ContainerId>, u64> {
        std::mem::take(&mut self.dropped)
    }

    /// Sends waiting events to the core thread; blocks only if asked to.
    pub(super) fn hand_on(&mut self, wait: bool) {
        while !self.waiting.is_empty() {
            let later = self.waiting.split_off(self.waiting.len().min(BATCH));
            let batch = std::mem::replace(&mut self.waiting, later);
            if wait {
                // Fails only when the core thread has ended.
                let _ = self.out.send(batch);
            } else if let Err(TrySendError::Full(mut batch)) = self.out.try_send(batch) {
                batch.append(&mut self.waiting);
                self.waiting = batch;
                return;
            }
        }
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
        let mut queue = EventQueue::new(&out);
        let id = ContainerId::new("a");
        queue.push(event(None, Kind::Tick(Box::<Tick>::default())));
        queue.hand_on(false);
        // The core thread takes nothing more now.
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
