//! The command line, used by a person or a script.
#![allow(clippy::unwrap_used)]

mod context;
mod doctor;
mod hostile;
mod list;
mod period;
mod refused;
mod replay;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hullwatch::detect::Settings;
use hullwatch::event::{Bytes, ContainerId, Event, Exec, Kind, Timestamp};
use hullwatch::recording::{Header, Writer};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/demo.jsonl.zst");

fn hullwatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn events(count: u64) -> Vec<Event> {
    (1..=count)
        .map(|seq| Event {
            seq,
            ts: Timestamp(1_795_442_607_000_000_000 + i64::try_from(seq).unwrap() * 1_000_000),
            container: Some(ContainerId::new(&"ab".repeat(32))),
            pid: 7,
            nspid: 1,
            kind: match seq % 10 {
                0 => Kind::Tick(Box::default()),
                _ => Kind::Exec(Box::new(Exec {
                    exe: "/bin/true".into(),
                    argv: vec![Bytes::new(b"true\xff\x1b[31m")],
                    ..Exec::default()
                })),
            },
        })
        .collect()
}

fn recording(dir: &Path, name: &str, count: u64) -> PathBuf {
    let path = dir.join(name);
    let header = Header::here(Timestamp(1_795_442_607_000_000_000), Settings::default());
    let mut writer = Writer::create(&path, &header).unwrap();
    for event in events(count) {
        writer.event(&event).unwrap();
    }
    writer.finish(&[]).unwrap();
    path
}

#[test]
fn bad_input_is_one_line_and_exit_2() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    std::fs::write(&path, "hello\n").unwrap();
    for (args, printed) in [
        (
            vec!["replay", path.to_str().unwrap(), "--findings"],
            "notes.txt:1: not a hullwatch recording",
        ),
        (
            vec!["replay", "/nowhere", "--findings"],
            "/nowhere: cannot read",
        ),
    ] {
        let output = hullwatch(&args);
        assert_eq!(output.status.code(), Some(2));
        let text = stderr(&output);
        assert!(
            text.contains(printed) && text.lines().count() == 1,
            "{text}"
        );
    }
    let output = hullwatch(&["replay", "x", "--events", "exek"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("use all, findings or one of exec"));
}

/// Names and errors do not reach the terminal unescaped.
#[test]
fn stderr_never_controls_the_terminal() {
    for args in [
        vec!["replay", "no\u{1b}[31msuch\u{7}", "--findings"],
        vec!["policy", "check", "no\u{1b}]0;such\nfile"],
        vec!["replay", "no such\nhullwatch: all is well", "--findings"],
    ] {
        let output = hullwatch(&args);
        assert_eq!(output.status.code(), Some(2));
        let printed = stderr(&output);
        let control = printed.trim_end().chars().any(char::is_control);
        assert!(!control && printed.contains("such"), "{printed:?}");
    }
}

/// A full disk behind stdout is one line, not a backtrace.
#[test]
fn output_that_cannot_be_written_is_one_line() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["demo", "--findings"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let printed = stderr(&output);
    assert!(
        printed.contains("No space left") && printed.lines().count() == 1,
        "{printed}"
    );
}

#[test]
fn a_closed_pipe_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = recording(dir.path(), "s.jsonl", 20_000);
    let mut child = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["replay", path.to_str().unwrap(), "--events", "all"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(stderr(&output), "");
}

#[test]
fn the_demo_needs_nothing_and_shows_its_incident() {
    let output = hullwatch(&["demo", "--findings", "--min-severity", "high"]);
    assert!(output.status.success());
    assert_eq!(stderr(&output), "");
    let findings = String::from_utf8(output.stdout).unwrap();
    for told in ["203.0.113.66:4444", "/tmp/.X11/kdevtmpfsi", "/etc/shadow"] {
        assert!(findings.contains(told), "{told} is not in {findings}");
    }
}

