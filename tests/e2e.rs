//! `hullwatch watch` against real containers, through its command line. Needs root, a Docker
//! engine and the image that `tests/run` imports; fails without when `HULLWATCH_TEST_DOCKER` or
//! `CI` says they are there.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

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

/// A running `hullwatch watch --events all`.
struct Watch {
    child: Child,
    lines: JoinHandle<Vec<u8>>,
}

impl Watch {
    fn start(more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
            .args(["watch", "--events", "all"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let lines = std::thread::spawn(move || {
            let mut all = Vec::new();
            stdout.read_to_end(&mut all).unwrap();
            all
        });
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        while !text.contains("attached and ready") {
            assert!(said.read_line(&mut text).unwrap() > 0, "ended: {text}");
        }
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { child, lines }
    }

    /// Interrupts it, as a person would, and returns its lines.
    fn stop(mut self) -> Vec<Value> {
        std::thread::sleep(std::time::Duration::from_secs(2));
        let pid = i32::try_from(self.child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
        let bytes = self.lines.join().unwrap();
        bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

fn execs<'a>(lines: &'a [Value], id: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| {
        line["type"] == "exec" && line["container"] == id && line["runtime"] != true
    })
}

/// Runs a container to its end, removes it and returns its id.
fn run(command: &[&str]) -> String {
    let id = docker(&[&["run", "-d", "--network", "none", IMAGE], command].concat());
    docker(&["wait", &id]);
    docker(&["rm", &id]);
    id
}

#[test]
fn tells_what_new_containers_do_without_loss() {
    if !ready() {
        return;
    }
    let watch = Watch::start(&[]);
    let short = run(&["sleep", "0.05"]);
    let writes = run(&[
        "sh",
        "-c",
        "echo x >\"$(printf '/tmp/a b\\nc\\033[31m\\377d')\"",
    ]);
    let long = run(&[
        "sh",
        "-c",
        "exec /bin/echo $(/bin/busybox seq 20000) >/dev/null",
    ]);
    let many = run(&[
        "sh",
        "-c",
        "i=0; while [ $i -lt 2000 ]; do /bin/busybox true; i=$((i+1)); done",
    ]);
    let lines = watch.stop();

    let first = execs(&lines, &short).next().unwrap();
    assert_eq!(first["exe"], "/bin/busybox");
    assert_eq!(first["argv"], serde_json::json!(["sleep", "0.05"]));
    let written = lines.iter().any(|line| {
        line["type"] == "file"
            && line["container"] == writes.as_str()
            && serde_json::from_value::<hullwatch::event::Bytes>(line["path"].clone())
                .is_ok_and(|path| path.to_vec() == b"/tmp/a b\nc\x1b[31m\xffd")
    });
    assert!(written, "the file's name did not arrive as it is");
    let cut = execs(&lines, &long)
        .find(|line| line["argv_cut"] == true)
        .unwrap();
    assert!(cut["argv_bytes"].as_u64().unwrap() > 100_000);
    let seen = execs(&lines, &many)
        .filter(|line| line["argv"] == serde_json::json!(["/bin/busybox", "true"]))
        .count();
    assert_eq!(seen, 2000);
    let lost: Vec<_> = lines.iter().filter(|line| line["type"] == "lost").collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn a_session_and_a_dropped_binary_are_findings() {
    if !ready() {
        return;
    }
    let watch = Watch::start(&[]);
    let id = docker(&["run", "-d", "--network", "none", IMAGE, "sleep", "1000"]);
    // Bytes at the end make it a file that no layer holds.
    docker(&[
        "exec",
        &id,
        "sh",
        "-c",
        "cp /bin/busybox /tmp/true; echo more >>/tmp/true; /tmp/true; sleep 1",
    ]);
    let lines = watch.stop();
    docker(&["rm", "-f", &id]);
    let rules: Vec<_> = lines
        .iter()
        .filter(|line| line["container"] == id.as_str())
        .filter_map(|line| line["rule"].as_str())
        .collect();
    for family in ["exec.session", "drift.exec-"] {
        assert!(rules.iter().any(|r| r.starts_with(family)), "{rules:?}");
    }
}

#[test]
fn needs_no_engine_to_tell_an_exec() {
    if !ready() {
        return;
    }
    let watch = Watch::start(&["--no-engine"]);
    let id = run(&["sleep", "0.05"]);
    let lines = watch.stop();
    assert_eq!(execs(&lines, &id).next().unwrap()["argv"][0], "sleep");
}

#[test]
fn a_recording_replays_to_the_findings_it_holds() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["session.jsonl", "session.jsonl.zst"] {
        let file = dir.path().join(name);
        let mut record = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
            .arg("record")
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(record.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("ready"), "{line}");
        let id = docker(&["run", "-d", "--network", "none", IMAGE, "sleep", "60"]);
        docker(&[
            "exec",
            &id,
            "sh",
            "-c",
            "cp /bin/busybox /tmp/sh; echo x >> /tmp/sh; /tmp/sh true; true",
        ]);
        docker(&["rm", "-f", &id]);
        // One more tick, so that comparisons and their findings are in.
        std::thread::sleep(Duration::from_secs(2));
        Command::new("kill")
            .args(["-INT", &record.id().to_string()])
            .status()
            .unwrap();
        assert!(record.wait().unwrap().success());
        let replay = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
            .args(["replay", "--findings"])
            .arg(&file)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&replay.stderr);
        assert!(replay.status.success(), "{error}");
        let findings = String::from_utf8_lossy(&replay.stdout);
        assert!(findings.contains("drift.exec-"), "{findings}{error}");
        assert!(findings.contains("exec.session"), "{findings}{error}");
    }
}
