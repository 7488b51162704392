//! What the kernel refuses hullwatch itself: read from its threads, and tried.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{self, PATIENCE, hullwatch, replays_alike};

/// A field of a thread's status.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.map_or("", str::trim)
}

/// The name, no_new_privs and seccomp mode of each thread of a process.
fn threads(pid: u32) -> Vec<(String, String, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let status = tasks.filter_map(|t| std::fs::read_to_string(t.ok()?.path().join("status")).ok());
    status
        .map(|status| {
            let get = |name| field(&status, name).to_owned();
            (get("Name:"), get("NoNewPrivs:"), get("Seccomp:"))
        })
        .collect()
}

fn wait_for(child: &mut Child, what: &str, so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so() {
        assert!(child.try_wait().unwrap().is_none(), "ended before {what}");
        assert!(Instant::now() < until, "no {what}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// With everything enabled: a recording, a command of the user, metrics served and sent.
#[test]
fn every_thread_of_a_recorder_with_sinks_is_confined() {
    if !common::kernel_is_ready() {
        return;
    }
    let (config, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ring = dir.path().join("ring");
    let mut child = hullwatch(
        &[
            "record",
            "--no-engine",
            "--ring",
            ring.to_str().unwrap(),
            "--segment",
            "1s",
            "--notify-command",
            "cat",
            "--metrics",
            "127.0.0.1:0",
            "--otlp",
            "http://127.0.0.1:1",
            "--otlp-metrics",
            "1s",
        ],
        &config,
    )
    .stdout(Stdio::null())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let segments = || {
        let entries = std::fs::read_dir(&ring).into_iter().flatten().flatten();
        entries
            .filter(|e| e.path().extension().is_some_and(|e| e == "zst"))
            .map(|e| e.path())
            .collect::<Vec<_>>()
    };
    // Files are created and written although most threads may not open any.
    wait_for(&mut child, "third segment", || segments().len() >= 3);
    let found = threads(child.id());
    let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
    for wanted in [
        "collect",
        "core",
        "record",
        "sink",
        "notify",
        "metrics",
        "otlp-metrics",
        "signals",
    ] {
        assert!(names.contains(&wanted), "{wanted}: {names:?}");
    }
    for (name, bare, filtered) in &found {
        assert_eq!((bare.as_str(), filtered.as_str()), ("1", "2"), "{name}");
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let out = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{printed}");
    assert!(!printed.contains("not known to need"), "{printed}");
    let mut all = segments();
    all.sort();
    for segment in &all {
        replays_alike(segment);
    }
}

/// The refused calls are tested from outside: the kernel shows the restrictions of each thread.
#[test]
fn doctor_shows_what_is_in_force() {
    let out = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["doctor", "--json"])
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let all = json["protections"].as_array().unwrap();
    let names: Vec<_> = all.iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["no_new_privs", "seccomp", "Landlock"]);
    for protection in all {
        let detail = protection["detail"].as_str().unwrap();
        assert!(!detail.is_empty(), "{protection}");
    }
    assert_eq!(all[1]["in_force"], true, "{json:#}");
}
