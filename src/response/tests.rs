//! Suggestions for containers of every engine, with hostile names.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;
use std::sync::Arc;

use super::{ResponseSubject, ResponseWork, Suggestion, fitting};
use crate::event::{
    Bytes, ContainerAction, ContainerEvent, ContainerId, ContainerInfo, Event, FileFacts, Kind,
    Pod, Process, Response, ResponseAction, ResponseOutcome, Runtime, Storage, Timestamp,
};
use crate::state::State;

pub(super) const NOW: Timestamp = Timestamp(1_795_921_200_000_000_000);

pub(super) struct Host {
    pub(super) state: State,
    seq: u64,
    pub(super) id: ContainerId,
}

impl Host {
    pub(super) fn with(id: &str, info: ContainerInfo) -> Self {
        let mut host = Self {
            state: State::default(),
            seq: 0,
            id: ContainerId::new(id),
        };
        let init = info.init_pid;
        host.apply(
            0,
            Kind::Container(Box::new(ContainerEvent {
                action: ContainerAction::Existing,
                info: Some(Box::new(info)),
            })),
        );
        host.process(init, NOW);
        host
    }

    fn apply(&mut self, pid: u32, kind: Kind) {
        self.seq += 1;
        let event = Event {
            seq: self.seq,
            ts: NOW,
            container: Some(self.id.clone()),
            pid,
            nspid: 1,
            kind,
        };
        self.state.apply(&Arc::new(event));
    }

    fn process(&mut self, pid: u32, started: Timestamp) {
        self.apply(
            pid,
            Kind::Process(Box::new(Process {
                argv: vec!["/tmp/.x".into(), Bytes::new(b"\x1b[2J")],
                exe: "/tmp/.x".into(),
                started,
                file: FileFacts {
                    upper: true,
                    ..FileFacts::default()
                },
                ..Process::default()
            })),
        );
    }

    fn done(&mut self, suggestion: &Suggestion) {
        self.apply(
            0,
            Kind::Response(Box::new(Response {
                action: suggestion.action,
                targets: suggestion.targets.clone(),
                uid: 0,
                user: "root".into(),
                command: suggestion.command.clone(),
                undo: String::new(),
                outcome: ResponseOutcome::Done,
                detail: Bytes::default(),
            })),
        );
    }

    fn suggestions(&self, files: &[&[u8]]) -> Vec<Suggestion> {
        let mut subject = ResponseSubject::of_process(&self.state, 4711);
        subject.container = Some(self.id.clone());
        subject.files = files.iter().map(|f| Bytes::new(f)).collect();
        subject.peers = vec![
            "203.0.113.66".parse().unwrap(),
            "2001:db8::1".parse().unwrap(),
        ];
        fitting(&self.state, &subject, Some("unix:///tmp/a b.sock"))
    }
}

pub(super) fn info(runtime: Runtime) -> ContainerInfo {
    ContainerInfo {
        runtime,
        name: "shop-web".into(),
        init_pid: 4000,
        networks: BTreeMap::from([("bridge".to_owned(), String::new())]),
        storage: Storage {
            upper: "/var/lib/upper".into(),
            ..Storage::default()
        },
        ..ContainerInfo::default()
    }
}

pub(super) const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn one(all: &[Suggestion], action: ResponseAction) -> &Suggestion {
    let found = all.iter().find(|s| s.action == action);
    found.unwrap_or_else(|| panic!("{action:?} is not offered: {all:#?}"))
}

/// The words that a shell makes of a line without running what it names.
fn words(line: &str) -> Vec<Vec<u8>> {
    // A text that the shell is to read.
    let text = line.strip_prefix("eval ").map_or_else(
        || line.as_bytes().to_vec(),
        |text| shell(format!("printf %s {text}").as_bytes()),
    );
    let out = shell(&[b"set -- ", &*text, b"; printf '%s\\0' \"$@\""].concat());
    let words = out.split(|b| *b == 0).map(<[u8]>::to_vec);
    let mut words: Vec<_> = words.collect();
    words.pop();
    words
}

fn shell(line: &[u8]) -> Vec<u8> {
    let line = std::ffi::OsStr::from_bytes(line);
    let out = Command::new("bash").arg("-c").arg(line).output().unwrap();
    assert!(out.status.success(), "{line:?}");
    out.stdout
}

