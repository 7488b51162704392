//! The screen of another host, with programs that behave as ssh, sudo and hullwatch there may.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::link::{recordings_in, script, until};
use crate::screen::{Screen, ScreenEnd};

/// Bytes of a recorded break-in.
const DEMO: &[u8] = include_bytes!("../../demo/break-in.jsonl.zst");

/// Programs that take the place of ssh, and of those of the other host.
struct FakeHost {
    folder: tempfile::TempDir,
}

impl FakeHost {
    /// `hullwatch`: what it does there, as shell lines; none: it is missing there.
    fn new(hullwatch: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let bin = dir.join("bin");
        std::fs::create_dir(&bin).unwrap();
        if let Some(text) = hullwatch {
            script(&bin.join("hullwatch"), text);
        }
        script(&bin.join("id"), "echo 1000");
        // Asks for a password, as sudo -S -p PROMPT -- COMMAND does.
        let sudo = "[ \"$1 $2 $4\" = '-S -p --' ] || exit 9\n\
                    while :; do printf %s \"$3\" >&2; IFS= read -r typed || exit 1\n\
                    [ \"$typed\" = 'right one' ] && break; echo 'Sorry, try again.' >&2; done\n\
                    shift 4; exec \"$@\"";
        script(&bin.join("sudo"), sudo);
        let at = dir.display();
        // Everything up to -- HOST is ssh's own.
        let ssh = format!(
            "echo \"$*\" >>{at}/arguments\nwhile [ \"$1\" != -- ]; do shift; done\n\
             PATH={at}/bin:/usr/bin:/bin exec /bin/sh -c \"$3\""
        );
        script(&dir.join("ssh"), &ssh);
        Self { folder }
    }

    fn temporary_files(&self) -> Vec<PathBuf> {
        recordings_in(self.folder.path())
    }

    fn show(&self, host: &str) -> Screen {
        let dir = self.folder.path();
        let program = env!("CARGO_BIN_EXE_hullwatch");
        let environment: Vec<(&str, OsString)> = vec![
            ("HULLWATCH_SSH", dir.join("ssh").into()),
            ("XDG_CONFIG_HOME", dir.join("here").into()),
            ("XDG_STATE_HOME", dir.join("state").into()),
            ("TMPDIR", dir.into()),
        ];
        Screen::start(&[program, "--ssh", host], &environment)
    }
}

/// The demo, as the other side sends it.
fn sent() -> Vec<u8> {
    let mut bytes = b"Welcome!\nHULLWATCH-LINK 1 0.1.0 ready\n".to_vec();
    for (number, content) in DEMO.chunks(10_000).enumerate() {
        bytes.push(b'd');
        bytes.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
        bytes.extend((number as u64 * 10_000).to_be_bytes());
        bytes.extend(content);
    }
    bytes
}

#[test]
fn sudos_password_is_asked_for_before_the_screen_and_kept_out_of_sight() {
    let host = FakeHost::new(Some("cat \"${0%/bin/hullwatch}/sent\"; cat >/dev/null"));
    std::fs::write(host.folder.path().join("sent"), sent()).unwrap();
    let mut screen = host.show("ann@box");
    screen.wait_for("sudo password on ann@box: ");
    screen.type_in("wrong one\r");
    screen.wait_for("Sorry, try again.\r\nsudo password on ann@box: ");
    screen.type_in("right one\r");
    screen.shows(24, 80, |picture| picture.contents().contains("shop-"));
    // Nor is it in the file of a crash.
    let limits = format!("/proc/{}/limits", screen.child.process_id().unwrap());
    let limits = std::fs::read_to_string(limits).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core"));
    assert_eq!(
        core.unwrap().split_whitespace().nth(4),
        Some("0"),
        "{limits}"
    );
    screen.type_in("q");
    assert!(screen.ended());
    screen.given_back();
    let seen = String::from_utf8_lossy(&screen.seen).into_owned();
    assert!(!seen.contains("right one"), "{seen:?}");
    let arguments = std::fs::read_to_string(host.folder.path().join("arguments")).unwrap();
    assert!(!arguments.contains("right one"), "{arguments}");
    assert!(
        arguments.contains("-- ann@box exec /bin/sh -c"),
        "{arguments}"
    );
}

