//! Times of events where the program's clocks differ from the kernel's.

use std::process::Command;

use jiff::Timestamp;
use serde_json::Value;

use crate::common::{BUSYBOX, Engine, engine_is_ready};

/// A time namespace shifts the time since boot that a program reads, but not that of the kernel
/// programs.
#[test]
fn in_a_time_namespace_events_keep_the_time_of_the_wall_clock() {
    if !engine_is_ready() {
        return;
    }
    if !std::path::Path::new("/proc/self/timens_offsets").exists() {
        eprintln!("not run: this kernel has no time namespaces");
        return;
    }
    let engine = Engine::tests();
    let before = Timestamp::now();
    // Its start is read from /proc, its later actions are reported by the kernel programs.
    let container = engine.run(&[], BUSYBOX, &["sh", "-c", "while :; do sleep 0.2; done"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clock.jsonl");
    let out = Command::new("unshare")
        .args([
            "--time",
            "--boottime",
            "100000",
            "--monotonic",
            "5000",
            "--fork",
        ])
        .arg(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["record", "--duration", "3s"])
        .arg(&file)
        .env("DOCKER_HOST", &engine.0)
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    let after = Timestamp::now();
    let text = std::fs::read_to_string(&file).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let own: Vec<Value> = lines
        .filter(|line| line["container"] == container.id.as_str())
        .collect();
    let time = |line: &Value, field: &str| line[field].as_str()?.parse::<Timestamp>().ok();
    let within = |at: Timestamp| {
        let slack = jiff::SignedDuration::from_secs(5);
        before - slack <= at && at <= after + slack
    };
    for (kind, field) in [("exec", "ts"), ("fork", "ts"), ("process", "started")] {
        let mut of = own.iter().filter(|line| line["type"] == kind).peekable();
        assert!(of.peek().is_some(), "no {kind}: {own:#?}");
        for line in of {
            let at = time(line, field);
            assert!(at.is_some_and(within), "{before} {at:?} {after}: {line}");
        }
    }
}
