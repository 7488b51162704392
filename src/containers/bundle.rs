//! Facts from the files that runtimes write before a container starts: the OCI bundle's
//! `config.json`, Docker's `config.v2.json`, runc's `state.json`. They need no engine, and are
//! complete when the first process runs.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::cgroup_directory::FoundContainer;
use super::json_file::{items, number, read_json, text};
use super::storage_files;
use super::supervisor::{self, Supervisor, SupervisorKind};
use super::{docker_answer, overlay, proc_facts};
use crate::event::{
    Bytes, CAPABILITIES, ContainerInfo, Limits, Mount, Pod, Role, Runtime, Security, Storage,
};

/// Larger files are not read.
const MAX_SIZE: u64 = 1 << 20;
/// Labels kept of annotations, and bytes of one.
const MAX_LABELS: usize = 64;
const MAX_LABEL: usize = 1024;
/// State of root's runc containers, by id.
const RUNC: &str = "/run/runc";
/// Files and directories that every runtime mounts; the user did not ask for them.
const OWN_MOUNTS: &[&str] = &[
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/run/.containerenv",
    "/proc",
    "/sys",
    "/dev",
];

/// What the runtime's files say about a container of which `pid` is a process. `None` when no
/// trusted supervisor or state file names them.
#[must_use]
pub fn facts(found: &FoundContainer, pid: u32) -> Option<ContainerInfo> {
    let (mut info, root) = if found.runtime == Runtime::Runc {
        let directory = Path::new(RUNC).join(found.id.name()?);
        from_runc(&read_json(&directory.join("state.json"), 0, MAX_SIZE)?)?
    } else {
        from_supervisor(found, &supervisor::of_process(pid)?)?
    };
    info.cgroup.clone_from(&found.path);
    if info.runtime == Runtime::Unknown {
        info.runtime = found.runtime;
    }
    if found.path.rsplit('/').nth(1) == Some("buildkit") {
        info.role = Role::Build;
    }
    if info.name.is_empty() {
        info.name = found.id.name().map(Bytes::from).unwrap_or_default();
    }
    if let Some(Root { path, seen_by }) = root
        && let Some(storage) =
            overlay::mounted_at(&path, &[seen_by, pid]).or_else(|| docker_vfs(&path))
    {
        info.storage = storage;
    }
    Some(info)
}

/// Where a container's root is mounted, and a process that sees that mount.
struct Root {
    path: PathBuf,
    seen_by: u32,
}

impl Root {
    /// As the configuration in the directory `bundle` has it.
    fn of(config: &Value, bundle: &Path, seen_by: u32) -> Option<Self> {
        // Relative to the bundle, of which the path may lead through `/proc`.
        let bundle = std::fs::canonicalize(bundle).ok()?;
        let path = bundle.join(text(config, "/root/path")?);
        Some(Self { path, seen_by })
    }
}

/// Docker's vfs driver copies the image's last layer: the container's first content is beside its
/// directory.
fn docker_vfs(root: &Path) -> Option<Storage> {
    let name = root.file_name()?.to_str()?;
    let began_with = root.with_file_name(format!("{name}-init"));
    let bytes = |path: &Path| Bytes::from(path.as_os_str().as_bytes());
    (root.parent()?.ends_with("vfs/dir") && began_with.is_dir()).then(|| Storage {
        driver: "vfs".to_owned(),
        lower: vec![bytes(&began_with)],
        upper: bytes(root),
        merged: bytes(root),
    })
}

fn from_supervisor(
    found: &FoundContainer,
    supervisor: &Supervisor,
) -> Option<(ContainerInfo, Option<Root>)> {
    let leaf = found.id.name().unwrap_or(found.id.as_str());
    let bundle = match &supervisor.kind {
        // One shim serves a whole pod: its directory is the sandbox's bundle.
        SupervisorKind::Shim { id, .. } => {
            let own = PathBuf::from(format!("/proc/{}/cwd", supervisor.pid));
            if id == leaf {
                own
            } else {
                own.join("..").join(leaf)
            }
        }
        SupervisorKind::Conmon { bundle, .. } => bundle.clone(),
    };
    // Rootless bundles are below the user's own mounts.
    let bundle = match supervisor.uid {
        0 => bundle,
        _ => {
            let root = PathBuf::from(format!("/proc/{}/root", supervisor.pid));
            root.join(bundle.strip_prefix("/").unwrap_or(&bundle))
        }
    };
    let config = read_json(&bundle.join("config.json"), supervisor.uid, MAX_SIZE)?;
    let mut info = from_config(&config);
    match &supervisor.kind {
        SupervisorKind::Shim { namespace, .. } => {
            if namespace == "moby" || namespace == "plugins.moby" {
                info.runtime = Runtime::Docker;
                if let Some(docker) = docker_files(&config, found.id.as_str()) {
                    let storage = std::mem::take(&mut info.storage);
                    info = ContainerInfo { storage, ..docker };
                }
            } else {
                info.runtime = Runtime::Containerd;
                info.engine_namespace.clone_from(namespace);
                if namespace == "buildkit" {
                    info.role = Role::Build;
                }
            }
        }
        SupervisorKind::Conmon { name, root, .. } => {
            info.runtime = match label(&config, "io.container.manager") {
                Some("cri-o") => Runtime::Crio,
                _ => Runtime::Podman,
            };
            // CRI-O's name of it is made of the pod's; annotations have the container's own.
            if info.runtime == Runtime::Podman || info.name.is_empty() {
                info.name.clone_from(name);
            }
            info.owner = (supervisor.uid != 0).then_some(supervisor.uid);
            storage_files::complete(&mut info, &found.id, &bundle, root.as_deref(), supervisor);
        }
    }
    Some((info, Root::of(&config, &bundle, supervisor.pid)))
}

