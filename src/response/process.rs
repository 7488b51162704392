//! Runs a program as arguments, never through a shell, with a time limit and a bounded answer.

use std::fs::File;
use std::io::{Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bstr::ByteSlice as _;
use rustix::process::{Pid, Signal, kill_process_group};

use super::command::CommandLine;
use crate::event::{Bytes, escape};
use crate::system;

/// Directories in which programs are searched: only root may write to them. The caller's own PATH
/// and home have no influence on programs that run with these rights.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Maximum size of an answer.
const MAX_ANSWER: u64 = 4096;
/// Interval of the check whether the program has ended.
const POLL: Duration = Duration::from_millis(20);

/// Runs a command until it ends; with `output`, its output goes there. Returns the last line that
/// it wrote.
///
/// # Errors
/// When the program is not there, fails, or does not end within `limit`: then it is killed.
pub(super) fn run(
    command: &CommandLine,
    output: Option<File>,
    limit: Duration,
) -> Result<String, String> {
    let program = command.argv.first().ok_or("no program")?;
    let path = find(program)?;
    let home = system::user(rustix::process::geteuid().as_raw()).map(|user| user.home);
    let mut child = Command::new(path)
        .args(
            command
                .argv
                .iter()
                .skip(1)
                .map(|word| std::ffi::OsStr::from_bytes(word)),
        )
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .env("HOME", home.unwrap_or_else(|| PathBuf::from("/")))
        .current_dir("/")
        .stdin(if command.input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(output.map_or_else(Stdio::piped, Stdio::from))
        .stderr(Stdio::piped())
        // A signal from the terminal does not reach it, and all processes it starts end with it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{}: {error}", escape(program)))?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), &command.input) {
        // A program that does not read its input reports that by its exit code.
        let _ = stdin.write_all(input.as_bytes());
    }
    let out = child
        .stdout
        .take()
        .map(|pipe| std::thread::spawn(move || take(pipe)));
    let err = child
        .stderr
        .take()
        .map(|pipe| std::thread::spawn(move || take(pipe)));
    let status = wait(&mut child, limit);
    let read = |thread: Option<std::thread::JoinHandle<Vec<u8>>>| {
        thread
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    };
    let status = status?;
    let (out, err) = (read(out), read(err));
    if status.success() {
        return Ok(last_line(&out));
    }
    let output = last_line(&err);
    let output = if output.is_empty() {
        last_line(&out)
    } else {
        output
    };
    let name = escape(program);
    Err(if output.is_empty() {
        format!("{name} failed: {status}")
    } else {
        format!("{name}: {output}")
    })
}

fn find(program: &Bytes) -> Result<PathBuf, String> {
    let name = std::ffi::OsStr::from_bytes(program);
    let mut folders = PATH
        .split(':')
        .map(|folder| PathBuf::from(folder).join(name));
    folders
        .find(|path| path.is_file())
        .ok_or_else(|| format!("{} is not installed in {PATH}", escape(program)))
}

fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus, String> {
    let until = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(POLL),
            Ok(None) => {
                end(child);
                return Err(format!(
                    "it did not end within {} s and was killed",
                    limit.as_secs()
                ));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended just now.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

/// The end of a program's output; reads all of it, so that the program is never blocked.
fn take(mut pipe: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count) = pipe.read(&mut buffer) {
        if count == 0 {
            break;
        }
        kept.extend_from_slice(&buffer[..count]);
        let most = usize::try_from(MAX_ANSWER).unwrap_or(usize::MAX);
        let surplus = kept.len().saturating_sub(most);
        kept.drain(..surplus);
    }
    kept
}

fn last_line(text: &[u8]) -> String {
    let line = text
        .lines()
        .rev()
        .map(<[u8]>::trim_ascii)
        .find(|line| !line.is_empty());
    String::from_utf8_lossy(line.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(words: &[&str], limit: u64) -> Result<String, String> {
        run(
            &CommandLine::new(words.iter().copied()),
            None,
            Duration::from_secs(limit),
        )
    }

    #[test]
    fn words_reach_the_program_as_they_are() {
        assert_eq!(
            answer(&["echo", "$(id)", ";", "a b"], 10).unwrap(),
            "$(id) ; a b"
        );
        let environment = answer(&["env"], 10).unwrap();
        assert!(
            !environment.contains("SUDO") && !environment.contains("CARGO"),
            "{environment}"
        );
        let cat = CommandLine {
            input: Some("typed".to_owned()),
            ..CommandLine::new(["cat"])
        };
        assert_eq!(run(&cat, None, Duration::from_secs(10)).unwrap(), "typed");
    }

    #[test]
    fn failures_contain_the_output_of_the_program() {
        let failed = answer(&["ls", "/nowhere/at/all"], 10).unwrap_err();
        assert!(failed.contains("No such file"), "{failed}");
        assert!(
            answer(&["no-such-program"], 10)
                .unwrap_err()
                .contains("not installed")
        );
        assert!(answer(&["false"], 10).unwrap_err().contains("false failed"));
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        // Its child holds the pipes open: it is ended as well.
        let late = answer(&["sh", "-c", "sleep 600 & sleep 600"], 1).unwrap_err();
        assert!(late.contains("was killed"), "{late}");
    }
}
