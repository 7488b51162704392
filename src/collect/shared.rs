//! Data that the threads of a watch share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use parking_lot::Mutex;

use super::drift_scan;
use crate::containers::{EngineKind, EngineState};
use crate::core::Core;
use crate::event::{ContainerId, Event, Response};
use crate::recording::{Past, Recorder};

/// Sees every event on the core thread, after it was applied. Must not block.
pub trait Tap: Send {
    /// One event.
    fn event(&mut self, event: &Event, core: &mut Core);
}

/// Shared by the collector thread, the core thread and the handle.
pub(super) struct LiveShared {
    pub(super) core: Arc<Mutex<Core>>,
    /// Number of the last event; changes only with the core locked.
    pub(super) seq: AtomicU64,
    pub(super) recorder: Mutex<Option<Recorder>>,
    /// Learns from the stream in addition to a recording; without a file.
    pub(super) learner: Mutex<Option<Recorder>>,
    /// Publishes the stream in addition to a recording.
    pub(super) published: Mutex<Option<Recorder>>,
    /// The recent past, where it is kept.
    pub(super) past: Option<Arc<Past>>,
    /// States of the queried engines; for several containerds the latest one.
    pub(super) engines: Mutex<BTreeMap<EngineKind, EngineState>>,
    /// Running containers, by an engine's report, without a visible process.
    pub(super) unwatched: AtomicUsize,
    pub(super) stop: AtomicBool,
    /// The scan under way.
    pub(super) scanning: Arc<drift_scan::Current>,
    /// Completed responses that were not shown yet; bounded.
    pub(super) answered: Mutex<VecDeque<Response>>,
    /// Containers with a requested drift scan.
    pub(super) scan_requests: Mutex<Vec<ContainerId>>,
}

/// Lets a follower without a file handle queued events, and ends it.
pub(super) fn end_follower(follower: Option<Recorder>) {
    // It writes nothing, so it cannot fail.
    let _ = follower.map(Recorder::finish);
}
