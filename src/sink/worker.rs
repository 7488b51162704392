//! The thread of a sink: delivers waiting messages, retries with growing pauses, and gives up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use rustix::thread::CapabilitySet;

use super::message::Message;
use super::status::SinkCounters;
use crate::system;

/// Maximum number of waiting messages of one sink; further ones are dropped and counted.
const QUEUE: usize = 1_024;
/// Pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Time limit for retrying one message.
const GIVE_UP: Duration = Duration::from_secs(300);

/// Why something was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryError {
    /// As text, without secrets.
    pub why: String,
    /// Another attempt may succeed.
    pub retry: bool,
}

impl DeliveryError {
    /// An error that a retry may resolve.
    pub fn passing(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            retry: true,
        }
    }

    /// An error that a retry does not resolve: the other side refused the message.
    pub fn lasting(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            retry: false,
        }
    }
}

/// Delivers messages to the other side. Called on the sink's own thread; must end within a bounded
/// time.
pub trait Delivery: Send {
    /// Delivers messages together; `missed`: number of earlier messages that were not delivered.
    ///
    /// # Errors
    /// When none of them was delivered.
    fn deliver(&mut self, messages: &[Arc<Message>], missed: u64) -> Result<(), DeliveryError>;

    /// Maximum number of messages in one delivery.
    fn most(&self) -> usize {
        1
    }
}

/// The retry policy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) first: Duration,
    pub(super) longest: Duration,
    pub(super) give_up: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: FIRST_PAUSE,
            longest: LONGEST_PAUSE,
            give_up: GIVE_UP,
        }
    }
}

/// A running sink: accepts messages without ever waiting.
#[derive(Debug)]
pub struct Outlet {
    queue: Option<Sender<Arc<Message>>>,
    over: Sender<Instant>,
    pub(super) counters: Arc<SinkCounters>,
    thread: Option<JoinHandle<()>>,
}

impl Outlet {
    /// Starts the thread of a sink.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: String, delivery: Box<dyn Delivery>) -> std::io::Result<Self> {
        Self::start_with(name, delivery, Patience::default())
    }

    pub(super) fn start_with(
        name: String,
        delivery: Box<dyn Delivery>,
        patience: Patience,
    ) -> std::io::Result<Self> {
        let counters = SinkCounters::new(name);
        let (queue, messages) = bounded(QUEUE);
        let (over, ends) = bounded(1);
        let shared = Arc::clone(&counters);
        let thread = std::thread::Builder::new()
            .name("sink".to_owned())
            .spawn(move || {
                // Delivering needs none of the rights that watching needs. If the kernel refuses to
                // drop them they are kept.
                let _ = system::keep_capabilities(CapabilitySet::empty());
                let _ = system::confine_calls();
                let _ = system::confine_files();
                let mut worker = Worker {
                    messages,
                    ends,
                    deadline: None,
                    failing: false,
                    counters: shared,
                    patience,
                    delivery,
                };
                worker.run();
            })?;
        Ok(Self {
            queue: Some(queue),
            over,
            counters,
            thread: Some(thread),
        })
    }

    /// Queues a message, or counts it.
    pub(super) fn offer(&self, message: &Arc<Message>) {
        let Some(queue) = &self.queue else { return };
        let counter = match queue.try_send(Arc::clone(message)) {
            Ok(()) => &self.counters.accepted,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => &self.counters.dropped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes the queue; waiting messages have until then.
    pub(super) fn close(&mut self, deadline: Instant) {
        self.queue = None;
        // There is room for one, and nothing else is sent.
        let _ = self.over.try_send(deadline);
    }

    /// Waits until the thread has ended, at most until then; call [`Outlet::close`] first. A delivery
    /// that is not done by then is counted as failed, as what waits behind it.
    pub(super) fn join(&mut self, deadline: Instant) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        if !join_until(thread, deadline) {
            self.counters.abandon();
        }
    }
}

/// Waits until a thread has ended, at most until then; false if it has not. The end of the program ends
/// it.
pub fn join_until(thread: JoinHandle<()>, deadline: Instant) -> bool {
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // A panicked thread has reported it on stderr.
    let _ = thread.join();
    true
}

struct Worker {
    messages: Receiver<Arc<Message>>,
    ends: Receiver<Instant>,
    /// No attempt begins after it.
    deadline: Option<Instant>,
    /// The other side was failing already when the end began: each message is tried once.
    failing: bool,
    counters: Arc<SinkCounters>,
    patience: Patience,
    delivery: Box<dyn Delivery>,
}

impl Worker {
    fn run(&mut self) {
        while let Ok(first) = self.messages.recv() {
            let most = self.delivery.most();
            let mut batch = vec![first];
            batch.extend(self.messages.try_iter().take(most.saturating_sub(1)));
            self.deliver(&batch);
        }
    }

    fn missed(&self) -> u64 {
        self.counters.status().missed()
    }

    /// Delivers a batch, or counts it as failed.
    fn deliver(&mut self, batch: &[Arc<Message>]) {
        let begun = Instant::now();
        let mut pause = self.patience.first;
        let count = batch.len() as u64;
        loop {
            if self.is_over() {
                break;
            }
            match self.delivery.deliver(batch, self.missed()) {
                Ok(()) => return self.counters.delivered(count),
                Err(error) => {
                    tracing::warn!(
                        sink = self.counters.name,
                        error = error.why,
                        "not delivered"
                    );
                    *self.counters.error.lock() = Some(error.why);
                    if !error.retry || begun.elapsed() + pause > self.patience.give_up {
                        break;
                    }
                }
            }
            if !self.pause(pause) {
                break;
            }
            pause = (pause * 2).min(self.patience.longest);
        }
        self.counters.failed.fetch_add(count, Ordering::Relaxed);
    }

    /// Waits; false when the remaining time is shorter.
    fn pause(&mut self, pause: Duration) -> bool {
        match self.deadline {
            Some(deadline) if self.failing || Instant::now() + pause > deadline => false,
            Some(_) => {
                std::thread::sleep(pause);
                true
            }
            None => {
                match self.ends.recv_timeout(pause) {
                    // Retries at once: the other side may be back.
                    Ok(deadline) => {
                        self.deadline = Some(deadline);
                        self.failing = true;
                    }
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
                }
                true
            }
        }
    }

    fn is_over(&mut self) -> bool {
        if let Ok(deadline) = self.ends.try_recv() {
            self.deadline = Some(deadline);
        }
        self.deadline
            .is_some_and(|deadline| Instant::now() > deadline)
    }
}
