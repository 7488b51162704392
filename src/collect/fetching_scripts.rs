//! Notes, in the event of a downloader's start, the shell script that runs as commands what the downloader
//! prints: only the script's text shows that.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use super::look_limit::LookLimit;
use crate::catalog::path::absolute;
use crate::containers::{open_on_root, parent_of, split_argv};
use crate::detect::{runs_output_of, script_of_shell};
use crate::event::{Bytes, Exec, Kind, Timestamp};

/// Longer scripts are read up to here.
const MAX_BYTES: u64 = 64 << 10;
/// Maximum number of processes between the script and the downloader, such as `timeout`.
const MAX_LEVELS: usize = 2;

/// Reads the scripts that start downloaders, within a bound.
#[derive(Debug, Default)]
pub(super) struct FetchingScripts {
    limit: LookLimit,
}

impl FetchingScripts {
    /// Notes the script that runs what the downloader prints. `init` is the container's init, or else the
    /// process.
    pub(super) fn note(&mut self, ts: Timestamp, init: u32, kind: &mut Kind) {
        if let Kind::Exec(exec) = kind
            && !exec.runtime
            && crate::detect::is_downloader(exec)
            && self.limit.allows(ts)
        {
            exec.run_by = look(init, exec);
        }
    }
}

/// `None` when no script is above, when it is on a volume, or when it uses the output as data.
fn look(init: u32, exec: &Exec) -> Option<Bytes> {
    let script = script_above(exec.ppid)?;
    runs_output_of(&text(init, &script)?, exec).then_some(script)
}

/// The path of the script that the nearest shell runs, from this process up.
fn script_above(mut pid: u32) -> Option<Bytes> {
    for _ in 0..=MAX_LEVELS {
        let argv = command_line(pid)?;
        if let Some(script) = script_of_shell(&argv) {
            let directory = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
            return Some(Bytes::from(absolute(bytes_of(&directory), script)));
        }
        pid = parent_of(pid)?;
    }
    None
}

fn bytes_of(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes()
}

fn command_line(pid: u32) -> Option<Vec<Bytes>> {
    let mut line = Vec::new();
    let file = File::open(format!("/proc/{pid}/cmdline")).ok()?;
    file.take(4096).read_to_end(&mut line).ok()?;
    Some(split_argv(&line))
}

fn text(init: u32, path: &Bytes) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let file = open_on_root(init, path).ok()?;
    file.take(MAX_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_above_a_downloader_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().canonicalize().unwrap();
        let pipe = std::process::Stdio::piped;
        std::fs::write(directory.join("script.sh"), "timeout 60 cat\n").unwrap();
        let mut shell = std::process::Command::new("sh")
            .arg("./script.sh")
            .current_dir(&directory)
            .stdin(pipe())
            .stdout(pipe())
            .spawn()
            .unwrap();
        // What it starts answers, so that it has become the shell.
        let mut input = shell.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, b"x").unwrap();
        let mut answer = [0];
        let mut output = shell.stdout.take().unwrap();
        output.read_exact(&mut answer).unwrap();
        let script = Bytes::new(bytes_of(&directory.join("script.sh")));
        assert_eq!(script_above(shell.id()), Some(script));
        drop(input);
        shell.wait().unwrap();
    }
}
