//! What a container engine's connection is, and its messages to the collector.

use std::future::Future;
use std::pin::Pin;

use crossbeam_channel::Sender;
use tokio::sync::oneshot;

use crate::event::{Client, ContainerEvent, ContainerId, Lost, Timestamp};

/// A report of an engine about a container.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeUpdate {
    /// When it happened, by the engine's clock.
    pub ts: Timestamp,
    /// The container.
    pub id: ContainerId,
    /// What happened, with the facts where they changed.
    pub event: ContainerEvent,
}

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineKind {
    /// A Docker engine.
    Docker,
    /// A containerd that is not Docker's only.
    Containerd,
}

/// State of the connection to an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineState {
    /// Not yet answered.
    Connecting,
    /// Answering.
    Connected {
        /// The engine's version.
        version: String,
        /// Its storage driver, e.g. `overlay2`; empty when not reported.
        driver: String,
    },
    /// There, but not answering; tried again with growing pauses.
    Unreachable {
        /// What went wrong, on which address.
        error: String,
    },
    /// No engine on this host: its socket does not exist. Looked for again now and then.
    Absent,
}

/// A message of an engine's connection to the collector.
#[derive(Debug, Clone, PartialEq)]
pub enum RuntimeMessage {
    /// A container appeared, changed or ended.
    Update(EngineKind, RuntimeUpdate),
    /// This program on this host probably started a command inside, as the pid says.
    Client(Timestamp, ContainerId, u32, Client),
    /// The connection changed.
    State(EngineKind, EngineState),
    /// The event stream broke at this time: what happened until the next connection is known
    /// only by its outcome.
    Lost(Timestamp, Lost),
}

/// An engine connection's two ends towards hullwatch.
pub(super) struct EngineLink {
    /// Where the connection reports.
    pub(super) out: Sender<RuntimeMessage>,
    /// Resolves, also by being dropped at the other end, when the connection is to end.
    pub(super) stop: oneshot::Receiver<()>,
}

/// A container engine: one file per kind implements this.
pub(super) trait ContainerEngine {
    /// Keeps the connection up and reports what it learns, until asked to stop or until the
    /// receiver is gone. Never ends because the engine is away.
    fn run(self: Box<Self>, link: EngineLink) -> Pin<Box<dyn Future<Output = ()>>>;
}
