//! The screen in a real pseudo-terminal: its output, and that the terminal is always restored.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod attach;
#[path = "../common/mod.rs"]
mod common;
mod learn;
mod link;
mod link_begins;
mod live;
mod paste;
mod ring;
mod screen;

use std::process::Command;
use std::time::{Duration, Instant};

use portable_pty::PtySize;
use screen::{Screen, contains};

#[test]
fn quits_on_q_and_never_queries_the_terminal() {
    let mut screen = Screen::open(&[]);
    for query in [
        "\u{1b}[6n",
        "\u{1b}[c",
        "\u{1b}[0c",
        "\u{1b}[>c",
        "\u{1b}]11;?",
    ] {
        assert!(!contains(&screen.seen, query), "{query:?}");
    }
    screen.type_in("3");
    screen.wait_for("FINDING");
    // Keys at once count as pasted.
    screen.settle();
    screen.type_in("q");
    assert!(screen.ended());
    screen.given_back();
}

#[test]
fn restores_the_terminal_on_every_signal() {
    for signal in ["-TERM", "-INT", "-HUP", "-QUIT"] {
        let mut screen = Screen::open(&[]);
        screen.signal(signal);
        assert!(screen.ended(), "{signal}");
        screen.given_back();
    }
}

#[test]
fn restores_the_terminal_after_a_failure() {
    let mut screen = Screen::open_with(&["--panic-after", "1s"], &[]);
    assert!(screen.ended());
    screen.given_back();
    // The error is printed on the restored terminal.
    let text = String::from_utf8_lossy(&screen.seen).into_owned();
    let (_, after) = text.rsplit_once("\u{1b}[?1049l").unwrap();
    assert!(after.contains("as requested by --panic-after"), "{after:?}");
    assert!(!screen.child.try_wait().unwrap().unwrap().success());
}

#[test]
fn suspends_and_continues() {
    let mut screen = Screen::open(&[]);
    let pid = screen.child.process_id().unwrap();
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(')').next().unwrap().trim().chars().next()
    };
    for again in ["-TSTP", "-TSTP"] {
        screen.seen.clear();
        screen.signal(again);
        screen.wait_for("\u{1b}[?1049l");
        let until = Instant::now() + common::PATIENCE;
        while state() != Some('T') {
            assert!(Instant::now() < until, "not stopped: {:?}", state());
            std::thread::sleep(Duration::from_millis(20));
        }
        screen.given_back();
        screen.seen.clear();
        screen.signal("-CONT");
        screen.wait_for("\u{1b}[?1049h");
        screen.wait_for("NAME");
    }
    screen.signal("-TERM");
    assert!(screen.ended());
}

#[test]
fn ends_with_its_terminal() {
    let mut screen = Screen::open(&[]);
    screen.hang_up();
    assert!(screen.left_well(), "left behind without a terminal");
}

#[test]
fn no_colour_means_none() {
    let screen = Screen::open(&[("NO_COLOR", "1")]);
    let text = String::from_utf8_lossy(&screen.seen).into_owned();
    for part in text.split("\u{1b}[").skip(1) {
        let Some((codes, _)) = part.split_once('m') else {
            continue;
        };
        let colours = codes.split(';').filter(|code| {
            matches!(
                code.parse::<u32>(),
                Ok(30..=38 | 40..=48 | 90..=97 | 100..=107)
            )
        });
        assert_eq!(colours.count(), 0, "colour in {codes:?}");
    }
}

#[test]
fn the_selection_is_seen_without_colours() {
    for environment in [("NO_COLOR", "1"), ("TERM", "vt100")] {
        let mut screen = Screen::open(&[environment]);
        // Below the first line, the tabs and the column titles: the letter, the name.
        screen.shows(24, 80, |picture| {
            let marked = |column| picture.cell(3, column).is_some_and(vt100::Cell::inverse);
            marked(2) && marked(4) && !marked(60)
        });
        screen.type_in("q");
        assert!(screen.ended());
    }
}

#[test]
fn only_ascii_is_sent_without_a_utf8_locale() {
    for environment in [("LC_ALL", "C"), ("TERM", "vt100")] {
        let mut screen = Screen::open(&[environment]);
        screen.type_in("4");
        screen.wait_for("COMMAND");
        screen.type_in("?");
        screen.wait_for("MOVE");
        let beyond: Vec<_> = screen.seen.iter().filter(|byte| **byte > 126).collect();
        assert!(beyond.is_empty(), "{environment:?}: {beyond:?}");
        screen.type_in("\x03");
        assert!(screen.ended());
    }
}

#[test]
fn fits_every_size_it_is_given() {
    let mut screen = Screen::open(&[]);
    for (rows, cols) in [
        (40, 120),
        (24, 80),
        (16, 60),
        (10, 40),
        (5, 20),
        (150, 500),
        (24, 80),
    ] {
        screen.seen.clear();
        let size = PtySize {
            rows,
            cols,
            ..PtySize::default()
        };
        screen.master.as_ref().unwrap().resize(size).unwrap();
        screen.shows(rows, cols, |picture| {
            let mut lines = picture.rows(0, cols);
            // The header fills the first line up to its last column.
            let first = lines.next().unwrap_or_default();
            first.contains("0 lost")
                && lines.any(|line| line.contains("shop-") || line.contains("NAME"))
        });
    }
    screen.type_in("q");
    assert!(screen.ended());
    screen.given_back();
}

#[test]
fn the_mouse_is_used_only_on_request_and_released() {
    let mut screen = Screen::open(&[]);
    assert!(!contains(&screen.seen, "\u{1b}[?1000h"));
    screen.type_in("m");
    screen.wait_for("\u{1b}[?1000h\u{1b}[?1006h");
    for motion in ["\u{1b}[?1002h", "\u{1b}[?1003h"] {
        assert!(!contains(&screen.seen, motion));
    }
    // The second view's title is clicked.
    screen.seen.clear();
    let column = 16;
    screen.type_in(&format!("\u{1b}[<0;{column};2M\u{1b}[<0;{column};2m"));
    screen.wait_for("FINDING");
    screen.type_in("m");
    screen.wait_for("\u{1b}[?1000l");
    screen.type_in("q");
    assert!(screen.ended());
}

#[test]
fn ends_with_its_terminal_although_hang_ups_are_ignored() {
    let program = env!("CARGO_BIN_EXE_hullwatch");
    let ignoring = format!("trap '' HUP; exec {program} demo --play");
    let mut screen = Screen::start(&["sh", "-c", &ignoring], &[("LC_ALL", "C.UTF-8")]);
    screen.wait_for("NAME");
    screen.hang_up();
    assert!(screen.left_well(), "left behind without a terminal");
}

#[test]
fn reports_that_there_is_no_terminal() {
    let out = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(error.contains("hullwatch watch"), "{error}");
    assert_eq!(error.trim().lines().count(), 1, "{error}");
}
