//! A one-time list of the containers of this host, stopped ones included, and the engine's list of
//! changed files. For commands that load no probes.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::timeout;

use super::containerd_client::{self, ContainerdClient, ContainerdState};
use super::docker::{DockerEngine, list};
use super::docker_client::{DockerClient, PARALLEL};
use super::docker_event::is_id;
use super::engine::{EngineKind, EngineState, RuntimeMessage};
use super::engine_sockets;
use super::engine_thread::{ContainerdChoice, RuntimeOptions};
use super::{bundle, by_namespace, merge, overlay, proc_facts, storage_files};
use crate::event::{Bytes, ContainerId, ContainerInfo, Difference};

/// Time limit for the answers about all running containers.
const LOOK: Duration = Duration::from_secs(5);
/// To list changes it walks the container's files.
const WALK: Duration = Duration::from_secs(120);
/// Bytes of that list.
const MAX_CHANGES: usize = 128 << 20;

/// A container of this host.
#[derive(Debug, Clone)]
pub struct ListedContainer {
    /// Its id.
    pub id: ContainerId,
    /// Its facts.
    pub info: ContainerInfo,
}

/// The containers of this host, and access to their engine.
#[derive(Debug, Clone)]
pub struct Inventory {
    options: RuntimeOptions,
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("starting the engine connection: {e}"))?;
    Ok(runtime.block_on(work))
}

fn unreachable(state: EngineState) -> String {
    match state {
        EngineState::Unreachable { error } => error,
        EngineState::Absent => "no engine: its socket does not exist".to_owned(),
        EngineState::Connecting | EngineState::Connected { .. } => "no answer".to_owned(),
    }
}

fn unlisted(problem: impl std::fmt::Display) -> String {
    format!("{problem}; its stopped containers are not listed")
}

impl Inventory {
    /// Queries these engines.
    #[must_use]
    pub fn new(options: RuntimeOptions) -> Self {
        Self { options }
    }

    /// Whether a Docker engine is queried.
    #[must_use]
    pub fn asks_docker(&self) -> bool {
        self.options.docker
    }

    /// Every container: the engines', running or not, then those known by their cgroups only. The
    /// second part is what could not be queried, and why.
    #[must_use]
    pub fn containers(&self) -> (Vec<ListedContainer>, Vec<String>) {
        let mut known = Vec::new();
        let mut problems = Vec::new();
        if self.options.docker {
            match block_on(self.of_docker(true)).flatten() {
                Ok((of_docker, unread)) => {
                    known = of_docker;
                    problems.extend(unread);
                }
                Err(problem) => problems.push(unlisted(problem)),
            }
        }
        let sockets = self.options.containerd.sockets();
        if !sockets.is_empty() {
            match block_on(containerd_client::list(&sockets)) {
                Ok((listed, failed)) => {
                    let listed = listed.into_iter();
                    known.extend(listed.map(|(id, info)| ListedContainer { id, info }));
                    problems.extend(failed.into_iter().map(unlisted));
                }
                Err(problem) => problems.push(unlisted(problem)),
            }
        }
        let listed: BTreeSet<ContainerId> = known.iter().map(|k| k.id.clone()).collect();
        for found in by_namespace::scan().1 {
            if !listed.contains(&found.id)
                && let Some(mut info) = proc_facts::facts(&found)
            {
                if let Some(known) = bundle::facts(&found, info.init_pid) {
                    merge::prefer(&mut info, &known);
                }
                known.push(ListedContainer { id: found.id, info });
            }
        }
        // Stopped ones of Podman and CRI-O.
        let here: BTreeSet<ContainerId> = known.iter().map(|k| k.id.clone()).collect();
        let stored = storage_files::list().into_iter();
        known.extend(
            stored
                .filter(|(id, _)| !here.contains(id))
                .map(|(id, info)| ListedContainer { id, info }),
        );
        for container in &mut known {
            locate(&mut container.info);
        }
        (known, problems)
    }