#[test]
fn a_docker_containers_commands_are_exact() {
    let mut host = Host::with(ID, info(Runtime::Docker));
    host.process(4711, NOW);
    let all = host.suggestions(&[b"/tmp/.x"]);
    let docker = "docker --host 'unix:///tmp/a b.sock'";
    let line = |action| one(&all, action).command.clone();
    assert_eq!(line(ResponseAction::Pause), format!("{docker} pause {ID}"));
    assert_eq!(
        one(&all, ResponseAction::Pause).undo.as_deref(),
        Some(format!("{docker} unpause {ID}").as_str())
    );
    assert_eq!(line(ResponseAction::Stop), format!("{docker} stop {ID}"));
    assert_eq!(
        line(ResponseAction::Disconnect),
        format!("{docker} network disconnect bridge {ID}")
    );
    assert_eq!(
        line(ResponseAction::Shell),
        format!("{docker} exec --interactive --tty {ID} sh")
    );
    let tag = "hullwatch-evidence:0123456789ab-20261129t";
    let commit = line(ResponseAction::Commit);
    assert!(
        commit.starts_with(&format!("{docker} commit {ID} {tag}")),
        "{commit}"
    );
    let block = line(ResponseAction::Block);
    assert!(
        block.ends_with(
            "nsenter --target 4000 --net iptables --wait --insert OUTPUT \
                         --destination 203.0.113.66 --jump REJECT"
        ),
        "{block}"
    );
    let six = all
        .iter()
        .filter(|s| s.action == ResponseAction::Block)
        .nth(1)
        .unwrap();
    assert!(six.command.contains("ip6tables"), "{}", six.command);
    // hullwatch runs the same words.
    let ResponseWork::Commands(commands, None) = &one(&all, ResponseAction::Pause).work else {
        panic!("pause is not run by commands");
    };
    let argv: Vec<Vec<u8>> = commands[0].argv.iter().map(|w| w.to_vec()).collect();
    assert_eq!(argv, words(&line(ResponseAction::Pause)));
}

#[test]
fn hostile_paths_stay_words_of_the_commands() {
    let mut host = Host::with(ID, info(Runtime::Docker));
    host.process(4711, NOW);
    let hostile: &[&[u8]] = &[
        b"/tmp/$(reboot)",
        b"/tmp/a\nreboot\n",
        b"/tmp/'; reboot; '",
        b"/tmp/\x1b]52;c;aGk=\x07",
        b"/tmp/\xff`id`",
        b"/tmp/--help",
        b"relative; reboot",
    ];
    let subject_files: Vec<&[u8]> = hostile.to_vec();
    let all = host.suggestions(&subject_files);
    let copy = one(&all, ResponseAction::CopyOut);
    assert!(
        !copy.command.chars().any(char::is_control),
        "{}",
        copy.command
    );
    for (line, path) in copy.command.split(" && ").skip(1).zip(hostile) {
        let words = words(line);
        let from = [ID.as_bytes(), b":", path].concat();
        assert_eq!(words[3..5], [b"cp".to_vec(), from], "{line}");
        assert!(
            words[5].starts_with(b"hullwatch-files-0123456789ab-"),
            "{line}"
        );
        assert_eq!(words.len(), 6);
    }
    for suggestion in &all {
        assert!(
            !suggestion.title.chars().any(char::is_control),
            "{suggestion:?}"
        );
    }
}

#[test]
fn every_engine_has_its_own_commands() {
    let pod = Some(Pod {
        namespace: "shop".to_owned(),
        name: "web-0".to_owned(),
        ..Pod::default()
    });
    let labels = BTreeMap::from([("nerdctl/name".to_owned(), Bytes::from("w"))]);
    let with = |runtime, change: &dyn Fn(&mut ContainerInfo)| {
        let mut info = info(runtime);
        change(&mut info);
        info
    };
    let cases = [
        (
            ID,
            with(Runtime::Podman, &|_| {}),
            "podman pause 0123",
            "podman stop 0123",
        ),
        (
            ID,
            with(Runtime::Podman, &|i| i.owner = Some(1000)),
            "sudo -H -u '#1000' env XDG_RUNTIME_DIR=/run/user/1000 podman pause 0123",
            "sudo -H -u '#1000' env XDG_RUNTIME_DIR=/run/user/1000 podman stop 0123",
        ),
        (
            "team/web",
            with(Runtime::Containerd, &|i| {
                i.engine_namespace = "team".to_owned()
            }),
            "ctr --namespace team tasks pause web",
            "ctr --namespace team tasks kill --signal SIGKILL web",
        ),
        (
            ID,
            with(Runtime::Containerd, &|i| i.labels = labels.clone()),
            "nerdctl --namespace default pause 0123",
            "nerdctl --namespace default stop 0123",
        ),
        (
            ID,
            with(Runtime::Containerd, &|i| i.pod = pod.clone()),
            "ctr --namespace k8s.io tasks pause 0123",
            "kubectl --namespace shop delete pod web-0",
        ),
        (
            ID,
            with(Runtime::Crio, &|i| i.pod = pod.clone()),
            "",
            "kubectl --namespace shop delete pod",
        ),
        (ID, with(Runtime::Crio, &|_| {}), "", "crictl stop 0123"),
        (
            "web",
            with(Runtime::Lxc, &|_| {}),
            "lxc-freeze --name web",
            "lxc-stop --name web",
        ),
        (
            "web",
            with(Runtime::Runc, &|_| {}),
            "runc pause web",
            "runc kill web KILL",
        ),
        (
            "web",
            with(Runtime::Nspawn, &|_| {}),
            "machinectl kill --signal=SIGSTOP web",
            "machinectl terminate web",
        ),
    ];
    for (id, info, pause, stop) in cases {
        let runtime = info.runtime;
        let mut host = Host::with(id, info);
        host.process(4711, NOW);
        let all = host.suggestions(&[b"/tmp/.x"]);
        let command = |action| {
            let found = all.iter().find(|s| s.action == action);
            found.map_or(String::new(), |s| s.command.clone())
        };
        let paused = command(ResponseAction::Pause);
        assert!(
            paused.starts_with(pause) && paused.is_empty() == pause.is_empty(),
            "{runtime:?}: {paused}"
        );
        assert!(
            command(ResponseAction::Stop).starts_with(stop),
            "{runtime:?}: {}",
            command(ResponseAction::Stop)
        );
        for action in [
            ResponseAction::Disconnect,
            ResponseAction::Block,
            ResponseAction::Kill,
            ResponseAction::CopyOut,
            ResponseAction::Capture,
            ResponseAction::Shell,
        ] {
            assert!(!command(action).is_empty(), "{runtime:?}: {action:?}");
        }
        // Commands for a user's own engine are never run as root.
        if all.iter().any(|s| s.command.starts_with("sudo")) {
            let pause = one(&all, ResponseAction::Pause);
            assert!(matches!(pause.work, ResponseWork::ByHand(_)), "{pause:?}");
        }
    }
}

