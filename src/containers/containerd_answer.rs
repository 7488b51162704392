//! containerd's answers about one container → its facts.

use bstr::ByteSlice as _;
use serde_json::Value;

use super::containerd_api::{ContainerMessage, SnapshotMount, Time};
use super::{oci_config, overlay};
use crate::event::{Bytes, ContainerId, ContainerInfo, Pod, Role, Runtime, Storage, Timestamp};
use crate::system::{self, SessionClock};

/// Maximum number of labels, and bytes of one.
const MAX_LABELS: usize = 64;
const MAX_LABEL: usize = 1024;

/// Whether a namespace is Docker's, which reports its containers itself.
pub(super) fn is_dockers(namespace: &str) -> bool {
    matches!(namespace, "moby" | "plugins.moby")
}

/// hullwatch's id for a container: containerd's if that has 64 digits, which no two namespaces
/// share; else with its namespace.
pub(super) fn container_id(namespace: &str, id: &str) -> ContainerId {
    let digits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if (id.len() == 64 && id.bytes().all(digits)) || namespace == "buildkit" {
        ContainerId::new(id)
    } else {
        ContainerId::new(&format!("{namespace}/{id}"))
    }
}

/// The facts in containerd's record of a container.
pub(super) fn facts(namespace: &str, container: &ContainerMessage) -> ContainerInfo {
    let spec = container.spec.as_ref();
    // An empty configuration, or one that is not JSON, holds no facts.
    let spec: Value = spec
        .and_then(|spec| serde_json::from_slice(&spec.value).ok())
        .unwrap_or_default();
    let mut info = ContainerInfo {
        runtime: Runtime::Containerd,
        engine_namespace: namespace.to_owned(),
        created: container.created_at.as_ref().map(timestamp),
        ..oci_config::facts(&spec)
    };
    let label = |key: &str| container.labels.get(key).filter(|value| !value.is_empty());
    if info.name.is_empty() {
        let keys = ["nerdctl/name", "io.kubernetes.container.name"];
        let name = keys.iter().find_map(|key| label(key));
        info.name = name.unwrap_or(&container.id).as_str().into();
    }
    // Kubernetes passes an image by its id: the annotation has the name.
    if info.image.is_empty() {
        info.image = container.image.as_str().into();
    }
    match label("io.cri-containerd.kind").map(String::as_str) {
        Some("sandbox") => info.role = Role::Infra,
        _ if namespace == "buildkit" => info.role = Role::Build,
        _ => {}
    }
    let owned = |key| label(key).cloned().unwrap_or_default();
    let pod_name = label("io.kubernetes.pod.name");
    if let Some(name) = pod_name.filter(|_| info.pod.is_none()) {
        info.pod = Some(Pod {
            name: name.clone(),
            namespace: owned("io.kubernetes.pod.namespace"),
            uid: owned("io.kubernetes.pod.uid"),
            ..Pod::default()
        });
    }
    let mut labels: Vec<(&String, &String)> = container.labels.iter().collect();
    labels.sort();
    for (key, value) in labels {
        if key.len() <= MAX_LABEL && value.len() <= MAX_LABEL && info.labels.len() < MAX_LABELS {
            info.labels.insert(key.clone(), value.as_str().into());
        }
    }
    info
}

fn timestamp(time: &Time) -> Timestamp {
    let seconds = time.seconds.saturating_mul(1_000_000_000);
    Timestamp(seconds.saturating_add(i64::from(time.nanos)))
}

/// The time of an event.
pub(super) fn time_of(time: Option<&Time>) -> Timestamp {
    time.map_or_else(system::now, |time| {
        SessionClock::of_this_program().just_stamped(timestamp(time))
    })
}

/// The directories of a snapshot, where its mount names layers.
pub(super) fn storage(snapshotter: &str, mounts: &[SnapshotMount]) -> Option<Storage> {
    let mount = mounts.first()?;
    let option = |key: &str| mount.options.iter().find_map(|o| o.strip_prefix(key));
    let lower = overlay::split_lower(option("lowerdir=")?.as_bytes());
    Some(Storage {
        driver: snapshotter.to_owned(),
        lower: lower
            .iter()
            .filter(|dir| dir.starts_with(b"/"))
            .take(overlay::MAX_LAYERS)
            .map(|dir| Bytes::from(dir.as_bstr().as_bytes()))
            .collect(),
        upper: option("upperdir=").unwrap_or_default().into(),
        merged: Bytes::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::containerd_api::Any;
    use serde_json::json;

    fn container(id: &str, labels: &[(&str, &str)], spec: &Value) -> ContainerMessage {
        ContainerMessage {
            id: id.to_owned(),
            image: "docker.io/library/web:1".to_owned(),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            spec: Some(Any {
                value: spec.to_string().into_bytes(),
                ..Any::default()
            }),
            ..ContainerMessage::default()
        }
    }

    #[test]
    fn ids_that_people_choose_are_kept_apart_by_their_namespace() {
        let digits = "0f".repeat(32);
        assert_eq!(container_id("k8s.io", &digits).as_str(), digits);
        assert_eq!(container_id("team", "web").as_str(), "team/web");
        assert_eq!(container_id("team", "web").name(), Some("web"));
    }

    #[test]
    fn names_come_from_annotations_then_labels_then_the_id() {
        let plain = facts(
            "team",
            &container("worker", &[], &json!({"annotations": null})),
        );
        assert_eq!(
            (plain.name, plain.image),
            ("worker".into(), "docker.io/library/web:1".into())
        );
        assert_eq!(plain.engine_namespace, "team");
        let nerdctl = facts(
            "default",
            &container("ab", &[("nerdctl/name", "web")], &json!({})),
        );
        assert_eq!(nerdctl.name, "web");
        let labels = [
            ("io.cri-containerd.kind", "sandbox"),
            ("io.kubernetes.pod.name", "web"),
            ("io.kubernetes.pod.namespace", "shop"),
        ];
        let pause = facts("k8s.io", &container("ab", &labels, &json!({})));
        let pod = pause.pod.unwrap();
        assert_eq!(
            (pause.role, pod.namespace.as_str(), pod.name.as_str()),
            (Role::Infra, "shop", "web")
        );
        let spec = json!({"annotations": {"io.kubernetes.cri.container-name": "nginx",
            "io.kubernetes.cri.image-name": "nginx:1", "io.kubernetes.cri.sandbox-name": "web"}});
        let of_pod = facts("k8s.io", &container("ab", &[], &spec));
        assert_eq!(
            (of_pod.name, of_pod.image),
            ("nginx".into(), "nginx:1".into())
        );
        assert_eq!(of_pod.role, Role::Container);
    }

    #[test]
    fn a_snapshots_layers_are_those_of_its_mount() {
        let mount = |kind: &str, options: &[&str]| SnapshotMount {
            kind: kind.to_owned(),
            source: "overlay".to_owned(),
            options: options.iter().map(|o| (*o).to_owned()).collect(),
        };
        let overlay = mount(
            "overlay",
            &[
                "index=off",
                "upperdir=/s/3/fs",
                "lowerdir=/s/2/fs:/s/1/fs:rel",
            ],
        );
        let storage = storage("overlayfs", &[overlay]).unwrap();
        assert_eq!(storage.lower, [Bytes::from("/s/2/fs"), "/s/1/fs".into()]);
        assert_eq!(storage.upper, "/s/3/fs");
        assert_eq!(
            super::storage("native", &[mount("bind", &["rbind", "rw"])]),
            None
        );
        assert_eq!(super::storage("native", &[]), None);
    }
}
