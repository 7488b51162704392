//! Facts in a container's OCI configuration (`config.json`), which every runtime gets: from its
//! bundle, or from the engine that wrote it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::docker_facts::{MAX_DEVICES, variable_names};
use super::json_file::{items, number, text};
use super::proc_facts;
use crate::event::{Bytes, CAPABILITIES, ContainerInfo, Limits, Mount, Pod, Role, Security};

/// Maximum number of annotations kept as labels, and bytes of one.
const MAX_LABELS: usize = 64;
const MAX_LABEL: usize = 1024;
/// Files and directories that every runtime mounts; the user did not request them.
const OWN_MOUNTS: &[&str] = &[
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/run/.containerenv",
    "/proc",
    "/sys",
    "/dev",
];

/// An annotation of the container.
pub(super) fn label<'a>(config: &'a Value, key: &str) -> Option<&'a str> {
    let text = config.get("annotations")?.get(key)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

/// The facts in an OCI `config.json`.
pub(super) fn facts(config: &Value) -> ContainerInfo {
    let first = |keys: &[&str]| keys.iter().find_map(|key| label(config, key));
    let bytes = |keys: &[&str]| first(keys).map(Bytes::from).unwrap_or_default();
    let owned = |keys: &[&str]| first(keys).unwrap_or_default().to_owned();
    let kind = first(&[
        "io.kubernetes.cri.container-type",
        "io.kubernetes.cri-o.ContainerType",
        "io.podman.annotations.container-type",
    ]);
    let pod = first(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]);
    let is_sandbox = kind == Some("sandbox");
    ContainerInfo {
        name: bytes(&[
            "io.kubernetes.cri.container-name",
            "io.kubernetes.container.name",
            "nerdctl/name",
        ]),
        image: bytes(&[
            "io.kubernetes.cri.image-name",
            "io.kubernetes.cri-o.Image",
            "io.kubernetes.cri-o.ImageName",
        ]),
        command: items(config, "/process/args")
            .filter_map(|arg| Some(arg.as_str()?.into()))
            .collect(),
        user: user(config),
        labels: annotations(config),
        environment: variable_names(items(config, "/process/env").filter_map(Value::as_str)),
        security: security(config),
        mounts: mounts(config),
        limits: limits(config),
        role: if is_sandbox {
            Role::Infra
        } else {
            Role::Container
        },
        pod: pod.map(|name| Pod {
            namespace: owned(&[
                "io.kubernetes.cri.sandbox-namespace",
                "io.kubernetes.pod.namespace",
            ]),
            name: name.to_owned(),
            uid: owned(&["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"]),
            sandbox: owned(&[
                "io.kubernetes.cri.sandbox-id",
                "io.kubernetes.cri-o.SandboxID",
            ]),
            labels: BTreeMap::new(),
        }),
        ..ContainerInfo::default()
    }
}

fn user(config: &Value) -> Bytes {
    match number(config, "/process/user/uid") {
        // In Docker's form: empty for root.
        0 => Bytes::default(),
        uid => uid.to_string().as_str().into(),
    }
}

fn annotations(config: &Value) -> BTreeMap<String, Bytes> {
    let annotations = config.get("annotations").and_then(Value::as_object);
    annotations
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?)))
        .filter(|(key, value)| key.len() <= MAX_LABEL && value.len() <= MAX_LABEL)
        .take(MAX_LABELS)
        .map(|(key, value)| (key, value.into()))
        .collect()
}