#[test]
fn whoever_leaves_while_the_link_begins_ends_the_collector_there() {
    // It greets, and then sends nothing.
    let text = "echo HULLWATCH-LINK 1 0.1.0 ready; cat >\"${0%/bin/hullwatch}/answers\"";
    let ends: [ScreenEnd; 4] = [
        (|screen| screen.type_in("\u{3}"), false),
        (Screen::hang_up, false),
        (|screen| screen.signal("-TERM"), false),
        (|screen| screen.signal("-KILL"), true),
    ];
    for (end, killed) in ends {
        let host = FakeHost::new(Some(text));
        script(&host.folder.path().join("bin/id"), "echo 0");
        let mut screen = host.show("box");
        let answers = || {
            let path = host.folder.path().join("answers");
            std::fs::read_to_string(path).unwrap_or_default()
        };
        until("it does not begin", || answers() == "from 0\n");
        assert_eq!(host.temporary_files(), [] as [PathBuf; 0]);
        end(&mut screen);
        assert!(screen.ended_as(killed));
        until("no goodbye", || answers() == "from 0\nbye\n");
    }
}

#[test]
fn a_signal_while_sudos_password_is_typed_gives_the_terminal_back() {
    let host = FakeHost::new(None);
    let mut screen = host.show("ann@box");
    screen.wait_for("sudo password on ann@box: ");
    screen.signal("-TERM");
    assert!(screen.ended());
    screen.wait_for("no password: interrupted");
}

#[test]
fn another_host_that_sends_nonsense_ends_the_link_and_the_screen_stays() {
    // Again from the beginning, although the screen has everything.
    let host = FakeHost::new(Some("cat \"${0%/bin/hullwatch}/sent\""));
    script(&host.folder.path().join("bin/id"), "echo 0");
    std::fs::write(host.folder.path().join("sent"), sent()).unwrap();
    let mut screen = host.show("box");
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("shop-") && text.contains("LINK ENDED")
    });
    screen.type_in("q");
    assert!(screen.ended());
    screen.given_back();
    screen.wait_for("box: the other side sent byte 0 instead of");
}

#[test]
fn what_is_missing_there_is_said_before_the_screen() {
    let told = |hullwatch: Option<&str>, host: &str| {
        let fake = FakeHost::new(hullwatch);
        script(&fake.folder.path().join("bin/id"), "echo 0");
        let mut screen = fake.show(host);
        assert!(screen.ended(), "{host}");
        let status = screen.child.try_wait().unwrap().unwrap();
        assert_eq!(status.exit_code(), 2, "{host}");
        let text = String::from_utf8_lossy(&screen.seen).into_owned();
        assert!(!text.contains("\u{1b}[?1049h"), "{text}");
        text
    };
    let text = told(None, "box");
    assert!(
        text.contains("box: hullwatch was not found there"),
        "{text}"
    );
    let text = told(Some("echo 'HULLWATCH-LINK 99 9.9.9 ready'; cat"), "box");
    assert!(text.contains("hullwatch there has version 9.9.9"), "{text}");
    let text = told(
        Some("echo \"error: unrecognized subcommand 'serve'\" >&2; exit 2"),
        "box",
    );
    assert!(
        text.contains("box: hullwatch there is another version"),
        "{text}"
    );
    let text = told(
        Some("printf 'hullwatch: no BTF \\033[2J' >&2; exit 2"),
        "box",
    );
    assert!(text.contains("box: no BTF \\x1b[2J"), "{text}");
    let text = told(Some("yes"), "box");
    assert!(text.contains("prints too much"), "{text}");
    let text = told(
        Some("printf 'Verification code: ' >&2; exec sleep 60"),
        "box",
    );
    assert!(text.contains("it asks \"Verification code:\""), "{text}");
    let text = told(None, "-oProxyCommand=id");
    assert!(text.contains("must not begin with -"), "{text}");
    let text = told(None, "ann@box;id");
    assert!(text.contains("must not contain"), "{text}");
}
