//! The commands of a container's engine that show more details. They change nothing.

use super::command::CommandLine;
use super::target::{Engine, ResponseTarget};
use crate::event::{Bytes, ContainerId, Timestamp};
use crate::state::State;

/// The kind of details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inquiry<'a> {
    /// Its settings and state.
    Container,
    /// Its processes.
    Processes,
    /// Its log since then.
    Log(Timestamp),
    /// Its networks and addresses.
    Network,
    /// A file in it, as a tar stream.
    File(&'a Bytes),
    /// All files that differ from its image.
    ChangedFiles,
}

/// The command line; the container's description if its engine has nothing more specific. `None`
/// when the container or its engine is unknown.
#[must_use]
pub fn inquire(
    state: &State,
    container: &ContainerId,
    docker_host: Option<&str>,
    what: &Inquiry<'_>,
) -> Option<String> {
    let target = ResponseTarget::of(state.containers.get(container)?, docker_host)?;
    let answer = target.answer(what).or_else(|| target.describe())?;
    Some(answer.shell())
}

impl ResponseTarget<'_> {
    fn answer(&self, what: &Inquiry<'_>) -> Option<CommandLine> {
        let like_docker = self.engine.is_like_docker();
        match (what, &self.engine) {
            (Inquiry::Processes, _) if like_docker => {
                Some(self.docker(["top"])?.args(["-eo", "pid,ppid,user,args"]))
            }
            (Inquiry::Processes, Engine::Ctr(_)) => self.docker(["tasks", "ps"]),
            (Inquiry::Processes, Engine::Runc(_)) => self.docker(["ps"]),
            (Inquiry::Log(since), Engine::Pod(pod)) => {
                let since = format!("--since-time={since}");
                let logs = pod.kubectl(["logs", "--timestamps", &since, &pod.pod]);
                Some(pod.of_container(logs))
            }
            (Inquiry::Log(since), engine) if like_docker || *engine == Engine::Crictl => {
                let since = since.to_string();
                self.docker(["logs", "--timestamps", "--since", &since])
            }
            (Inquiry::Network, _) if like_docker => {
                self.docker(["inspect", "--format", "{{json .NetworkSettings}}"])
            }
            (Inquiry::File(path), _) if like_docker => self.copy(path, "-"),
            (Inquiry::ChangedFiles, _) if like_docker => self.docker(["diff"]),
            _ => None,
        }
    }

    /// The container's settings and state.
    fn describe(&self) -> Option<CommandLine> {
        let handle = self.handle.as_str();
        match &self.engine {
            Engine::Ctr(_) => self.docker(["containers", "info"]),
            Engine::Pod(pod) => Some(pod.kubectl(["describe", "pod", &pod.pod])),
            Engine::Runc(_) => self.docker(["state"]),
            Engine::Lxc => Some(CommandLine::new(["lxc-info", "--name", handle])),
            Engine::Nspawn => Some(CommandLine::new(["machinectl", "status", handle])),
            _ => self.docker(["inspect"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Host, ID, NOW, info};
    use super::*;
    use crate::event::{Bytes, ContainerInfo, Pod, Runtime};

    #[test]
    fn inquiries_use_the_containers_own_engine() {
        let path = Bytes::new(b"/tmp/a b;reboot");
        let requested = |runtime, pod: Option<Pod>, what: &Inquiry<'_>| {
            let host = Host::with(
                ID,
                ContainerInfo {
                    pod,
                    ..info(runtime)
                },
            );
            inquire(&host.state, &host.id, Some("tcp://h:1"), what)
        };
        let docker = |what: &Inquiry<'_>| requested(Runtime::Docker, None, what).unwrap();
        let client = "docker --host tcp://h:1";
        assert_eq!(
            docker(&Inquiry::Container),
            format!("{client} inspect {ID}")
        );
        assert_eq!(
            docker(&Inquiry::Processes),
            format!("{client} top {ID} -eo pid,ppid,user,args")
        );
        assert_eq!(
            docker(&Inquiry::File(&path)),
            format!("{client} cp '{ID}:/tmp/a b;reboot' -")
        );
        let log = docker(&Inquiry::Log(NOW));
        assert!(
            log.starts_with(&format!("{client} logs --timestamps --since 20")) && log.ends_with(ID)
        );
        let other = |runtime, what: &Inquiry<'_>| requested(runtime, None, what).unwrap();
        assert_eq!(
            other(Runtime::Podman, &Inquiry::ChangedFiles),
            format!("podman diff {ID}")
        );
        assert_eq!(
            other(Runtime::Containerd, &Inquiry::Processes),
            format!("ctr --namespace default tasks ps {ID}")
        );
        // It has no closer answer.
        assert_eq!(
            other(Runtime::Runc, &Inquiry::Network),
            format!("runc state {ID}")
        );
        let pod = Pod {
            namespace: "shop".to_owned(),
            name: "web-0".to_owned(),
            ..Pod::default()
        };
        let log = requested(Runtime::Containerd, Some(pod), &Inquiry::Log(NOW)).unwrap();
        assert!(
            log.starts_with("kubectl --namespace shop logs --timestamps --since-time=")
                && log.ends_with(" web-0 --container shop-web"),
            "{log}"
        );
        assert_eq!(requested(Runtime::Unknown, None, &Inquiry::Container), None);
    }
}
