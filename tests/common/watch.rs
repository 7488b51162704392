//! `hullwatch watch` during a test, and its output.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use hullwatch::event::ContainerId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{Engine, PATIENCE};

/// The program under test, with the tests' engine. The configuration of the calling user is not
/// used: `config` is an empty directory.
pub fn hullwatch(args: &[&str], config: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hullwatch"));
    command
        .args(args)
        .env("DOCKER_HOST", Engine::tests().0)
        .env("XDG_CONFIG_HOME", config.path());
    command
}

#[derive(Debug, Default)]
struct Output {
    /// The JSON lines on stdout.
    lines: Vec<Value>,
    /// The text on stderr.
    reported: String,
    /// It ended, so there is no further output.
    ended: bool,
}

/// A running `hullwatch watch`.
#[derive(Debug)]
pub struct Watch {
    child: Child,
    output: Arc<(Mutex<Output>, Condvar)>,
    readers: Vec<std::thread::JoinHandle<()>>,
    _config: TempDir,
}

impl Watch {
    /// Starts it with these arguments; returns when everything is attached.
    pub fn start(args: &[&str]) -> Self {
        let config = tempfile::tempdir().unwrap();
        let mut child = hullwatch(&[&["watch"], args].concat(), &config)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output: Arc<(Mutex<Output>, Condvar)> = Arc::default();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, text) = (Arc::clone(&output), Arc::clone(&output));
        let readers = vec![
            std::thread::spawn(move || {
                for line in stdout.lines() {
                    let line = serde_json::from_str(&line.unwrap()).unwrap();
                    lines.0.lock().unwrap().lines.push(line);
                    lines.1.notify_all();
                }
            }),
            std::thread::spawn(move || {
                for line in stderr.lines() {
                    let mut output = text.0.lock().unwrap();
                    output.reported.push_str(&line.unwrap());
                    output.reported.push('\n');
                    text.1.notify_all();
                }
                text.0.lock().unwrap().ended = true;
                text.1.notify_all();
            }),
        ];
        let watch = Self {
            child,
            output,
            readers,
            _config: config,
        };
        watch.until_reported("attached and ready");
        watch
    }

    fn wait<T>(&self, what: &str, mut wanted: impl FnMut(&Output) -> Option<T>) -> T {
        let (output, changed) = &*self.output;
        let until = Instant::now() + PATIENCE;
        let mut output: MutexGuard<'_, Output> = output.lock().unwrap();
        loop {
            if let Some(found) = wanted(&output) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            let in_vain = left.is_zero() || output.ended;
            assert!(!in_vain, "no {what} in {output:#?}");
            output = changed.wait_timeout(output, left).unwrap().0;
        }
    }

    /// Waits until stderr has this.
    pub fn until_reported(&self, part: &str) {
        self.wait(part, |output| output.reported.contains(part).then_some(()));
    }

    /// Discards stderr so far.
    pub fn forget_reports(&self) {
        self.output.0.lock().unwrap().reported.clear();
    }

    /// Discards the lines so far: the expected ones come after them.
    pub fn forget_lines(&self) {
        self.output.0.lock().unwrap().lines.clear();
    }

    /// Waits for a matching line; returns it.
    pub fn expect(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        self.wait(what, |output| {
            output.lines.iter().find(|line| so(line)).cloned()
        })
    }

    /// Waits until the engine's facts about a container are known. Needs `--events container`.
    pub fn expect_facts(&self, of: &ContainerId) {
        self.expect("facts of the container", |line| {
            line["type"] == "container"
                && line["container"] == of.as_str()
                && line["info"]["image"]
                    .as_str()
                    .is_some_and(|i| !i.is_empty())
        });
    }

    /// Waits until a container's finding of this rule matches in its latest state; returns it.
    pub fn expect_finding(
        &self,
        of: &ContainerId,
        rule: &str,
        so: impl Fn(&Value) -> bool,
    ) -> Value {
        self.wait(rule, |output| latest(&output.lines, of, rule).filter(&so))
    }

    /// The latest state of a container's finding of this rule.
    pub fn finding(&self, of: &ContainerId, rule: &str) -> Option<Value> {
        latest(&self.output.0.lock().unwrap().lines, of, rule)
    }

    /// Waits until a container has findings of this rule on at least `count` subjects that begin with
    /// `name`.
    pub fn expect_subjects(&self, of: &ContainerId, rule: &str, name: &str, count: usize) {
        self.wait(&format!("{count} or more × {rule} on {name}"), |output| {
            let subjects: BTreeSet<&str> = output
                .lines
                .iter()
                .filter(|line| line["rule"] == rule && line["container"] == of.as_str())
                .filter_map(|line| line["subject"].as_str())
                .filter(|subject| subject.starts_with(name))
                .collect();
            (subjects.len() >= count).then_some(())
        });
    }

    /// Stops it until [`Watch::resume`].
    pub fn hold(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    /// Continues it.
    pub fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    /// Interrupts it, as a person would, and waits for its end, which must succeed; returns the
    /// lines.
    pub fn stop(mut self) -> Vec<Value> {
        kill_process(self.pid(), Signal::INT).unwrap();
        let status = self.child.wait().unwrap();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let mut output = self.output.0.lock().unwrap();
        assert!(status.success(), "{}", output.reported);
        let unlisted = output.reported.contains("not known to need");
        assert!(!unlisted, "{}", output.reported);
        std::mem::take(&mut output.lines)
    }
}

fn latest(lines: &[Value], of: &ContainerId, rule: &str) -> Option<Value> {
    let mut found = lines.iter().rev().filter(|line| line["rule"] == rule);
    found.find(|line| line["container"] == of.as_str()).cloned()
}

/// A failing test leaves no process behind.
impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
