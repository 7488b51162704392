//! Delivery counts of each sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// State of a sink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkStatus {
    /// Its name, e.g. `webhook hooks.example.com`; without secrets.
    pub name: String,
    /// The numbers are of events of the stream, instead of messages.
    pub events: bool,
    /// Messages that were delivered.
    pub sent: u64,
    /// Messages that did not fit into its queue.
    pub dropped: u64,
    /// Messages that were not sent because there were too many a minute.
    pub withheld: u64,
    /// Messages that were dropped after being refused, or retried for too long.
    pub failed: u64,
    /// Why the latest attempt failed; `None` when it did not.
    pub error: Option<String>,
}

impl SinkStatus {
    /// Number of undelivered messages.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.dropped + self.withheld + self.failed
    }
}

/// Counters of one sink, shared by its thread and readers.
#[derive(Debug, Default)]
pub struct SinkCounters {
    pub(super) name: String,
    /// The numbers are of events.
    pub(super) events: bool,
    /// Messages that were put into its queue.
    pub(super) accepted: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) withheld: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) error: Mutex<Option<String>>,
}

impl SinkCounters {
    pub(super) fn new(name: String) -> Arc<Self> {
        Arc::new(Self {
            name,
            ..Self::default()
        })
    }

    /// Counts a delivery.
    pub fn delivered(&self, messages: u64) {
        self.sent.fetch_add(messages, Ordering::Relaxed);
        *self.error.lock() = None;
    }

    /// Counts messages that found no room.
    pub fn found_no_room(&self, messages: u64) {
        self.dropped.fetch_add(messages, Ordering::Relaxed);
    }

    /// Reports why an attempt failed that will be repeated.
    pub fn fails(&self, why: String) {
        *self.error.lock() = Some(why);
    }

    /// Counts messages that are given up, for this reason.
    pub fn give_up(&self, messages: u64, why: String) {
        self.failed.fetch_add(messages, Ordering::Relaxed);
        *self.error.lock() = Some(why);
    }

    /// Counts what was neither delivered nor given up when the program ended.
    pub(super) fn abandon(&self) {
        let status = self.status();
        let accepted = self.accepted.load(Ordering::Relaxed);
        let left = accepted.saturating_sub(status.sent + status.failed);
        self.give_up(left, "no answer before the end".to_owned());
    }

    pub(super) fn status(&self) -> SinkStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SinkStatus {
            name: self.name.clone(),
            events: self.events,
            sent: count(&self.sent),
            dropped: count(&self.dropped),
            withheld: count(&self.withheld),
            failed: count(&self.failed),
            error: self.error.lock().clone(),
        }
    }
}

/// The states of all sinks.
#[derive(Debug, Clone, Default)]
pub struct SinkBoard(pub(super) Vec<Arc<SinkCounters>>);

impl SinkBoard {
    /// Adds a sink that delivers something else than messages about findings.
    pub fn add(&mut self, name: String) -> Arc<SinkCounters> {
        let counters = SinkCounters::new(name);
        self.0.push(Arc::clone(&counters));
        counters
    }

    /// Adds a sink that delivers events of the stream.
    pub fn add_of_events(&mut self, name: String) -> Arc<SinkCounters> {
        let counters = Arc::new(SinkCounters {
            name,
            events: true,
            ..SinkCounters::default()
        });
        self.0.push(Arc::clone(&counters));
        counters
    }

    /// The states now.
    #[must_use]
    pub fn statuses(&self) -> Vec<SinkStatus> {
        self.0.iter().map(|counters| counters.status()).collect()
    }
}
