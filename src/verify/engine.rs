//! Copies of containers in a Docker engine; they and their volumes are always removed.

use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::{
    ContainerInspectResponse, EndpointSettings, ExecConfig, Mount, MountType,
    NetworkConnectRequest, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, KillContainerOptions, LogsOptions, RemoveContainerOptions,
    RemoveVolumeOptions, RestartContainerOptions, StopContainerOptions,
};
use futures_util::StreamExt as _;
use tokio::runtime::Runtime;

use super::error::VerifyError;
use super::plan::{CopyPlan, LABEL};
use crate::event::ContainerId;

/// Seconds that an answer may take; stopping waits for the container's own time.
const PATIENCE: u64 = 120;
/// Exit code of a probe that did not end in time, as timeout(1) has it.
const TIMED_OUT: i64 = 124;
/// Bytes kept of what a probe prints and of a log.
const MOST_OUTPUT: usize = 16 << 10;
/// Where an engine listens by default.
const SOCKET: &str = "/var/run/docker.sock";

/// For people; the engine's text, which may contain parts of a container's configuration, is
/// escaped where errors are printed.
fn failed(what: &str) -> impl Fn(bollard::errors::Error) -> VerifyError + '_ {
    move |e| VerifyError(format!("{what}: {e}"))
}

/// A connection to an engine, and what was made there.
pub(super) struct CopyEngine {
    docker: Docker,
    runtime: Runtime,
    made: Made,
}

#[derive(Default)]
struct Made {
    copies: Vec<String>,
    volumes: Vec<String>,
}

/// Whether a copy runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopyState {
    /// It runs; the host pid of its init.
    Running(u32),
    /// It ended with this code.
    Ended(i64),
}

/// The result of a command inside a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandResult {
    pub(super) code: i64,
    pub(super) output: Vec<u8>,
}

