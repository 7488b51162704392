//! A ring that somebody disturbs.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::common;

fn segments(ring: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(ring).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut found: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "zst"))
        .collect();
    found.sort();
    found
}

/// The recording of the last hours outlives the loss of one segment; one of a file ends.
#[test]
fn it_goes_on_when_its_segment_is_removed() {
    if !common::kernel_is_ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let ring = dir.path().join("ring");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["record", "--no-engine", "--min-free", "0B", "--ring"])
        .arg(&ring)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut until = |text: &str| {
        let line = lines.find(|line| line.as_ref().unwrap().contains(text));
        line.unwrap_or_else(|| panic!("never said {text:?}"))
    };
    let _ = until("attached and ready");
    let first = segments(&ring);
    std::fs::remove_file(&first[0]).unwrap();
    let told = until("was removed").unwrap();
    assert!(
        told.contains("events were not recorded; recording continues in another segment"),
        "{told}"
    );
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::TERM).unwrap();
    let _ = until("recorded ");
    assert!(child.wait().unwrap().success());
    let left = segments(&ring);
    assert!(left.len() == 1 && left[0] > first[0], "{left:?}");
    let replayed = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["replay", "--findings"])
        .arg(&left[0])
        .output();
    assert!(replayed.unwrap().status.success());
}
