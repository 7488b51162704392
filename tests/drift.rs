//! Real containers compared with their images: `hullwatch drift`, the finding on attach, and its
//! replay.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::process::Output;

use common::{BUSYBOX, Container, Engine, Watch, replays_alike};
use serde_json::Value;

fn hullwatch(args: &[&str]) -> Output {
    let config = tempfile::tempdir().unwrap();
    common::hullwatch(args, &config).output().unwrap()
}

fn lines(out: &Output) -> Vec<Value> {
    out.stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// An image with files to change, and a container of it; both are removed at the end.
struct Sample {
    image: String,
    name: String,
    /// Removed before the image.
    container: Option<Container>,
}

impl Sample {
    fn new(name: &str) -> Self {
        let name = format!("drift-{name}-{}", std::process::id());
        let image = format!("{name}:1");
        let make = "mkdir -p /etc/app /opt/old /var/lib/dpkg/info /lib/apk/db; cp /bin/busybox /bin/tool; \
                    cp /bin/busybox /bin/other; printf 'a\\nb\\nc\\n' >/etc/app/app.conf; \
                    echo x >/etc/gone.conf; echo 1 >/opt/old/one; echo 2 >/opt/old/two; \
                    printf 'Package: libc\\nStatus: install ok installed\\nVersion: 1\\n' >/var/lib/dpkg/status; \
                    printf 'P:musl\\nV:1\\n\\n' >/lib/apk/db/installed";
        let engine = Engine::tests();
        let made = engine.run_to_end(&[], BUSYBOX, &["sh", "-c", make]);
        engine.docker(&["commit", made.id.as_str(), &image]);
        let container = engine.run(&["--name", &name], &image, &["sleep", "100000"]);
        Self {
            image,
            name,
            container: Some(container),
        }
    }

    fn container(&self) -> &Container {
        self.container.as_ref().unwrap()
    }

    fn sh(&self, command: &str) {
        self.container().sh(command);
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        self.container = None;
        Engine::tests().output(&["rmi", "-f", &self.image]);
    }
}

#[test]
fn reports_content_from_touches_and_names_packages() {
    if !common::engine_is_ready() {
        return;
    }
    let c = Sample::new("content");
    let clean = hullwatch(&["drift", &c.name, "--exit-code"]);
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");
    c.sh("touch /bin/tool; chmod 755 /bin/tool; echo >>/var/noted");
    let quiet = hullwatch(&["drift", &c.name, "--exit-code"]);
    assert_eq!(quiet.status.code(), Some(0), "{quiet:?}");
    c.sh("cp /bin/busybox /usr-evil; echo more >>/bin/other; printf 'a\\nB\\nc\\n' >/etc/app/app.conf; \
          rm /etc/gone.conf; rm -rf /opt/old; mkdir /opt/old; echo 2 >/opt/old/two; \
          printf 'Package: libc\\nStatus: install ok installed\\nVersion: 2\\n\\nPackage: curl\\nStatus: install ok installed\\nVersion: 8\\n' >/var/lib/dpkg/status; \
          printf 'P:musl\\nV:1\\n\\nP:jq\\nV:1.7\\n\\n' >/lib/apk/db/installed; mkfifo /tmp/fifo");
    for stopped in [false, true] {
        if stopped {
            c.container().control("kill");
        }
        let out = hullwatch(&[
            "drift",
            &format!("image:{}", c.image),
            "--exit-code",
            "--json",
            "--diff",
        ]);
        assert_eq!(out.status.code(), Some(1), "{out:?}");
        let lines = lines(&out);
        let entries: BTreeMap<&str, &Value> = lines
            .iter()
            .filter(|l| l["type"] == "difference")
            .map(|l| (l["path"].as_str().unwrap(), l))
            .collect();
        let expected = [
            ("/bin/other", "changed", "binary"),
            ("/etc/app/app.conf", "changed", "config"),
            ("/etc/gone.conf", "deleted", "config"),
            ("/lib/apk/db/installed", "changed", "packages"),
            ("/opt/old/one", "deleted", "data"),
            ("/tmp/fifo", "added", "data"),
            ("/usr-evil", "added", "binary"),
            ("/var/lib/dpkg/status", "changed", "packages"),
            ("/var/noted", "added", "data"),
        ];
        let found: Vec<_> = entries
            .iter()
            .map(|(path, l)| {
                let word = |key: &str| l[key].as_str().unwrap();
                (*path, word("difference"), word("class"))
            })
            .collect();
        assert_eq!(found, expected, "stopped: {stopped}");
        let diff = &entries["/etc/app/app.conf"]["diff"];
        assert_eq!(
            *diff,
            serde_json::json!(["@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"])
        );
        // Every line of an added file is new; only regular files have lines.
        assert_eq!(entries["/var/noted"]["diff"][1], "+");
        assert!(entries["/tmp/fifo"]["diff"].is_null());
        let summary = lines.last().unwrap();
        assert_eq!(summary["running"], !stopped);
        // The touched program, and a file that was removed and created again with the same content.
        assert_eq!(summary["unchanged"], 2);
        let packages = serde_json::json!([
            {"name": "curl", "after": "8"}, {"name": "libc", "before": "1", "after": "2"},
            {"name": "jq", "after": "1.7"},
        ]);
        assert_eq!(summary["packages"], packages);
    }
}

#[test]
fn earlier_changes_are_a_finding_and_replay_alike() {
    if !common::engine_is_ready() {
        return;
    }
    let c = Sample::new("attach");
    c.sh("cp /bin/busybox /bin/evil; echo x >/etc/app/app.conf");
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("recording.jsonl");
    // Without it, changes within the container's first seconds count as start-up.
    let policy = kept.path().join("policy.toml");
    std::fs::write(&policy, "startup-grace = \"0s\"\n").unwrap();
    let watch = Watch::start(&[
        "--events",
        "scan,findings",
        "--container",
        &c.name,
        "--rescan",
        "2s",
        "--policy",
        policy.to_str().unwrap(),
        "--record",
        file.to_str().unwrap(),
    ]);
    let scan = watch.expect("drift scan", |line| line["type"] == "scan");
    assert_eq!(scan["cause"], "attach");
    watch.expect("another drift scan", |l| {
        l["type"] == "scan" && l["cause"] == "interval"
    });
    let id = c.container().id.clone();
    watch.expect_finding(&id, "drift.snapshot", |_| true);
    let lines = watch.stop();
    let of = |subject: &str| {
        let about = |l: &&Value| l["type"] == "finding" && l["subject"] == subject;
        lines.iter().rfind(about).unwrap().clone()
    };
    let program = of("/bin/evil");
    assert_eq!(
        (&program["severity"], &program["count"]),
        (&"high".into(), &1.into())
    );
    assert!(program["already_since"].is_string(), "{program}");
    let why = program["why"].to_string();
    assert!(
        why.contains("added /bin/evil") && why.contains("already so when watching began"),
        "{why}"
    );
    let settings = of("image");
    assert_eq!(settings["severity"], "info");
    let why = settings["why"].to_string();
    assert!(why.contains("changed /etc/app/app.conf"), "{why}");
    replays_alike(&file);
    let replayed = hullwatch(&["replay", file.to_str().unwrap(), "--findings"]);
    assert!(String::from_utf8_lossy(&replayed.stdout).contains("drift.snapshot"));
}

#[test]
fn an_unknown_container_is_an_error() {
    if !common::engine_is_ready() {
        return;
    }
    let out = hullwatch(&["drift", "no-such-container"]);
    assert_eq!(out.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(
        stderr.contains("no-such-container") && stderr.lines().count() == 1,
        "{stderr}"
    );
}
