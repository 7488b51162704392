//! The screen in a real pseudo-terminal: what is sent, and that it is always given back.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::io::{Read as _, Write};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

struct Screen {
    master: Option<Box<dyn MasterPty + Send>>,
    child: Box<dyn Child + Send + Sync>,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    writer: RefCell<Box<dyn Write + Send>>,
}

impl Screen {
    fn open(environment: &[(&str, &str)]) -> Self {
        Self::open_with(&[], environment)
    }

    fn open_with(options: &[&str], environment: &[(&str, &str)]) -> Self {
        let program = env!("CARGO_BIN_EXE_hullwatch");
        Self::start(&[&[program, "demo"], options].concat(), environment)
    }

    fn start(words: &[&str], environment: &[(&str, &str)]) -> Self {
        let size = PtySize {
            rows: 24,
            cols: 80,
            ..PtySize::default()
        };
        let pty = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(words[0]);
        command.args(&words[1..]);
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        command.env_remove("NO_COLOR");
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pty.slave.spawn_command(command).unwrap();
        let mut reader = pty.master.try_clone_reader().unwrap();
        let (out, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                if out.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        let writer = RefCell::new(pty.master.take_writer().unwrap());
        let mut screen = Self {
            writer,
            master: Some(pty.master),
            child,
            output,
            seen: Vec::new(),
        };
        screen.wait_for("NAME");
        screen
    }

    fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while !contains(&self.seen, text) {
            let left = until.saturating_duration_since(Instant::now());
            let more = self.output.recv_timeout(left);
            self.seen
                .extend(more.unwrap_or_else(|_| panic!("no {text:?}")));
        }
    }

    fn type_in(&self, keys: &str) {
        let mut writer = self.writer.borrow_mut();
        writer.write_all(keys.as_bytes()).unwrap();
    }

    /// Takes what comes until the picture of a terminal of that size is as wanted.
    fn shows(&mut self, rows: u16, cols: u16, wanted: impl Fn(&vt100::Screen) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        let [height, width] = [rows, cols].map(|n| n.try_into().unwrap());
        let mut terminal = vt100::Parser::new(height, width, 0);
        terminal.process(&self.seen);
        while !wanted(terminal.screen()) {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(more) = self.output.recv_timeout(left) else {
                panic!("{rows}x{cols}:\n{}", terminal.screen().contents());
            };
            terminal.process(&more);
            self.seen.extend(more);
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.process_id().unwrap().to_string();
        let done = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(done.success());
    }

    /// Waits for the end; true when it came of itself.
    fn ended(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if self.child.try_wait().unwrap().is_some() {
                while let Ok(more) = self.output.recv_timeout(Duration::from_millis(200)) {
                    self.seen.extend(more);
                }
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill().unwrap();
        false
    }

    fn given_back(&self) {
        assert!(contains(&self.seen, "\u{1b}[?1049l"), "alternate screen");
        assert!(contains(&self.seen, "\u{1b}[?25h"), "cursor");
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[test]
fn leaves_on_q_and_asks_the_terminal_nothing() {
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
    screen.type_in("2");
    screen.wait_for("FINDING");
    screen.type_in("q");
    assert!(screen.ended());
    screen.given_back();
}

#[test]
fn gives_the_terminal_back_on_every_signal() {
    for signal in ["-TERM", "-INT", "-HUP", "-QUIT"] {
        let mut screen = Screen::open(&[]);
        screen.signal(signal);
        assert!(screen.ended(), "{signal}");
        screen.given_back();
    }
}

#[test]
fn gives_the_terminal_back_when_it_fails() {
    let mut screen = Screen::open_with(&["--panic-after", "1s"], &[]);
    assert!(screen.ended());
    screen.given_back();
    // What went wrong is said on the terminal as it was before.
    let text = String::from_utf8_lossy(&screen.seen).into_owned();
    let (_, after) = text.rsplit_once("\u{1b}[?1049l").unwrap();
    assert!(after.contains("as --panic-after asked"), "{after:?}");
    assert!(!screen.child.try_wait().unwrap().unwrap().success());
}

#[test]
fn stops_and_comes_back_as_the_shell_asks() {
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
        let until = Instant::now() + Duration::from_secs(10);
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
fn is_gone_when_the_terminal_is() {
    let mut screen = Screen::open(&[]);
    screen.master = None;
    screen.writer.replace(Box::new(std::io::sink()));
    // Nobody listens to the reader: it ends with the next picture, and the terminal with it.
    screen.output = channel().1;
    assert!(screen.ended(), "left behind without a terminal");
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
        // Below the first line, the views and the titles of the columns: the letter, the name.
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
        screen.type_in("3");
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
            // The last column of the first line is what the header ends with.
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
fn the_mouse_is_taken_only_when_asked_and_given_back() {
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
fn is_gone_when_the_terminal_is_although_hang_ups_are_ignored() {
    let program = env!("CARGO_BIN_EXE_hullwatch");
    let ignoring = format!("trap '' HUP; exec {program} demo");
    let mut screen = Screen::start(&["sh", "-c", &ignoring], &[]);
    screen.master = None;
    screen.writer.replace(Box::new(std::io::sink()));
    screen.output = channel().1;
    assert!(screen.ended(), "left behind without a terminal");
}

#[test]
fn says_so_where_there_is_no_terminal() {
    let out = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(error.contains("hullwatch watch"), "{error}");
    assert_eq!(error.trim().lines().count(), 1, "{error}");
}
