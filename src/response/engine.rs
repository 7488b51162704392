//! The commands of each engine's own client.

use serde_json::json;

use super::command::CommandLine;
use super::target::{Engine, PodNames, ResponseTarget, inside};
use crate::event::Bytes;

/// The commands of a response, and those that undo it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Commands {
    pub(super) run: Vec<CommandLine>,
    pub(super) undo: Vec<CommandLine>,
}

impl Commands {
    fn one(run: CommandLine, undo: CommandLine) -> Option<Self> {
        Some(Self {
            run: vec![run],
            undo: vec![undo],
        })
    }

    /// The commands that undo these.
    pub(super) fn reversed(self) -> Self {
        Self {
            run: self.undo,
            undo: self.run,
        }
    }
}

impl Engine {
    /// The engine's client with the options that every command of it needs; `None` for kubectl and
    /// where each command is a program of its own.
    fn client(&self) -> Option<CommandLine> {
        let client = |words: &[&str]| Some(CommandLine::new(words.iter().copied()));
        match self {
            Self::Docker(None) => client(&["docker"]),
            Self::Docker(Some(host)) => client(&["docker", "--host", host]),
            Self::Podman => client(&["podman"]),
            Self::PodmanOf(user) => client(&[
                "sudo",
                "-H",
                "-u",
                &format!("#{user}"),
                "env",
                &format!("XDG_RUNTIME_DIR=/run/user/{user}"),
                "podman",
            ]),
            Self::Nerdctl(namespace) => client(&["nerdctl", "--namespace", namespace]),
            Self::Ctr(namespace) => client(&["ctr", "--namespace", namespace]),
            // The kubelet's containers; kubectl cannot pause.
            Self::Pod(pod) if pod.containerd => client(&["ctr", "--namespace", "k8s.io"]),
            Self::Pod(_) | Self::Crictl => client(&["crictl"]),
            Self::Runc(program) => client(&[program]),
            Self::Lxc | Self::Nspawn => None,
        }
    }

    /// Whether its client has Docker's commands.
    pub(super) fn is_like_docker(&self) -> bool {
        matches!(
            self,
            Self::Docker(_) | Self::Podman | Self::PodmanOf(_) | Self::Nerdctl(_)
        )
    }

    /// Whether its client does the work itself, with all rights of root, instead of using a daemon.
    pub(super) fn has_no_daemon(&self) -> bool {
        matches!(self, Self::Podman | Self::Runc(_) | Self::Lxc)
    }

    /// Whether the engine is run with the rights of another user than root.
    pub(super) fn is_of_user(&self) -> bool {
        matches!(self, Self::PodmanOf(_))
    }
}

