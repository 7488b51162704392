//! The responses that fit a subject, in the recommended order: contain, preserve, examine, end. A
//! pure function of the state.

use std::net::IpAddr;

use super::command::{CommandLine, shell};
use super::engine::Commands;
use super::network;
use super::subject::{ProcessIdentity, ResponseSubject};
use super::suggestion::{FileSources, ResponseWork, Suggestion};
use super::target::{Engine, ResponseTarget, called, id_tag};
use crate::event::{Bytes, ContainerId, ResponseAction, ResponseOutcome, Timestamp};
use crate::state::{Container, State};

/// Tolerance between the observed start of a process and the one that the kernel reports now, in
/// seconds: both clocks are read separately, and one of them counts whole seconds.
pub(super) const START_TOLERANCE: i64 = 2;

/// All responses that fit, most advisable first. `docker_host` is the address of the Docker engine
/// where it is not the standard one.
#[must_use]
pub fn fitting(
    state: &State,
    subject: &ResponseSubject,
    docker_host: Option<&str>,
) -> Vec<Suggestion> {
    let Some(id) = &subject.container else {
        return subject.processes.iter().map(on_host).collect();
    };
    let Some(container) = state.containers.get(id) else {
        return Vec::new();
    };
    let builder = Builder {
        state,
        container,
        target: ResponseTarget::of(container, docker_host),
        subject,
    };
    let mut all = Vec::new();
    builder.contain(&mut all);
    builder.preserve(&mut all);
    all.extend(builder.shell());
    all.extend(builder.kill());
    all.extend(builder.stop());
    all
}

/// The sources of the files that a subject's evidence holds; `None` for the host.
#[must_use]
pub fn evidence_files(state: &State, subject: &ResponseSubject) -> Option<FileSources> {
    let container = state.containers.get(subject.container.as_ref()?)?;
    Some(sources(state, container, subject))
}

fn sources(state: &State, container: &Container, subject: &ResponseSubject) -> FileSources {
    let info = &container.info;
    let init = container.running.then_some(info.init_pid);
    FileSources {
        name: tagged("hullwatch-files", &container.id, state.now),
        upper: info.storage.upper.clone(),
        init: init.and_then(|pid| ProcessIdentity::of(state, pid)),
        files: subject.files.clone(),
        programs: subject.programs.clone(),
    }
}

/// `PREFIX-CONTAINER-TIME`, of lower-case letters, digits and `-`.
fn tagged(prefix: &str, id: &ContainerId, at: Timestamp) -> String {
    format!(
        "{prefix}-{}-{}",
        id_tag(id),
        at.to_jiff().strftime("%Y%m%dt%H%M%Sz")
    )
}

/// hullwatch itself does not end processes of the host.
fn on_host(process: &ProcessIdentity) -> Suggestion {
    Suggestion {
        action: ResponseAction::Kill,
        container: None,
        named: "the host".to_owned(),
        title: format!("Kill process {}: {}", process.pid, process.command),
        effect: "Kills this process of the host, if it is still the same process.".to_owned(),
        targets: vec![target_of(process)],
        command: kill_line(process),
        undo: None,
        work: ResponseWork::ByHand("hullwatch changes nothing on the host itself"),
    }
}

fn target_of(process: &ProcessIdentity) -> Bytes {
    Bytes::from(format!("process {}", process.pid).as_str())
}

/// Kills the process only if it started when the one that was seen did.
fn kill_line(process: &ProcessIdentity) -> String {
    let (pid, started) = (process.pid, process.started.seconds());
    let (from, to) = (started - START_TOLERANCE, started + START_TOLERANCE);
    // By the kernel's own numbers, which do not depend on the shell's run time.
    format!(
        "s=$(($(sed -n 's/^btime //p' /proc/stat) + $(sed -z 's/.*) //' /proc/{pid}/stat \
         | cut -d' ' -f20) / $(getconf CLK_TCK))) && [ $s -ge {from} ] && [ $s -le {to} ] \
         && kill -KILL {pid}"
    )
}

struct Builder<'a> {
    state: &'a State,
    container: &'a Container,
    target: Option<ResponseTarget<'a>>,
    subject: &'a ResponseSubject,
}

