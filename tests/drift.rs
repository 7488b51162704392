//! Containers compared with their images, for real: `hullwatch drift`, the finding on attach, and
//! its replay. Needs root, a Docker engine and the image that `tests/run` imports; fails without
//! when `HULLWATCH_TEST_DOCKER` or `CI` says they are there.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::{Command, Output};

use serde_json::Value;

const IMAGE: &str = "hullwatch-test:busybox";

fn docker(args: &[&str]) -> String {
    let out = Command::new("docker").args(args).output().unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "docker {args:?}: {error}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn hullwatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(args)
        .output()
        .unwrap()
}

fn lines(out: &Output) -> Vec<Value> {
    out.stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
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

/// An image with something to change, and a container of it; both go at the end.
struct Sample {
    image: String,
    name: String,
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
        docker(&[
            "run",
            "--network",
            "none",
            "--name",
            &name,
            IMAGE,
            "sh",
            "-c",
            make,
        ]);
        docker(&["commit", &name, &image]);
        docker(&["rm", &name]);
        docker(&[
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            &name,
            &image,
            "sleep",
            "100000",
        ]);
        Self { image, name }
    }

    fn sh(&self, command: &str) {
        docker(&["exec", &self.name, "sh", "-c", command]);
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        for args in [["rm", "-f", self.name.as_str()], ["rmi", "-f", &self.image]] {
            let _ = Command::new("docker").args(args).output();
        }
    }
}

#[test]
fn tells_content_from_touches_and_names_packages() {
    if !ready() {
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
            docker(&["kill", &c.name]);
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
        let told: BTreeMap<&str, &Value> = lines
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
        let found: Vec<_> = told
            .iter()
            .map(|(path, l)| {
                let word = |key: &str| l[key].as_str().unwrap();
                (*path, word("difference"), word("class"))
            })
            .collect();
        assert_eq!(found, expected, "stopped: {stopped}");
        let diff = &told["/etc/app/app.conf"]["diff"];
        assert_eq!(
            *diff,
            serde_json::json!(["@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"])
        );
        let summary = lines.last().unwrap();
        assert_eq!(summary["running"], !stopped);
        // The touched program, and what was removed and made anew with the same content.
        assert_eq!(summary["unchanged"], 2);
        let packages = serde_json::json!([
            {"name": "curl", "after": "8"}, {"name": "libc", "before": "1", "after": "2"},
            {"name": "jq", "after": "1.7"},
        ]);
        assert_eq!(summary["packages"], packages);
    }
}

#[test]
fn what_changed_before_is_a_finding_and_replays_alike() {
    if !ready() {
        return;
    }
    let c = Sample::new("attach");
    // Later than what its start-up could have made.
    std::thread::sleep(std::time::Duration::from_secs(12));
    c.sh("cp /bin/busybox /bin/evil; echo x >/etc/app/app.conf");
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("s.jsonl");
    let file = file.to_str().unwrap();
    let out = hullwatch(&[
        "watch",
        "--events",
        "scan,findings",
        "--container",
        &c.name,
        "--duration",
        "6s",
        "--rescan",
        "2s",
        "--record",
        file,
    ]);
    assert!(out.status.success(), "{out:?}");
    let lines = lines(&out);
    let scans: Vec<_> = lines.iter().filter(|l| l["type"] == "scan").collect();
    assert_eq!(scans[0]["cause"], "attach");
    assert!(scans[1..].iter().any(|s| s["cause"] == "interval"));
    let finding = lines
        .iter()
        .rfind(|l| l["rule"] == "drift.snapshot")
        .unwrap();
    assert_eq!(
        (&finding["severity"], &finding["count"]),
        (&"medium".into(), &1.into())
    );
    let why = finding["why"].to_string();
    assert!(
        why.contains("added /bin/evil") && why.contains("changed /etc/app/app.conf"),
        "{why}"
    );
    let replayed = hullwatch(&["replay", file, "--findings"]);
    assert!(replayed.status.success(), "{replayed:?}");
    assert!(String::from_utf8_lossy(&replayed.stdout).contains("drift.snapshot"));
}

#[test]
fn an_unknown_container_is_an_error() {
    if !ready() {
        return;
    }
    let out = hullwatch(&["drift", "no-such-container"]);
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        said.contains("no-such-container") && said.lines().count() == 1,
        "{said}"
    );
}
