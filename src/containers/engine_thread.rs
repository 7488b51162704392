//! The thread that keeps the connections to container engines.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::Pin;
use std::thread;

use crossbeam_channel::Sender;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, oneshot};

use std::sync::Arc;

use super::containerd::Containerd;
use super::docker::DockerEngine;
use super::engine::{ContainerEngine as _, EngineKind, EngineLink, EngineState, RuntimeMessage};
use super::engine_sockets;

/// The engines to connect to.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// Connect to a Docker engine.
    pub docker: bool,
    /// Address of the Docker engine; `None` takes `DOCKER_HOST`, then the standard socket.
    pub docker_host: Option<String>,
    /// The containerds to connect to.
    pub containerd: ContainerdChoice,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            docker: true,
            docker_host: None,
            containerd: ContainerdChoice::Found,
        }
    }
}

impl RuntimeOptions {
    /// The Docker engine at this address alone.
    #[must_use]
    pub fn of_docker(address: Option<String>) -> Self {
        Self {
            docker: true,
            docker_host: address,
            ..Self::none()
        }
    }

    /// No engine.
    #[must_use]
    pub fn none() -> Self {
        Self {
            docker: false,
            docker_host: None,
            containerd: ContainerdChoice::None,
        }
    }

    /// Whether no engine is queried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.docker && self.containerd == ContainerdChoice::None
    }
}

/// The containerds to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerdChoice {
    /// None.
    None,
    /// Those on this host, including later ones.
    Found,
    /// Those at these sockets.
    At(Vec<PathBuf>),
}

impl ContainerdChoice {
    /// The current sockets.
    #[must_use]
    pub fn sockets(&self) -> Vec<PathBuf> {
        match self {
            Self::None => Vec::new(),
            Self::Found => engine_sockets::containerd(),
            Self::At(sockets) => sockets.clone(),
        }
    }
}

/// The running connections to engines.
#[derive(Debug)]
pub struct Runtimes {
    stop: oneshot::Sender<()>,
    look: Arc<Notify>,
}

impl Runtimes {
    /// Ends the connections. Does not wait: a hanging engine must not delay the exit.
    pub fn stop(self) {
        // The thread may have ended already.
        let _ = self.stop.send(());
    }

    /// A container of containerd appeared: its engine may be a new one.
    pub fn look_for_containerd(&self) {
        self.look.notify_one();
    }
}

/// Starts the engines' thread, which sends its messages to `out`. A full `out` blocks this thread
/// only.
#[must_use]
pub fn start(options: RuntimeOptions, out: Sender<RuntimeMessage>) -> Runtimes {
    let (stop, stopped) = oneshot::channel();
    let look = Arc::new(Notify::new());
    let failed = out.clone();
    let requested = Arc::clone(&look);
    let spawned = thread::Builder::new()
        .name("engines".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(keep(options, &out, stopped, &requested)),
                Err(e) => tell_failure(&out, &e),
            }
        });
    if let Err(e) = spawned {
        tell_failure(&failed, &e);
    }
    Runtimes { stop, look }
}

/// Keeps the connections until stopped; then drops them in any state.
async fn keep(
    options: RuntimeOptions,
    out: &Sender<RuntimeMessage>,
    mut stopped: oneshot::Receiver<()>,
    look: &Notify,
) {
    let mut engines: FuturesUnordered<Pin<Box<dyn Future<Output = ()>>>> = FuturesUnordered::new();
    let (docker_stop, stop) = oneshot::channel();
    if options.docker {
        let engine = Box::new(DockerEngine::new(options.docker_host));
        let out = out.clone();
        engines.push(engine.run(EngineLink { out, stop }));
    }
    let mut known = BTreeSet::new();
    loop {
        for socket in options.containerd.sockets() {
            if known.insert(socket.clone()) {
                let (_, stop) = oneshot::channel();
                let out = out.clone();
                let engine = Box::new(Containerd::new(socket));
                engines.push(engine.run(EngineLink { out, stop }));
            }
        }
        tokio::select! {
            _ = &mut stopped => break,
            () = look.notified() => {}
            // Each ends only when the receiver is gone.
            Some(()) = engines.next() => break,
        }
    }
    drop(docker_stop);
}

fn tell_failure(out: &Sender<RuntimeMessage>, error: &std::io::Error) {
    let _ = out.send(RuntimeMessage::State(
        EngineKind::Docker,
        EngineState::Unreachable {
            error: format!("starting the engine connection: {error}"),
        },
    ));
}