impl Builder<'_> {
    fn suggest(&self, action: ResponseAction, title: String, effect: String) -> Suggestion {
        Suggestion {
            action,
            container: Some(self.container.id.clone()),
            named: called(self.container),
            title,
            effect,
            targets: Vec::new(),
            command: String::new(),
            undo: None,
            work: ResponseWork::ByHand("copy the line"),
        }
    }

    /// A suggestion of commands to the engine.
    fn engine(
        &self,
        action: ResponseAction,
        (title, effect): (&str, String),
        commands: Commands,
    ) -> Suggestion {
        let mut one = self.suggest(action, title.to_owned(), effect);
        one.command = shell(&commands.run);
        one.undo = (!commands.undo.is_empty()).then(|| shell(&commands.undo));
        one.work = match &self.target {
            Some(target) if target.engine.is_of_user() => {
                ResponseWork::ByHand("only that user may control this engine")
            }
            Some(target) if target.engine.has_no_daemon() => ResponseWork::ByHand(
                "this engine has no daemon, and hullwatch dropped the rights that its client needs",
            ),
            _ => ResponseWork::Commands(commands.run, None),
        };
        one
    }

    /// A suggestion of commands in the container's network namespace; `None` when it has none of
    /// its own, or is not running.
    fn network(
        &self,
        action: ResponseAction,
        (title, effect): (String, String),
        commands: impl FnOnce(u32) -> Commands,
    ) -> Option<Suggestion> {
        let init = self.networked()?;
        let commands = commands(init.pid);
        let guard = network::guard(init.pid);
        let mut one = self.suggest(action, title, effect);
        one.command = guard.clone() + &shell(&commands.run);
        one.undo = (!commands.undo.is_empty()).then(|| guard + &shell(&commands.undo));
        one.work = ResponseWork::Commands(commands.run, Some(init));
        Some(one)
    }

    /// Its init, where it runs and its network may be its own.
    fn networked(&self) -> Option<ProcessIdentity> {
        let target = self.target.as_ref()?;
        let init = target
            .init()
            .filter(|_| target.own_network() != Some(false))?;
        ProcessIdentity::of(self.state, init)
    }

    /// Responses of this kind that were done and not undone, by their targets, the latest first.
    fn standing(&self, action: ResponseAction) -> Vec<&[Bytes]> {
        let mut standing: Vec<&[Bytes]> = Vec::new();
        for (_, response) in self.container.responses() {
            if response.outcome != ResponseOutcome::Done {
                continue;
            }
            if response.action == action {
                standing.push(&response.targets);
            } else if action.undone_by() == Some(response.action) {
                standing.retain(|targets| *targets != response.targets.as_slice());
            }
        }
        standing.reverse();
        standing
    }

    fn contain(&self, all: &mut Vec<Suggestion>) {
        let running = self.container.running;
        if running && let Some(target) = &self.target {
            if let Some(pause) = target.pause() {
                all.push(if self.container.paused {
                    let effect = "Resumes all its processes.".to_owned();
                    let text = ("Unpause the container", effect);
                    self.engine(ResponseAction::Unpause, text, pause.reversed())
                } else {
                    let effect = "Freezes all its processes; memory is kept. Its service does \
                                  not answer meanwhile.";
                    let text = ("Pause the container", effect.to_owned());
                    self.engine(ResponseAction::Pause, text, pause)
                });
            }
            all.extend(self.disconnect(target));
        }
        all.extend(self.reconnect());
        all.extend(self.blocks());
    }

    fn disconnect(&self, target: &ResponseTarget<'_>) -> Option<Suggestion> {
        if !self.standing(ResponseAction::Disconnect).is_empty() {
            return None;
        }
        const TITLE: &str = "Disconnect the container from its networks";
        let networks: Vec<&str> = target.networks().collect();
        if let Some(commands) = target.disconnect(&networks) {
            let pod = matches!(target.engine, Engine::Pod(_));
            let effect = if pod {
                "Labels the pod and applies a network policy that denies all its traffic, if the \
                 cluster's network enforces policies."
                    .to_owned()
            } else {
                format!(
                    "Disconnects it from {}; its processes keep running.",
                    networks.join(", ")
                )
            };
            let mut one = self.engine(ResponseAction::Disconnect, (TITLE, effect), commands);
            one.targets = networks.into_iter().map(Bytes::from).collect();
            return Some(one);
        }
        if matches!(
            target.engine,
            Engine::Docker(_) | Engine::Podman | Engine::PodmanOf(_)
        ) {
            // It is on none.
            return None;
        }
        let effect = format!(
            "Drops all packets in its network namespace but those on loopback; its processes \
             keep running. Containers that share the namespace are disconnected too.{}",
            self.may_lift()
        );
        let text = (TITLE.to_owned(), effect);
        self.network(ResponseAction::Disconnect, text, network::isolate)
    }

    fn reconnect(&self) -> Option<Suggestion> {
        let target = self.target.as_ref()?;
        let standing = self.standing(ResponseAction::Disconnect);
        let networks = *standing.first()?;
        let names: Vec<&str> = networks
            .iter()
            .filter_map(|n| std::str::from_utf8(n).ok())
            .collect();
        let title = "Reconnect the container to its networks";
        let effect = "Undoes the disconnection.".to_owned();
        let mut one = match target.disconnect(&names) {
            Some(commands) => self.engine(
                ResponseAction::Reconnect,
                (title, effect),
                commands.reversed(),
            ),
            None => {
                let text = (title.to_owned(), effect);
                self.network(ResponseAction::Reconnect, text, |init| {
                    network::isolate(init).reversed()
                })?
            }
        };
        one.targets = networks.to_vec();
        Some(one)
    }

    fn blocks(&self) -> Vec<Suggestion> {
        let standing = self.standing(ResponseAction::Block);
        let address = |targets: &[Bytes]| -> Option<IpAddr> {
            std::str::from_utf8(targets.first()?).ok()?.parse().ok()
        };
        let blocked: Vec<IpAddr> = standing.into_iter().filter_map(address).collect();
        let open = self
            .subject
            .peers
            .iter()
            .filter(|peer| !blocked.contains(peer));
        let block = open.filter_map(|peer| {
            let effect = format!(
                "Rejects what the container sends to {peer}, also on open connections. The rule \
                 applies in its network namespace, until the container restarts.{}",
                self.may_lift()
            );
            let text = (format!("Block {peer}"), effect);
            let mut one = self.network(ResponseAction::Block, text, |init| {
                network::block(init, *peer)
            })?;
            one.targets = vec![Bytes::from(peer.to_string().as_str())];
            Some(one)
        });
        let unblock = blocked.iter().filter_map(|peer| {
            let effect = format!("Allows connections to {peer} again.");
            let text = (format!("Unblock {peer}"), effect);
            let mut one = self.network(ResponseAction::Unblock, text, |init| {
                network::block(init, *peer).reversed()
            })?;
            one.targets = vec![Bytes::from(peer.to_string().as_str())];
            Some(one)
        });
        block.chain(unblock).collect()
    }

    /// A note about capabilities that can undo rules within its namespace.
    fn may_lift(&self) -> &'static str {
        let security = &self.container.info.security;
        let admin = |name: &String| matches!(name.as_str(), "NET_ADMIN" | "CAP_NET_ADMIN" | "ALL");
        if security.privileged || security.cap_add.iter().any(admin) {
            " This container has the capability to remove the rule."
        } else {
            ""
        }
    }

    fn preserve(&self, all: &mut Vec<Suggestion>) {
        all.extend(self.copy_out());
        let tag = tagged("hullwatch-evidence", &self.container.id, self.state.now);
        let commit = self
            .target
            .as_ref()
            .and_then(|target| target.commit(&evidence_image(&tag)));
        if let Some(commit) = commit {
            let like_docker = self
                .target
                .as_ref()
                .is_some_and(|t| t.engine.is_like_docker());
            let effect = if like_docker {
                "Saves its file system as an image on this host, without volumes, tmpfs and \
                 memory; pauses it meanwhile. Never run that image."
            } else {
                "Saves its memory and file system as a checkpoint on this host, if the runtime \
                 has CRIU."
            };
            let text = ("Save the container as an image", effect.to_owned());
            let mut one = self.engine(ResponseAction::Commit, text, commit);
            one.targets = vec![Bytes::from(evidence_image(&tag).as_str())];
            all.push(one);
        }
        all.extend(self.capture());
    }

    fn copy_out(&self) -> Option<Suggestion> {
        let sources = sources(self.state, self.container, self.subject);
        if sources.files.is_empty() && sources.programs.is_empty() {
            return None;
        }
        let count = sources.files.len() + sources.programs.len();
        let effect = "Copies their content and SHA-256 into one archive, with running programs \
                      whose file was deleted; links are not followed out of the container. They \
                      may be malware: open them elsewhere.";
        let title = match count {
            1 => "Copy out the intruder's file".to_owned(),
            count => format!("Copy out the intruder's {count} files"),
        };
        let mut one = self.suggest(ResponseAction::CopyOut, title, effect.to_owned());
        one.targets.clone_from(&sources.files);
        let program = |p: &ProcessIdentity| Bytes::from(format!("program of {}", p.pid).as_str());
        one.targets.extend(sources.programs.iter().map(program));
        one.command = self.copy_line(&sources)?;
        one.work = ResponseWork::CopyOut(sources);
        Some(one)
    }

    fn copy_line(&self, sources: &FileSources) -> Option<String> {
        let folder = &sources.name;
        let mut commands = vec![CommandLine::new(["mkdir", folder])];
        let mut copies: Vec<String> = Vec::new();
        let mut name = |path: &[u8]| {
            let copy = format!("{folder}/{:02}-{}", copies.len() + 1, plain_name(path));
            copies.push(copy.clone());
            copy
        };
        for path in &sources.files {
            let copy = name(path);
            commands.push(self.target.as_ref()?.copy(path, &copy)?);
        }
        for process in &sources.programs {
            let copy = name(format!("exe-{}", process.pid).as_bytes());
            let exe = format!("/proc/{}/exe", process.pid);
            commands.push(CommandLine::new(["cp", "--", &exe, &copy]));
        }
        commands
            .push(CommandLine::new(["sha256sum", "--"]).args(copies.iter().map(String::as_str)));
        Some(shell(&commands))
    }

    fn capture(&self) -> Option<Suggestion> {
        let init = self.networked()?;
        let name = tagged("hullwatch-packets", &self.container.id, self.state.now) + ".pcap";
        let effect = format!(
            "Captures the packets of its network namespace for {} seconds with this host's \
             tcpdump.",
            network::CAPTURE_SECONDS
        );
        let title = "Capture the container's packets".to_owned();
        let mut one = self.suggest(ResponseAction::Capture, title, effect);
        one.command = network::guard(init.pid) + &network::capture(init.pid, &name).shell();
        one.targets = vec![Bytes::from(name.as_str())];
        one.work = ResponseWork::Output(network::capture(init.pid, "-"), init, name);
        Some(one)
    }

    fn shell(&self) -> Option<Suggestion> {
        if !self.container.running || self.container.paused {
            return None;
        }
        let command = self.target.as_ref()?.shell()?;
        let effect = "Opens a shell in the container with its own programs, which may have been \
                      tampered with; your commands are recorded as an exec session.";
        let title = "Open a shell in the container".to_owned();
        let mut one = self.suggest(ResponseAction::Shell, title, effect.to_owned());
        one.command = command.shell();
        one.work = ResponseWork::ByHand("a shell needs a terminal of its own");
        Some(one)
    }

    fn kill(&self) -> impl Iterator<Item = Suggestion> {
        let processes = self.subject.processes.iter();
        processes.map(|process| {
            let effect = "Kills this process with SIGKILL, if it is still the same process \
                          (checked by its start time). Files that it planted may start it again.";
            let title = format!("Kill process {}: {}", process.pid, process.command);
            let mut one = self.suggest(ResponseAction::Kill, title, effect.to_owned());
            one.targets = vec![target_of(process)];
            one.command = kill_line(process);
            one.work = ResponseWork::Kill(process.clone());
            one
        })
    }

    fn stop(&self) -> Option<Suggestion> {
        let target = self.target.as_ref().filter(|_| self.container.running)?;
        let stop = target.stop()?;
        let (title, effect) = if matches!(target.engine, Engine::Pod(_)) {
            (
                "Delete the pod",
                "Stops all its containers and removes their files; its controller starts a new \
                 pod. Copy out the files that you need first.",
            )
        } else {
            (
                "Stop the container",
                "Stops all its processes: memory, tmpfs and processes are lost as evidence. A \
                 restart policy may start it again.",
            )
        };
        Some(self.engine(ResponseAction::Stop, (title, effect.to_owned()), stop))
    }
}

/// `hullwatch-evidence-ID-TIME` as a name of an image.
fn evidence_image(tag: &str) -> String {
    tag.replacen("hullwatch-evidence-", "hullwatch-evidence:", 1)
}

/// The last component of a path, of plain characters only: for the name of its copy.
pub(super) fn plain_name(path: &[u8]) -> String {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let plain = |b: &u8| {
        let kept = b.is_ascii_alphanumeric() || b"._-".contains(b);
        char::from(if kept { *b } else { b'_' })
    };
    name.iter().take(64).map(plain).collect()
}
