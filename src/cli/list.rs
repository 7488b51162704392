//! `hullwatch list`: what a view of the screen shows, printed once.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::core_source::{replay_to_end, watch_for};
use super::{CliError, LiveArgs, live};
use crate::core::Core;
use crate::tui::Pane;
use crate::tui::export::{Format, listing};

/// Print one view of the screen, without a terminal
///
/// Watches for --duration, then prints the rows of the view. Containers and processes that were
/// already running, and findings about them, are included.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The view to print
    #[arg(value_enum, default_value = "containers")]
    view: Pane,

    /// Print the final state of this recording instead of this host
    #[arg(long, visible_alias = "session", value_name = "FILE")]
    recording: Option<PathBuf>,

    /// Only matching rows, with the syntax of / on the screen: text, !not, column=value, sev>=h,
    /// age>1h
    #[arg(long, value_name = "FILTER", default_value = "")]
    filter: String,

    /// One JSON object a line, with plain numbers: bytes, seconds, percent
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// Comma-separated values
    #[arg(long)]
    csv: bool,

    /// Show secrets in command lines; they are masked otherwise
    #[arg(long)]
    secrets: bool,

    /// Watch this long before printing
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = live::duration)]
    duration: Duration,

    #[command(flatten)]
    live: LiveArgs,
}

impl ValueEnum for Pane {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    // An error in the filter is reported before anything is watched.
    print(&Core::default(), args)?;
    let (text, code) = match &args.recording {
        Some(path) => {
            let (core, code) = replay_to_end(path)?;
            (print(&core, args)?, code)
        }
        None => {
            let text = watch_for(args.duration, &args.live, |core| print(core, args))??;
            (text, ExitCode::SUCCESS)
        }
    };
    std::io::stdout().lock().write_all(&text)?;
    Ok(code)
}

fn print(core: &Core, args: &Args) -> Result<Vec<u8>, CliError> {
    let format = match (args.json, args.csv) {
        (true, _) => Format::Json,
        (_, true) => Format::Csv,
        _ => Format::Text,
    };
    listing(core, args.view, &args.filter, format, args.secrets)
        .map_err(|error| CliError::expected(format!("--filter: {error}")))
}
