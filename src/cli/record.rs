//! `hullwatch record`: everything containers do, into a file.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::signals::Ended;
use super::{Failure, LiveArgs, live};

/// Record what containers on this host do
///
/// The file never replaces another. Ends with Ctrl-C, or after --duration.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The session file to make; a name ending in .zst is compressed
    file: PathBuf,

    /// End after this time, e.g. 10s, 5m
    #[arg(long, value_name = "TIME", value_parser = live::duration)]
    duration: Option<Duration>,

    #[command(flatten)]
    live: LiveArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let ended = Ended::install()?;
    let live = live::start(&args.live, Some(Box::new(live::Teller)), Some(&args.file))?;
    let deadline = args.duration.map(|d| Instant::now() + d);
    let mut engine = live::EngineTeller::default();
    while !ended.ended()
        && deadline.is_none_or(|at| Instant::now() < at)
        && live::recording_error(&live).is_none()
    {
        engine.look(&live);
        std::thread::sleep(Duration::from_millis(50));
    }
    live::stop(live)?;
    Ok(ExitCode::SUCCESS)
}