fn security(config: &Value) -> Security {
    let given = items(config, "/process/capabilities/bounding")
        .filter_map(|name| {
            let name = name.as_str()?.strip_prefix("CAP_")?;
            CAPABILITIES.iter().position(|known| *known == name)
        })
        .fold(0_u64, |bits, bit| bits | 1 << bit);
    let seccomp = config
        .pointer("/linux/seccomp")
        .is_some_and(|s| !s.is_null());
    let namespaces: Vec<&str> = items(config, "/linux/namespaces")
        .filter_map(|namespace| namespace.get("type")?.as_str())
        .collect();
    // A namespace that is not listed is the host's.
    let mode = |kind| {
        if namespaces.contains(&kind) {
            String::new()
        } else {
            "host".to_owned()
        }
    };
    let capabilities = proc_facts::capabilities(given);
    let flag = |pointer| config.pointer(pointer).and_then(Value::as_bool) == Some(true);
    Security {
        seccomp: if seccomp { "filter" } else { "unconfined" }.to_owned(),
        apparmor: text(config, "/process/apparmorProfile")
            .unwrap_or_default()
            .to_owned(),
        readonly_root: flag("/root/readonly"),
        pid_mode: mode("pid"),
        network_mode: mode("network"),
        no_new_privileges: flag("/process/noNewPrivileges"),
        ipc_mode: mode("ipc"),
        uts_mode: mode("uts"),
        devices: items(config, "/linux/devices")
            .filter_map(|device| device.get("path")?.as_str())
            .take(MAX_DEVICES)
            .map(Bytes::from)
            .collect(),
        shared_mounts: items(config, "/mounts")
            .filter(|mount| items(mount, "/options").any(|o| o == "shared" || o == "rshared"))
            .filter_map(|mount| mount.get("destination")?.as_str())
            .map(Bytes::from)
            .collect(),
        unmasked: !capabilities.privileged && items(config, "/linux/maskedPaths").next().is_none(),
        ..capabilities
    }
}

fn mounts(config: &Value) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = items(config, "/mounts")
        .filter_map(|mount| {
            let destination = mount.get("destination")?.as_str()?;
            let options: Vec<&str> = items(mount, "/options").filter_map(Value::as_str).collect();
            let bind = options.iter().any(|o| matches!(*o, "bind" | "rbind"));
            let kind = match mount.get("type").and_then(Value::as_str) {
                _ if bind => "bind",
                Some("bind") => "bind",
                Some("tmpfs") => "tmpfs",
                _ => return None,
            };
            let own = OWN_MOUNTS
                .iter()
                .any(|own| Path::new(destination).starts_with(own));
            (!own).then(|| Mount {
                kind: kind.to_owned(),
                source: match mount.get("source").and_then(Value::as_str) {
                    Some(source) if kind == "bind" => source.into(),
                    _ => Bytes::default(),
                },
                destination: destination.into(),
                writable: !options.contains(&"ro"),
            })
        })
        .collect();
    mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
    mounts
}

