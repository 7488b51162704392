//! What every container engine offers hullwatch, and the thread that talks to them.

use std::future::Future;
use std::pin::Pin;
use std::thread;

use crossbeam_channel::Sender;
use tokio::sync::mpsc;

use super::docker::Docker;
use crate::event::{Client, ContainerEvent, ContainerId, Lost, Timestamp};

/// Something an engine told about a container.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeUpdate {
    /// When it happened, by the engine's clock.
    pub ts: Timestamp,
    /// The container.
    pub id: ContainerId,
    /// What happened, with the facts where they changed.
    pub event: ContainerEvent,
}

/// How the connection to an engine stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineState {
    /// Not yet answered.
    Connecting,
    /// Answering.
    Connected {
        /// The engine's version.
        version: String,
        /// Its storage driver, e.g. `overlay2`; empty when it does not tell.
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

/// What an engine's connection tells the collector.
#[derive(Debug, Clone, PartialEq)]
pub enum RuntimeMessage {
    /// A container appeared, changed or ended.
    Update(RuntimeUpdate),
    /// This program on this host probably started a command inside, as the pid says.
    Client(Timestamp, ContainerId, u32, Client),
    /// The connection changed.
    State(EngineState),
    /// The event stream broke at this time: what happened until the next connection is known
    /// only by its outcome.
    Lost(Timestamp, Lost),
}

/// Which engines to talk to.
#[derive(Debug, Clone, Default)]
pub struct RuntimeOptions {
    /// Address of the Docker engine; `None` takes `DOCKER_HOST`, then the standard socket.
    pub docker_host: Option<String>,
}

/// What the engines' thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Ask for a container's facts again.
    Inspect(ContainerId),
    /// End.
    Stop,
}

/// An engine's two ends towards hullwatch.
pub(super) struct Link {
    /// Where it tells.
    pub(super) out: Sender<RuntimeMessage>,
    /// What it is asked.
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
}

/// A container engine: one file per kind implements this.
pub(super) trait Engine {
    /// Keeps the connection up and tells what it learns, until told to stop or until nobody
    /// listens. Never ends because the engine is away.
    fn run(self: Box<Self>, link: Link) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// The running connections to engines.
#[derive(Debug)]
pub struct Runtimes {
    commands: mpsc::UnboundedSender<Command>,
}

impl Runtimes {
    /// Asks the engine for a container's facts again; they come as an update.
    pub fn inspect(&self, id: ContainerId) {
        // Nobody is there to ask after the thread has ended.
        let _ = self.commands.send(Command::Inspect(id));
    }

    /// Ends the connections. Does not wait: an engine that hangs must not hold up the exit.
    pub fn stop(self) {
        let _ = self.commands.send(Command::Stop);
    }
}

/// Starts the engines' thread; everything it learns comes through `out`. A full `out` holds
/// up this thread only.
#[must_use]
pub fn start(options: RuntimeOptions, out: Sender<RuntimeMessage>) -> Runtimes {
    let (commands, receiver) = mpsc::unbounded_channel();
    let failed = out.clone();
    let spawned = thread::Builder::new()
        .name("engines".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => {
                    let engine = Box::new(Docker::new(options.docker_host));
                    runtime.block_on(engine.run(Link {
                        out,
                        commands: receiver,
                    }));
                }
                Err(e) => tell_failure(&out, &e),
            }
        });
    if let Err(e) = spawned {
        tell_failure(&failed, &e);
    }
    Runtimes { commands }
}

fn tell_failure(out: &Sender<RuntimeMessage>, error: &std::io::Error) {
    let _ = out.send(RuntimeMessage::State(EngineState::Unreachable {
        error: format!("starting the engine connection: {error}"),
    }));
}
