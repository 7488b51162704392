//! One hullwatch that watches all containers, and its findings so far.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use hullwatch::detect::Finding;
use hullwatch::event::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::common::{PATIENCE, hullwatch};

#[derive(Default)]
struct Received {
    /// The stream's time.
    now: Timestamp,
    /// Each finding in its latest state.
    findings: BTreeMap<u64, Finding>,
    /// Losses, which make all other results unreliable.
    lost: Vec<Value>,
    ended: bool,
}

/// Only the tests' own engine is queried: engines of other tests start and stop.
const WATCH: [&str; 5] = [
    "watch",
    "--events",
    "findings,tick,lost",
    "--runtime",
    "docker",
];

/// A running `hullwatch watch` with its defaults.
pub(crate) struct Watch {
    child: Child,
    received: Arc<(Mutex<Received>, Condvar)>,
    _config: tempfile::TempDir,
}

impl Watch {
    /// Starts it and waits until every probe is attached.
    pub(crate) fn start() -> Self {
        let config = tempfile::tempdir().unwrap();
        let mut command = hullwatch(&WATCH, &config);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(file) = std::env::var_os("HULLWATCH_TEST_RECORD") {
            command.arg("--record").arg(file);
        }
        let mut child = command.spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        while !text.contains("attached and ready") {
            assert!(errors.read_line(&mut text).unwrap() > 0, "ended: {text}");
        }
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::stderr()));
        let received: Arc<(Mutex<Received>, Condvar)> = Arc::default();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let writer = Arc::clone(&received);
        std::thread::spawn(move || {
            for line in lines.lines() {
                receive(&mut writer.0.lock().unwrap(), &line.unwrap());
                writer.1.notify_all();
            }
            writer.0.lock().unwrap().ended = true;
            writer.1.notify_all();
        });
        Self {
            child,
            received,
            _config: config,
        }
    }

    /// Waits until the stream has passed a moment by so many seconds.
    pub(crate) fn passes(&self, moment: Timestamp, seconds: u64) {
        let wanted = moment.plus(Duration::from_secs(seconds));
        let give_up = Instant::now() + Duration::from_secs(seconds) + PATIENCE;
        let (received, changed) = &*self.received;
        let mut received = received.lock().unwrap();
        while received.now < wanted {
            assert!(!received.ended, "hullwatch ended");
            assert!(Instant::now() < give_up, "the stream has stalled");
            received = changed.wait_timeout(received, PATIENCE).unwrap().0;
        }
    }

    /// The findings of a container so far.
    pub(crate) fn findings(&self, container: &str) -> Vec<Finding> {
        let received = self.received.0.lock().unwrap();
        let of = |f: &&Finding| {
            let id = f.container.as_ref();
            f.part_of.is_none() && id.is_some_and(|c| c.as_str() == container)
        };
        received.findings.values().filter(of).cloned().collect()
    }

    /// The findings of containers whose ids have this prefix.
    #[allow(dead_code, reason = "each test takes what it needs")]
    pub(crate) fn findings_of(&self, short: &str) -> Vec<Finding> {
        let received = self.received.0.lock().unwrap();
        let of = |f: &&Finding| {
            let id = f.container.as_ref();
            f.part_of.is_none() && id.is_some_and(|c| c.as_str().starts_with(short))
        };
        received.findings.values().filter(of).cloned().collect()
    }

    /// Ends it; returns every loss that it reported.
    pub(crate) fn stop(mut self) -> Vec<Value> {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
        std::mem::take(&mut self.received.0.lock().unwrap().lost)
    }
}

fn receive(received: &mut Received, line: &str) {
    let value: Value = serde_json::from_str(line).unwrap();
    match value["type"].as_str() {
        Some("tick") => received.now = Timestamp::deserialize(&value["ts"]).unwrap(),
        Some("lost") => received.lost.push(value),
        Some("finding") => {
            let number = value["id"].as_u64().unwrap();
            received
                .findings
                .insert(number, Finding::deserialize(&value).unwrap());
        }
        _ => {}
    }
}

/// The current time on the stream's clock.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp(i64::try_from(since.as_nanos()).unwrap())
}