#[test]
fn the_version_names_commit_and_build() {
    let output = hullwatch(&["--version"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        matches!(&lines[..], [name, commit, build]
            if *name == concat!("hullwatch ", env!("CARGO_PKG_VERSION"))
            && commit.starts_with("commit: ") && build.contains("kernel programs ")),
        "{text}"
    );
    let short = String::from_utf8(hullwatch(&["-V"]).stdout).unwrap();
    assert_eq!(short.trim_end(), lines[0]);
}

#[test]
fn missing_parts_are_named_with_their_cause() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    for (args, printed) in [
        (
            vec!["policy", "check", "/nosuch/p.toml"],
            "/nosuch/p.toml: No such file",
        ),
        (vec!["policy", "check", "/etc"], "/etc: "),
        (
            vec!["man", "--directory", "/proc/nosuch/man"],
            "/proc/nosuch/man: the manual pages cannot",
        ),
        (vec!["man", "--directory", file], "file: is not a directory"),
        (vec!["rules", "no.such"], "no.such"),
        (vec!["theme", "check", "/nosuch/t.toml"], "/nosuch/t.toml"),
        (vec!["report", "/nosuch/r.jsonl"], "/nosuch/r.jsonl: "),
        (
            vec!["list", "--recording", "/nosuch/r.jsonl"],
            "/nosuch/r.jsonl: ",
        ),
    ] {
        let output = hullwatch(&args);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(
            text.contains(printed) && text.lines().count() == 1,
            "{args:?}: {text}"
        );
    }
    let output = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["policy", "check"])
        .env("XDG_CONFIG_HOME", dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("hullwatch/policy.toml: No such file"));
}

/// Findings and events have the name in addition to the id; findings of other containers are not
/// printed.
/// Before the first baseline there is no directory of them; one that was named must exist.
#[test]
fn no_baselines_are_an_empty_list() {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["baseline", "list"])
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    assert!(
        stderr(&output).contains("no baselines in"),
        "{}",
        stderr(&output)
    );
    let named = hullwatch(&["baseline", "list", "/nonexistent"]);
    assert_eq!(named.status.code(), Some(2));
}

#[test]
fn lines_name_their_container() {
    for what in [&["--findings"][..], &["--events", "exec,findings"]] {
        let args = [&["replay", DEMO, "--container", "shop-web"], what].concat();
        let output = hullwatch(&args);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().count() > 3, "{text}");
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["container_name"], "shop-web", "{line}");
        }
    }
}

#[test]
fn a_container_that_a_recording_does_not_contain_is_an_error() {
    for what in [&["--findings"][..], &["--events", "exec,findings"]] {
        let output = hullwatch(&[&["replay", DEMO, "--container", "nosuch"], what].concat());
        assert_eq!(output.status.code(), Some(2), "{what:?}");
        assert!(output.stdout.is_empty(), "{what:?}");
        let message = stderr(&output);
        assert!(message.contains("no container \"nosuch\""), "{message}");
    }
}

#[test]
fn rules_are_listed_and_explained() {
    let list = String::from_utf8(hullwatch(&["rules"]).stdout).unwrap();
    assert!(
        list.lines().any(|line| line.starts_with("drift.exec-new ")),
        "{list}"
    );
    let one = String::from_utf8(hullwatch(&["rules", "drift.exec-new"]).stdout).unwrap();
    assert!(
        one.contains("Check: ") && one.contains("Needs: exec"),
        "{one}"
    );
    let json = hullwatch(&["rules", "drift.exec-new", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["id"], "drift.exec-new");
    assert_eq!(hullwatch(&["rules", "no.such"]).status.code(), Some(2));
}

#[test]
fn without_a_command_it_says_what_to_do() {
    let output = hullwatch(&[]);
    assert_eq!(output.status.code(), Some(2));
    let printed = stderr(&output);
    assert!(
        printed.contains("hullwatch watch") && printed.lines().count() == 1,
        "{printed}"
    );
}

#[test]
fn completions_and_manual_pages_are_made() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = hullwatch(&["completions", shell]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("hullwatch"));
    }
    let page = hullwatch(&["man"]).stdout;
    assert!(String::from_utf8_lossy(&page).contains(".TH hullwatch 1"));
    let dir = tempfile::tempdir().unwrap();
    assert!(
        hullwatch(&["man", "--directory", dir.path().to_str().unwrap()])
            .status
            .success()
    );
    assert!(dir.path().join("hullwatch-replay.1").exists());
}

#[test]
fn every_command_has_help() {
    for command in [
        "watch",
        "record",
        "replay",
        "demo",
        "doctor",
        "selftest",
        "completions",
        "man",
    ] {
        let output = hullwatch(&[command, "--help"]);
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("Usage: hullwatch"), "{text}");
    }
}