impl CopyEngine {
    /// Connects to the engine at an address, else at the standard socket.
    pub(super) fn connect(address: Option<&str>) -> Result<Self, VerifyError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| VerifyError(format!("starting the engine connection: {e}")))?;
        let address = address.unwrap_or(SOCKET);
        let is_remote = address.starts_with("tcp://") || address.starts_with("http://");
        let docker = runtime.block_on(async {
            let version = bollard::API_DEFAULT_VERSION;
            let docker = if is_remote {
                Docker::connect_with_http(address, PATIENCE, version)
            } else {
                Docker::connect_with_unix(address, PATIENCE, version)
            }?;
            docker.negotiate_version().await
        });
        Ok(Self {
            docker: docker.map_err(failed("the Docker engine"))?,
            runtime,
            made: Made::default(),
        })
    }

    /// The engine's description of a container.
    pub(super) fn inspect(&self, name: &str) -> Result<ContainerInspectResponse, VerifyError> {
        self.runtime
            .block_on(self.docker.inspect_container(name, None))
            .map_err(failed(name))
    }

    /// Creates a copy; it does not run yet.
    pub(super) fn create(
        &mut self,
        name: &str,
        plan: &CopyPlan,
    ) -> Result<ContainerId, VerifyError> {
        let mut plan = plan.clone();
        let mut host = plan.body.host_config.take().unwrap_or_default();
        let mounts = host.mounts.get_or_insert_default();
        for (number, at) in plan.volumes.iter().enumerate() {
            let volume = format!("{name}-{number}");
            // Noted first: whatever comes after, it is removed.
            self.made.volumes.push(volume.clone());
            let labels = plan.body.labels.clone().unwrap_or_default();
            let request = VolumeCreateRequest {
                name: Some(volume.clone()),
                labels: Some(labels),
                ..VolumeCreateRequest::default()
            };
            self.runtime
                .block_on(self.docker.create_volume(request))
                .map_err(failed("a volume for the copy"))?;
            mounts.push(Mount {
                target: Some(at.clone()),
                source: Some(volume),
                typ: Some(MountType::VOLUME),
                ..Mount::default()
            });
        }
        plan.body.host_config = Some(host);
        let options = CreateContainerOptions {
            name: Some(name.to_owned()),
            ..CreateContainerOptions::default()
        };
        self.made.copies.push(name.to_owned());
        let created = self
            .runtime
            .block_on(self.docker.create_container(Some(options), plan.body))
            .map_err(failed("creating the copy"))?;
        for network in plan.networks {
            let request = NetworkConnectRequest {
                container: created.id.clone(),
                endpoint_config: Some(EndpointSettings::default()),
            };
            self.runtime
                .block_on(self.docker.connect_network(&network, request))
                .map_err(failed(&network))?;
        }
        Ok(ContainerId::new(&created.id))
    }

    /// Starts a copy. The inner error is the engine's refusal to start it.
    pub(super) fn start(&self, id: &ContainerId) -> Result<Result<(), String>, VerifyError> {
        let started = self
            .runtime
            .block_on(self.docker.start_container(id.as_str(), None));
        match started {
            Ok(()) => Ok(Ok(())),
            Err(bollard::errors::Error::DockerResponseServerError { message, .. }) => {
                Ok(Err(message))
            }
            Err(e) => Err(failed("starting the copy")(e)),
        }
    }

    pub(super) fn state(&self, id: &ContainerId) -> Result<CopyState, VerifyError> {
        let state = self.inspect(id.as_str())?.state.unwrap_or_default();
        let pid = state.pid.and_then(|pid| u32::try_from(pid).ok());
        Ok(match (state.running, pid) {
            (Some(true), Some(pid)) if pid > 0 => CopyState::Running(pid),
            _ => CopyState::Ended(state.exit_code.unwrap_or(0)),
        })
    }

    /// Runs a command inside a copy to its end.
    pub(super) fn run(
        &self,
        id: &ContainerId,
        command: &[String],
    ) -> Result<CommandResult, VerifyError> {
        let config = ExecConfig {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let docker = &self.docker;
        let patience = Duration::from_secs(PATIENCE);
        let ended = self.runtime.block_on(async {
            let all = async {
                let exec = docker.create_exec(id.as_str(), config).await?;
                let mut printed = Vec::new();
                if let StartExecResults::Attached { mut output, .. } =
                    docker.start_exec(&exec.id, None).await?
                {
                    while let Some(part) = output.next().await {
                        keep(&mut printed, &part?);
                    }
                }
                let ended = docker.inspect_exec(&exec.id).await?;
                Ok(CommandResult {
                    // Not started: the engine has no code for that.
                    code: ended.exit_code.unwrap_or(126),
                    output: printed,
                })
            };
            tokio::time::timeout(patience, all).await
        });
        match ended {
            Ok(done) => done.map_err(failed("the probe")),
            Err(_) => Ok(CommandResult {
                code: TIMED_OUT,
                output: format!("no end within {PATIENCE} seconds").into_bytes(),
            }),
        }
    }

    /// The end of what a copy printed.
    pub(super) fn log(&self, id: &ContainerId) -> Vec<u8> {
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            tail: "3".to_owned(),
            ..LogsOptions::default()
        };
        self.runtime.block_on(async {
            let mut printed = Vec::new();
            let mut logs = Box::pin(self.docker.logs(id.as_str(), Some(options)));
            while let Some(Ok(part)) = logs.next().await {
                keep(&mut printed, &part);
            }
            printed
        })
    }

    pub(super) fn signal(&self, id: &ContainerId, signal: &str) -> Result<(), VerifyError> {
        let options = KillContainerOptions {
            signal: signal.to_owned(),
        };
        self.runtime
            .block_on(self.docker.kill_container(id.as_str(), Some(options)))
            .map_err(failed(signal))
    }

    /// Stops a copy as `docker stop` does; its exit code.
    pub(super) fn stop(&self, id: &ContainerId) -> Result<i64, VerifyError> {
        self.runtime
            .block_on(
                self.docker
                    .stop_container(id.as_str(), None::<StopContainerOptions>),
            )
            .map_err(failed("stopping the copy"))?;
        match self.state(id)? {
            CopyState::Ended(code) => Ok(code),
            CopyState::Running(_) => Err(VerifyError("the copy does not stop".to_owned())),
        }
    }

    /// Removes every copy and volume made so far; what could not be removed.
    pub(super) fn remove_all(&mut self) -> Vec<String> {
        let made = std::mem::take(&mut self.made);
        let mut left = Vec::new();
        let is_gone = |e: &bollard::errors::Error| {
            matches!(
                e,
                bollard::errors::Error::DockerResponseServerError {
                    status_code: 404,
                    ..
                }
            )
        };
        for copy in made.copies {
            let options = RemoveContainerOptions {
                v: true,
                force: true,
                link: false,
            };
            let removed = self
                .runtime
                .block_on(self.docker.remove_container(&copy, Some(options)));
            if let Err(e) = removed
                && !is_gone(&e)
            {
                left.push(format!("the container {copy} was not removed: {e}"));
            }
        }
        for volume in made.volumes {
            let removed = self.runtime.block_on(
                self.docker
                    .remove_volume(&volume, Some(RemoveVolumeOptions { force: true })),
            );
            if let Err(e) = removed
                && !is_gone(&e)
            {
                left.push(format!("the volume {volume} was not removed: {e}"));
            }
        }
        if !left.is_empty() {
            left.push(format!("they have the label {LABEL}"));
        }
        left
    }
}

/// Restarts a container, as `docker restart` does.
///
/// # Errors
/// When the engine cannot be queried, or refuses.
pub fn restart(address: Option<&str>, container: &str) -> Result<(), VerifyError> {
    let engine = CopyEngine::connect(address)?;
    engine
        .runtime
        .block_on(
            engine
                .docker
                .restart_container(container, None::<RestartContainerOptions>),
        )
        .map_err(failed(container))
}

fn keep(printed: &mut Vec<u8>, part: &LogOutput) {
    let room = MOST_OUTPUT.saturating_sub(printed.len());
    let part = part.as_ref();
    printed.extend_from_slice(&part[..part.len().min(room)]);
}

/// Also when verifying failed or was interrupted.
impl Drop for CopyEngine {
    fn drop(&mut self) {
        for line in self.remove_all() {
            tracing::warn!("{line}");
        }
    }
}

/// The tasks that a process's cgroup refused to start, by its `pids.events`; 0 where unknown.
pub(super) fn refused_tasks(pid: u32) -> u64 {
    let read = || {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let folder = match controllers {
                "" => PathBuf::from("/sys/fs/cgroup"),
                "pids" => PathBuf::from("/sys/fs/cgroup/pids"),
                _ => return None,
            };
            let file = folder
                .join(path.trim_start_matches('/'))
                .join("pids.events");
            let text = std::fs::read_to_string(file).ok()?;
            let count = text.lines().find_map(|line| line.strip_prefix("max "))?;
            count.trim().parse().ok()
        })
    };
    read().unwrap_or(0)
}
