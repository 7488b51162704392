//! `hullwatch report`: the incidents of a recording or of this host, for people to read.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::core_source::watch_for;
use super::period::{Period, Played, play};
use super::{CliError, LiveArgs, live};
use crate::containers::{ContainerSelector, SelectError};
use crate::core::Core;
use crate::event::escape;
use crate::report::{Context, IncidentReport, ReportFormat, render, report};

/// Report incidents: what happened, how the intruder got in, what runs, what changed
///
/// Joins the findings of each container into incidents and describes the likeliest break-in first:
/// its start, the request, a timeline, running processes, peers, created files, what to check, and
/// the command lines of the responses that fit.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["file", "watch"]))]
pub(super) struct Args {
    /// A recording, plain or .zst, or the directory of record --ring
    file: Option<PathBuf>,

    #[command(flatten)]
    period: Period,

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
    args.period.check(args.file.is_some())?;
    let (text, code) = match &args.file {
        Some(path) => {
            let mut all = Reports::new(escape(path.as_os_str().as_encoded_bytes()).to_string());
            let code = play(path, args.period, args.live.memory, |played| {
                if let Played::Ended(core) = played {
                    all.add(&core, args);
                }
            })?;
            (all.write(args)?, code)
        }
        None => {
            let this_host = |core: &Core| {
                let mut all = Reports::new("this host".to_owned());
                all.add(core, args);
                all.write(args)
            };
            let text = watch_for(args.duration, &args.live, this_host)??;
            (text, ExitCode::SUCCESS)
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(code)
}

/// The incidents of this host, or of every run of hullwatch in a recording.
struct Reports {
    source: String,
    incidents: Vec<IncidentReport>,
    context: Option<Context>,
    /// A requested container exists.
    selected: bool,
    /// Why it is not.
    unselected: Option<SelectError>,
}

impl Reports {
    fn new(source: String) -> Self {
        Self {
            source,
            incidents: Vec::new(),
            context: None,
            selected: false,
            unselected: None,
        }
    }

    fn add(&mut self, core: &Core, args: &Args) {
        let context = Context::of(core, self.source.clone());
        self.context = Some(match self.context.take() {
            Some(before) => before.and(context),
            None => context,
        });
        let mut incidents = core.ranked_incidents();
        if let Some(since) = args.period.since {
            incidents.retain(|incident| incident.last >= since || incident.active);
        }
        if let Some(wanted) = &args.container {
            let containers = core.state.containers.values();
            let found =
                ContainerSelector::new(wanted).resolve(containers.map(|c| (&c.id, &c.info)));
            match found {
                Ok(found) => {
                    self.selected = true;
                    incidents.retain(|incident| found.contains(&incident.container));
                }
                Err(why) => {
                    self.unselected = Some(why);
                    return;
                }
            }
        }
        // A recording may come from another host.
        let docker_host = args.watch.then(|| args.live.docker_address()).flatten();
        let masked = !args.secrets;
        self.incidents
            .extend(report(core, incidents, masked, docker_host.as_deref()));
    }

    fn write(self, args: &Args) -> Result<String, CliError> {
        if let (false, Some(why)) = (self.selected, &self.unselected) {
            return Err(CliError::expected(format!("{}: {why}", self.source)));
        }
        let context = self
            .context
            .unwrap_or_else(|| Context::of(&Core::default(), self.source));
        render(&self.incidents, &context, args.format, !args.secrets)
            .map_err(|error| CliError::from(std::io::Error::from(error)))
    }
}