fn limits(config: &Value) -> Limits {
    let positive = |pointer: &str| {
        let number = config.pointer(pointer).and_then(Value::as_i64);
        number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    };
    let quota = positive("/linux/resources/cpu/quota");
    let period = match positive("/linux/resources/cpu/period") {
        0 => 100_000,
        period => period,
    };
    Limits {
        memory: positive("/linux/resources/memory/limit"),
        cpu_milli: u32::try_from(quota.saturating_mul(1000) / period).unwrap_or(u32::MAX),
        pids: u32::try_from(positive("/linux/resources/pids/limit")).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pods_container_is_named_by_its_annotations() {
        let config = json!({
            "process": {"args": ["nginx", "-g"], "user": {"uid": 101}, "env": ["A=1", "B_TOKEN=2"],
                "capabilities": {"bounding": ["CAP_CHOWN", "CAP_NET_ADMIN", "CAP_UNHEARD_OF"]}},
            "root": {"path": "rootfs", "readonly": true},
            "mounts": [
                {"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", "ro", "rshared"]},
                {"destination": "/etc/hosts", "type": "bind", "source": "/x", "options": ["rbind"]},
                {"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]},
                {"destination": "/dev/pts", "type": "devpts"}, "odd"],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}],
                "devices": [{"path": "/dev/fuse"}],
                "resources": {"memory": {"limit": 1048576}, "cpu": {"quota": 50000, "period": 100000}}},
            "annotations": {"io.kubernetes.cri.container-type": "container",
                "io.kubernetes.cri.container-name": "nginx", "io.kubernetes.cri.image-name": "nginx:1",
                "io.kubernetes.cri.sandbox-name": "web", "io.kubernetes.cri.sandbox-namespace": "shop",
                "io.kubernetes.cri.sandbox-id": "ab", "odd": 3}
        });
        let info = facts(&config);
        assert_eq!((info.name, info.image), ("nginx".into(), "nginx:1".into()));
        let pod = info.pod.unwrap();
        assert_eq!((pod.namespace.as_str(), pod.name.as_str()), ("shop", "web"));
        assert_eq!(info.role, Role::Container);
        assert_eq!(info.user, "101");
        assert_eq!(info.security.cap_add, ["NET_ADMIN"]);
        assert!(info.security.readonly_root);
        assert_eq!(info.security.network_mode, "host");
        assert_eq!(info.security.pid_mode, "");
        assert_eq!(
            (&*info.security.ipc_mode, &*info.security.uts_mode),
            ("", "host")
        );
        assert_eq!(info.security.devices, [Bytes::from("/dev/fuse")]);
        assert_eq!(info.security.shared_mounts, [Bytes::from("/data")]);
        assert!(info.security.unmasked);
        assert_eq!(info.environment, ["A", "B_TOKEN"].map(Bytes::from));
        assert_eq!(info.security.seccomp, "unconfined");
        let mounts: Vec<_> = info
            .mounts
            .iter()
            .map(|m| (m.destination.to_string(), m.kind.as_str(), m.writable))
            .collect();
        assert_eq!(
            mounts,
            [
                ("/data".to_owned(), "bind", false),
                ("/run".to_owned(), "tmpfs", true)
            ]
        );
        assert_eq!((info.limits.memory, info.limits.cpu_milli), (1 << 20, 500));
    }

    /// As their runtimes write them.
    fn fixture(text: &str) -> ContainerInfo {
        facts(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn crio_reports_the_requested_image_and_the_pod() {
        let info = fixture(include_str!("../../tests/runtimes/crio.json"));
        assert_eq!(
            (info.name, info.image),
            ("nginx".into(), "quay.io/shop/web:1".into())
        );
        let pod = info.pod.unwrap();
        assert_eq!(
            (pod.namespace.as_str(), pod.name.as_str()),
            ("shop", "front")
        );
        assert_eq!(pod.uid, "u-1");
        assert!(pod.sandbox.starts_with("0000"));
        assert_eq!((info.role, info.user), (Role::Container, "101".into()));
        // The kubelet's own files are not the user's mounts.
        assert_eq!(info.mounts.len(), 1);
        assert!(!info.mounts[0].writable);
        assert_eq!(info.limits.memory, 128 << 20);
        assert_eq!(info.security.seccomp, "filter");
        assert_eq!(info.security.network_mode, "");
    }

    #[test]
    fn nerdctl_reports_the_name_and_the_labels() {
        let info = fixture(include_str!("../../tests/runtimes/nerdctl.json"));
        assert_eq!(info.name, "shop-cache-1");
        assert_eq!(info.labels["com.docker.compose.service"], "cache");
        assert_eq!((info.pod, info.role), (None, Role::Container));
    }

    #[test]
    fn k3s_reports_as_containerd_does() {
        let info = fixture(include_str!("../../tests/runtimes/k3s.json"));
        assert_eq!(info.role, Role::Infra);
        assert_eq!(info.pod.unwrap().namespace, "kube-system");
        assert!(info.security.readonly_root && info.security.no_new_privileges);
    }

    #[test]
    fn a_sandbox_is_infrastructure_and_nothing_odd_stops_the_reading() {
        let config = json!({"annotations": {"io.kubernetes.cri.container-type": "sandbox",
            "io.kubernetes.cri.sandbox-name": "web"}, "process": 7, "mounts": {}, "linux": []});
        let info = facts(&config);
        assert_eq!(info.role, Role::Infra);
        assert_eq!(info.pod.unwrap().name, "web");
    }
}
