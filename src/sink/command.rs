//! A command of the user: each message is its standard input.
//!
//! hullwatch keeps few privileges while it watches, and cannot take on the rights of the user any
//! more. So a helper process is started before that: this program again, as the user who called
//! sudo, which runs the command for each line of its input and reports the outcome. It ends with
//! hullwatch.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::thread::CapabilitySet;

use super::document::document;
use super::message::Message;
use super::worker::{Delivery, DeliveryError};
use crate::caller::{InvokingUser, with_rights};
use crate::system;

/// Time limit of the command for one message.
const TIME: Duration = Duration::from_secs(30);
/// Time limit of the helper's answer: it ends the command before.
const ANSWER: Duration = Duration::from_secs(40);
/// The helper's answer when the command succeeded.
const TAKEN: &str = "taken";

/// Runs a command for each message.
#[derive(Debug)]
pub struct CommandSink {
    helper: Child,
    /// `None` once it is over.
    input: Option<ChildStdin>,
    answers: Receiver<String>,
    host: String,
    /// It no longer answers.
    dead: bool,
}

impl CommandSink {
    /// Starts the helper: this program with `words`, as the user who called sudo. Call it before
    /// privileges are dropped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(words: &[String], host: String) -> io::Result<Self> {
        let mut helper = Command::new(std::env::current_exe()?);
        helper
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        helper
            .stderr(Stdio::null())
            .process_group(0)
            .current_dir("/");
        if let Some(user) = InvokingUser::from_environment() {
            // Without the groups of root, and with no others.
            helper.uid(user.uid).gid(user.gid);
            if let Some(home) = &user.home {
                helper.env("HOME", home);
            }
            // It already runs as that user; sudo was not used.
            helper.env_remove("SUDO_UID").env_remove("PKEXEC_UID");
        }
        let mut helper = helper.spawn()?;
        let (Some(input), Some(output)) = (helper.stdin.take(), helper.stdout.take()) else {
            return Err(io::Error::other("the helper has no pipes"));
        };
        let (send, answers) = bounded(1);
        std::thread::Builder::new()
            .name("notify".to_owned())
            .spawn(move || {
                // It reads the answers and needs no right.
                let _ = system::keep_capabilities(CapabilitySet::empty());
                let _ = system::confine_calls();
                let _ = system::confine_files();
                for line in BufReader::new(output).lines() {
                    let Ok(line) = line else { break };
                    if send.send(line).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self {
            helper,
            input: Some(input),
            answers,
            host,
            dead: false,
        })
    }
}

impl Delivery for CommandSink {
    fn deliver(&mut self, messages: &[Arc<Message>], missed: u64) -> Result<(), DeliveryError> {
        for message in messages {
            if self.dead {
                return Err(DeliveryError::lasting("the helper has ended"));
            }
            let mut line = document(&self.host, message, missed, true).to_string();
            line.push('\n');
            let written = self.input.as_mut().map(|i| i.write_all(line.as_bytes()));
            if !matches!(written, Some(Ok(()))) {
                return Err(DeliveryError::lasting("the helper has ended"));
            }
            match self.answers.recv_timeout(ANSWER) {
                Ok(answer) if answer == TAKEN => {}
                Ok(answer) => return Err(DeliveryError::passing(answer)),
                Err(RecvTimeoutError::Timeout) => {
                    self.dead = true;
                    return Err(DeliveryError::lasting("the helper does not answer"));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(DeliveryError::lasting("the helper has ended"));
                }
            }
        }
        Ok(())
    }
}

impl Drop for CommandSink {
    fn drop(&mut self) {
        // It ends with its standard input, after the running command. It may belong to another
        // user, and the right to kill that user's processes has been dropped.
        self.input = None;
        if self.helper.kill().is_ok() {
            let _ = self.helper.wait();
        }
    }
}

/// The program of a command: by its path from here, or as `PATH` leads to it. The helper works
/// elsewhere, and the first incident is too late to learn that it cannot be run.
///
/// # Errors
/// When there is no such program.
pub fn find_program(program: &str) -> Result<String, String> {
    let paths = match program.contains('/') {
        true => vec![std::path::absolute(program).map_err(|error| error.to_string())?],
        false => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join(program))
            .collect(),
    };
    let mut why = "there is no such program in PATH".to_owned();
    for path in paths {
        let to_read = path.clone();
        let facts = match with_rights(move || std::fs::metadata(to_read)) {
            Ok(facts) => facts,
            Err(error) if program.contains('/') => return Err(error.to_string()),
            Err(_) => continue,
        };
        if facts.is_file() && facts.permissions().mode() & 0o111 != 0 {
            return path
                .into_os_string()
                .into_string()
                .map_err(|_| "its path is not UTF-8".to_owned());
        }
        why = "it is not an executable file".to_owned();
    }
    Err(why)
}

/// The helper: runs `words` for each line of `input`, with the line as its standard input, and
/// answers in one line each.
///
/// # Errors
/// When the input cannot be read or the answer not be written.
pub fn run_commands(
    words: &[String],
    input: impl BufRead,
    mut answers: impl Write,
) -> io::Result<()> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(io::Error::other("no command"));
    };
    for line in input.lines() {
        let answer = match run(program, arguments, &line?) {
            Ok(()) => TAKEN.to_owned(),
            Err(why) => why.replace('\n', " "),
        };
        writeln!(answers, "{answer}")?;
        answers.flush()?;
    }
    Ok(())
}

fn run(program: &str, arguments: &[String], line: &str) -> Result<(), String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        let line = format!("{line}\n");
        // A command that does not read all of it decides itself whether that is a failure. In a
        // thread, since one that reads nothing would hold the helper.
        std::thread::spawn(move || drop(input.write_all(line.as_bytes())));
    }
    let until = Instant::now() + TIME;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("{program}: {status}")),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) => break,
            Err(error) => return Err(format!("{program}: {error}")),
        }
    }
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        // It may have ended meanwhile.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
    Err(format!(
        "{program}: it took longer than {} s",
        TIME.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(words: &[&str], input: &str) -> String {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let mut out = Vec::new();
        run_commands(&words, input.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_command_gets_each_line_and_its_failure_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("got");
        let copy = ["tee", "-a", file.to_str().unwrap()];
        assert_eq!(answers(&copy, "{\"a\":1}\n{\"b\":2}\n"), "taken\ntaken\n");
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "{\"a\":1}\n{\"b\":2}\n"
        );
        // No shell: a word stays a word.
        assert!(answers(&["false", ";", "true"], "{}\n").contains("exit status: 1"));
        assert!(answers(&["/no/such"], "{}\n").contains("/no/such: No such file"));
        // One that reads nothing is no failure.
        let much = format!("{}\n", "x".repeat(1 << 20));
        assert_eq!(answers(&["true"], &much), "taken\n");
    }
}
