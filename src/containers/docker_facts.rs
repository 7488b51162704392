//! The facts in the Docker engine's inspect answers.

use std::path::Path;

use bollard_stubs::models::{ContainerInspectResponse, HostConfig, ImageInspect, PortMap};

use super::{build_step, overlay, proc_files};
use crate::event::{
    Bytes, ContainerInfo, Limits, Mount, PublishedPort, Role, Runtime, Security, Storage, Timestamp,
};
use crate::system::{self, SessionClock};

/// Names of environment variables that are kept, and how many bytes each may have.
const MAX_VARIABLES: usize = 128;
const MAX_NAME: usize = 128;
/// Devices that are kept.
pub(super) const MAX_DEVICES: usize = 64;

/// Facts that containers get from their image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ImageFacts {
    /// Repository digest, empty for an image that was never pulled or pushed.
    pub(super) digest: String,
    /// Declared ports, e.g. `80/tcp`, sorted.
    pub(super) exposed: Vec<String>,
}

impl ImageFacts {
    pub(super) fn from_inspect(image: ImageInspect) -> Self {
        let mut exposed = image
            .config
            .and_then(|c| c.exposed_ports)
            .unwrap_or_default();
        exposed.sort();
        let digests = image.repo_digests.unwrap_or_default();
        let digest = digests
            .first()
            .map(|d| d.rsplit_once('@').map_or(d.as_str(), |(_, hash)| hash))
            .unwrap_or_default()
            .to_owned();
        Self { digest, exposed }
    }
}

/// The facts of one container. The engine's strings are not trusted: names and labels may come from
/// the author of the image.
pub(super) fn container(inspect: ContainerInspectResponse, image: &ImageFacts) -> ContainerInfo {
    let state = inspect.state.unwrap_or_default();
    let config = inspect.config.unwrap_or_default();
    let host = inspect.host_config.unwrap_or_default();
    let network = inspect.network_settings.unwrap_or_default();
    let role = match build_step::is_classic(&config, &host) {
        true => Role::Build,
        false => Role::Container,
    };
    let mut command: Vec<Bytes> = inspect.path.iter().map(|p| p.as_str().into()).collect();
    command.extend(inspect.args.iter().flatten().map(|a| a.as_str().into()));
    let mut exposed = image.exposed.clone();
    exposed.extend(config.exposed_ports.unwrap_or_default());
    exposed.sort();
    exposed.dedup();
    let image_id = inspect.image.unwrap_or_default();
    let graph = inspect
        .graph_driver
        .map(|d| (d.name, d.data))
        .unwrap_or_default();
    let shared_mounts = inspect.mounts.iter().flatten();
    let shared_mounts = shared_mounts
        .filter(|m| matches!(m.propagation.as_deref(), Some("shared" | "rshared")))
        .map(|m| bytes(m.destination.clone()))
        .collect();
    let mut mounts: Vec<Mount> = inspect
        .mounts
        .unwrap_or_default()
        .into_iter()
        .map(|m| Mount {
            kind: match m.typ.as_deref() {
                Some("bind") => "bind",
                Some("volume") => "volume",
                Some("tmpfs") => "tmpfs",
                _ => "other",
            }
            .to_owned(),
            source: bytes(m.name.filter(|n| !n.is_empty()).or(m.source)),
            destination: bytes(m.destination),
            writable: m.rw.unwrap_or(true),
        })
        .collect();
    for (destination, options) in host.tmpfs.iter().flatten() {
        mounts.push(Mount {
            kind: "tmpfs".to_owned(),
            source: Bytes::default(),
            destination: destination.as_str().into(),
            writable: !options.split(',').any(|o| o == "ro"),
        });
    }
    mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
    ContainerInfo {
        runtime: Runtime::Docker,
        name: inspect
            .name
            .as_deref()
            .unwrap_or_default()
            .trim_start_matches('/')
            .into(),
        image: config.image.as_deref().unwrap_or(&image_id).into(),
        image_now: String::new(),
        image_digest: if image.digest.is_empty() {
            image_id
        } else {
            image.digest.clone()
        },
        command,
        created: time(inspect.created.as_deref()),
        started: started(time(state.started_at.as_deref()), number(state.pid)),
        finished: time(state.finished_at.as_deref()),
        restarts: number(inspect.restart_count),
        restarting: state.restarting == Some(true),
        health: state
            .health
            .and_then(|h| h.status)
            .map(|s| s.to_string())
            .filter(|s| s != "none")
            .unwrap_or_default(),
        healthcheck: healthcheck(config.healthcheck.and_then(|h| h.test), config.shell),
        init_pid: number(state.pid),
        user: bytes(config.user),
        environment: variable_names(config.env.iter().flatten().map(String::as_str)),
        restart_policy: restart_policy(&host),
        labels: config
            .labels
            .unwrap_or_default()
            .into_iter()
            .map(|(k, v)| (k, v.as_str().into()))
            .collect(),
        security: Security {
            shared_mounts,
            ..security(&host, inspect.app_armor_profile)
        },
        mounts,
        networks: network
            .networks
            .unwrap_or_default()
            .into_iter()
            .map(|(name, e)| {
                let ip = e.ip_address.filter(|a| !a.is_empty());
                (name, ip.or(e.global_ipv6_address).unwrap_or_default())
            })
            .collect(),
        ports: published(network.ports),
        exposed,
        limits: limits(&host),
        storage: storage(inspect.driver.unwrap_or(graph.0), &graph.1),
        cgroup: host.cgroup_parent.unwrap_or_default(),
        role,
        ..ContainerInfo::default()
    }
}

