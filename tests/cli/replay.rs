//! `replay`: the same events, also of a truncated or damaged file.

use hullwatch::event::Event;

use crate::{events, hullwatch, recording, stderr};

#[test]
fn a_replay_prints_the_same_events() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["s.jsonl", "s.jsonl.zst"] {
        let path = recording(dir.path(), name, 95);
        let output = hullwatch(&["replay", path.to_str().unwrap(), "--events", "all"]);
        assert_eq!(stderr(&output), "");
        assert!(output.status.success());
        let printed: Vec<Event> = output
            .stdout
            .split(|&b| b == b'\n')
            .filter(|line| !line.is_empty() && !line.starts_with(b"{\"type\":\"finding"))
            .map(|line| Event::from_json(line).unwrap())
            .collect();
        assert_eq!(printed, events(95));
    }
}

#[test]
fn a_check_reports_its_result() {
    let dir = tempfile::tempdir().unwrap();
    let path = recording(dir.path(), "s.jsonl", 95);
    let output = hullwatch(&["replay", path.to_str().unwrap()]);
    assert!(output.status.success() && output.stdout.is_empty());
    let printed = stderr(&output);
    let expected = "95 events, 0 findings, as recorded";
    assert!(printed.trim_end().ends_with(expected), "{printed}");
}

#[test]
fn events_are_chosen_by_type_and_container() {
    let dir = tempfile::tempdir().unwrap();
    let path = recording(dir.path(), "s.jsonl", 95);
    let lines = |args: &[&str]| {
        let all = [&["replay", path.to_str().unwrap()], args].concat();
        let output = hullwatch(&all);
        assert!(output.status.success(), "{}", stderr(&output));
        output.stdout.iter().filter(|&&b| b == b'\n').count()
    };
    assert_eq!(lines(&["--events", "exec"]), 86);
    assert_eq!(lines(&["--events", "tick,connect"]), 9);
    assert_eq!(lines(&["--events", "exec", "--container", "abab"]), 86);
}

#[test]
fn a_cut_file_replays_up_to_the_cut_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = recording(dir.path(), "s.jsonl", 95);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let output = hullwatch(&["replay", path.to_str().unwrap(), "--events", "exec"]);
    assert!(output.status.success());
    assert!(!output.stdout.is_empty());
    assert!(stderr(&output).contains("cut here"), "{}", stderr(&output));
}

#[test]
fn damage_names_file_line_and_cause_and_exits_2() {
    let dir = tempfile::tempdir().unwrap();
    let path = recording(dir.path(), "s.jsonl", 95);
    let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
    std::fs::write(&path, text.replacen("\"seq\":3,", "\"seq\":x,", 1)).unwrap();
    let output = hullwatch(&["replay", path.to_str().unwrap(), "--findings"]);
    assert_eq!(output.status.code(), Some(2));
    let printed = stderr(&output);
    assert!(
        printed.contains("s.jsonl:4: expected value (column"),
        "{printed}"
    );
    assert!(printed.contains("digest mismatch"), "{printed}");
}
