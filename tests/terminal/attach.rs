//! A recording separate from its screen: it survives the terminal, and a screen can attach again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::{BUSYBOX, Engine, engine_is_ready};
use crate::screen::{Screen, at_home};

/// A recording in the background, ended with the test at the latest.
struct Background {
    file: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

fn hullwatch(args: &[&str], environment: &[(&str, OsString)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hullwatch"));
    command.args(args).envs(environment.iter().cloned());
    command.output().unwrap()
}

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

impl Background {
    fn start(folder: &Path) -> Self {
        let environment = at_home(folder);
        let file = folder.join("session.jsonl.zst");
        let name = file.to_str().unwrap().to_owned();
        let out = hullwatch(&["record", "--detach", &name], &environment);
        assert!(out.status.success(), "{}", stderr(&out));
        assert!(
            stderr(&out).contains("hullwatch attach"),
            "{}",
            stderr(&out)
        );
        Self { file, environment }
    }

    fn name(&self) -> &str {
        self.file.to_str().unwrap()
    }

    fn attach(&self) -> Screen {
        let words = [env!("CARGO_BIN_EXE_hullwatch"), "attach", self.name()];
        Screen::start(&words, &self.environment)
    }

    fn run(&self, verb: &str) -> Output {
        hullwatch(&[verb, self.name()], &self.environment)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.run("stop");
    }
}

#[test]
fn a_recording_outlives_its_screen_and_can_be_attached_again() {
    if !engine_is_ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let recording = Background::start(folder.path());
    let container = Engine::tests().run(&["--name", "hw-attached"], BUSYBOX, &["sleep", "600"]);
    let mut screen = recording.attach();
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("LIVE") && text.contains("● REC") && text.contains("hw-attached")
    });
    container.sh("cp /bin/busybox /tmp/true && /tmp/true");
    screen.type_in("3");
    screen.type_in("/hw-attached sev>=m\r");
    screen.shows(24, 80, |picture| picture.contents().contains("/tmp/true"));

    // The screen ends as when its terminal closes (which would type a last line here), and nothing
    // else.
    screen.signal("-HUP");
    assert!(screen.ended(), "left behind");
    container.sh("echo hole:x:0:0::/:/bin/sh >> /etc/passwd");
    let mut screen = recording.attach();
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("hw-attached sev>=m")
            && text.contains("[3 Find")
            && text.contains("/tmp/true")
            && text.contains("/etc/passwd")
    });

    // Goes back in time, and leaves.
    screen.type_in(",");
    screen.shows(24, 80, |picture| picture.contents().contains("PAUSED -"));
    screen.type_in("q");
    assert!(screen.ended());
    screen.given_back();
    let mut screen = recording.attach();
    screen.shows(24, 80, |picture| picture.contents().contains("PAUSED -"));
    screen.type_in("=");
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("LIVE") && text.contains("/etc/passwd")
    });

    // A silence written here is in force in the recorder.
    screen.type_in("G");
    screen.settle();
    screen.type_in("a");
    screen.shows(24, 80, |picture| {
        picture.contents().contains("accepts just this for 30 days")
    });
    screen.type_in("y");
    let policy = folder.path().join("config/hullwatch/policy.toml");
    screen.shows(24, 80, |picture| {
        picture.contents().contains("silenced moved program")
    });
    let written = std::fs::read_to_string(&policy).unwrap();
    assert!(written.contains("hw-attached"), "{written}");

    // The attached screen reports the end.
    let out = recording.run("stop");
    assert!(out.status.success(), "{}", stderr(&out));
    screen.shows(24, 80, |picture| {
        picture.contents().contains("the recording has ended")
    });
    screen.type_in("q");
    assert!(screen.ended());
    let out = hullwatch(&["replay", "--findings", recording.name()], &[]);
    assert!(out.status.success(), "{}", stderr(&out));
    let log = std::fs::read_to_string(format!("{}.log", recording.name())).unwrap();
    assert!(log.contains("recorded "), "{log}");
}

#[test]
fn a_failed_background_start_is_reported() {
    if !engine_is_ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.jsonl");
    let name = file.to_str().unwrap();
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, "wrong = 1\n").unwrap();
    let policy = policy.to_str().unwrap();
    let out = hullwatch(&["record", "--detach", name, "--policy", policy], &[]);
    assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
    assert!(
        stderr(&out).contains("policy.toml: line 1"),
        "{}",
        stderr(&out)
    );
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    for command in ["stop", "attach"] {
        let out = hullwatch(&[command, policy], &[]);
        assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
    }
}
