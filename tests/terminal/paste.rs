//! Pasted text and stray keys change nothing: no policy, no file, no recording.

use std::path::Path;

use crate::common::{BUSYBOX, Engine, engine_is_ready};
use crate::screen::{Screen, at_home, contains};

/// Text meant for a shell.
const MEANT_FOR_A_SHELL: &str =
    "a docker exec web sh -c 'rm -rf E'\nr\naa\nrr\nE\ne\n:record\n!\nU\n:q\nq\ny\n";

fn text(screen: &mut Screen, wanted: &str) {
    screen.shows(24, 80, |picture| picture.contents().contains(wanted));
}

/// Pasted text with the terminal's marks.
fn pasted(text: &str) -> String {
    format!("\u{1b}[200~{text}\u{1b}[201~")
}

#[test]
fn pastes_are_marked_while_the_screen_is_there() {
    let mut screen = Screen::open(&[]);
    assert!(contains(&screen.seen, "\u{1b}[?2004h"));
    screen.signal("-TERM");
    assert!(screen.ended());
    assert!(contains(&screen.seen, "\u{1b}[?2004l"));
}

#[test]
fn pasted_text_goes_into_an_open_line_and_nowhere_else() {
    let mut screen = Screen::open(&[]);
    screen.type_in(&pasted(MEANT_FOR_A_SHELL));
    text(&mut screen, "pasted text is not read as keys");
    screen.type_in("/");
    text(&mut screen, "\n/");
    screen.type_in(&pasted("shop\n:q\nq"));
    text(&mut screen, "/shop :q q");
    screen.type_in("\u{15}");
    screen.type_in(&pasted("shop-web\n"));
    text(&mut screen, "/shop-web");
    screen.type_in("\r");
    // A filter is in force, and its line is closed: the next key is an action.
    text(&mut screen, "1 of ");
    screen.type_in("q");
    assert!(screen.ended());
}

#[test]
fn stray_keys_write_no_file() {
    let mut screen = Screen::open(&[]);
    screen.type_in("3e");
    text(&mut screen, "ignored: this many keys at once");
    screen.settle();
    screen.type_in("q");
    assert!(screen.ended());
}

fn recordings(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("hullwatch-")).count()
}

#[test]
fn the_policy_and_recordings_are_changed_by_keys_pressed_on_purpose() {
    if !engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let container = engine.run(&["--name", "hw-pasted"], BUSYBOX, &["sleep", "600"]);
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("config/hullwatch/policy.toml");
    let program = env!("CARGO_BIN_EXE_hullwatch");
    let there = format!("cd '{}' && exec '{program}'", folder.path().display());
    let mut screen = Screen::start(&["sh", "-c", &there], &at_home(folder.path()));
    text(&mut screen, "hw-pasted");
    container.sh("mkdir -p /etc/cron.d && echo x > /etc/cron.d/pasted");
    screen.type_in("3");
    text(&mut screen, "cron.d/pasted");
    let unchanged = |screen: &mut Screen| {
        assert!(screen.child.try_wait().unwrap().is_none(), "it left");
        unchanged_files(&policy, folder.path());
    };

    screen.type_in(&pasted(MEANT_FOR_A_SHELL));
    text(&mut screen, "pasted text is not read as keys");
    unchanged(&mut screen);
    // A terminal without such marks sends it as keys.
    screen.type_in(MEANT_FOR_A_SHELL);
    screen.type_in("\u{1b}");
    screen.settle();
    unchanged(&mut screen);
    screen.type_in("\u{3}");
    assert!(screen.ended());

    // A stray key opens the question, another key does not answer it.
    let mut screen = Screen::start(&["sh", "-c", &there], &at_home(folder.path()));
    text(&mut screen, "hw-pasted");
    container.sh("echo x > /etc/cron.d/again");
    screen.type_in("3");
    text(&mut screen, "cron.d/again");
    screen.type_in("r");
    text(&mut screen, "r again (or y) records this host");
    screen.type_in("j");
    screen.settle();
    screen.type_in("a");
    text(&mut screen, "a again (or y) accepts just this for 30 days");
    unchanged_files(&policy, folder.path());
    screen.type_in("a");
    text(&mut screen, "silenced (U undoes)");
    assert!(policy.exists());
    screen.type_in("r");
    text(&mut screen, "r again (or y) records this host");
    screen.type_in("r");
    text(&mut screen, "● REC");
    assert_eq!(recordings(folder.path()), 1);
    screen.type_in("\u{3}");
    assert!(screen.ended());
}

fn unchanged_files(policy: &Path, folder: &Path) {
    assert!(!policy.exists(), "{:?}", std::fs::read_to_string(policy));
    assert_eq!(recordings(folder), 0);
}
