//! The screen in a real pseudo-terminal: what is sent, and that it is always given back.
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

struct Screen {
    master: Option<Box<dyn MasterPty + Send>>,
    child: Box<dyn Child + Send + Sync>,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Screen {
    fn open(environment: &[(&str, &str)]) -> Self {
        Self::open_with(&[], environment)
    }

    fn open_with(options: &[&str], environment: &[(&str, &str)]) -> Self {
        let size = PtySize {
            rows: 24,
            cols: 80,
            ..PtySize::default()
        };
        let pty = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_hullwatch"));
        command.arg("demo");
        command.args(options);
        command.env("TERM", "xterm-256color");
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
        let mut screen = Self {
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
    let mut keys = screen.master.as_ref().unwrap().take_writer().unwrap();
    keys.write_all(b"2").unwrap();
    screen.wait_for("RULE");
    keys.write_all(b"q").unwrap();
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
fn says_so_where_there_is_no_terminal() {
    let out = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(error.contains("hullwatch watch"), "{error}");
    assert_eq!(error.trim().lines().count(), 1, "{error}");
}
