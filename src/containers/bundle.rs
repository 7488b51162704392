//! Facts from the files that runtimes write before a container starts: the OCI bundle's
//! `config.json`, Docker's `config.v2.json`, runc's `state.json`. They need no engine, and are
//! complete when the first process runs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::cgroup_directory::FoundContainer;
use super::json_file::{items, read_json, text};
use super::proc_files::parent_of;
use super::runtime_state::{self, RuntimeState};
use super::storage_files;
use super::supervisor::{self, Shim, Supervisor, SupervisorKind};
use super::{build_step, docker_answer, oci_config, overlay};
use crate::event::{Bytes, ContainerInfo, Role, Runtime, Storage};

/// Larger files are not read.
const MAX_SIZE: u64 = 1 << 20;
/// The facts in the runtime's files about a container of which `pid` is a process. `None` when no
/// trusted supervisor or state file names them.
#[must_use]
pub fn facts(found: &FoundContainer, pid: u32) -> Option<ContainerInfo> {
    let (mut info, root) = if matches!(found.runtime, Runtime::Runc | Runtime::Crun) {
        from_state(&runtime_state::find(|state| state.id() == found.id)?)?
    } else {
        from_supervisor(found, &supervisor::of_process(pid)?)?
    };
    info.cgroup.clone_from(&found.path);
    if info.runtime == Runtime::Unknown {
        info.runtime = found.runtime;
    }
    build_step::mark(&mut info, found.name());
    if info.name.is_empty() {
        info.name = found.id.name().map(Bytes::from).unwrap_or_default();
    }
    if let Some(Root { path, seen_by }) = root
        && let Some(mut storage) = overlay::mounted_at(&path, &[seen_by, pid])
            .or_else(|| docker_copy(&visible(&path, seen_by)))
    {
        for dir in storage.lower.iter_mut().chain([&mut storage.upper]) {
            let path = visible(Path::new(OsStr::from_bytes(dir)), seen_by);
            *dir = Bytes::from(path.as_os_str().as_bytes());
        }
        info.storage = storage;
    }
    Some(info)
}

/// A path that the mounts of this program may not lead to, as seen from the root of a trusted process: an
/// engine may have mounts of its own.
fn visible(path: &Path, seen_by: u32) -> PathBuf {
    let inside = path.strip_prefix("/").unwrap_or(path);
    let through = Path::new("/proc")
        .join(seen_by.to_string())
        .join("root")
        .join(inside);
    if !path.exists() && through.exists() {
        through
    } else {
        path.to_owned()
    }
}

/// Why no file names the container of this process, as text.
#[must_use]
pub fn why_unnamed(pid: u32) -> String {
    if let Some(supervisor) = supervisor::of_process(pid) {
        let pid = supervisor.pid;
        return match supervisor.kind {
            SupervisorKind::Shim(shim) => format!(
                "its shim (pid {pid}, namespace {}) has no bundle for it that can be read",
                shim.namespace
            ),
            SupervisorKind::Conmon { bundle, .. } => format!(
                "its conmon (pid {pid}) has no bundle that can be read at {}",
                bundle.display()
            ),
            SupervisorKind::Lxc { name } | SupervisorKind::Nspawn { name } => {
                format!("its supervisor (pid {pid}) names it {name}")
            }
        };
    }
    let parent = parent_of(pid).unwrap_or(0);
    let comm = std::fs::read(format!("/proc/{parent}/comm")).unwrap_or_default();
    format!(
        "its init {pid} has no trusted supervisor; its parent is {} (pid {parent})",
        Bytes::new(comm.trim_ascii_end()).escaped()
    )
}

/// Where a container's root is mounted, and a process that sees that mount.
struct Root {
    path: PathBuf,
    seen_by: u32,
}