/// The arguments the engine runs the health check with.
fn healthcheck(test: Option<Vec<String>>, shell: Option<Vec<String>>) -> Vec<Bytes> {
    let mut test = test.unwrap_or_default().into_iter();
    let kind = test.next().unwrap_or_default();
    let words: Vec<String> = match kind.as_str() {
        "CMD" => test.collect(),
        "CMD-SHELL" => shell
            .filter(|s| !s.is_empty())
            .unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()])
            .into_iter()
            .chain(test)
            .collect(),
        _ => Vec::new(),
    };
    words.iter().map(|w| w.as_str().into()).collect()
}

fn bytes(text: Option<String>) -> Bytes {
    text.unwrap_or_default().into_bytes().into()
}

/// The engine writes "never" as the year 1.
fn time(text: Option<&str>) -> Option<Timestamp> {
    Timestamp::parse(text?).ok().filter(|t| t.0 > 0)
}

fn number(n: Option<i64>) -> u32 {
    n.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

fn security(host: &HostConfig, apparmor: Option<String>) -> Security {
    let privileged = host.privileged.unwrap_or(false);
    let mut seccomp = if privileged { "unconfined" } else { "default" }.to_owned();
    let mut no_new_privileges = false;
    for option in host.security_opt.iter().flatten() {
        let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match key {
            // A profile is passed as whole JSON: it is not a name.
            "seccomp" if value.starts_with('{') => seccomp = "custom".to_owned(),
            "seccomp" => seccomp = value.to_owned(),
            "no-new-privileges" => no_new_privileges = value != "false",
            _ => {}
        }
    }
    let sorted = |list: &Option<Vec<String>>| {
        let mut list = list.clone().unwrap_or_default();
        list.sort();
        list
    };
    Security {
        privileged,
        cap_add: sorted(&host.cap_add),
        cap_drop: sorted(&host.cap_drop),
        seccomp,
        apparmor: apparmor.unwrap_or_default(),
        readonly_root: host.readonly_rootfs.unwrap_or(false),
        pid_mode: host.pid_mode.clone().unwrap_or_default(),
        network_mode: host.network_mode.clone().unwrap_or_default(),
        no_new_privileges,
        ipc_mode: host.ipc_mode.clone().unwrap_or_default(),
        uts_mode: host.uts_mode.clone().unwrap_or_default(),
        user_mode: host.userns_mode.clone().unwrap_or_default(),
        devices: host
            .devices
            .iter()
            .flatten()
            .take(MAX_DEVICES)
            .map(|device| bytes(device.path_on_host.clone()))
            .collect(),
        shared_mounts: Vec::new(),
        // Engines list what they mask; an empty list is `systempaths=unconfined`.
        unmasked: !privileged && host.masked_paths.as_ref().is_some_and(Vec::is_empty),
    }
}

fn restart_policy(host: &HostConfig) -> String {
    let name = host.restart_policy.as_ref().and_then(|policy| policy.name);
    let name = name.map(|name| name.to_string()).unwrap_or_default();
    if name == "no" { String::new() } else { name }
}

/// The names in `NAME=value`, at most [`MAX_VARIABLES`].
pub(super) fn variable_names<'a>(variables: impl Iterator<Item = &'a str>) -> Vec<Bytes> {
    let name = |variable: &'a str| variable.split('=').next().unwrap_or_default();
    let names = variables.map(name).filter(|name| name.len() <= MAX_NAME);
    names.take(MAX_VARIABLES).map(Bytes::from).collect()
}

