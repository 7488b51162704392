//! The policy file in use: `hullwatch watch --policy` on a real container, edited while it runs.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{BUSYBOX, Container, Engine, Watch, replays_alike};

/// A recorded watch with a policy file.
struct Policed {
    watch: Watch,
    policy: PathBuf,
    recording: PathBuf,
}

impl Policed {
    fn start(dir: &Path, policy: &str) -> Self {
        let (file, recording) = (dir.join("policy.toml"), dir.join("recording.jsonl"));
        std::fs::write(&file, policy).unwrap();
        let watch = Watch::start(&[
            "--events",
            "findings,policy,container",
            "--policy",
            file.to_str().unwrap(),
            "--record",
            recording.to_str().unwrap(),
        ]);
        Self {
            watch,
            policy: file,
            recording,
        }
    }

    /// Replaces the policy file, as editors do, and waits until it is in force.
    fn edit(&self, policy: &str) {
        self.watch.forget_reports();
        let part = self.policy.with_extension("part");
        std::fs::write(&part, policy).unwrap();
        std::fs::rename(&part, &self.policy).unwrap();
        self.watch.until_reported("now in force");
    }

    /// Ends it; its recording must give the same findings. Returns the printed lines.
    fn stop(self) -> Vec<serde_json::Value> {
        let lines = self.watch.stop();
        replays_alike(&self.recording);
        lines
    }
}

fn sleeping(options: &[&str]) -> Container {
    Engine::tests().run(options, BUSYBOX, &["sleep", "1000"])
}

#[test]
fn limits_allowances_and_severities_hold_on_a_real_container() {
    if !common::engine_is_ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let policed = Policed::start(
        dir.path(),
        r#"
        startup-grace = "0s"
        sensitive = ["/srv/keys/*"]
        [severity]
        "file.etc-changed" = "critical"
        "exec.session" = "off"
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
    let allowed = sleeping(&["--name", &name]);
    let other = sleeping(&["--label", "short=yes"]);
    // Allowances match by name, which the engine reports.
    for container in [&allowed, &other] {
        policed.watch.expect_facts(&container.id);
    }
    for container in [&allowed, &other] {
        container.sh(
            "mkdir -p /srv/keys; echo x > /srv/keys/a; echo x >> /etc/nsswitch.conf; \
             timeout 1 nc -l -p 8081; nc -w 1 192.0.2.7 9; true",
        );
    }
    policed
        .watch
        .expect_finding(&other.id, "life.age", |_| true);
    policed
        .watch
        .expect_finding(&other.id, "net.listen-new", |_| true);
    policed
        .watch
        .expect_finding(&other.id, "net.new-destination", |_| true);
    for container in [&allowed, &other] {
        policed
            .watch
            .expect_finding(&container.id, "file.watched", |_| true);
        policed
            .watch
            .expect_finding(&container.id, "file.etc-changed", |f| {
                f["severity"] == "critical"
            });
        assert_eq!(policed.watch.finding(&container.id, "exec.session"), None);
    }
    for rule in ["life.age", "net.listen-new", "net.new-destination"] {
        assert_eq!(policed.watch.finding(&allowed.id, rule), None);
    }
    policed.stop();
}

#[test]
fn an_edit_holds_at_once_and_a_bad_one_changes_nothing() {
    if !common::engine_is_ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let policed = Policed::start(dir.path(), "");
    let container = sleeping(&[]);
    container.sh("cp /bin/busybox /tmp/agent; echo x >> /tmp/agent; /tmp/agent true; true");
    policed
        .watch
        .expect_finding(&container.id, "drift.exec-new", |f| f["severity"] == "high");

    policed.edit("[severity]\n\"drift.exec-new\" = \"low\"\n");
    policed
        .watch
        .expect_finding(&container.id, "drift.exec-new", |f| f["severity"] == "low");

    std::fs::write(
        &policed.policy,
        "[severity]\n\"drift.exec-new\" = \"tiny\"\n",
    )
    .unwrap();
    policed.watch.until_reported("policy.toml: line 2");
    container.sh("/tmp/agent true; true");
    let again = policed
        .watch
        .expect_finding(&container.id, "drift.exec-new", |f| f["count"] == 2);
    assert_eq!(again["severity"], "low");

    policed.edit("[[silence]]\nrule = \"drift.*\"\nsubject = \"/tmp/a*\"\nreason = \"ours\"\n");
    policed
        .watch
        .expect_finding(&container.id, "drift.exec-new", |f| {
            f["silenced"] == "ours" && f["severity"] == "high"
        });
    policed.edit("");
    policed
        .watch
        .expect_finding(&container.id, "drift.exec-new", |f| f["silenced"].is_null());
    let printed = policed.stop();
    let changes: Vec<_> = printed.iter().filter(|l| l["type"] == "policy").collect();
    assert_eq!(changes.len(), 4);
    assert!(
        changes[1]["refused"]
            .as_str()
            .unwrap()
            .starts_with("line 2")
    );
}
