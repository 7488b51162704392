//! `hullwatch record`: records all events into a file.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use super::error::print_message;
use super::signals::StopSignal;
use super::sinks::SinkArgs;
use super::{CliError, LiveArgs, live, record_ring};
use crate::collect::give_up_files;
use crate::recording::RecordingError;
use crate::user_files::{self, Creation};

/// Record what containers on this host do
///
/// Never overwrites a file. Ends with Ctrl-C, after --duration, or, when detached, with hullwatch
/// stop. With --ring it records the last hours for as long as it runs, into segments, each a
/// complete recording; the oldest are removed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to create; a name ending in .zst is compressed
    #[arg(required_unless_present = "directory")]
    file: Option<PathBuf>,

    #[command(flatten)]
    ring: record_ring::RingArgs,

    /// End after this time, e.g. 10s, 5m
    #[arg(long, value_name = "TIME", value_parser = live::duration)]
    duration: Option<Duration>,

    /// Record in the background, independent of the terminal: hullwatch attach shows the recording,
    /// hullwatch stop ends it, messages go to FILE.log
    #[arg(long, conflicts_with = "directory")]
    detach: bool,

    /// Run as the background process of --detach
    #[arg(long, hide = true, conflicts_with = "detach")]
    detached: bool,

    #[command(flatten)]
    sinks: SinkArgs,

    #[command(flatten)]
    live: LiveArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if let Some(directory) = &args.ring.directory {
        let sinks = args.sinks.start()?;
        return record_ring::run(directory, &args.ring, &args.live, sinks, args.duration);
    }
    let Some(file) = &args.file else {
        return Err(CliError::expected("give a file to create, or --ring DIR"));
    };
    if args.detach {
        return detach(file);
    }
    if args.detached {
        // Leaves the terminal's session, so that its end does not end the recording.
        rustix::process::setsid().map_err(std::io::Error::from)?;
    }
    // While files may be opened for writing.
    let nothing = File::options().write(true).open("/dev/null")?;
    let ended = StopSignal::install()?;
    let mut sinks = args.sinks.start()?;
    let tap = sinks.tap(Some(Box::new(live::PolicyReporter)));
    let live = live::start(&args.live, tap, Some(file))?;
    sinks.begin(&live)?;
    give_up_files();
    if args.detached {
        tell_ready(&nothing)?;
    }
    let deadline = args.duration.map(|d| Instant::now() + d);
    let mut engine = live::EngineReporter::new(&args.live);
    let mut clock = live::ClockReporter::default();
    let mut room = live::RoomReporter::default();
    let mut calls = live::CallReporter::default();
    while !ended.ended()
        && deadline.is_none_or(|at| Instant::now() < at)
        && live::recording_error(&live).is_none()
    {
        engine.look(&live);
        clock.look(&live);
        room.look(&live);
        calls.look(&live);
        sinks.look();
        std::thread::sleep(Duration::from_millis(50));
    }
    sinks.stop(live)?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the recorder in the background; returns when it records.
fn detach(file: &Path) -> Result<ExitCode, CliError> {
    let file = std::path::absolute(file)?;
    if file.exists() {
        return Err(RecordingError::Exists(file).into());
    }
    let mut log = file.clone().into_os_string();
    log.push(".log");
    let log = PathBuf::from(log);
    let mut messages = user_files::create(&log, Creation::Append)
        .map_err(|error| RecordingError::create(&log, error))?;
    let arguments = std::env::args_os().skip(1).map(|argument| {
        if argument == "--detach" {
            OsString::from("--detached")
        } else {
            argument
        }
    });
    let mut child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(messages.try_clone()?)
        .spawn()?;
    let mut ready = Vec::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_end(&mut ready)?;
    }
    if ready.is_empty() {
        let status = child.wait()?;
        // The file that was made above, whatever has its name now.
        let mut why = Vec::new();
        messages.rewind()?;
        messages.read_to_end(&mut why)?;
        if why.is_empty() {
            // It could say nothing: the disk is full.
            let cause = messages.write_all(b"\n").err();
            let cause = cause.map_or("it did not say why".to_owned(), |error| error.to_string());
            print_message(format!(
                "{}: the recording did not begin, and no message could be written to {}: {cause}",
                file.display(),
                log.display()
            ));
        }
        user_files::remove(&log)?;
        for line in String::from_utf8_lossy(&why).lines() {
            print_message(line.strip_prefix("hullwatch: ").unwrap_or(line));
        }
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(ExitCode::from(code.unwrap_or(2)));
    }
    print_message(format!(
        "recording to {name} as process {pid}: hullwatch attach shows it, hullwatch stop ends \
         it; messages go to {log}",
        name = file.display(),
        pid = child.id(),
        log = log.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Reports to the starting process that recording has begun, and closes the pipe to it: `nothing` takes
/// its place.
fn tell_ready(nothing: &File) -> Result<(), CliError> {
    let mut out = stdout();
    // The starting process may be gone; the recording continues.
    let _ = out.write_all(b"ready\n").and_then(|()| out.flush());
    rustix::stdio::dup2_stdout(nothing).map_err(std::io::Error::from)?;
    Ok(())
}
