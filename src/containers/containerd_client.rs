//! Queries containerd about its containers: each query is a separate call, bounded in time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde_json::Value;

use super::containerd_answer as answer;
use super::containerd_api as api;
use super::grpc::{GrpcConnection, GrpcError, GrpcStream};
use super::{image_config, proc_files};
use crate::event::{ContainerId, ContainerInfo};
use crate::system;

/// Maximum number of containers of all namespaces; more are counted.
pub(super) const MAX_CONTAINERS: usize = 4096;
/// Maximum number of namespaces.
const MAX_NAMESPACES: usize = 256;
/// Maximum number of images whose configurations are remembered.
const MAX_IMAGES: usize = 256;
/// Maximum size of a manifest or configuration in bytes.
const MAX_BLOB: usize = 1 << 20;
/// Maximum number of manifests of an index that are tried until one has its content here: that of
/// this platform.
const MAX_PLATFORMS: usize = 32;

/// A container in containerd's records.
#[derive(Debug)]
pub(super) struct KnownContainer {
    pub(super) id: ContainerId,
    pub(super) info: ContainerInfo,
    pub(super) paused: bool,
}

/// An image's digest and configuration.
type ImageContent = (String, Value);

/// A connection to a containerd that answered.
#[derive(Debug)]
pub(super) struct ContainerdClient {
    grpc: GrpcConnection,
    pub(super) version: String,
    /// By namespace and name; a name may move, then its containers keep the earlier facts.
    images: Mutex<BTreeMap<(String, String), Option<ImageContent>>>,
}

impl ContainerdClient {
    /// Connects to `unix:///PATH` and queries the version.
    pub(super) async fn connect(socket: &Path) -> Result<Self, GrpcError> {
        let grpc = GrpcConnection::connect(socket).await?;
        let method = "containerd.services.version.v1.Version/Version";
        let answer: api::VersionAnswer = grpc.call(method, "default", &api::Empty {}).await?;
        Ok(Self {
            grpc,
            version: answer.version,
            images: Mutex::default(),
        })
    }

    /// The events of all namespaces but Docker's, from now on.
    pub(super) fn events(&self) -> Result<GrpcStream<api::Envelope>, GrpcError> {
        let method = "containerd.services.events.v1.Events/Subscribe";
        let request = api::SubscribeRequest {
            filters: vec!["namespace!=moby,namespace!=plugins.moby".to_owned()],
        };
        self.grpc.stream(method, "default", &request)
    }

    /// Its namespaces.
    pub(super) async fn namespaces(&self) -> Result<Vec<String>, GrpcError> {
        let method = "containerd.services.namespaces.v1.Namespaces/List";
        let answer: api::NamespacesAnswer =
            self.grpc.call(method, "default", &api::Empty {}).await?;
        let names = answer
            .namespaces
            .into_iter()
            .map(|namespace| namespace.name);
        Ok(names.take(MAX_NAMESPACES).collect())
    }

    /// Every container of every namespace but Docker's, and how many were left out. `all`: those
    /// that do not run as well.
    pub(super) async fn containers(
        &self,
        all: bool,
    ) -> Result<(Vec<KnownContainer>, usize), GrpcError> {
        let mut known = Vec::new();
        let mut left_out = 0;
        for namespace in self.namespaces().await? {
            if answer::is_dockers(&namespace) {
                continue;
            }
            let method = "containerd.services.tasks.v1.Tasks/List";
            let answer: api::TasksAnswer = self
                .grpc
                .call(method, &namespace, &api::ListRequest {})
                .await?;
            // One by one: together they may be larger than a message.
            let method = "containerd.services.containers.v1.Containers/ListStream";
            let mut listed: GrpcStream<api::ContainerAnswer> =
                self.grpc.stream(method, &namespace, &api::ListRequest {})?;
            while let Some(entry) = listed.next_soon().await? {
                let Some(container) = entry.container else {
                    continue;
                };
                // A task's own id is the container's.
                let task = answer
                    .tasks
                    .iter()
                    .find(|task| task.id == container.id && task.runs());
                if task.is_none() && !all {
                    continue;
                }
                if known.len() >= MAX_CONTAINERS {
                    left_out += 1;
                    continue;
                }
                known.push(self.describe(&namespace, &container, task).await);
            }
        }
        Ok((known, left_out))
    }

    /// A container that runs with this pid.
    pub(super) async fn container(
        &self,
        namespace: &str,
        id: &str,
        pid: u32,
    ) -> Result<KnownContainer, GrpcError> {
        let method = "containerd.services.containers.v1.Containers/Get";
        let request = api::IdRequest { id: id.to_owned() };
        let answer: api::ContainerAnswer = self.grpc.call(method, namespace, &request).await?;
        let task = api::Task {
            pid,
            ..api::Task::default()
        };
        let container = answer.container.unwrap_or_default();
        Ok(self.describe(namespace, &container, Some(&task)).await)
    }

