//! Responses that hullwatch runs on real containers: the result in the engine, the kernel and the
//! recording.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Instant;

use hullwatch::collect::{Live, LiveOptions};
use hullwatch::detect::Settings;
use hullwatch::event::{ContainerId, Response, ResponseAction, ResponseOutcome};
use hullwatch::recording::Player;
use hullwatch::response::{
    ProcessIdentity, ResponseSubject, ResponseWork, Suggestion, docker_address, fitting,
};
use hullwatch::state::State;

use crate::common::{self, BUSYBOX, Engine, PATIENCE};

/// A watch with responses allowed, and its container.
struct Watched {
    live: Live,
    id: ContainerId,
    docker_host: Option<String>,
}

impl Watched {
    fn start(engine: &Engine, id: &ContainerId) -> Self {
        let options = LiveOptions {
            host: false,
            syscalls: false,
            settings: Settings::default(),
            policy: None,
            runtimes: hullwatch::containers::RuntimeOptions::of_docker(Some(engine.0.clone())),
            rescan: None,
            past: 0,
            allow_actions: true,
            sinks: hullwatch::sink::SinkBoard::default(),
            baselines: None,
        };
        // In a thread of its own, since it drops its privileges, which the other tests need.
        let live = std::thread::spawn(|| Live::start(options, None))
            .join()
            .unwrap()
            .unwrap();
        let watched = Self {
            live,
            id: id.clone(),
            docker_host: docker_address(&engine.0),
        };
        watched.until("the engine's facts", |state| {
            let known = state.containers.get(&watched.id)?;
            (!known.info.storage.upper.is_empty() && !known.info.image.is_empty()).then_some(())
        });
        watched
    }

    fn until<T>(&self, what: &str, wanted: impl Fn(&State) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = wanted(&self.live.core().lock().state) {
                return found;
            }
            assert!(Instant::now() < until, "no {what}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn suggestion(&self, subject: &ResponseSubject, action: ResponseAction) -> Suggestion {
        self.until(action.name(), |state| {
            let all = fitting(state, subject, self.docker_host.as_deref());
            all.into_iter()
                .find(|suggestion| suggestion.action == action)
        })
    }

    /// Runs the response; returns its result in the stream.
    fn respond(&self, suggestion: Suggestion) -> Response {
        let made = |state: &State| {
            let container = state.containers.get(&self.id)?;
            Some(
                container
                    .responses()
                    .map(|(_, response)| response.clone())
                    .collect::<Vec<_>>(),
            )
        };
        let before = self.until("the container", made).len();
        self.live.respond(suggestion).unwrap();
        self.until("result", |state| made(state)?.get(before).cloned())
    }

    fn done(&self, subject: &ResponseSubject, action: ResponseAction) -> Response {
        let response = self.respond(self.suggestion(subject, action));
        assert_eq!(
            response.outcome,
            ResponseOutcome::Done,
            "{}",
            response.sentence()
        );
        response
    }

    /// The process of the container whose command line contains this word.
    fn process(&self, word: &str) -> u32 {
        self.until(word, |state| {
            let mut processes = state.processes.values();
            let found = processes.find(|process| {
                process.owner.as_ref() == Some(&self.id)
                    && process.exited.is_none()
                    && process.argv.iter().any(|argument| argument == &word)
            });
            found.map(|process| process.pid)
        })
    }
}

#[test]
fn pause_kill_copy_out_commit_and_stop_are_done_and_recorded() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let container = engine.run(&[], BUSYBOX, &["sleep", "1000"]);
    let watched = Watched::start(&engine, &container.id);
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("r.jsonl");
    watched.live.start_recording(&recording).unwrap();
    // Files of an intruder: a hostile name, a link to the host, a running program whose file was
    // deleted.
    container.sh(
        "printf dropped >'/tmp/a $(reboot)'; ln -s /etc/hostname /tmp/link; \
         cp /bin/busybox /tmp/gone; (exec -a sleep /tmp/gone 4321) & sleep 1; rm /tmp/gone",
    );
    let pid = watched.process("4321");
    let whole = ResponseSubject::of_container(&container.id);

    watched.done(&whole, ResponseAction::Pause);
    assert_eq!(container.inspect("{{.State.Paused}}"), "true");
    watched.done(&whole, ResponseAction::Unpause);
    assert_eq!(container.inspect("{{.State.Paused}}"), "false");