impl ResponseTarget<'_> {
    /// `docker WORDS… ID`.
    pub(super) fn docker<'a>(
        &self,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Option<CommandLine> {
        let words: Vec<&str> = words.into_iter().collect();
        let client = self.engine.client()?.args(words);
        Some(client.arg(self.handle.as_str()))
    }

    /// Pauses it.
    pub(super) fn pause(&self) -> Option<Commands> {
        let handle = self.handle.as_str();
        match &self.engine {
            engine if engine.is_like_docker() => {
                Commands::one(self.docker(["pause"])?, self.docker(["unpause"])?)
            }
            Engine::Ctr(_) => Commands::one(
                self.docker(["tasks", "pause"])?,
                self.docker(["tasks", "resume"])?,
            ),
            Engine::Pod(pod) if pod.containerd => Commands::one(
                self.docker(["tasks", "pause"])?,
                self.docker(["tasks", "resume"])?,
            ),
            Engine::Runc(_) => Commands::one(self.docker(["pause"])?, self.docker(["resume"])?),
            Engine::Lxc => Commands::one(
                CommandLine::new(["lxc-freeze", "--name", handle]),
                CommandLine::new(["lxc-unfreeze", "--name", handle]),
            ),
            Engine::Nspawn => Commands::one(
                CommandLine::new(["machinectl", "kill", "--signal=SIGSTOP", handle]),
                CommandLine::new(["machinectl", "kill", "--signal=SIGCONT", handle]),
            ),
            _ => None,
        }
    }

    /// Stops it.
    pub(super) fn stop(&self) -> Option<Commands> {
        let handle = self.handle.as_str();
        let only = |run: CommandLine| {
            Some(Commands {
                run: vec![run],
                undo: Vec::new(),
            })
        };
        match &self.engine {
            engine if engine.is_like_docker() => {
                Commands::one(self.docker(["stop"])?, self.docker(["start"])?)
            }
            Engine::Ctr(_) => only(self.docker(["tasks", "kill", "--signal", "SIGKILL"])?),
            Engine::Pod(pod) => only(pod.kubectl(["delete", "pod", &pod.pod])),
            Engine::Crictl => only(self.docker(["stop"])?),
            Engine::Runc(_) => only(self.docker(["kill"])?.arg("KILL")),
            Engine::Lxc => Commands::one(
                CommandLine::new(["lxc-stop", "--name", handle]),
                CommandLine::new(["lxc-start", "--name", handle]),
            ),
            Engine::Nspawn => only(CommandLine::new(["machinectl", "terminate", handle])),
            _ => None,
        }
    }

    /// Disconnects it from `networks`; `None` if the engine has no command for that.
    pub(super) fn disconnect(&self, networks: &[&str]) -> Option<Commands> {
        match &self.engine {
            Engine::Docker(_) | Engine::Podman | Engine::PodmanOf(_) if !networks.is_empty() => {
                let each = |verb: &'static str| {
                    let all = networks.iter();
                    all.map(move |network| self.docker(["network", verb, network]))
                        .collect::<Option<Vec<_>>>()
                };
                Some(Commands {
                    run: each("disconnect")?,
                    undo: each("connect")?,
                })
            }
            Engine::Pod(pod) => Some(pod.quarantine()),
            _ => None,
        }
    }

    /// Saves its file system: as an image called `name`, or as a checkpoint.
    pub(super) fn commit(&self, name: &str) -> Option<Commands> {
        match &self.engine {
            engine if engine.is_like_docker() => Commands::one(
                self.docker(["commit"])?.arg(name),
                self.engine.client()?.args(["rmi", name]),
            ),
            Engine::Pod(_) | Engine::Crictl => Some(Commands {
                run: vec![CommandLine::new([
                    "crictl",
                    "checkpoint",
                    &format!("--export={}.tar", name.replace(':', "-")),
                    self.handle.as_str(),
                ])],
                undo: Vec::new(),
            }),
            _ => None,
        }
    }

    /// A shell in it.
    pub(super) fn shell(&self) -> Option<CommandLine> {
        let handle = self.handle.as_str();
        Some(match &self.engine {
            engine if engine.is_like_docker() => {
                self.docker(["exec", "--interactive", "--tty"])?.arg("sh")
            }
            Engine::Ctr(_) => self
                .docker(["tasks", "exec", "--tty", "--exec-id", "hullwatch"])?
                .arg("sh"),
            Engine::Pod(pod) => {
                let exec = pod.kubectl(["exec", "--stdin", "--tty", &pod.pod]);
                pod.of_container(exec).args(["--", "sh"])
            }
            Engine::Crictl => self.docker(["exec", "--interactive", "--tty"])?.arg("sh"),
            Engine::Runc(_) => self.docker(["exec", "--tty"])?.arg("sh"),
            Engine::Lxc => CommandLine::new(["lxc-attach", "--name", handle]),
            Engine::Nspawn => CommandLine::new(["machinectl", "shell", handle]),
            _ => return None,
        })
    }

    /// Copies the file at `path`, as the container sees it, to `to`.
    pub(super) fn copy(&self, path: &Bytes, to: &str) -> Option<CommandLine> {
        match &self.engine {
            engine if engine.is_like_docker() => Some(
                engine
                    .client()?
                    .arg("cp")
                    .arg(inside(&self.handle, path))
                    .arg(to),
            ),
            Engine::Pod(pod) => {
                let from = inside(&format!("{}/{}", pod.namespace, pod.pod), path);
                Some(
                    pod.of_container(CommandLine::new(["kubectl", "cp"]))
                        .arg(from)
                        .arg(to),
                )
            }
            _ => {
                let upper = &self.container.info.storage.upper;
                (!upper.is_empty()).then(|| {
                    let mut from = upper.to_vec();
                    from.extend_from_slice(path);
                    CommandLine::new(["cp", "--no-dereference", "--"])
                        .arg(Bytes::from(from))
                        .arg(to)
                })
            }
        }
    }
}

impl PodNames {
    pub(super) fn kubectl<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> CommandLine {
        CommandLine::new(["kubectl", "--namespace", &self.namespace]).args(words)
    }

    pub(super) fn of_container(&self, command: CommandLine) -> CommandLine {
        if self.container.is_empty() {
            command
        } else {
            command.args(["--container", &self.container])
        }
    }

    /// A network policy that allows nothing to the pods it selects, and its label on this pod. The
    /// policy stays for the next one: without a labelled pod it does nothing.
    fn quarantine(&self) -> Commands {
        const LABEL: &str = "hullwatch-quarantine";
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": LABEL},
            "spec": {
                "podSelector": {"matchLabels": {LABEL: "true"}},
                "policyTypes": ["Ingress", "Egress"],
            },
        });
        let apply = CommandLine {
            input: Some(policy.to_string()),
            ..self.kubectl(["apply", "--filename", "-"])
        };
        let label = |value: &str| {
            let label = format!("{LABEL}{value}");
            self.kubectl(["label", "--overwrite", "pod", &self.pod, &label])
        };
        Commands {
            run: vec![apply, label("=true")],
            undo: vec![label("-")],
        }
    }
}
