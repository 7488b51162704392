//! `hullwatch record` during a test, and its recording.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hullwatch::core::Core;
use hullwatch::event::{Bytes, ContainerAction, ContainerId, Event, Kind};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{Engine, PATIENCE};

/// A running `hullwatch record`.
#[derive(Debug)]
pub struct Recording {
    child: Child,
    path: PathBuf,
    read: BufReader<File>,
    session: Session,
    _dir: TempDir,
}

impl Recording {
    /// Begins to record the containers of `engine`; returns when everything is attached.
    pub fn start(engine: &Engine) -> Self {
        Self::start_with(&["--docker-host", &engine.0, "--runtime", "docker"])
    }

    /// The same with other options.
    pub fn start_with(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.jsonl");
        let mut child = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
            .arg("record")
            .args(options)
            .arg(&path)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        while !text.contains("attached and ready") {
            assert!(printed.read_line(&mut text).unwrap() > 0, "ended: {text}");
        }
        std::thread::spawn(move || std::io::copy(&mut printed, &mut std::io::stderr()));
        let mut recording = Self {
            child,
            read: BufReader::new(File::open(&path).unwrap()),
            path,
            session: Session::default(),
            _dir: dir,
        };
        // The header, and the initial state.
        recording.wait_for("a tick", |event| matches!(event.kind, Kind::Tick(_)));
        recording
    }

    /// Waits until the file contains such an event, also an earlier one.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) {
        let until = Instant::now() + PATIENCE;
        let mut looked = 0;
        loop {
            self.session.read(&mut self.read);
            if self.session.events[looked..].iter().any(&wanted) {
                return;
            }
            looked = self.session.events.len();
            assert!(Instant::now() < until, "no {what} within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the recording contains the end of a container.
    pub fn wait_for_exit(&mut self, id: &ContainerId) {
        self.wait_for("the container's end", |event| {
            event.container.as_ref() == Some(id)
                && matches!(&event.kind, Kind::Container(c) if c.action == ContainerAction::Gone)
        });
    }

    /// Waits until the recording has the engine's facts about a container.
    pub fn wait_for_facts(&mut self, id: &ContainerId) {
        self.wait_for("facts from the engine", |event| {
            event.container.as_ref() == Some(id)
                && matches!(&event.kind, Kind::Container(c)
                    if c.info.as_ref().is_some_and(|info| !info.image.is_empty()))
        });
    }

    /// Ends it, as a person would; the replay of the file must equal its findings.
    pub fn stop(mut self) -> Session {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
        self.session.read(&mut self.read);
        replays_alike(&self.path);
        std::mem::take(&mut self.session)
    }
}

/// A failing test leaves no process behind.
impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Replays a file, which must be undamaged and equal its recorded findings.
pub fn replays_alike(file: &Path) {
    let replay = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["replay", "--findings"])
        .arg(file)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&replay.stderr);
    assert!(replay.status.success() && error.is_empty(), "{error}");
}

/// The recorded events.
#[derive(Debug, Default)]
pub struct Session {
    /// The first line.
    pub header: Value,
    pub events: Vec<Event>,
    /// Findings as last written, by id.
    pub findings: std::collections::BTreeMap<u64, Value>,
    /// The first part of a line whose end is not written yet.
    rest: Vec<u8>,
}

impl Session {
    fn read(&mut self, from: &mut impl std::io::Read) {
        from.read_to_end(&mut self.rest).unwrap();
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return;
        };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        for line in whole.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()) {
            let value: Value = serde_json::from_slice(line).unwrap();
            match value["type"].as_str().unwrap() {
                "session" => self.header = value,
                "finding" => {
                    self.findings.insert(value["id"].as_u64().unwrap(), value);
                }
                "digest" | "end" => {}
                _ => self.events.push(Event::from_json(line).unwrap()),
            }
        }
    }

    /// Events of a container.
    pub fn of<'a>(&'a self, id: &'a ContainerId) -> impl Iterator<Item = &'a Event> {
        self.events
            .iter()
            .filter(move |event| event.container.as_ref() == Some(id))
    }

    /// The first result of `pick` for the events of a container.
    pub fn find<'a, T>(
        &'a self,
        id: &'a ContainerId,
        what: &str,
        pick: impl Fn(&'a Kind) -> Option<T>,
    ) -> (&'a Event, T) {
        self.of(id)
            .find_map(|event| pick(&event.kind).map(|found| (event, found)))
            .unwrap_or_else(|| {
                let all: Vec<_> = self.of(id).collect();
                panic!("no {what} in {all:#?}")
            })
    }

    /// Whether a container has such an event.
    pub fn has(&self, id: &ContainerId, pick: impl Fn(&Kind) -> bool) -> bool {
        self.of(id).any(|event| pick(&event.kind))
    }

    /// How many such events a container has.
    pub fn count(&self, id: &ContainerId, pick: impl Fn(&Kind) -> bool) -> usize {
        self.of(id).filter(|event| pick(&event.kind)).count()
    }

    /// Losses of any container: none in a test that does not overload.
    pub fn losses(&self) -> Vec<&Event> {
        self.events
            .iter()
            .filter(|event| matches!(event.kind, Kind::Lost(_)))
            .collect()
    }

    /// The state after the event numbered `seq`.
    pub fn state_at(&self, seq: u64) -> Core {
        let mut core = Core::default();
        for event in self.events.iter().take_while(|event| event.seq <= seq) {
            core.apply(&Arc::new(event.clone()));
        }
        core
    }

    /// Programs a process descends from within its container, itself first, by argv[0].
    pub fn ancestry(&self, of: &Event) -> Vec<String> {
        let core = self.state_at(of.seq);
        let ancestors = core.state.ancestry(of.pid).filter(|p| !p.runtime);
        let name = |argv: &[Bytes]| argv.first().map(|name| name.escaped().to_string());
        ancestors
            .map(|p| name(&p.argv).unwrap_or_default())
            .collect()
    }
}
