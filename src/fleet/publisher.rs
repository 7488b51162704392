//! Publishes the stream of a host: the thread, and its end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::thread::CapabilitySet;

use super::limits::PublishLimits;
use super::sending::StreamSending;
use super::server::NatsServer;
use super::subject::HostName;
use crate::recording::SegmentSource;
use crate::sink::{SinkCounters, join_until};
use crate::system;

/// A running publisher. It never delays the stream: what finds no room is counted.
#[derive(Debug)]
pub struct Publisher {
    /// When everything must be over; `None` while the stream runs.
    deadline: Arc<Mutex<Option<Instant>>>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Begins to publish a stream as that of `host`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        server: NatsServer,
        host: HostName,
        limits: PublishLimits,
        source: Box<dyn SegmentSource>,
        counters: Arc<SinkCounters>,
    ) -> std::io::Result<Self> {
        let deadline = Arc::new(Mutex::new(None));
        let over = Arc::clone(&deadline);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("publish".to_owned())
            .spawn(move || {
                // Sending needs none of the rights that watching needs. If the kernel refuses to drop
                // them they are kept.
                let _ = system::keep_capabilities(CapabilitySet::empty());
                let _ = system::confine_calls();
                let _ = system::confine_files();
                runtime.block_on(async {
                    match StreamSending::new(server, host, limits, source, counters, over) {
                        Ok(sending) => sending.run().await,
                        Err(error) => tracing::error!(%error, "nothing is published"),
                    }
                });
                // A name may still be looked up.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            deadline,
            thread: Some(thread),
        })
    }

    /// The stream has ended, or will at once; what is left has until then.
    pub fn close(&self, deadline: Instant) {
        *self.deadline.lock() = Some(deadline);
    }

    /// Waits until the rest was sent, at most until then; call [`Publisher::close`] first. What was
    /// not sent is counted.
    pub fn join(&mut self, deadline: Instant) {
        if let Some(thread) = self.thread.take() {
            // It counts what is left just before the deadline.
            join_until(thread, deadline + Duration::from_millis(500));
        }
    }
}
