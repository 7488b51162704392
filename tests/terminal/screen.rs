//! The program in a pseudo-terminal, and its output.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::common::{Engine, PATIENCE};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// A way to end a screen, and whether it is killed by that.
pub type ScreenEnd = (fn(&mut Screen), bool);

pub struct Screen {
    pub master: Option<Box<dyn MasterPty + Send>>,
    pub child: Box<dyn Child + Send + Sync>,
    pub output: Receiver<Vec<u8>>,
    pub seen: Vec<u8>,
    pub writer: RefCell<Box<dyn Write + Send>>,
}

impl Screen {
    pub fn open(environment: &[(&str, &str)]) -> Self {
        Self::open_with(&[], environment)
    }

    pub fn open_with(options: &[&str], environment: &[(&str, &str)]) -> Self {
        let program = env!("CARGO_BIN_EXE_hullwatch");
        let mut screen = Self::start(
            &[&[program, "demo", "--play"], options].concat(),
            environment,
        );
        screen.wait_for("NAME");
        screen
    }

    pub fn start(words: &[&str], environment: &[(impl AsRef<OsStr>, impl AsRef<OsStr>)]) -> Self {
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
        Self {
            writer,
            master: Some(pty.master),
            child,
            output,
            seen: Vec::new(),
        }
    }

    pub fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !contains(&self.seen, text) {
            let left = until.saturating_duration_since(Instant::now());
            let more = self.output.recv_timeout(left);
            self.seen
                .extend(more.unwrap_or_else(|_| panic!("no {text:?}")));
        }
    }

    /// Waits until a key is no longer part of a sequence, and its effect is drawn.
    pub fn settle(&mut self) {
        while self.sent_within(Duration::from_millis(400)) > 0 {}
    }

    pub fn type_in(&self, keys: &str) {
        let mut writer = self.writer.borrow_mut();
        writer.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads output until the frame of a terminal of that size is as expected.
    pub fn shows(&mut self, rows: u16, cols: u16, wanted: impl Fn(&vt100::Screen) -> bool) {
        let until = Instant::now() + PATIENCE;
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

    pub fn signal(&self, name: &str) {
        let pid = self.child.process_id().unwrap().to_string();
        let done = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(done.success());
    }

    /// Number of bytes within that time.
    pub fn sent_within(&mut self, time: Duration) -> usize {
        let (until, before) = (Instant::now() + time, self.seen.len());
        while let Ok(more) = self
            .output
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            self.seen.extend(more);
        }
        self.seen.len() - before
    }

    /// Closes the terminal.
    pub fn hang_up(&mut self) {
        self.master = None;
        self.writer.replace(Box::new(std::io::sink()));
        // The reader's channel is closed: it ends with the next frame, and the terminal with it.
        self.output = channel().1;
    }

    /// Waits for the end; true if the program ended by itself. It must not crash.
    pub fn ended(&mut self) -> bool {
        self.ended_as(false)
    }

    /// Waits for the end, by a signal or not.
    pub fn ended_as(&mut self, killed: bool) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(status.signal().is_some(), killed, "{status:?}");
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

    /// Waits for the end, as [`Self::ended`]; false also when the program panicked. A loop that is
    /// stuck when its terminal closes ends with 1.
    pub fn left_well(&mut self) -> bool {
        self.ended() && self.child.try_wait().unwrap().unwrap().exit_code() != 101
    }

    pub fn given_back(&self) {
        assert!(contains(&self.seen, "\u{1b}[?1049l"), "alternate screen");
        assert!(contains(&self.seen, "\u{1b}[?25h"), "cursor");
    }
}

/// The tests' engine, and a separate home directory for the program's files.
pub fn at_home(folder: &Path) -> Vec<(&'static str, OsString)> {
    vec![
        ("DOCKER_HOST", Engine::tests().0.into()),
        ("XDG_CONFIG_HOME", folder.join("config").into()),
        ("XDG_STATE_HOME", folder.join("state").into()),
    ]
}

pub fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
