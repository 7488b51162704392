//! Facts about containers: identity, configuration, life.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Bytes, Timestamp};

/// A container's full id (64 hex digits for Docker, Podman and CRI). Cheap to clone, and clones
/// are cheap to compare.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(Arc<str>);

impl Ord for ContainerId {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for ContainerId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl ContainerId {
    /// Wraps a full id.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The full id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve characters, as engines print it; an id that is a name is kept whole.
    #[must_use]
    pub fn short(&self) -> &str {
        if self.0.contains('/') {
            return &self.0;
        }
        self.0.get(..12).unwrap_or(&self.0)
    }

    /// The container's name where its id is one (`default/web` of containerd).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.split_once('/').map(|(_, name)| name)
    }
}

impl Borrow<str> for ContainerId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The runtime of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// Docker Engine.
    Docker,
    /// Podman.
    Podman,
    /// containerd without Docker.
    Containerd,
    /// CRI-O.
    Crio,
    /// LXC or Incus.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
    /// runc without an engine.
    Runc,
    /// crun without an engine.
    Crun,
    /// Recognised from a cgroup path only.
    #[default]
    Unknown,
}

impl Runtime {
    /// Its word in JSON, columns and filters.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Lxc => "lxc",
            Self::Nspawn => "nspawn",
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Unknown => "unknown",
        }
    }
}

/// An event in a container's life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerAction {
    /// It existed before watching began.
    Existing,
    /// Its cgroup was created.
    Appeared,
    /// Its cgroup was removed.
    Gone,
    /// The engine created it.
    Created,
    /// The engine started it.
    Started,
    /// Its init ended with this code.
    Died(i64),
    /// The kernel ran out of memory for it.
    Oom,
    /// The engine removed it.
    Removed,
    /// It was paused.
    Paused,
    /// It was resumed.
    Unpaused,
    /// Its name changed.
    Renamed,
    /// Its health changed to this, e.g. `healthy`.
    Health(String),
    /// An engine client started a command inside it.
    ExecStarted(Bytes),
    /// The engine copied files into it (`docker cp`); its files are compared with the image.
    CopiedIn,
    /// Facts about it arrived or changed; nothing else happened.
    Info,
}

/// An event in a container's life; `info` holds all known facts, when they changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerEvent {
    /// The event.
    pub action: ContainerAction,
    /// The facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Box<ContainerInfo>>,
}

/// The facts about a container. Unknown facts are empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerInfo {
    /// The runtime that manages it.
    pub runtime: Runtime,
    /// Its name, without a leading slash.
    pub name: Bytes,
    /// The image as it was named, e.g. `nginx:1.25`.
    pub image: Bytes,
    /// The image's id or repository digest.
    pub image_digest: String,
    /// The id its image's name refers to now, if that is another image than it runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_now: String,
    /// Entrypoint and command.
    pub command: Vec<Bytes>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When it was last started.
    pub started: Option<Timestamp>,
    /// When it last ended.
    pub finished: Option<Timestamp>,
    /// Restarts by the engine.
    pub restarts: u32,
    /// It ended, and the engine waits before it starts it again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restarting: bool,
    /// Health status, empty without a health check.
    pub health: String,
    /// Its health check with all arguments (a shell's included); empty without one.
    pub healthcheck: Vec<Bytes>,
    /// Host pid of its init, 0 when not running.
    pub init_pid: u32,
    /// Configured user.
    pub user: Bytes,
    /// Names of the environment variables it was started with, never their values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<Bytes>,
    /// When the engine starts it again: `always`, `on-failure`, …; empty: never, or not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restart_policy: String,
    /// Labels (Compose project, Kubernetes pod, …).
    pub labels: BTreeMap<String, Bytes>,
    /// Security settings.
    pub security: Security,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Names of its networks, and its address in each.
    pub networks: BTreeMap<String, String>,
    /// Ports published on the host.
    pub ports: Vec<PublishedPort>,
    /// Ports the image declares, e.g. `80/tcp`.
    pub exposed: Vec<String>,
    /// Resource limits.
    pub limits: Limits,
    /// Storage driver and its directories on the host.
    pub storage: Storage,
    /// Path of its cgroup.
    pub cgroup: String,
    /// Its role.
    #[serde(skip_serializing_if = "Role::is_container")]
    pub role: Role,
    /// Of a step: its image build, the same text for each step of one; empty where the builder does not
    /// tell.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub build: String,
    /// Its Kubernetes pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// containerd's namespace of it, e.g. `k8s.io`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub engine_namespace: String,
    /// The user on the host that owns it, if that is not root (rootless Podman).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// The actual confinement of its init; `None` while it does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confinement>,
}

