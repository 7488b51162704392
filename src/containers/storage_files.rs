//! Facts from the files of containers/storage, in which Podman and CRI-O keep containers, layers
//! and images. This needs no engine: connecting to Podman's socket would start one.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::json_file::{read_json, text};
use super::supervisor::Supervisor;
use super::{image_config, overlay};
use crate::event::{Bytes, ContainerId, ContainerInfo, Pod, Role, Runtime, Storage, Timestamp};

/// Larger files are not read.
const MAX_LIST: u64 = 16 << 20;
const MAX_CONFIG: u64 = 1 << 20;
/// Default paths of storage: root's, and below a user's home.
const ROOT: &str = "/var/lib/containers/storage";
/// Known storage drivers.
const DRIVERS: &[&str] = &["overlay", "vfs"];

/// One storage: its directory, and how this program opens its files.
#[derive(Debug, Clone)]
struct Graph {
    /// Directory as this program opens it.
    root: PathBuf,
    driver: String,
    /// Required owner of its files, besides root.
    owner: u32,
}

/// Completes the facts of a container whose bundle is below its storage, or whose storage its
/// supervisor names (`named`), by the storage's files.
pub(super) fn complete(
    info: &mut ContainerInfo,
    id: &ContainerId,
    bundle: &Path,
    named: Option<&Path>,
    supervisor: &Supervisor,
) {
    let below = |path: &Path| match supervisor.uid {
        0 => path.to_owned(),
        _ => PathBuf::from(format!("/proc/{}/root", supervisor.pid))
            .join(path.strip_prefix("/").unwrap_or(path)),
    };
    // ROOT/DRIVER-containers/ID/userdata
    let containers = bundle.parent().and_then(Path::parent);
    let driver = containers.and_then(|dir| dir.file_name()?.to_str()?.strip_suffix("-containers"));
    let of_bundle = containers.and_then(Path::parent).map(Path::to_owned);
    let named = named.map(below);
    let drivers = driver.map_or(DRIVERS.to_vec(), |driver| vec![driver]);
    for root in [named, of_bundle, Some(below(Path::new(ROOT)))]
        .into_iter()
        .flatten()
    {
        for driver in &drivers {
            let graph = Graph {
                root: root.clone(),
                driver: (*driver).to_owned(),
                owner: supervisor.uid,
            };
            if let Some(entry) = graph.container(id.as_str()) {
                graph.describe(&entry, info);
                return;
            }
        }
    }
}

/// Containers in root's storage that may not run; each with its facts and layers.
pub(super) fn list() -> Vec<(ContainerId, ContainerInfo)> {
    let mut found = Vec::new();
    for driver in DRIVERS {
        let graph = Graph {
            root: PathBuf::from(ROOT),
            driver: (*driver).to_owned(),
            owner: 0,
        };
        for entry in graph.containers() {
            let Some(id) = text(&entry, "/id") else {
                continue;
            };
            let mut info = ContainerInfo {
                runtime: Runtime::Podman,
                ..ContainerInfo::default()
            };
            graph.describe(&entry, &mut info);
            found.push((ContainerId::new(id), info));
        }
    }
    found
}

impl Graph {
    fn read(&self, directory: &str, file: &str, limit: u64) -> Option<Value> {
        let directory = self.root.join(format!("{}-{directory}", self.driver));
        read_json(&directory.join(file), self.owner, limit)
    }

    /// Entries of the lists of containers: the permanent ones, and those of `--rm`.
    fn containers(&self) -> Vec<Value> {
        self.lists(
            "containers",
            ["containers.json", "volatile-containers.json"],
        )
    }

    fn lists(&self, directory: &str, files: [&str; 2]) -> Vec<Value> {
        files
            .iter()
            .filter_map(|file| self.read(directory, file, MAX_LIST))
            .flat_map(|list| match list {
                Value::Array(entries) => entries,
                _ => Vec::new(),
            })
            .collect()
    }

    fn container(&self, id: &str) -> Option<Value> {
        let entries = self.containers();
        entries
            .into_iter()
            .find(|entry| text(entry, "/id") == Some(id))
    }

    fn describe(&self, entry: &Value, info: &mut ContainerInfo) {
        let metadata: Value = text(entry, "/metadata")
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let bytes = |pointer: &str| text(&metadata, pointer).map(Bytes::from);
        if info.name.is_empty() {
            let own = text(entry, "/names/0").map(Bytes::from);
            info.name = bytes("/metadata-name").or(own).unwrap_or_default();
        }
        if info.image.is_empty() {
            info.image = bytes("/image-name").unwrap_or_default();
        }
        if info.created.is_none() {
            info.created = text(entry, "/created").and_then(|t| Timestamp::parse(t).ok());
        }
        if metadata.get("pod").and_then(Value::as_bool) == Some(true) {
            info.role = Role::Infra;
        }
        // CRI-O notes the pod; only Podman's database has its own pods.
        if info.pod.is_none()
            && let (Some(name), Some(namespace)) =
                (text(&metadata, "/pod-name"), text(&metadata, "/namespace"))
        {
            info.pod = Some(Pod {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                uid: text(&metadata, "/uid").unwrap_or_default().to_owned(),
                sandbox: text(&metadata, "/pod-id").unwrap_or_default().to_owned(),
                labels: BTreeMap::new(),
            });
        }
        if let Some(image) = text(entry, "/image") {
            self.describe_image(image, info);
        }
        if info.storage.lower.is_empty()
            && let Some(layer) = text(entry, "/layer")
        {
            info.storage = self.layers(layer).unwrap_or_default();
        }
    }

