//! What the engine and the host tell about a container's life: its image's name, who entered it.
//! Needs what `tests/e2e.rs` needs.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

const IMAGE: &str = "hullwatch-test:busybox";

fn docker(args: &[&str]) -> String {
    let out = Command::new("docker").args(args).output().unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "docker {args:?}: {error}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// Removed when the test ends, however it ends.
struct Removed(Vec<Vec<String>>);

impl Drop for Removed {
    fn drop(&mut self) {
        for words in &self.0 {
            let _ = Command::new("docker").args(words).output();
        }
    }
}

#[test]
fn a_moved_name_and_who_entered_are_told() {
    let asked = ["HULLWATCH_TEST_DOCKER", "CI"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if !asked {
        eprintln!("skipped: run tests/run");
        return;
    }
    let own = std::process::id();
    let (tag, name) = (
        format!("hullwatch-life:{own}"),
        format!("hullwatch-life-{own}"),
    );
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    let _removed = Removed(vec![
        words(&format!("rm -f {name}")),
        words(&format!("rmi -f {tag}")),
    ]);
    docker(&["tag", IMAGE, &tag]);
    let id = docker(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        &name,
        &tag,
        "sleep",
        "100",
    ]);
    let mut watch = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["watch", "--duration", "9s", "--container", &name])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(watch.stderr.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert!(said.contains("ready"), "{said}");
    std::thread::sleep(Duration::from_secs(2));
    docker(&["exec", &name, "sh", "-c", "id; sleep 1"]);
    // Another image by the same name.
    let other = docker(&["commit", "-m", "other", &name]);
    docker(&["tag", &other, &tag]);
    let mut text = String::new();
    watch
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(watch.wait().unwrap().success());
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let of = |rule: &str| {
        let mut found = lines.iter().rev().filter(|l| l["rule"] == rule);
        found.find(|l| l["container"] == id.as_str()).cloned()
    };
    let moved = of("life.image-moved").unwrap_or_else(|| panic!("{text}"));
    assert_eq!(moved["subject"], other.as_str());
    let session = of("exec.session").unwrap_or_else(|| panic!("{text}"));
    let why = session["why"].as_array().unwrap();
    let who = format!("probably started by docker exec {name} sh");
    let told = why.iter().any(|l| l.as_str().unwrap().starts_with(&who));
    assert!(told, "{why:?}");
}
