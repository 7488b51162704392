//! `hullwatch stop`: end a recording that runs in the background.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use procfs::process::Process;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::error::print_message;
use super::{CliError, active_recordings};
use crate::recording::path_is_written;

/// How long the recorder may take to close its file; a slow disk is the only cause of delay.
const PATIENCE: Duration = Duration::from_secs(30);

/// End a recording that runs in the background
///
/// Returns when its file is complete.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file of the running recording [default: the only one]
    file: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let one = active_recordings::one(args.file.as_deref())?;
    let name = one.path.display();
    let fail = |why: &dyn std::fmt::Display| CliError::expected(format!("{name}: {why}"));
    let pid = Pid::from_raw(one.pid).ok_or_else(|| fail(&"its recorder was not found"))?;
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|e| fail(&e))?;
    // The descriptor refers to the process that has this pid now, even if it ends meanwhile.
    if !records(one.pid) || !active_recordings::all().contains(&one) {
        return Err(fail(&format!(
            "process {pid} writes it, which is not hullwatch record: end the recording there",
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
    print_message(format!("{name}: the recording has ended"));
    Ok(ExitCode::SUCCESS)
}

/// True when the process runs `hullwatch record`.
fn records(pid: i32) -> bool {
    let line = Process::new(pid).and_then(|process| process.cmdline());
    line.is_ok_and(|line| line.get(1).is_some_and(|command| command == "record"))
}