    /// The declarations in the image's configuration.
    fn describe_image(&self, id: &str, info: &mut ContainerInfo) {
        if info.image_digest.is_empty() {
            info.image_digest = format!("sha256:{id}");
        }
        // Files are named by the base64 of their key, unless that is a plain word.
        let name = format!("={}", BASE64_STANDARD.encode(format!("sha256:{id}")));
        if id.contains('/') {
            return;
        }
        let Some(image) = self.read("images", &format!("{id}/{name}"), MAX_CONFIG) else {
            return;
        };
        image_config::complete(info, &image);
    }

    /// The directories of a container's layer and of those below it, for any kind of mount.
    fn layers(&self, layer: &str) -> Option<Storage> {
        let entries = self.lists("layers", ["layers.json", "volatile-layers.json"]);
        let parents: BTreeMap<&str, &str> = entries
            .iter()
            .filter_map(|entry| Some((text(entry, "/id")?, text(entry, "/parent")?)))
            .collect();
        let directory = |layer: &str| -> Option<Bytes> {
            if layer.contains('/') {
                return None;
            }
            let path = match self.driver.as_str() {
                "vfs" => self.root.join("vfs/dir").join(layer),
                driver => self.root.join(driver).join(layer).join("diff"),
            };
            Some(path.as_os_str().as_bytes().into())
        };
        let mut lower = Vec::new();
        let mut next = parents.get(layer);
        while let Some(parent) = next.filter(|_| lower.len() < overlay::MAX_LAYERS) {
            lower.push(directory(parent)?);
            next = parents.get(parent);
        }
        if self.driver == "vfs" {
            // Each layer is a whole copy: the container began with a copy of the image's last one.
            lower.truncate(1);
        }
        Some(Storage {
            driver: self.driver.clone(),
            lower,
            upper: directory(layer)?,
            merged: Bytes::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::supervisor::{Shim, SupervisorKind};
    use serde_json::json;

    fn storage(driver: &str) -> (tempfile::TempDir, Supervisor) {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, value: Value| {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, value.to_string()).unwrap();
        };
        let metadata = json!({"image-name": "quay.io/shop/web:1", "pod-name": "front",
            "namespace": "shop", "metadata-name": "web", "pod-id": "99"});
        write(
            &format!("{driver}-containers/containers.json"),
            json!([{"id": 3}, {"id": "c1", "names": ["k8s_web"], "image": "beef", "layer": "top",
                "metadata": metadata.to_string()}]),
        );
        write(
            &format!("{driver}-layers/layers.json"),
            json!([{"id": "base"}, {"id": "mid", "parent": "base"}, {"id": "top", "parent": "mid"}]),
        );
        write(
            &format!("{driver}-images/beef/=c2hhMjU2OmJlZWY="),
            json!({"config": {"ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"},
                "Healthcheck": {"Test": ["CMD-SHELL", "true"]}}}),
        );
        let supervisor = Supervisor {
            pid: std::process::id(),
            // The tests' own user, who owns the files; root's storage needs no other root.
            uid: rustix::process::geteuid().as_raw(),
            kind: SupervisorKind::Shim(Shim::default()),
        };
        (dir, supervisor)
    }

    #[test]
    fn a_containers_name_image_pod_and_layers_come_from_the_files() {
        let (dir, supervisor) = storage("overlay");
        let bundle = dir.path().join("overlay-containers/c1/userdata");
        let mut info = ContainerInfo::default();
        complete(
            &mut info,
            &ContainerId::new("c1"),
            &bundle,
            None,
            &supervisor,
        );
        assert_eq!(info.name, "web");
        assert_eq!(info.image, "quay.io/shop/web:1");
        assert_eq!(info.pod.unwrap().name, "front");
        assert_eq!(
            (info.exposed, info.healthcheck.len()),
            (vec!["80/tcp".to_owned()], 3)
        );
        assert!(info.storage.upper.ends_with(b"/overlay/top/diff"));
        assert_eq!(info.storage.lower.len(), 2);
        assert!(info.storage.lower[0].ends_with(b"/overlay/mid/diff"));
        let mut other = ContainerInfo::default();
        complete(
            &mut other,
            &ContainerId::new("c2"),
            &bundle,
            None,
            &supervisor,
        );
        assert_eq!(other, ContainerInfo::default());
    }

    #[test]
    fn vfs_compares_with_the_images_last_layer_and_the_storage_may_be_elsewhere() {
        let (dir, supervisor) = storage("vfs");
        let mut info = ContainerInfo::default();
        let bundle = Path::new("/run/nowhere/vfs-containers/c1/userdata");
        let id = ContainerId::new("c1");
        complete(&mut info, &id, bundle, Some(dir.path()), &supervisor);
        assert!(info.storage.upper.ends_with(b"/vfs/dir/top"));
        assert_eq!(info.storage.lower.len(), 1);
        assert!(info.storage.lower[0].ends_with(b"/vfs/dir/mid"));
    }
}