    let mut subject = ResponseSubject::of_process(&watched.live.core().lock().state, pid);
    subject.files = vec!["/tmp/a $(reboot)".into(), "/tmp/link".into()];
    let copied = watched.done(&subject, ResponseAction::CopyOut);
    assert!(
        copied.detail.to_string().starts_with("2 of 3 files"),
        "{}",
        copied.sentence()
    );
    let archive = copied.detail.to_string();
    let archive = PathBuf::from(archive.rsplit_once(" in ").unwrap().1);
    let files = unpacked(&archive);
    std::fs::remove_file(&archive).unwrap();
    let of = |end: &str| {
        let found = files.iter().find(|(name, _)| name.ends_with(end));
        found.unwrap_or_else(|| panic!("no {end}")).1.clone()
    };
    assert_eq!(of("01-a___reboot_"), b"dropped");
    let busybox = std::fs::read("/bin/busybox").unwrap();
    assert!(
        of(&format!("exe-{pid}")) == busybox,
        "the program's bytes differ"
    );
    // printf dropped | sha256sum
    let sums = String::from_utf8(of("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 2, "{sums}");
    let list = String::from_utf8(of("files.json")).unwrap();
    assert!(list.contains("symbolic link to /etc/hostname"), "{list}");

    // The same pid, but another process: it is not killed.
    let kill = watched.suggestion(&subject, ResponseAction::Kill);
    let other = ProcessIdentity {
        started: hullwatch::event::Timestamp(0),
        ..subject.processes[0].clone()
    };
    let refused = watched.respond(Suggestion {
        work: ResponseWork::Kill(other),
        ..kill.clone()
    });
    assert_eq!(refused.outcome, ResponseOutcome::Failed);
    assert!(
        refused.detail.to_string().contains("another process"),
        "{}",
        refused.sentence()
    );
    assert!(container.sh("ps").contains("4321"));
    watched.done(&subject, ResponseAction::Kill);
    assert!(!container.sh("ps").contains("4321"));

    let committed = watched.done(&whole, ResponseAction::Commit);
    let image = committed.targets[0].to_string();
    assert_eq!(
        engine
            .docker(&["image", "inspect", "-f", "{{.Id}}", &image])
            .len(),
        71
    );
    assert!(
        committed.undo.contains(&format!("rmi {image}")),
        "{}",
        committed.undo
    );
    engine.docker(&["rmi", &image]);

    watched.done(&whole, ResponseAction::Stop);
    assert_eq!(container.inspect("{{.State.Running}}"), "false");

    watched.live.stop_recording().unwrap();
    let mut player = Player::open(&recording).unwrap();
    while player.step() {}
    let replayed = &player.core().state.containers[&container.id];
    let live = watched.live.core().lock();
    let live = &live.state.containers[&container.id];
    let list = |c: &hullwatch::state::Container| {
        c.responses()
            .map(|(at, r)| (at, r.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(list(replayed), list(live));
    let names: Vec<_> = replayed.responses().map(|(_, r)| r.action.name()).collect();
    assert_eq!(
        names,
        [
            "pause", "unpause", "copy-out", "kill", "kill", "commit", "stop"
        ]
    );
    assert!(
        replayed
            .responses()
            .all(|(_, r)| r.uid == 0 && r.user == "root")
    );
}

/// The names and contents of the files in an archive.
fn unpacked(path: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (name, content)
        })
        .collect()
}

#[test]
fn a_destination_is_blocked_for_the_container_alone_and_allowed_again() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let container = engine.run(&[], BUSYBOX, &["sleep", "1000"]);
    let watched = Watched::start(&engine, &container.id);
    let subject = ResponseSubject {
        peers: vec!["192.0.2.1".parse().unwrap()],
        ..ResponseSubject::of_container(&container.id)
    };
    watched.done(&subject, ResponseAction::Block);
    let init = container.init().to_string();
    let rules = |within: &[&str]| {
        let words = [within, &["iptables", "-S", "OUTPUT"]].concat();
        let out = std::process::Command::new(words[0])
            .args(&words[1..])
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let inside = rules(&["nsenter", "--target", &init, "--net"]);
    assert!(inside.contains("192.0.2.1"), "{inside}");
    assert!(
        !rules(&["env"]).contains("192.0.2.1"),
        "the host's rules were changed"
    );
    watched.done(&subject, ResponseAction::Unblock);
    let inside = rules(&["nsenter", "--target", &init, "--net"]);
    assert!(!inside.contains("192.0.2.1"), "{inside}");
}

#[test]
fn the_host_and_its_network_are_refused() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let container = engine.run(&[], BUSYBOX, &["sleep", "1000"]);
    let watched = Watched::start(&engine, &container.id);
    let whole = ResponseSubject {
        peers: vec!["192.0.2.1".parse().unwrap()],
        ..ResponseSubject::of_container(&container.id)
    };
    let block = watched.suggestion(&whole, ResponseAction::Block);
    let own = ProcessIdentity {
        pid: std::process::id(),
        started: own_start(),
        command: String::new(),
        cgroup: String::new(),
    };
    let ResponseWork::Commands(commands, Some(_)) = block.work.clone() else {
        panic!("{block:?}");
    };
    let refused = watched.respond(Suggestion {
        work: ResponseWork::Commands(commands, Some(own.clone())),
        ..block.clone()
    });
    assert_eq!(refused.outcome, ResponseOutcome::Failed);
    assert!(
        refused.detail.to_string().contains("host's network"),
        "{}",
        refused.sentence()
    );
    let kill = Suggestion {
        container: None,
        work: ResponseWork::Kill(own),
        ..block
    };
    assert!(watched.live.respond(kill).unwrap_err().contains("host"));
}

/// When this process started.
fn own_start() -> hullwatch::event::Timestamp {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .nth(19)
        .unwrap();
    let ticks: f64 = ticks.parse().unwrap();
    let ticks_a_second = rustix::param::clock_ticks_per_second() as f64;
    let ago = uptime - ticks / ticks_a_second;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    hullwatch::event::Timestamp(((now.as_secs_f64() - ago) * 1e9) as i64)
}