#[test]
fn keys_are_listed_as_they_are_bound_and_conflicts_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let list = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hullwatch"));
        command.arg("keys").args(args).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", dir.path());
        command.output().unwrap()
    };
    let text = String::from_utf8(list(&[]).stdout).unwrap();
    assert!(text.contains("/                    filter"), "{text}");
    std::fs::write(&path, "[keys]\nfilter = [\"C-f\"]\n").unwrap();
    let named = list(&["--config", path.to_str().unwrap(), "--json"]);
    let text = String::from_utf8(named.stdout).unwrap();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        if line["action"] == "filter" {
            assert_eq!(line["keys"], serde_json::json!(["C-f"]));
        }
    }
    // The default file is read too, and a conflict is refused in any file.
    let standard = dir.path().join("hullwatch/config.toml");
    std::fs::create_dir(standard.parent().unwrap()).unwrap();
    std::fs::write(&standard, "\n[keys]\nfilter = \"q\"\n").unwrap();
    let refused = list(&[]);
    assert_eq!(refused.status.code(), Some(2));
    let printed = stderr(&refused);
    for part in ["hullwatch/config.toml: line 3", "filter", "quit"] {
        assert!(printed.contains(part), "{printed}");
    }
}

#[test]
fn themes_are_measured_and_mistakes_named() {
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        let path = dir.path().join("mine.toml");
        std::fs::write(&path, text).unwrap();
        hullwatch(&["theme", "check", path.to_str().unwrap()])
    };
    let good = check("inherits = \"hull-dark\"\n");
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    // High and medium look alike to everybody, and text has the colour of its background.
    let poor =
        check("inherits = \"hull-dark\"\n[palette]\norange = \"#ffffa0\"\nsilver = \"#20242a\"\n");
    assert_eq!(poor.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&poor.stdout).into_owned();
    assert!(printed.contains("needs 4.5: text"), "{printed}");
    assert!(
        printed.contains("sev.high and sev.medium, normal"),
        "{printed}"
    );
    let bad = check("inherits = \"hull-dark\"\n[style]\ntxt = \"red\"\n");
    assert_eq!(bad.status.code(), Some(2));
    assert!(
        stderr(&bad).contains("mine.toml: line 3: unknown style \"txt\""),
        "{}",
        stderr(&bad)
    );
}

#[test]
fn the_demos_give_the_findings_they_were_recorded_with() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/demo");
    for name in ["demo.jsonl.zst", "break-in.jsonl.zst"] {
        let path = format!("{folder}/{name}");
        let out = hullwatch(&["replay", &path, "--findings"]);
        let why = format!("derive them again with cargo xtask demo: {}", stderr(&out));
        assert_eq!(out.status.code(), Some(0), "{why}");
    }
}

/// Under sudo the kernel checks every file against the rights of the caller. Needs root.
#[test]
fn under_sudo_files_are_opened_as_the_caller() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "root's\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    if secret.metadata().unwrap().uid() != 0 {
        eprintln!("not run: needs root");
        return;
    }
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).unwrap();
    let pages = dir.path().join("pages");
    std::fs::create_dir(&pages).unwrap();
    std::os::unix::fs::chown(&pages, Some(4242), Some(4242)).unwrap();
    std::os::unix::fs::symlink(&secret, pages.join("hullwatch.1")).unwrap();
    let sudo = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hullwatch"));
        command.args(args).env("SUDO_UID", "4242");
        command.env("SUDO_GID", "4242").stdin(Stdio::null());
        command.output().unwrap()
    };
    let to = pages.to_str().unwrap();
    let refused = sudo(&["man", "--directory", to]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("user 4242"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(std::fs::read(&secret).unwrap(), b"root's\n");
    std::fs::remove_file(pages.join("hullwatch.1")).unwrap();
    let made = sudo(&["man", "--directory", to]);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let page = pages.join("hullwatch.1").metadata().unwrap();
    assert_eq!((page.uid(), page.gid()), (4242, 4242));
    for args in [
        ["policy", "check"],
        ["replay", "--findings"],
        ["theme", "check"],
    ] {
        let output = sudo(&[args[0], args[1], secret.to_str().unwrap()]);
        let printed = stderr(&output);
        assert!(
            !printed.contains("root's") && printed.contains("ermission"),
            "{args:?}: {printed}"
        );
    }
}

/// As on a file system for small files only.
#[test]
fn a_file_that_becomes_too_large_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("prlimit")
        .args([
            "--fsize=100",
            env!("CARGO_BIN_EXE_hullwatch"),
            "policy",
            "init",
        ])
        .arg(dir.path().join("policy.toml"))
        .output()
        .unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("policy.toml") && text.contains("too large"),
        "{text}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// `sudo` sets these; whoever sets them otherwise gets no crash.
#[test]
fn an_invalid_caller_of_sudo_is_none() {
    for uid in ["4294967295", "-1", "ann", ""] {
        let output = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
            .args(["policy", "check", "/nosuch/p.toml"])
            .env("SUDO_UID", uid)
            .output()
            .unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{uid}: {text}");
        assert!(text.contains("p.toml: No such file"), "{uid}: {text}");
    }
}
