//! Settings and files that cannot work: refused at once, with the cause and exit code 2.

use std::process::{Command, Output};

use super::{hullwatch, stderr};

fn assert_refused(output: &Output, why: &str) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains(why), "{why}: {text}");
}

/// With these, a ring would keep nothing, or the option would have no effect.
#[test]
fn limits_that_keep_nothing_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ring = dir.path().join("ring");
    let ring = ring.to_str().unwrap();
    for (option, value, why) in [
        ("--keep", "0s", "longer than 0s"),
        ("--segment", "0", "longer than 0s"),
        ("--max-size", "0", "at least 1.0 MiB"),
        ("--max-size", "1023KiB", "at least 1.0 MiB"),
    ] {
        assert_refused(
            &hullwatch(&["record", "--ring", ring, option, value]),
            &format!("{option} <"),
        );
        assert_refused(&hullwatch(&["record", "--ring", ring, option, value]), why);
    }
    let file = dir.path().join("s.jsonl");
    let file = file.to_str().unwrap();
    for (option, value) in [
        ("--keep", "24h"),
        ("--segment", "10m"),
        ("--max-size", "2GiB"),
        ("--min-free", "1GiB"),
        ("--pin", "high"),
    ] {
        let output = hullwatch(&["record", file, option, value]);
        assert_refused(&output, "cannot be used with");
        assert_refused(&output, option);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// The first incident would be too late to learn it.
#[test]
fn a_receiver_that_cannot_exist_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("no-program");
    std::fs::write(&path, "#!/bin/sh\n").unwrap();
    for (program, why) in [
        (path.to_str().unwrap(), "it is not an executable file"),
        ("/nowhere/tell", "No such file"),
        ("./tell", "No such file"),
        ("tell-nobody-at-all", "no such program in PATH"),
        ("/", "it is not an executable file"),
    ] {
        let output = hullwatch(&["watch", "--notify-command", program]);
        assert_refused(&output, &format!("--notify-command: {program}: "));
        assert_refused(&output, why);
    }
    for url in ["http://127.0.0.1:99999", "http://127.0.0.1:x", "http://h:"] {
        assert_refused(&hullwatch(&["watch", "--otlp", url]), "--otlp: ");
    }
}

/// A program in the directory where hullwatch was started; its helper works elsewhere.
#[test]
fn a_relative_program_is_found_from_here() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tell");
    std::fs::write(&path, "#!/bin/sh\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["watch", "--duration", "0s", "--no-engine"])
        .args(["--notify-command", "./tell"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = stderr(&output);
    assert!(!text.contains("--notify-command"), "{text}");
}

#[test]
fn a_log_without_a_reader_does_not_keep_it_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["demo", "--findings"])
        .env("HULLWATCH_LOG", "info")
        .env("HULLWATCH_LOG_FILE", &pipe)
        .output()
        .unwrap();
    assert_refused(&output, "pipe: ");
}