#[test]
fn names_that_could_be_options_reach_no_engine() {
    for id in ["-v", "--privileged", "a b", "$(id)", "x/../y", "x/-v"] {
        let host = Host::with(id, info(Runtime::Lxc));
        let all = host.suggestions(&[b"/tmp/.x"]);
        assert!(
            !all.iter().any(|s| s.action == ResponseAction::Pause),
            "{all:?}"
        );
        assert!(
            !all.iter().any(|s| s.action == ResponseAction::Stop),
            "{all:?}"
        );
    }
    let mut hostile = info(Runtime::Docker);
    hostile.networks = BTreeMap::from([("--help".to_owned(), String::new())]);
    let host = Host::with(ID, hostile);
    let all = host.suggestions(&[]);
    assert!(
        !all.iter().any(|s| s.action == ResponseAction::Disconnect),
        "{all:?}"
    );
}

#[test]
fn undo_is_offered_for_done_responses() {
    let mut host = Host::with(ID, info(Runtime::Docker));
    let all = host.suggestions(&[]);
    host.done(one(&all, ResponseAction::Disconnect));
    host.done(one(&all, ResponseAction::Block));
    let after = host.suggestions(&[]);
    assert!(!after.iter().any(|s| s.action == ResponseAction::Disconnect));
    let again = one(&after, ResponseAction::Reconnect);
    assert!(
        again.command.contains("network connect bridge"),
        "{}",
        again.command
    );
    let unblock = one(&after, ResponseAction::Unblock);
    assert!(
        unblock.command.contains("--delete OUTPUT"),
        "{}",
        unblock.command
    );
    assert_eq!(
        after
            .iter()
            .filter(|s| s.action == ResponseAction::Block)
            .count(),
        1
    );
    host.done(again);
    host.done(unblock);
    let back: Vec<_> = host.suggestions(&[]);
    let actions = |all: &[Suggestion]| all.iter().map(|s| s.action).collect::<Vec<_>>();
    assert_eq!(actions(&back), actions(&all));
}

#[test]
fn a_container_in_the_hosts_network_gets_no_rules_there() {
    let mut shared = info(Runtime::Docker);
    shared.security.network_mode = "host".to_owned();
    shared.networks = BTreeMap::from([("host".to_owned(), String::new())]);
    let host = Host::with(ID, shared);
    let all = host.suggestions(&[]);
    for action in [
        ResponseAction::Block,
        ResponseAction::Disconnect,
        ResponseAction::Capture,
    ] {
        assert!(!all.iter().any(|s| s.action == action), "{all:?}");
    }
}

#[test]
fn the_host_itself_is_left_alone() {
    let mut host = Host::with(ID, info(Runtime::Docker));
    host.process(4711, NOW);
    let mut subject = ResponseSubject::of_process(&host.state, 4711);
    subject.container = None;
    let all = fitting(&host.state, &subject, None);
    assert_eq!(all.len(), 1);
    assert!(matches!(all[0].work, ResponseWork::ByHand(_)), "{all:?}");
}

/// The line is run, on processes that this test started.
#[test]
fn the_kill_line_ends_only_the_process_that_was_seen() {
    let ends = |shift: i64| {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let now = crate::system::now();
        let mut host = Host::with(ID, info(Runtime::Docker));
        host.process(pid, Timestamp(now.0 + shift * 1_000_000_000));
        let subject = ResponseSubject::of_process(&host.state, pid);
        let all = fitting(&host.state, &subject, None);
        let line = &one(&all, ResponseAction::Kill).command;
        let done = Command::new("sh").args(["-c", line]).status().unwrap();
        let ended = done.success();
        if !ended {
            assert!(child.try_wait().unwrap().is_none(), "{line}");
            child.kill().unwrap();
        }
        child.wait().unwrap();
        ended
    };
    assert!(ends(0));
    assert!(!ends(-100));
    assert!(!ends(100));
}