    async fn describe(
        &self,
        namespace: &str,
        container: &api::ContainerMessage,
        task: Option<&api::Task>,
    ) -> KnownContainer {
        let mut info = answer::facts(namespace, container);
        if let Some(task) = task.filter(|task| task.pid != 0) {
            info.init_pid = task.pid;
            info.started = proc_files::started(task.pid, system::boot_time());
        }
        // Facts that can no longer be queried stay empty.
        if let Ok(answer) = self.mounts(namespace, container).await {
            info.storage =
                answer::storage(&container.snapshotter, &answer.mounts).unwrap_or_default();
        }
        if let Some((digest, config)) = self.image(namespace, &container.image).await {
            info.image_digest = digest;
            image_config::complete(&mut info, &config);
        }
        KnownContainer {
            id: answer::container_id(namespace, &container.id),
            info,
            paused: task.is_some_and(api::Task::is_paused),
        }
    }

    async fn mounts(
        &self,
        namespace: &str,
        container: &api::ContainerMessage,
    ) -> Result<api::MountsAnswer, GrpcError> {
        if container.snapshot_key.is_empty() {
            return Ok(api::MountsAnswer::default());
        }
        let method = "containerd.services.snapshots.v1.Snapshots/Mounts";
        let request = api::MountsRequest {
            snapshotter: container.snapshotter.clone(),
            key: container.snapshot_key.clone(),
        };
        self.grpc.call(method, namespace, &request).await
    }

    async fn image(&self, namespace: &str, name: &str) -> Option<ImageContent> {
        if name.is_empty() {
            return None;
        }
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(known) = self.images.lock().get(&key) {
            return known.clone();
        }
        // Removed while its container runs: the container's own facts remain.
        let content = self.read_image(namespace, name).await.ok();
        let mut images = self.images.lock();
        if images.len() >= MAX_IMAGES {
            images.clear();
        }
        images.insert(key, content.clone());
        content
    }

    async fn read_image(&self, namespace: &str, name: &str) -> Result<ImageContent, GrpcError> {
        let method = "containerd.services.images.v1.Images/Get";
        let request = api::ImageRequest {
            name: name.to_owned(),
        };
        let answer: api::ImageAnswer = self.grpc.call(method, namespace, &request).await?;
        let target = answer.image.and_then(|image| image.target);
        let digest = target.unwrap_or_default().digest;
        let mut manifest = self.blob(namespace, &digest).await?;
        // An index names a manifest for each platform; only this one's content is here.
        if let Some(Value::Array(platforms)) = manifest.get_mut("manifests").map(Value::take) {
            manifest = Value::Null;
            for platform in platforms.iter().take(MAX_PLATFORMS) {
                let digest = platform.get("digest").and_then(Value::as_str);
                if let Ok(found) = self.blob(namespace, digest.unwrap_or_default()).await {
                    manifest = found;
                    break;
                }
            }
        }
        let config = manifest.pointer("/config/digest").and_then(Value::as_str);
        let config = self.blob(namespace, config.unwrap_or_default()).await?;
        Ok((digest, config))
    }

    async fn blob(&self, namespace: &str, digest: &str) -> Result<Value, GrpcError> {
        let method = "containerd.services.content.v1.Content/Read";
        let request = api::ReadRequest {
            digest: digest.to_owned(),
            size: 0,
        };
        let mut parts: GrpcStream<api::ReadAnswer> =
            self.grpc.stream(method, namespace, &request)?;
        let mut content = Vec::new();
        while let Some(part) = parts.next_soon().await? {
            content.extend_from_slice(&part.data);
            if content.len() > MAX_BLOB {
                let why = format!("content larger than {} KiB", MAX_BLOB >> 10);
                return Err(GrpcError::Failed(why));
            }
        }
        serde_json::from_slice(&content).map_err(|e| GrpcError::Failed(e.to_string()))
    }
}

/// Every container of every containerd of this host, running or not; containerds that did not
/// answer with the reason.
pub(super) async fn list(sockets: &[PathBuf]) -> (Vec<(ContainerId, ContainerInfo)>, Vec<String>) {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for socket in sockets {
        let answer = async {
            let client = ContainerdClient::connect(socket).await?;
            client.containers(true).await
        };
        match answer.await {
            Ok((known, _)) => found.extend(known.into_iter().map(|k| (k.id, k.info))),
            Err(error) => problems.push(format!("containerd at {}: {error}", socket.display())),
        }
    }
    (found, problems)
}

/// A containerd of this host, for `doctor`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ContainerdState {
    /// Its socket.
    pub address: String,
    /// Empty when it does not answer.
    pub version: String,
    /// Why it does not.
    pub error: String,
    /// Its namespaces, and the containers that run in each; Docker's are not counted.
    pub namespaces: BTreeMap<String, usize>,
}

/// Queries version and containers of every containerd of this host.
pub(super) async fn states(sockets: &[PathBuf]) -> Vec<ContainerdState> {
    let mut states = Vec::new();
    for socket in sockets {
        let mut state = ContainerdState {
            address: socket.display().to_string(),
            version: String::new(),
            error: String::new(),
            namespaces: BTreeMap::new(),
        };
        let answer = async {
            let client = ContainerdClient::connect(socket).await?;
            state.version.clone_from(&client.version);
            for namespace in client.namespaces().await? {
                state.namespaces.insert(namespace, 0);
            }
            for known in client.containers(false).await?.0 {
                *state
                    .namespaces
                    .entry(known.info.engine_namespace)
                    .or_default() += 1;
            }
            Ok::<_, GrpcError>(())
        };
        if let Err(error) = answer.await {
            state.error = error.to_string();
        }
        states.push(state);
    }
    states
}
