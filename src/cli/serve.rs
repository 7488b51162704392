//! `hullwatch serve`: the collector that a screen on another host starts by ssh (`--ssh`).
//!
//! The collector is a process of its own, so that it survives the connection; the process that ssh
//! starts only copies bytes between the two.

use std::fs::File;
use std::io::{Read as _, Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::thread::CapabilitySet;

use super::signals::StopSignal;
use super::{CliError, LiveArgs, live};
use crate::collect::{give_up_everything, give_up_files};
use crate::link::{LINK_FOLDER, LinkSender, SessionId, listen, relay, socket_path};
use crate::recording::RecordingTarget;
use crate::system::{confine_calls_but_files, keep_capabilities};

/// How long the collector waits for a screen that is away.
const PATIENCE: Duration = Duration::from_secs(600);

/// Watch this host for a screen on another host
///
/// Started there by hullwatch --ssh. Sends a recording to standard output.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The name of the session
    #[arg(long)]
    session: SessionId,

    /// Limit of the bytes sent per second
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    bps: Option<u32>,

    /// Connect to the collector of the session, which runs
    #[arg(long)]
    resume: bool,

    /// Run as the collector
    #[arg(long, hide = true, conflicts_with = "resume")]
    collector: bool,

    #[command(flatten)]
    live: LiveArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if args.collector {
        return collect(args);
    }
    if !args.resume {
        let code = start()?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    relay(Path::new(LINK_FOLDER), &args.session, give_up_everything)?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the collector; returns when it watches, or its exit code if it does not. Its messages go to
/// stderr until then.
fn start() -> Result<ExitCode, CliError> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--collector")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut ready = Vec::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_end(&mut ready)?;
    }
    if !ready.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let code = child
        .wait()?
        .code()
        .and_then(|code| u8::try_from(code).ok());
    // It said why.
    Ok(ExitCode::from(code.filter(|code| *code != 0).unwrap_or(2)))
}

/// Watches, and sends what it records to the screen, until that is closed or away for too long.
fn collect(args: &Args) -> Result<ExitCode, CliError> {
    // Leaves the session of the login, so that its end does not end the collector.
    rustix::process::setsid().map_err(std::io::Error::from)?;
    // While files may be opened for writing.
    let nothing = File::options().write(true).open("/dev/null")?;
    let ended = StopSignal::install()?;
    let folder = Path::new(LINK_FOLDER);
    let listener = listen(folder, &args.session)
        .map_err(|error| CliError::expected(format!("{LINK_FOLDER}: {error}")))?;
    let _socket = SocketRemover::start(socket_path(folder, &args.session))?;
    let (sender, end, waiting) = LinkSender::new(listener, args.bps, PATIENCE)?;
    let live = live::start(&args.live, None, None)?;
    let target = RecordingTarget::Pipe { end, waiting };
    live.follow(target, None)
        .map_err(|error| CliError::expected(error.to_string()))?;
    let stop = Arc::new(AtomicBool::new(false));
    let stops = Arc::clone(&stop);
    let link = std::thread::Builder::new()
        .name("link".to_owned())
        .spawn(move || {
            give_up_everything();
            if let Err(error) = sender.run(&stops) {
                tracing::error!(%error, "the link failed");
            }
        })?;
    give_up_files();
    tell_ready(&nothing)?;
    while !ended.ended() && !link.is_finished() && live::recording_error(&live).is_none() {
        std::thread::sleep(Duration::from_millis(50));
    }
    stop.store(true, Ordering::Relaxed);
    // The rest goes to the screen, if it is there.
    if let Some(Err(error)) = live.stop() {
        tracing::info!(%error, "the recording is not complete");
    }
    // A panic was reported.
    let _ = link.join();
    Ok(ExitCode::SUCCESS)
}

/// Removes a file when it is dropped, on a thread that still may: those that watch may not.
struct SocketRemover {
    /// Dropped to end the thread.
    wait: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SocketRemover {
    fn start(path: PathBuf) -> std::io::Result<Self> {
        let (wait, over) = channel::<()>();
        let thread = std::thread::Builder::new()
            .name("socket".to_owned())
            .spawn(move || {
                // The file is its own user's: it needs no capability.
                let _ = keep_capabilities(CapabilitySet::empty());
                let _ = confine_calls_but_files();
                // Ends when the other end is dropped.
                let _ = over.recv();
                // If it stays, the next collector removes it.
                let _ = std::fs::remove_file(path);
            })?;
        Ok(Self {
            wait: Some(wait),
            thread: Some(thread),
        })
    }
}

impl Drop for SocketRemover {
    fn drop(&mut self) {
        self.wait = None;
        // A panic was reported.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Reports that watching has begun, and closes the pipes to the process that ssh started, which end with
/// the connection: `nothing` takes their place.
fn tell_ready(nothing: &File) -> std::io::Result<()> {
    let mut out = stdout();
    // The starting process may be gone; another one may come.
    let _ = out.write_all(b"ready\n").and_then(|()| out.flush());
    rustix::stdio::dup2_stdout(nothing)?;
    rustix::stdio::dup2_stderr(nothing)?;
    Ok(())
}
