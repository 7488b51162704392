//! `hullwatch report`: the incidents of a recording or of this host, for people to read.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::core_source::{replay_to_end, watch_for};
use super::{CliError, LiveArgs, live};
use crate::containers::ContainerSelector;
use crate::core::Core;
use crate::event::escape;
use crate::report::{Context, ReportFormat, render, report};

/// Report incidents: what happened, how the intruder got in, what runs, what changed
///
/// Joins the findings of each container into incidents and describes the likeliest break-in first:
/// since when, by which request, what was done in order of time, what still runs, whom it
/// connected to, which files it made, what to check, and the command lines of the responses that fit.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["file", "watch"]))]
pub(super) struct Args {
    /// A recording, plain or .zst
    file: Option<PathBuf>,

    /// This host: watch it for --duration first
    #[arg(long = "live")]
    watch: bool,

    /// Only incidents of this container: a name, an id or its beginning, a pod, or image:NAME
    #[arg(long, value_name = "CONTAINER", add = super::completions::containers())]
    container: Option<String>,

    /// How to write the report
    #[arg(long, value_enum, default_value = "md")]
    format: ReportFormat,

    /// Show secrets in command lines; they are masked otherwise
    #[arg(long)]
    secrets: bool,

    /// How long to watch this host first
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = live::duration)]
    duration: Duration,

    #[command(flatten)]
    live: LiveArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let (text, code) = match &args.file {
        Some(path) => {
            let (core, code) = replay_to_end(path)?;
            let source = escape(path.as_os_str().as_encoded_bytes()).to_string();
            (write(&core, source, args)?, code)
        }
        None => {
            let this_host = |core: &Core| write(core, "this host".to_owned(), args);
            (
                watch_for(args.duration, &args.live, this_host)??,
                ExitCode::SUCCESS,
            )
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(code)
}

fn write(core: &Core, source: String, args: &Args) -> Result<String, CliError> {
    let mut incidents = core.ranked_incidents();
    if let Some(wanted) = &args.container {
        let containers = core.state.containers.values();
        let found = ContainerSelector::new(wanted)
            .resolve(containers.map(|c| (&c.id, &c.info)))
            .map_err(|e| CliError::expected(format!("{source}: {e}")))?;
        incidents.retain(|incident| found.contains(&incident.container));
    }
    // A recording may come from another host.
    let docker_host = args.watch.then(|| args.live.docker_address()).flatten();
    let context = Context::of(core, source);
    let masked = !args.secrets;
    let reports = report(core, incidents, masked, docker_host.as_deref());
    render(&reports, &context, args.format, masked)
        .map_err(|error| CliError::from(std::io::Error::from(error)))
}
