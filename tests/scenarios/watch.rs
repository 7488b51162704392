//! One hullwatch that watches all containers, and what it has said so far.

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
struct Said {
    /// The stream's time.
    now: Timestamp,
    /// Each finding in its latest state.
    findings: BTreeMap<u64, Finding>,
    /// Losses, which make everything else doubtful.
    lost: Vec<Value>,
    ended: bool,
}

/// Only the tests' own engine is asked: those that other tests start come and go.
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
    said: Arc<(Mutex<Said>, Condvar)>,
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
        let said: Arc<(Mutex<Said>, Condvar)> = Arc::default();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in lines.lines() {
                hear(&mut heard.0.lock().unwrap(), &line.unwrap());
                heard.1.notify_all();
            }
            heard.0.lock().unwrap().ended = true;
            heard.1.notify_all();
        });
        Self {
            child,
            said,
            _config: config,
        }
    }

    /// Waits until the stream has passed a moment by so many seconds.
    pub(crate) fn passes(&self, moment: Timestamp, seconds: u64) {
        let wanted = moment.plus(Duration::from_secs(seconds));
        let give_up = Instant::now() + Duration::from_secs(seconds) + PATIENCE;
        let (said, changed) = &*self.said;
        let mut said = said.lock().unwrap();
        while said.now < wanted {
            assert!(!said.ended, "hullwatch ended");
            assert!(Instant::now() < give_up, "the stream has stalled");
            said = changed.wait_timeout(said, PATIENCE).unwrap().0;
        }
    }

    /// The findings of a container so far.
    pub(crate) fn findings(&self, container: &str) -> Vec<Finding> {
        let said = self.said.0.lock().unwrap();
        let of = |f: &&Finding| {
            f.container
                .as_ref()
                .is_some_and(|c| c.as_str() == container)
        };
        said.findings.values().filter(of).cloned().collect()
    }

    /// The findings of containers whose ids begin so.
    #[allow(dead_code, reason = "each test takes what it needs")]
    pub(crate) fn findings_of(&self, short: &str) -> Vec<Finding> {
        let said = self.said.0.lock().unwrap();
        let of = |f: &&Finding| {
            let id = f.container.as_ref();
            id.is_some_and(|c| c.as_str().starts_with(short))
        };
        said.findings.values().filter(of).cloned().collect()
    }

    /// Ends it; returns every loss that it reported.
    pub(crate) fn stop(mut self) -> Vec<Value> {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
        std::mem::take(&mut self.said.0.lock().unwrap().lost)
    }
}

fn hear(said: &mut Said, line: &str) {
    let value: Value = serde_json::from_str(line).unwrap();
    match value["type"].as_str() {
        Some("tick") => said.now = Timestamp::deserialize(&value["ts"]).unwrap(),
        Some("lost") => said.lost.push(value),
        Some("finding") => {
            let number = value["id"].as_u64().unwrap();
            said.findings
                .insert(number, Finding::deserialize(&value).unwrap());
        }
        _ => {}
    }
}

/// This moment on the stream's clock.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp(i64::try_from(since.as_nanos()).unwrap())
}
