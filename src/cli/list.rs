//! `hullwatch list`: what a view of the screen shows, printed once.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::error::print_message;
use super::signals::StopSignal;
use super::{CliError, LiveArgs, live};
use crate::core::Core;
use crate::recording::{ReadAhead, ReadReport, RecordingPiece, RecordingReader};
use crate::tui::Pane;
use crate::tui::take::{Format, listing};

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
    // A mistake in the filter is reported before watching starts.
    print(&Core::default(), args)?;
    let (text, code) = match &args.recording {
        Some(path) => recorded(path, args)?,
        None => (watched(args)?, ExitCode::SUCCESS),
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

fn watched(args: &Args) -> Result<Vec<u8>, CliError> {
    let ended = StopSignal::install()?;
    let live = live::start(&args.live, None, None)?;
    let until = Instant::now() + args.duration;
    while !ended.ended() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    let text = print(&live.core().lock(), args);
    let lost = live.core().lock().state.totals.lost;
    live::stop(live)?;
    if lost > 0 {
        print_message(format!("{lost} events were lost meanwhile"));
    }
    text
}

fn recorded(path: &Path, args: &Args) -> Result<(Vec<u8>, ExitCode), CliError> {
    let mut recording = ReadAhead::start(RecordingReader::open(path)?)?;
    let mut core = Core::new(recording.header().settings.clone());
    let mut report = ReadReport::default();
    while let Some(batch) = recording.next_batch() {
        for piece in batch.pieces {
            if let RecordingPiece::Event(event) = piece {
                core.apply(&event);
            }
        }
        report = batch.report;
    }
    for notice in report.notices() {
        print_message(notice);
    }
    let code = if report.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    };
    Ok((print(&core, args)?, code))
}