impl Root {
    /// The configuration in the directory `bundle`.
    fn of(config: &Value, bundle: &Path, seen_by: u32) -> Option<Self> {
        // Relative to the bundle, whose path may lead through `/proc`.
        let bundle = std::fs::canonicalize(bundle).ok()?;
        let path = bundle.join(text(config, "/root/path")?);
        Some(Self { path, seen_by })
    }
}

/// Docker's drivers vfs and btrfs copy the image's last layer: the container's initial content is
/// next to its directory.
fn docker_copy(root: &Path) -> Option<Storage> {
    let name = root.file_name()?.to_str()?;
    let began_with = root.with_file_name(format!("{name}-init"));
    let bytes = |path: &Path| Bytes::from(path.as_os_str().as_bytes());
    let places = [("vfs", "vfs/dir"), ("btrfs", "btrfs/subvolumes")];
    let (driver, _) =
        (places.iter()).find(|(_, place)| root.parent().is_some_and(|dir| dir.ends_with(place)))?;
    began_with.is_dir().then(|| Storage {
        driver: (*driver).to_owned(),
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
        SupervisorKind::Shim(Shim { id, .. }) => {
            let own = PathBuf::from(format!("/proc/{}/cwd", supervisor.pid));
            if id == leaf {
                own
            } else {
                own.join("..").join(leaf)
            }
        }
        SupervisorKind::Conmon { bundle, .. } => bundle.clone(),
        // These runtimes keep no bundle.
        SupervisorKind::Lxc { .. } | SupervisorKind::Nspawn { .. } => return None,
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
    let mut info = oci_config::facts(&config);
    match &supervisor.kind {
        SupervisorKind::Shim(Shim { namespace, .. }) => {
            if namespace == "moby" || namespace == "plugins.moby" {
                info.runtime = Runtime::Docker;
                let docker = docker_files(&config, found.id.as_str(), supervisor.pid);
                if let Some(docker) = docker {
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
        SupervisorKind::Lxc { .. } | SupervisorKind::Nspawn { .. } => {}
        SupervisorKind::Conmon { name, root, .. } => {
            info.runtime = match oci_config::label(&config, "io.container.manager") {
                Some("cri-o") => Runtime::Crio,
                _ => Runtime::Podman,
            };
            // CRI-O's name for it is derived from the pod's; annotations have the container's own.
            if info.runtime == Runtime::Podman || info.name.is_empty() {
                info.name.clone_from(name);
            }
            info.owner = (supervisor.uid != 0).then_some(supervisor.uid);
            storage_files::complete(&mut info, &found.id, &bundle, root.as_deref(), supervisor);
        }
    }
    Some((info, Root::of(&config, &bundle, supervisor.pid)))
}

/// runc or crun without an engine.
fn from_state(state: &RuntimeState) -> Option<(ContainerInfo, Option<Root>)> {
    let config = read_json(&state.bundle.join("config.json"), state.owner, MAX_SIZE)?;
    let root = Root::of(&config, &state.bundle, std::process::id());
    let info = ContainerInfo {
        runtime: state.runtime,
        init_pid: state.init,
        owner: (state.owner != 0).then_some(state.owner),
        ..oci_config::facts(&config)
    };
    Some((info, root))
}

/// Docker's own files about a container: they are in the directory of its id, which is that of the
/// mounted `/etc/hostname` or next to it. A container in another one's network has its hostname
/// file.
fn docker_files(config: &Value, id: &str, seen_by: u32) -> Option<ContainerInfo> {
    let hostname = items(config, "/mounts")
        .find(|m| m.get("destination").and_then(Value::as_str) == Some("/etc/hostname"))?
        .get("source")?
        .as_str()?;
    let directory = Path::new(hostname).parent()?.parent()?.join(id);
    let directory = visible(&directory, seen_by);
    let own = read_json(&directory.join("config.v2.json"), 0, MAX_SIZE)?;
    let host = read_json(&directory.join("hostconfig.json"), 0, MAX_SIZE).unwrap_or_default();
    Some(docker_answer::from_files(own, host))
}
