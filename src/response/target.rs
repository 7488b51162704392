//! The target of a response: the container's engine, and its names there. A text that could be
//! taken for an option is not accepted as a name.

use crate::event::{Bytes, ContainerId, ContainerInfo, Runtime};
use crate::state::Container;

/// The client for a container's commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Engine {
    /// Docker, at this address where it is not the standard one.
    Docker(Option<String>),
    /// Podman of root.
    Podman,
    /// Podman of this user.
    PodmanOf(u32),
    /// nerdctl in this containerd namespace.
    Nerdctl(String),
    /// containerd's own client in this namespace.
    Ctr(String),
    /// A container of a Kubernetes pod.
    Pod(PodNames),
    /// A container that the kubelet's runtime keeps, without a known pod.
    Crictl,
    /// LXC.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
    /// runc alone, or crun, which takes the same words.
    Runc(&'static str),
}

/// The location of a pod's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodNames {
    pub(super) namespace: String,
    pub(super) pod: String,
    /// Name of the container within the pod; empty unknown.
    pub(super) container: String,
    /// containerd keeps it; else CRI-O.
    pub(super) containerd: bool,
}

/// The address of a Docker engine for its client; `None` for the client's default.
#[must_use]
pub fn docker_address(url: &str) -> Option<String> {
    let standard = ["/var/run/docker.sock", "/run/docker.sock"];
    let path = url.strip_prefix("unix://").unwrap_or(url);
    match path.starts_with('/') {
        true if standard.contains(&path) => None,
        true => Some(format!("unix://{path}")),
        false => Some(match url.strip_prefix("http://") {
            Some(rest) => format!("tcp://{}", rest.trim_end_matches('/')),
            None => url.to_owned(),
        }),
    }
}

/// A container and how to reach it.
#[derive(Debug, Clone)]
pub(super) struct ResponseTarget<'a> {
    pub(super) container: &'a Container,
    pub(super) engine: Engine,
    /// The id or name that the engine's client takes.
    pub(super) handle: String,
}

impl<'a> ResponseTarget<'a> {
    /// `None` for a container whose engine is unknown or whose names no engine gives.
    pub(super) fn of(container: &'a Container, docker_host: Option<&str>) -> Option<Self> {
        let info = &container.info;
        let engine = engine(info, docker_host)?;
        let id = container.id.as_str();
        let handle = container.id.name().unwrap_or(id);
        is_name(handle).then(|| Self {
            container,
            engine,
            handle: handle.to_owned(),
        })
    }

    /// The host pid of its init while it runs.
    pub(super) fn init(&self) -> Option<u32> {
        let pid = self.container.info.init_pid;
        (self.container.running && pid != 0).then_some(pid)
    }

    /// Whether it has network interfaces that are not the host's: `None` when that is unknown.
    pub(super) fn own_network(&self) -> Option<bool> {
        match self.container.info.security.network_mode.as_str() {
            "" => None,
            mode => Some(mode != "host"),
        }
    }

    /// Its networks, as far as their names can be arguments.
    pub(super) fn networks(&self) -> impl Iterator<Item = &'a str> {
        let networks = self.container.info.networks.keys();
        networks
            .map(String::as_str)
            .filter(|name| is_name(name) && !matches!(*name, "host" | "none"))
    }
}

fn engine(info: &ContainerInfo, docker_host: Option<&str>) -> Option<Engine> {
    if let Some(pod) = &info.pod {
        let known = is_name(&pod.namespace) && is_name(&pod.name);
        let container = std::str::from_utf8(&info.name).ok();
        let names = PodNames {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            container: container
                .filter(|name| is_name(name))
                .unwrap_or_default()
                .to_owned(),
            containerd: info.runtime == Runtime::Containerd,
        };
        match info.runtime {
            Runtime::Containerd | Runtime::Crio => {
                return Some(if known {
                    Engine::Pod(names)
                } else {
                    Engine::Crictl
                });
            }
            // A pod of Podman, or of cri-dockerd: their own clients know it.
            _ => {}
        }
    }
    Some(match info.runtime {
        Runtime::Docker => Engine::Docker(docker_host.map(str::to_owned)),
        Runtime::Podman => match info.owner {
            Some(user) => Engine::PodmanOf(user),
            None => Engine::Podman,
        },
        Runtime::Containerd => {
            let namespace = match info.engine_namespace.as_str() {
                "" => "default",
                namespace if is_name(namespace) => namespace,
                _ => return None,
            };
            let nerdctl = info
                .labels
                .keys()
                .any(|label| label.starts_with("nerdctl/"));
            if nerdctl {
                Engine::Nerdctl(namespace.to_owned())
            } else {
                Engine::Ctr(namespace.to_owned())
            }
        }
        Runtime::Crio => Engine::Crictl,
        Runtime::Lxc => Engine::Lxc,
        Runtime::Nspawn => Engine::Nspawn,
        Runtime::Runc | Runtime::Crun => Engine::Runc(info.runtime.word()),
        Runtime::Unknown => return None,
    })
}

/// Whether the name is plain: no option, no path, nothing that needs quotes.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    name.len() <= 255
        && name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
        && name.bytes().all(plain)
}

/// The name and id as shown in questions.
pub(super) fn called(container: &Container) -> String {
    let name = container.display_name();
    let short = crate::event::escape(container.id.short().as_bytes()).to_string();
    if name == short {
        format!("container {short}")
    } else {
        format!("container {name} ({short})")
    }
}

/// `ID:PATH`, as clients that copy files take it.
pub(super) fn inside(handle: &str, path: &Bytes) -> Bytes {
    let mut word = format!("{handle}:").into_bytes();
    word.extend_from_slice(path);
    Bytes::from(word)
}

/// The short id as part of the name of a file or an image.
pub(super) fn id_tag(id: &ContainerId) -> String {
    let tag: String = id
        .short()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    tag.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engines_address_is_as_its_client_takes_it() {
        let address = |url| docker_address(url);
        assert_eq!(address("unix:///var/run/docker.sock"), None);
        assert_eq!(address("/run/docker.sock"), None);
        assert_eq!(
            address("/tmp/d.sock").as_deref(),
            Some("unix:///tmp/d.sock")
        );
        assert_eq!(address("http://h:1/").as_deref(), Some("tcp://h:1"));
        assert_eq!(address("tcp://h:1").as_deref(), Some("tcp://h:1"));
    }
}
