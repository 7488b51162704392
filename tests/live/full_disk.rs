//! A recording on a small file system that becomes full, and has space again.

use std::io::{BufRead as _, BufReader};
use std::process::{ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{self, BUSYBOX, Engine, replays_alike};

/// Records to a separate file system in $1; the recording is copied to $2.
const SCRIPT: &str = "mount -t tmpfs -o size=256k hullwatch-test \"$1\" || exit 1
    \"$3\" record --docker-host \"$4\" --runtime docker \"$1/$5\" &
    echo \"pid $!\" >&2; wait $!; code=$?; cp \"$1/$5\" \"$2\"; exit $code";

/// A shell that runs `script` in a mount namespace of its own; its arguments are to be added.
fn in_own_mounts(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
        "sh",
    ]);
    command
}

/// Waits for a message that contains the given words; returns what was printed since the one before.
fn messages(stderr: ChildStderr) -> impl FnMut(&str) -> String {
    let mut printed = BufReader::new(stderr);
    let mut all = String::new();
    move |part| {
        let before = all.len();
        while !all[before..].contains(part) {
            assert!(printed.read_line(&mut all).unwrap() > 0, "ended: {all}");
        }
        all[before..].to_owned()
    }
}

fn recorded(name: &str) {
    let engine = Engine::tests();
    let (small, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = out.path().join(name);
    let mut child = in_own_mounts(SCRIPT)
        .args([small.path(), &file])
        .args([env!("CARGO_BIN_EXE_hullwatch"), &engine.0, name])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut until = messages(child.stderr.take().unwrap());
    let pid = until("pid ")
        .trim()
        .strip_prefix("pid ")
        .unwrap()
        .to_owned();
    until("attached and ready");
    // Random names, since similar ones compress too well.
    let write = "n=$(($1)); while [ $n -gt 0 ]; do n=$((n-1)); \
        f=$(head -c 60 /dev/urandom | base64 | tr -dc a-z); echo >/tmp/$f; done";
    let container = engine.run(&[], BUSYBOX, &["sleep", "1000"]);
    let work = std::thread::spawn({
        let write = write.to_owned();
        move || {
            container.exec(&["sh", "-c", &write, "sh", "1500"]);
            container
        }
    });
    until("waits for disk space");
    let remount = [
        "mount",
        "-o",
        "remount,size=64m",
        small.path().to_str().unwrap(),
    ];
    let done = Command::new("nsenter")
        .args(["-m", "-t", &pid])
        .args(remount)
        .status();
    assert!(done.unwrap().success());
    until("the disk has space again");
    let container = work.join().unwrap();
    container.sh("echo >/tmp/afterwards");
    drop(container);
    std::thread::sleep(std::time::Duration::from_secs(3));
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::TERM).unwrap();
    until("recorded ");
    assert!(child.wait().unwrap().success());
    replays_alike(&file);
    let lines = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["replay", "--events", "file,lost"])
        .arg(&file)
        .output()
        .unwrap();
    let lines = String::from_utf8_lossy(&lines.stdout).into_owned();
    assert!(lines.contains("/tmp/afterwards"), "{lines}");
    assert!(!lines.contains("\"lost\""), "{lines}");
}

/// Records a ring to a file system in $1 with room for the lock and two segments, in which there is a
/// directory with the name of a segment; the ring is copied to $2.
const RING: &str = "mount -t tmpfs -o nr_inodes=5 hullwatch-test \"$1\" || exit 1
    mkdir \"$1/2026-01-01T00-00-00.000000000Z.jsonl.zst\"
    \"$3\" record --no-engine --ring \"$1\" --min-free 0B --segment 1s &
    echo \"pid $!\" >&2; wait $!; code=$?; cp -r \"$1/.\" \"$2\"; exit $code";

#[test]
fn a_ring_goes_on_when_no_segment_can_begin() {
    if !common::kernel_is_ready() {
        return;
    }
    let (small, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut child = in_own_mounts(RING)
        .args([small.path(), out.path()])
        .arg(env!("CARGO_BIN_EXE_hullwatch"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut until = messages(child.stderr.take().unwrap());
    let pid = until("pid ");
    let pid = pid.trim().strip_prefix("pid ").unwrap().to_owned();
    until("no further segment: ");
    let inside = |words: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["-m", "-t", &pid]).args(words);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let ring = small.path().to_str().unwrap();
    let segments = || inside(&["ls", ring]).matches(".zst").count();
    let before = segments();
    inside(&["mount", "-o", "remount,nr_inodes=1000", ring]);
    let patience = std::time::Instant::now() + common::PATIENCE;
    while segments() < before + 2 {
        assert!(std::time::Instant::now() < patience, "no further segment");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::TERM).unwrap();
    let rest = until("recorded ");
    assert!(!rest.contains("no further segment"), "repeated: {rest}");
    assert!(child.wait().unwrap().success());
    let replayed = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["replay", "--findings"])
        .arg(out.path())
        .output()
        .unwrap();
    let problems = String::from_utf8_lossy(&replayed.stderr);
    assert!(replayed.status.success(), "{problems}");
}

#[test]
fn a_recording_waits_for_space_on_a_full_disk() {
    if common::engine_is_ready() {
        recorded("s.jsonl");
    }
}

#[test]
fn a_compressed_recording_waits_for_space_on_a_full_disk() {
    if common::engine_is_ready() {
        recorded("s.jsonl.zst");
    }
}
