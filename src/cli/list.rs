//! `hullwatch list`: what a view of the screen shows, printed once.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::signals::Ended;
use super::{Failure, LiveArgs, live};
use crate::core::Core;
use crate::recording::{Ahead, Piece, ReadReport, Reader};
use crate::tui::Pane;
use crate::tui::take::{Format, listing};

/// Print a view of the screen once, without a terminal
///
/// Watches for --duration, then prints the rows of the view as they are then. What ran before is
/// in it; so are findings about that.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to print
    #[arg(value_enum, default_value = "containers")]
    view: Pane,

    /// Of the end of a recording instead of this host
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,

    /// Only matching rows, as / on the screen: text, !not, column=value, sev>=h, age>1h
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

    /// How long to watch first
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

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    // A mistake in the filter is told before anything is watched.
    print(&Core::default(), args)?;
    let (text, code) = match &args.session {
        Some(path) => recorded(path, args)?,
        None => (watched(args)?, ExitCode::SUCCESS),
    };
    std::io::stdout().lock().write_all(&text)?;
    Ok(code)
}

fn print(core: &Core, args: &Args) -> Result<Vec<u8>, Failure> {
    let format = match (args.json, args.csv) {
        (true, _) => Format::Json,
        (_, true) => Format::Csv,
        _ => Format::Text,
    };
    listing(core, args.view, &args.filter, format, args.secrets)
        .map_err(|error| Failure::expected(format!("--filter: {error}")))
}

fn watched(args: &Args) -> Result<Vec<u8>, Failure> {
    let ended = Ended::install()?;
    let live = live::start(&args.live, None, None)?;
    let until = Instant::now() + args.duration;
    while !ended.ended() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    let text = print(&live.core().lock(), args);
    let lost = live.core().lock().state.totals.lost;
    live::stop(live)?;
    if lost > 0 {
        eprintln!("hullwatch: {lost} events were lost meanwhile");
    }
    text
}

fn recorded(path: &Path, args: &Args) -> Result<(Vec<u8>, ExitCode), Failure> {
    let mut session = Ahead::start(Reader::open(path)?)?;
    let mut core = Core::new(session.header().settings.clone());
    let mut report = ReadReport::default();
    while let Some(batch) = session.next_batch() {
        for piece in batch.pieces {
            if let Piece::Event(event) = piece {
                core.apply(&event);
            }
        }
        report = batch.report;
    }
    for notice in report.notices() {
        eprintln!("hullwatch: {notice}");
    }
    let code = if report.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    };
    Ok((print(&core, args)?, code))
}