/// runc without an engine: its state names the bundle among the labels.
fn from_runc(state: &Value) -> Option<(ContainerInfo, Option<Root>)> {
    let bundle = state
        .pointer("/config/labels")?
        .as_array()?
        .iter()
        .find_map(|label| label.as_str()?.strip_prefix("bundle="))?;
    let config = read_json(&Path::new(bundle).join("config.json"), 0, MAX_SIZE)?;
    let root = Root::of(&config, Path::new(bundle), std::process::id());
    let info = ContainerInfo {
        runtime: Runtime::Runc,
        init_pid: number(state, "/init_process_pid"),
        ..from_config(&config)
    };
    Some((info, root))
}

/// An annotation of the container.
fn label<'a>(config: &'a Value, key: &str) -> Option<&'a str> {
    let text = config.get("annotations")?.get(key)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

/// The facts in an OCI `config.json`.
fn from_config(config: &Value) -> ContainerInfo {
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
        labels: labels(config),
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
        // As Docker has it: nothing for root.
        0 => Bytes::default(),
        uid => uid.to_string().as_str().into(),
    }
}

fn labels(config: &Value) -> BTreeMap<String, Bytes> {
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
        ..proc_facts::capabilities(given)
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

/// Docker's own files about a container: they lie in the directory that the container's
/// `/etc/hostname` is mounted from.
fn docker_files(config: &Value, id: &str) -> Option<ContainerInfo> {
    let hostname = items(config, "/mounts")
        .find(|m| m.get("destination").and_then(Value::as_str) == Some("/etc/hostname"))?
        .get("source")?
        .as_str()?;
    let directory = Path::new(hostname).parent()?;
    if directory.file_name()?.as_bytes() != id.as_bytes() {
        return None;
    }
    let own = read_json(&directory.join("config.v2.json"), 0, MAX_SIZE)?;
    let host = read_json(&directory.join("hostconfig.json"), 0, MAX_SIZE).unwrap_or_default();
    Some(docker_answer::from_files(own, host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pods_container_is_named_by_its_annotations() {
        let config = json!({
            "process": {"args": ["nginx", "-g"], "user": {"uid": 101},
                "capabilities": {"bounding": ["CAP_CHOWN", "CAP_NET_ADMIN", "CAP_UNHEARD_OF"]}},
            "root": {"path": "rootfs", "readonly": true},
            "mounts": [
                {"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", "ro"]},
                {"destination": "/etc/hosts", "type": "bind", "source": "/x", "options": ["rbind"]},
                {"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]},
                {"destination": "/dev/pts", "type": "devpts"}, "odd"],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}],
                "resources": {"memory": {"limit": 1048576}, "cpu": {"quota": 50000, "period": 100000}}},
            "annotations": {"io.kubernetes.cri.container-type": "container",
                "io.kubernetes.cri.container-name": "nginx", "io.kubernetes.cri.image-name": "nginx:1",
                "io.kubernetes.cri.sandbox-name": "web", "io.kubernetes.cri.sandbox-namespace": "shop",
                "io.kubernetes.cri.sandbox-id": "ab", "odd": 3}
        });
        let info = from_config(&config);
        assert_eq!((info.name, info.image), ("nginx".into(), "nginx:1".into()));
        let pod = info.pod.unwrap();
        assert_eq!((pod.namespace.as_str(), pod.name.as_str()), ("shop", "web"));
        assert_eq!(info.role, Role::Container);
        assert_eq!(info.user, "101");
        assert_eq!(info.security.cap_add, ["NET_ADMIN"]);
        assert!(info.security.readonly_root);
        assert_eq!(info.security.network_mode, "host");
        assert_eq!(info.security.pid_mode, "");
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

    #[test]
    fn a_sandbox_is_infrastructure_and_nothing_odd_stops_the_reading() {
        let config = json!({"annotations": {"io.kubernetes.cri.container-type": "sandbox",
            "io.kubernetes.cri.sandbox-name": "web"}, "process": 7, "mounts": {}, "linux": []});
        let info = from_config(&config);
        assert_eq!(info.role, Role::Infra);
        assert_eq!(info.pod.unwrap().name, "web");
    }
}