fn limits(host: &HostConfig) -> Limits {
    let positive = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let quota = positive(host.cpu_quota);
    let cpu = match positive(host.nano_cpus) {
        0 if quota > 0 => match positive(host.cpu_period) {
            0 => quota / 100,
            period => quota * 1000 / period,
        },
        nano => nano / 1_000_000,
    };
    Limits {
        memory: positive(host.memory),
        cpu_milli: u32::try_from(cpu).unwrap_or(u32::MAX),
        pids: number(host.pids_limit),
    }
}

fn published(ports: Option<PortMap>) -> Vec<PublishedPort> {
    let mut out: Vec<PublishedPort> = ports
        .unwrap_or_default()
        .into_iter()
        .flat_map(|(container, bindings)| {
            bindings.into_iter().flatten().map(move |b| {
                let ip = b.host_ip.unwrap_or_default();
                let port = b.host_port.unwrap_or_default();
                let host = if ip.contains(':') {
                    format!("[{ip}]:{port}")
                } else {
                    format!("{ip}:{port}")
                };
                PublishedPort {
                    container: container.clone(),
                    host,
                }
            })
        })
        .collect();
    out.sort_by(|a, b| (&a.container, &a.host).cmp(&(&b.container, &b.host)));
    out
}

fn storage(driver: String, data: &std::collections::HashMap<String, String>) -> Storage {
    let dir = |key: &str| data.get(key).map(|d| d.as_str().into()).unwrap_or_default();
    // The engine's own layer for /etc/hosts and similar files ("…-init/diff") is kept: its content
    // existed before the container ran.
    let lower = data
        .get("LowerDir")
        .map(|l| {
            l.split(':')
                .filter(|d| Path::new(d).is_absolute())
                .take(overlay::MAX_LAYERS)
                .map(Bytes::from)
                .collect()
        })
        .unwrap_or_default();
    Storage {
        driver,
        lower,
        upper: dir("UpperDir"),
        merged: dir("MergedDir"),
    }
}

