//! The thread that keeps the connections to container engines.

use std::thread;

use crossbeam_channel::Sender;
use tokio::sync::oneshot;

use super::docker::DockerEngine;
use super::engine::{ContainerEngine as _, EngineLink, EngineState, RuntimeMessage};

/// Which engines to talk to.
#[derive(Debug, Clone, Default)]
pub struct RuntimeOptions {
    /// Address of the Docker engine; `None` takes `DOCKER_HOST`, then the standard socket.
    pub docker_host: Option<String>,
}

/// The running connections to engines.
#[derive(Debug)]
pub struct Runtimes {
    stop: oneshot::Sender<()>,
}

impl Runtimes {
    /// Ends the connections. Does not wait: an engine that hangs must not hold up the exit.
    pub fn stop(self) {
        // The thread may have ended already.
        let _ = self.stop.send(());
    }
}

/// Starts the engines' thread; everything it learns comes through `out`. A full `out` holds
/// up this thread only.
#[must_use]
pub fn start(options: RuntimeOptions, out: Sender<RuntimeMessage>) -> Runtimes {
    let (stop, stopped) = oneshot::channel();
    let failed = out.clone();
    let spawned = thread::Builder::new()
        .name("engines".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => {
                    let engine = Box::new(DockerEngine::new(options.docker_host));
                    runtime.block_on(engine.run(EngineLink { out, stop: stopped }));
                }
                Err(e) => tell_failure(&out, &e),
            }
        });
    if let Err(e) = spawned {
        tell_failure(&failed, &e);
    }
    Runtimes { stop }
}

fn tell_failure(out: &Sender<RuntimeMessage>, error: &std::io::Error) {
    let _ = out.send(RuntimeMessage::State(EngineState::Unreachable {
        error: format!("starting the engine connection: {error}"),
    }));
}
