//! A policy file at work: `hullwatch watch --policy` on a real container, edited while it runs.
//! Needs what `tests/e2e.rs` needs.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

const IMAGE: &str = "hullwatch-test:busybox";

fn docker(args: &[&str]) -> String {
    let out = Command::new("docker").args(args).output().unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "docker {args:?}: {error}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn ready() -> bool {
    let asked = ["HULLWATCH_TEST_DOCKER", "CI"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if !asked {
        eprintln!("skipped: run tests/run");
    }
    asked
}

/// A container that is removed when the test ends, however it ends.
struct Container(String);

impl Container {
    fn start(more: &[&str], command: &[&str]) -> Self {
        let fixed = ["run", "-d", "--network", "none"];
        Self(docker(&[&fixed, more, &[IMAGE], command].concat()))
    }

    fn sh(&self, script: &str) {
        docker(&["exec", &self.0, "sh", "-c", script]);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.0]).output();
    }
}

/// A running `hullwatch watch --policy … --record …`, and what it said so far.
struct Watch {
    child: Child,
    policy: PathBuf,
    recording: PathBuf,
    printed: Arc<Mutex<Vec<Value>>>,
    said: Arc<Mutex<String>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watch {
    fn start(dir: &Path, policy: &str) -> Self {
        let (file, recording) = (dir.join("policy.toml"), dir.join("recording.jsonl"));
        std::fs::write(&file, policy).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
            .args(["watch", "--events", "findings,policy", "--policy"])
            .arg(&file)
            .arg("--record")
            .arg(&recording)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::new(Mutex::new(String::new()));
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        let (lines, text) = (Arc::clone(&printed), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in out.lines() {
                let line = serde_json::from_str(&line.unwrap()).unwrap();
                lines.lock().unwrap().push(line);
            }
        });
        std::thread::spawn(move || {
            for line in err.lines() {
                let mut text = text.lock().unwrap();
                text.push_str(&line.unwrap());
                text.push('\n');
            }
        });
        let watch = Self {
            child,
            policy: file,
            recording,
            printed,
            said,
        };
        watch.until("attached and ready");
        watch
    }

    /// Waits until this is said on stderr.
    fn until(&self, part: &str) {
        let begun = Instant::now();
        while !self.said.lock().unwrap().contains(part) {
            let said = self.said.lock().unwrap().clone();
            assert!(begun.elapsed() < Duration::from_secs(30), "{part}: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Writes the policy anew, as editors do, and waits until it is in force.
    fn edit(&self, policy: &str) {
        self.said.lock().unwrap().clear();
        let part = self.policy.with_extension("part");
        std::fs::write(&part, policy).unwrap();
        std::fs::rename(&part, &self.policy).unwrap();
        self.until("now in force");
    }

    /// The latest state of a container's finding of this rule.
    fn finding(&self, of: &Container, rule: &str) -> Option<Value> {
        let printed = self.printed.lock().unwrap();
        let mut found = printed.iter().rev().filter(|line| line["rule"] == rule);
        found
            .find(|line| line["container"] == of.0.as_str())
            .cloned()
    }

    /// Waits for a finding that is so.
    fn expect(&self, of: &Container, rule: &str, so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let finding = self.finding(of, rule);
            if let Some(finding) = finding.clone().filter(&so) {
                return finding;
            }
            let late = begun.elapsed() > Duration::from_secs(15);
            assert!(!late, "{rule}: {finding:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it; its recording must give the same findings.
    fn stop(mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
        let replay = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
            .args(["replay", "--findings"])
            .arg(&self.recording)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&replay.stderr);
        assert!(replay.status.success(), "{error}");
    }
}

#[test]
fn limits_allowances_and_severities_hold_on_a_real_container() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::start(
        dir.path(),
        r#"
        startup-grace = "0s"
        sensitive = ["/srv/keys/*"]
        [severity]
        "file.etc-changed" = "critical"
        "exec.recording" = "off"
        [[age]]
        label = { "short" = "yes" }
        max = "1s"
        [[allow]]
        container = "policy-allowed-*"
        listen = [8081]
        connect = ["192.0.2.0/24"]
        "#,
    );
    let name = format!("policy-allowed-{}", std::process::id());
    let allowed = Container::start(&["--name", &name], &["sleep", "1000"]);
    let other = Container::start(&["--label", "short=yes"], &["sleep", "1000"]);
    // A moment for the engine to tell their names: allowances are by name.
    std::thread::sleep(Duration::from_secs(2));
    for container in [&allowed, &other] {
        container.sh(
            "mkdir -p /srv/keys; echo x > /srv/keys/a; echo x >> /etc/nsswitch.conf; \
             timeout 1 nc -l -p 8081; nc -w 1 192.0.2.7 9; true",
        );
    }
    watch.expect(&other, "life.age", |_| true);
    watch.expect(&other, "net.listen-new", |_| true);
    watch.expect(&other, "net.new-destination", |_| true);
    for container in [&allowed, &other] {
        watch.expect(container, "file.watched", |_| true);
        watch.expect(container, "file.etc-changed", |f| {
            f["severity"] == "critical"
        });
        assert_eq!(watch.finding(container, "exec.recording"), None);
    }
    for rule in ["life.age", "net.listen-new", "net.new-destination"] {
        assert_eq!(watch.finding(&allowed, rule), None);
    }
    watch.stop();
}

#[test]
fn an_edit_holds_at_once_and_a_bad_one_changes_nothing() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::start(dir.path(), "");
    let container = Container::start(&[], &["sleep", "1000"]);
    container.sh("cp /bin/busybox /tmp/agent; echo x >> /tmp/agent; /tmp/agent true; true");
    watch.expect(&container, "drift.exec-new", |f| f["severity"] == "high");

    watch.edit("[severity]\n\"drift.exec-new\" = \"low\"\n");
    watch.expect(&container, "drift.exec-new", |f| f["severity"] == "low");

    std::fs::write(&watch.policy, "[severity]\n\"drift.exec-new\" = \"tiny\"\n").unwrap();
    watch.until("policy.toml: line 2");
    container.sh("/tmp/agent true; true");
    let again = watch.expect(&container, "drift.exec-new", |f| f["count"] == 2);
    assert_eq!(again["severity"], "low");

    watch.edit("[[silence]]\nrule = \"drift.*\"\nsubject = \"/tmp/a*\"\nreason = \"ours\"\n");
    watch.expect(&container, "drift.exec-new", |f| {
        f["silenced"] == "ours" && f["severity"] == "high"
    });
    watch.edit("");
    watch.expect(&container, "drift.exec-new", |f| f["silenced"].is_null());
    let printed = watch.printed.lock().unwrap().clone();
    let changes: Vec<_> = printed.iter().filter(|l| l["type"] == "policy").collect();
    assert_eq!(changes.len(), 4);
    assert!(
        changes[1]["refused"]
            .as_str()
            .unwrap()
            .starts_with("line 2")
    );
    watch.stop();
}