/// The engine uses the wall clock; after a clock change, the kernel reports the start of the
/// container's init.
fn started(stamped: Option<Timestamp>, init: u32) -> Option<Timestamp> {
    if SessionClock::of_this_program().step() == 0 {
        return stamped;
    }
    proc_files::started(init, system::boot_time()).or(stamped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_false_engine_reports_no_more_layers_than_engines_make() {
        let lower = vec!["/layer"; 3000].join(":");
        let data = std::collections::HashMap::from([("LowerDir".to_owned(), lower)]);
        let storage = storage("overlay2".to_owned(), &data);
        assert_eq!(storage.lower.len(), overlay::MAX_LAYERS);
    }

    #[test]
    fn reads_an_engine_answer() {
        let answer = serde_json::json!({
            "Id": "aa", "Created": "2026-11-20T10:00:00.5Z", "Path": "/bin/sh",
            "Args": ["-c", "sleep 9"], "Name": "/web", "RestartCount": 2, "Driver": "overlay2",
            "Image": "sha256:beef", "AppArmorProfile": "docker-default",
            "State": {"Status": "running", "Pid": 42, "StartedAt": "2026-11-20T10:00:01Z",
                "FinishedAt": "0001-01-01T00:00:00Z", "Restarting": true, "Health": {"Status": "healthy"}},
            "Config": {"Image": "web:1", "User": "1000", "Env": ["PATH=/bin", "DB_PASSWORD=x=y"],
                "Healthcheck": {"Test": ["CMD-SHELL", "true || false"]}, "Labels": {"com.docker.compose.project": "p"}},
            "HostConfig": {"Memory": 1048576, "CpuQuota": 50000, "CpuPeriod": 100000, "PidsLimit": 64,
                "CapAdd": ["NET_ADMIN"], "ReadonlyRootfs": true, "PidMode": "host",
                "SecurityOpt": ["no-new-privileges", "seccomp={\"defaultAction\":\"x\"}"],
                "IpcMode": "host", "UTSMode": "host", "UsernsMode": "host", "MaskedPaths": [],
                "Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/x"}],
                "RestartPolicy": {"Name": "always"}, "Tmpfs": {"/run": "ro,size=1m"}},
            "GraphDriver": {"Name": "overlay2", "Data": {"LowerDir": "/a-init/diff:/b/diff",
                "UpperDir": "/u/diff", "MergedDir": "/m"}},
            "Mounts": [{"Type": "bind", "Source": "/srv", "Destination": "/data", "RW": false,
                "Propagation": "rshared"}],
            "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "9/udp": null},
                "Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}
        });
        let inspect: ContainerInspectResponse = serde_json::from_value(answer).unwrap();
        let image = ImageFacts {
            digest: String::new(),
            exposed: vec!["80/tcp".to_owned()],
        };
        let info = container(inspect, &image);
        assert_eq!(info.name, "web");
        assert_eq!(info.image_digest, "sha256:beef");
        assert_eq!(info.command.len(), 3);
        assert_eq!(
            info.created,
            Some(Timestamp::parse("2026-11-20T10:00:00.5Z").unwrap())
        );
        assert_eq!(info.finished, None);
        assert_eq!((info.init_pid, info.restarts), (42, 2));
        assert!(info.restarting);
        assert_eq!(info.health, "healthy");
        assert_eq!(
            info.healthcheck,
            ["/bin/sh", "-c", "true || false"].map(Bytes::from)
        );
        assert_eq!(
            info.limits,
            Limits {
                memory: 1_048_576,
                cpu_milli: 500,
                pids: 64
            }
        );
        assert!(info.security.no_new_privileges && info.security.readonly_root);
        assert_eq!(info.security.seccomp, "custom");
        assert_eq!(info.security.ipc_mode, "host");
        assert_eq!(info.security.uts_mode, "host");
        assert_eq!(info.security.user_mode, "host");
        assert!(info.security.unmasked);
        assert_eq!(info.security.devices, [Bytes::from("/dev/sda")]);
        assert_eq!(info.security.shared_mounts, [Bytes::from("/data")]);
        assert_eq!(info.restart_policy, "always");
        assert_eq!(
            info.environment,
            ["PATH", "DB_PASSWORD"].map(Bytes::from),
            "names only"
        );
        assert_eq!(
            info.storage.lower,
            ["/a-init/diff".into(), Bytes::from("/b/diff")]
        );
        assert_eq!(info.ports[0].host, "0.0.0.0:8080");
        assert_eq!(info.ports.len(), 1);
        assert_eq!(info.networks["bridge"], "172.17.0.2");
        let mounts: Vec<_> = info
            .mounts
            .iter()
            .map(|m| (m.kind.as_str(), m.writable))
            .collect();
        assert_eq!(mounts, [("bind", false), ("tmpfs", false)]);
    }

    #[test]
    fn an_image_gives_its_repository_digest() {
        let image: ImageInspect = serde_json::from_value(serde_json::json!({
            "RepoDigests": ["nginx@sha256:abc"], "Config": {"ExposedPorts": {"80/tcp": {}, "443/tcp": {}}}
        }))
        .unwrap();
        let facts = ImageFacts::from_inspect(image);
        assert_eq!(facts.digest, "sha256:abc");
        assert_eq!(facts.exposed, ["443/tcp", "80/tcp"]);
    }
}
