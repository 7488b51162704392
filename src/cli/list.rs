//! `hullwatch list`: prints one of the screens, once.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::core_source::watch_for;
use super::period::{Period, Played, play};
use super::{CliError, LiveArgs, live};
use crate::core::Core;
use crate::tui::Pane;
use crate::tui::export::{Format, WantedRows, listing};

/// Print one of the screens once, without a terminal
///
/// Watches for --duration, then prints the rows of the screen. Containers and processes that were
/// already running, and findings about them, are included. Of a recording it prints the state at
/// --until, or at its end, without rows that were over before --since.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The screen to print
    #[arg(value_enum, value_name = "SCREEN", default_value = "containers")]
    view: Pane,

    /// Print the final state of this recording instead of this host; of the directory of record
    /// --ring, incidents and findings of all of it
    #[arg(long, visible_alias = "session", value_name = "FILE")]
    recording: Option<PathBuf>,

    #[command(flatten)]
    period: Period,

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
    args.period.check(args.recording.is_some())?;
    // An error in the filter is reported before anything is watched.
    print(&Core::default(), args)?;
    let (text, code) = match &args.recording {
        Some(path) => recorded(path, args)?,
        None => {
            let text = watch_for(args.duration, &args.live, |core| print(core, args))??;
            (text, ExitCode::SUCCESS)
        }
    };
    std::io::stdout().lock().write_all(&text)?;
    Ok(code)
}

/// The rows of a recording: findings of every run of hullwatch in it, and objects of the last one.
fn recorded(path: &Path, args: &Args) -> Result<(Vec<u8>, ExitCode), CliError> {
    let of_all = matches!(args.view, Pane::Incidents | Pane::Findings);
    let mut text: Result<Vec<u8>, CliError> = Ok(Vec::new());
    let code = play(path, args.period, args.live.memory, |played| {
        if let (Played::Ended(core), Ok(before)) = (played, &mut text) {
            if !of_all {
                before.clear();
            }
            match print(&core, args) {
                // The line of titles is there already.
                Ok(rows) if args.csv && !before.is_empty() => {
                    before.extend(rows.split_inclusive(|&b| b == b'\n').skip(1).flatten());
                }
                Ok(rows) => before.extend(rows),
                Err(error) => text = Err(error),
            }
        }
    })?;
    Ok((text?, code))
}

fn print(core: &Core, args: &Args) -> Result<Vec<u8>, CliError> {
    let format = match (args.json, args.csv) {
        (true, _) => Format::Json,
        (_, true) => Format::Csv,
        _ => Format::Text,
    };
    let wanted = WantedRows {
        pane: args.view,
        filter: &args.filter,
        since: args.period.since,
        reveal: args.secrets,
    };
    listing(core, wanted, format).map_err(|error| CliError::expected(format!("--filter: {error}")))
}