/// The confinement of a container's init in the kernel, by `/proc/PID/status` and `attr`: an
/// engine's declaration need not be in force, and settings of the whole engine are not declared for
/// the container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Confinement {
    /// Host pid of the examined init.
    pub pid: u32,
    /// Its effective user id, in the host's numbering.
    pub uid: u32,
    /// Effective capabilities as bits (`CapEff`).
    #[serde(with = "super::wide_number")]
    pub effective: u64,
    /// The bounding set as bits (`CapBnd`): no process of the container can have others.
    #[serde(with = "super::wide_number")]
    pub bounding: u64,
    /// `NoNewPrivs`.
    pub no_new_privileges: bool,
    /// `Seccomp`: 0 none, 1 strict, 2 a filter.
    pub seccomp: u8,
    /// AppArmor label with its mode; empty where AppArmor is off.
    pub apparmor: String,
    /// Its namespaces that are the host's, of `ipc`, `net`, `pid`, `user` and `uts`; `None` where
    /// that cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_namespaces: Option<Vec<String>>,
    /// User ids of its user namespace (`uid_map`), if that is not the host's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<IdRange>,
}

/// A range of user ids of a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IdRange {
    /// The first id in the container.
    pub inside: u32,
    /// The first id on the host.
    pub outside: u32,
    /// Number of ids.
    pub count: u32,
}

impl ContainerInfo {
    /// Converts a user id of the host to the container's; unchanged if no range holds it.
    #[must_use]
    pub fn inside_uid(&self, uid: u32) -> u32 {
        let ranges = self.confinement.iter().flat_map(|c| &c.ids);
        let mut within = ranges.filter_map(|range| {
            let place = uid.checked_sub(range.outside)?;
            (place < range.count).then(|| range.inside.saturating_add(place))
        });
        within.next().unwrap_or(uid)
    }

    /// Approximate bytes.
    pub(crate) fn weight(&self) -> usize {
        // A value that cannot be written cannot have been read from a file.
        let line = serde_json::to_vec(self);
        size_of::<Self>() + line.map_or(0, |line| line.len())
    }

    /// Removes long parts: labels, networks, the ends of lists. Facts that are still long are not
    /// from an engine, and only the name is kept.
    pub(crate) fn shorten(&mut self) {
        const LIST: usize = 32;
        const LONG: usize = 64 << 10;
        self.labels.clear();
        self.networks.clear();
        self.healthcheck.clear();
        self.exposed.clear();
        self.command.truncate(LIST);
        self.mounts.truncate(LIST);
        self.ports.truncate(LIST);
        self.storage.lower.truncate(LIST);
        if let Some(pod) = &mut self.pod {
            pod.labels.clear();
        }
        if self.weight() > LONG {
            let part = |text: &Bytes| Bytes::new(text.get(..text.len().min(256)).unwrap_or(text));
            *self = Self {
                name: part(&self.name),
                image: part(&self.image),
                runtime: self.runtime,
                init_pid: self.init_pid,
                created: self.created,
                started: self.started,
                ..Self::default()
            };
        }
    }
}

/// The role of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs its own program.
    #[default]
    Container,
    /// Holds the namespaces of a pod (the pause container).
    Infra,
    /// A step of an image build.
    Build,
}

impl Role {
    fn is_container(&self) -> bool {
        *self == Self::Container
    }
}

/// The Kubernetes pod of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Id of its sandbox container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sandbox: String,
    /// Its labels, where known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Bytes>,
}

/// Security settings of a container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// Started with all privileges.
    pub privileged: bool,
    /// Capabilities added to the default set.
    pub cap_add: Vec<String>,
    /// Capabilities removed from the default set.
    pub cap_drop: Vec<String>,
    /// Seccomp profile: `default`, `unconfined` or a name.
    pub seccomp: String,
    /// AppArmor profile.
    pub apparmor: String,
    /// Root file system mounted read-only.
    pub readonly_root: bool,
    /// Pid namespace mode, e.g. `host`.
    pub pid_mode: String,
    /// Network mode, e.g. `bridge`, `host`.
    pub network_mode: String,
    /// `no-new-privileges` is set.
    pub no_new_privileges: bool,
    /// IPC namespace mode, e.g. `host`, `private`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ipc_mode: String,
    /// UTS namespace mode: `host` or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uts_mode: String,
    /// User namespace mode: `host` or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_mode: String,
    /// Devices of the host that it may use, by their paths there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Bytes>,
    /// Destinations of mounts with shared propagation: what it mounts below them, the host has too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared_mounts: Vec<Bytes>,
    /// No part of its `/proc` is masked, though it is not privileged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unmasked: bool,
}

/// A mount of a container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mount {
    /// `bind`, `volume`, `tmpfs`.
    pub kind: String,
    /// Host path or volume name.
    pub source: Bytes,
    /// Path inside the container.
    pub destination: Bytes,
    /// Mounted read-write.
    pub writable: bool,
}

/// A container port published on the host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Port inside the container with its protocol, e.g. `80/tcp`.
    pub container: String,
    /// Host address and port.
    pub host: String,
}

/// Resource limits; 0 is unlimited.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes.
    pub memory: u64,
    /// Thousandths of one core.
    pub cpu_milli: u32,
    /// Tasks.
    pub pids: u32,
}

/// The directories of a container's files on the host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// e.g. `overlay2`.
    pub driver: String,
    /// Lower directories, the uppermost first.
    pub lower: Vec<Bytes>,
    /// The writable directory.
    pub upper: Bytes,
    /// Where the union is mounted.
    pub merged: Bytes,
}
