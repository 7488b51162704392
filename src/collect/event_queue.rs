//! Events on their way to the core thread: bounded; what finds no room is counted by container.

use std::collections::BTreeMap;

use crossbeam_channel::{Sender, TrySendError};

use crate::event::{ContainerId, Event};

/// Batches that may wait for the core thread.
pub(super) const QUEUE: usize = 16;
/// Events that may wait while that queue is full; more are counted as lost.
const MAX_WAITING: usize = 65_536;

pub(super) struct EventQueue<'a> {
    waiting: Vec<Event>,
    /// Events that found no room since they were last taken.
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

    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING
    }

    /// Counts an event that found no room.
    pub(super) fn drop(&mut self, container: Option<ContainerId>) {
        *self.dropped.entry(container).or_default() += 1;
    }

    pub(super) fn push(&mut self, event: Event) {
        self.waiting.push(event);
    }

    /// The events that found no room; none while there is still no room to report them.
    pub(super) fn take_dropped(&mut self) -> BTreeMap<Option<ContainerId>, u64> {
        if self.has_room() {
            std::mem::take(&mut self.dropped)
        } else {
            BTreeMap::new()
        }
    }

    /// Gives what waits to the core thread; waits for room only if asked to.
    pub(super) fn hand_on(&mut self, wait: bool) {
        if self.waiting.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.waiting);
        if wait {
            // Fails only when the core thread is gone.
            let _ = self.out.send(batch);
        } else if let Err(TrySendError::Full(batch)) = self.out.try_send(batch) {
            self.waiting = batch;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Kind, Tick, Timestamp};

    #[test]
    fn what_finds_no_room_is_counted_and_told_once_there_is_room() {
        let (out, taken) = crossbeam_channel::bounded(1);
        let mut queue = EventQueue::new(&out);
        let event = Event {
            seq: 0,
            ts: Timestamp(0),
            container: None,
            pid: 0,
            nspid: 0,
            kind: Kind::Tick(Box::<Tick>::default()),
        };
        queue.push(event.clone());
        queue.hand_on(false);
        // The core thread takes nothing more now.
        while queue.has_room() {
            queue.push(event.clone());
        }
        let id = ContainerId::new("a");
        queue.drop(Some(id.clone()));
        queue.drop(Some(id.clone()));
        queue.hand_on(false);
        assert!(
            queue.take_dropped().is_empty(),
            "there is no room to report"
        );
        assert_eq!(taken.recv().unwrap().len(), 1);
        queue.hand_on(false);
        assert_eq!(taken.recv().unwrap().len(), MAX_WAITING);
        assert_eq!(queue.take_dropped(), [(Some(id), 2)].into());
        assert!(queue.take_dropped().is_empty());
    }
}
