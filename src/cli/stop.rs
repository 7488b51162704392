//! `hullwatch stop`: end a recording that runs in the background.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use procfs::process::Process;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::failure::say;
use super::{Failure, underway};
use crate::recording::path_is_written;

/// A recorder that takes longer to close its file waits for a disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// End a recording that runs in the background
///
/// Returns when its file is complete.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The session file that is being recorded [default: the only one under way]
    file: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let one = underway::one(args.file.as_deref())?;
    let name = one.path.display();
    let fail = |why: &dyn std::fmt::Display| Failure::expected(format!("{name}: {why}"));
    let pid = Pid::from_raw(one.pid).ok_or_else(|| fail(&"its recorder is not known"))?;
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|e| fail(&e))?;
    // Whoever has that number now is who is signalled below, whatever ends meanwhile.
    if !records(one.pid) || !underway::all().contains(&one) {
        return Err(fail(&format!(
            "process {pid} makes it, which is no hullwatch record: end the recording there",
            pid = one.pid
        )));
    }
    pidfd_send_signal(&process, Signal::TERM).map_err(|e| fail(&e))?;
    let until = Instant::now() + PATIENCE;
    while path_is_written(&one.path) {
        if Instant::now() >= until {
            let seconds = PATIENCE.as_secs();
            return Err(fail(&format!(
                "not closed {seconds} seconds after process {} was asked to end",
                one.pid
            )));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    say(format!("{name}: the recording has ended"));
    Ok(ExitCode::SUCCESS)
}

/// Whether a process runs `hullwatch record`.
fn records(pid: i32) -> bool {
    let line = Process::new(pid).and_then(|process| process.cmdline());
    line.is_ok_and(|line| line.get(1).is_some_and(|command| command == "record"))
}
