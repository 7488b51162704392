//! The trait of a container engine's connection, and its messages to the collector.

use std::future::Future;
use std::pin::Pin;

use crossbeam_channel::Sender;
use tokio::sync::oneshot;

use crate::event::{Client, ContainerEvent, ContainerId, ContainerInfo, Lost, Timestamp};

/// A report of an engine about a container.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeUpdate {
    /// When it happened, by the engine's clock.
    pub ts: Timestamp,
    /// The container.
    pub id: ContainerId,
    /// The event, with the facts where they changed.
    pub event: ContainerEvent,
}

/// The kind of engine.
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
    /// It exists, but does not answer; hullwatch retries with growing pauses.
    Unreachable {
        /// The error, with the address.
        error: String,
    },
    /// No engine on this host: its socket does not exist. hullwatch checks again periodically.
    Absent,
}

/// A message of an engine's connection to the collector.
#[derive(Debug, Clone, PartialEq)]
pub enum RuntimeMessage {
    /// A container appeared, changed or ended.
    Update(EngineKind, RuntimeUpdate),
    /// The names in the engine's list of a container whose inspection failed.
    Names(Timestamp, ContainerId, Box<ContainerInfo>),
    /// This program on the host, by its pid, probably started a command inside.
    Client(Timestamp, ContainerId, u32, Client),
    /// The connection changed.
    State(EngineKind, EngineState),
    /// The event stream broke at this time: events until the next connection are known only by
    /// their outcome.
    Lost(Timestamp, Lost),
}

/// The channels of an engine connection.
pub(super) struct EngineLink {
    /// Messages of the connection.
    pub(super) out: Sender<RuntimeMessage>,
    /// Completes, also by being dropped at the other end, when the connection must end.
    pub(super) stop: oneshot::Receiver<()>,
}

/// A container engine: one file per kind implements this.
pub(super) trait ContainerEngine {
    /// Keeps the connection up and reports its messages, until stopped or until the receiver
    /// is gone. Does not end because the engine is unavailable.
    fn run(self: Box<Self>, link: EngineLink) -> Pin<Box<dyn Future<Output = ()>>>;
}
