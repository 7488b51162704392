//! `hullwatch replay`: play a session, or print what it holds.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::config::ScreenArgs;
use super::failure::say;
use super::stream::{self, Lines, Selection, What};
use super::{Failure, terminal};
use crate::core::Core;
use crate::recording::{Ahead, Comparison, Piece, Player, ReadReport, Reader, finding_line};

/// Replay a recorded session
///
/// On a terminal it opens the screen. Otherwise it reads the whole file, tells on stderr what is wrong with it, and compares the findings of the
/// replay with those recorded. With --findings or --events it prints JSON lines.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The session file, plain or .zst
    file: PathBuf,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    screen: ScreenArgs,
}

/// What to print of a session.
#[derive(Debug, clap::Args)]
pub(super) struct Output {
    /// Print the findings at the end of the replay as JSON lines, and compare them with those
    /// recorded: exit 1 when they differ
    #[arg(long)]
    findings: bool,

    /// Print the stream as JSON lines: event types separated by commas, all, or findings
    #[arg(long, value_name = "TYPES", value_parser = stream::what, conflicts_with = "findings")]
    events: Option<What>,

    #[command(flatten)]
    selection: Selection,
}

impl Output {
    /// Nothing is to be printed: a person at a terminal wants to see it.
    pub(super) fn nothing_asked(&self) -> bool {
        !self.findings && self.events.is_none()
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.output.nothing_asked() && terminal::there() {
        return terminal::replay(Player::open(&args.file)?, &args.screen);
    }
    show(Reader::open(&args.file)?, &args.output, true)
}

/// Replays a session, prints what was asked for, and compares the findings if `compare`.
pub(super) fn show(reader: Reader, output: &Output, compare: bool) -> Result<ExitCode, Failure> {
    let mut out = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    let code = print(reader, output, compare, &mut out)?;
    out.flush()?;
    Ok(code)
}

/// Prints what was asked for; everything the file says about itself goes to stderr.
fn print(
    reader: Reader,
    args: &Output,
    compare: bool,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let mut session = Ahead::start(reader)?;
    let mut core = Core::new(session.header().settings.clone());
    let mut report = ReadReport::default();
    let mut comparison = Comparison::default();
    let mut lines = Lines::new(
        args.events.clone().unwrap_or_default(),
        args.selection.clone(),
    );
    let mut written = Ok(());
    let mut write = |line: Vec<u8>| {
        if written.is_ok() {
            written = out.write_all(&line);
        }
    };
    while let Some(batch) = session.next_batch() {
        for piece in batch.pieces {
            match piece {
                Piece::Event(event) => {
                    core.apply(&event);
                    if args.events.is_some() {
                        lines.event(&event, &core, &mut write);
                    }
                }
                Piece::Finding(line) => comparison.recorded(&line, core.detector.findings()),
                // The report says it.
                Piece::Gap { .. } => {}
            }
        }
        report = batch.report;
    }
    if args.events.is_some() {
        lines.finish(&core, &mut write);
    }
    written?;
    if args.findings {
        for finding in core.detector.findings() {
            let line = finding_line(finding).map_err(std::io::Error::from)?;
            if lines.wants(finding, &core) {
                out.write_all(&line)?;
            }
        }
    }
    out.flush()?;
    for notice in report.notices() {
        say(notice);
    }
    if !report.is_sound() {
        return Ok(ExitCode::from(2));
    }
    if compare && let Some(difference) = comparison.finish(core.detector.findings(), &report) {
        let version = &session.header().version;
        say(format!(
            "{}: {difference} (recorded by version {version})",
            report.name
        ));
        return Ok(ExitCode::from(u8::from(args.findings)));
    }
    Ok(ExitCode::SUCCESS)
}