    /// What the Docker engine does not report of its running containers: odd entries and fields.
    #[must_use]
    pub fn unread_by_docker(&self) -> Vec<String> {
        let unread = block_on(async { timeout(LOOK, self.of_docker(false)).await });
        match unread {
            Ok(Ok(Ok((_, unread)))) => unread,
            Ok(Ok(Err(problem))) | Err(problem) => vec![problem],
            Ok(Err(_)) => vec!["no answer about its containers within five seconds".to_owned()],
        }
    }

    /// The engine's containers, `all` with the stopped ones, and what of them cannot be read.
    async fn of_docker(&self, all: bool) -> Result<(Vec<ListedContainer>, Vec<String>), String> {
        let engine = DockerEngine::new(self.options.docker_host.clone());
        let (http, _) = engine.connect().await.map_err(unreachable)?;
        let (listed, left_out) = list(&http, all).await.map_err(|e| e.to_string())?;
        let (out, messages) = crossbeam_channel::unbounded();
        let client = &DockerClient::new(http, out);
        client.listed(listed.clone());
        let inspects = listed.into_keys().map(|id| async move {
            match client.inspect(&id).await {
                Ok(inspected) => Some(ListedContainer {
                    id,
                    info: inspected.info,
                }),
                Err(error) => {
                    client.unreadable(&id, &error);
                    None
                }
            }
        });
        let known = stream::iter(inspects).buffered(PARALLEL);
        let known = known.filter_map(std::future::ready).collect().await;
        let unread = messages.try_iter().filter_map(|message| match message {
            RuntimeMessage::Lost(_, lost) => Some(lost.detail),
            _ => None,
        });
        Ok((known, left_out.into_iter().chain(unread).collect()))
    }

    /// Paths that were added, changed or deleted, by the engine's report.
    ///
    /// # Errors
    /// When it cannot be queried.
    pub fn changes(&self, id: &ContainerId) -> Result<Vec<(Bytes, Difference)>, String> {
        block_on(async {
            if !is_id(id.as_str()) {
                return Err("it is not a container of the Docker engine".to_owned());
            }
            let engine = DockerEngine::new(self.options.docker_host.clone());
            let (http, _) = engine.connect().await.map_err(unreachable)?;
            let path = format!("/containers/{id}/changes");
            let changes = http.get_within(&path, MAX_CHANGES, WALK).await;
            let changes = changes.map_err(|e| e.to_string())?;
            Ok(changes
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|change| {
                    let difference = match change.get("Kind")?.as_i64()? {
                        0 => Difference::Changed,
                        1 => Difference::Added,
                        _ => Difference::Deleted,
                    };
                    Some((change.get("Path")?.as_str()?.into(), difference))
                })
                .collect())
        })?
    }
}

/// Takes the layers from the mount table of the container's init where the engine did not report
/// them.
pub fn locate(info: &mut ContainerInfo) {
    if (info.storage.upper.is_empty() || info.storage.lower.is_empty())
        && info.init_pid != 0
        && let Some(storage) = overlay::of_process(info.init_pid)
    {
        info.storage = storage;
    }
}

/// Which engine answers at the socket `unix:///PATH`.
///
/// # Errors
/// When none does.
pub fn engine_kind(url: &str) -> Result<EngineKind, String> {
    block_on(async {
        let path = engine_sockets::path_of(url).ok_or("not the path of a socket")?;
        let Err(containerd) = ContainerdClient::connect(path).await else {
            return Ok(EngineKind::Containerd);
        };
        match DockerEngine::new(Some(url.to_owned())).connect().await {
            Ok(_) => Ok(EngineKind::Docker),
            Err(EngineState::Absent) => Err("its socket does not exist".to_owned()),
            Err(state) => Err(format!(
                "neither containerd ({containerd}) nor Docker ({}) answers there",
                unreachable(state)
            )),
        }
    })?
}

/// The containerds selected by `choice`.
#[must_use]
pub fn containerds(choice: &ContainerdChoice) -> Vec<ContainerdState> {
    let sockets = choice.sockets();
    // Without a thread for calls no engine is queried.
    block_on(containerd_client::states(&sockets)).unwrap_or_default()
}
