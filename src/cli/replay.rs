//! `hullwatch replay`: play a recording, or print its events and findings.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::config::ScreenArgs;
use super::error::print_message;
use super::output_lines::{self, OutputLines};
use super::selection::{self, LineTypes, Selection};
use super::{CliError, ring, terminal};
use crate::core::Core;
use crate::event::Timestamp;
use crate::memory::MemoryBudget;
use crate::recording::{
    Comparison, Player, ReadAhead, ReadReport, RecordingError, RecordingPiece, RecordingReader,
    finding_line,
};
use crate::tui::ReplayFrom;

/// Replay a recording
///
/// Opens the screen on a terminal. Otherwise it reads the whole file, compares the findings of the
/// replay with those recorded, and reports the result and any damage on stderr. With --findings or
/// --events it prints JSON lines. Exit code 2 when the file is damaged.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recording file, plain or .zst, or the directory of record --ring: on a screen its
    /// present, in the last segment; else all segments
    file: PathBuf,

    /// In a directory, show this moment, in its segment: -2h, or a date and time
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true, value_parser = ring::moment)]
    at: Option<Timestamp>,

    /// Bytes that events, tables and findings may hold, from 16MiB to 1GiB, where that is less than
    /// when it was recorded: older ones are dropped, and findings may differ [default: as recorded]
    #[arg(long, value_name = "SIZE")]
    memory: Option<MemoryBudget>,

    #[command(flatten)]
    pub(super) output: Output,

    #[command(flatten)]
    screen: ScreenArgs,
}

impl Args {
    fn open(&self, path: &Path) -> Result<RecordingReader, RecordingError> {
        Ok(RecordingReader::open(path)?.within(self.memory))
    }

    /// Shows a recording on the screen.
    fn show(&self, path: &Path, from: ReplayFrom) -> Result<ExitCode, CliError> {
        let mut config = self.screen.load()?;
        config.memory = self.memory.or(config.memory);
        let player = Player::open_within(path, config.memory)?;
        terminal::replay(player, from, &config)
    }
}

/// What to print of a recording.
#[derive(Debug, clap::Args)]
pub(super) struct Output {
    /// Print the findings at the end of the replay as JSON lines, and compare them with those
    /// recorded: exit 1 when they differ
    #[arg(long)]
    findings: bool,

    /// Print the stream as JSON lines: event types separated by commas, all, or findings
    #[arg(long, value_name = "TYPES", value_parser = selection::what, conflicts_with = "findings")]
    events: Option<LineTypes>,

    #[command(flatten)]
    selection: Selection,
}

impl Output {
    /// True when no output was requested, so that the screen opens on a terminal.
    pub(super) fn no_output_selected(&self) -> bool {
        !self.findings && self.events.is_none()
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let screen = args.output.no_output_selected() && terminal::there();
    if args.file.is_dir() {
        if screen || args.at.is_some() {
            let segment = ring::segment(&args.file, args.at)?;
            let from = match args.at {
                Some(at) if at <= segment.written => ReplayFrom::Moment(at),
                _ => ReplayFrom::Present,
            };
            return match screen {
                true => args.show(&segment.path, from),
                false => show(args.open(&segment.path)?, &args.output, true),
            };
        }
        return show_all(args);
    }
    if args.at.is_some() {
        return Err(CliError::expected(format!(
            "{}: --at selects a segment of a directory, but this is a file",
            args.file.display()
        )));
    }
    if screen {
        return args.show(&args.file, ReplayFrom::Beginning);
    }
    show(args.open(&args.file)?, &args.output, true)
}

/// Replays the segments of a ring, one after another; the worst exit code.
fn show_all(args: &Args) -> Result<ExitCode, CliError> {
    let mut worst = ExitCode::SUCCESS;
    for segment in ring::all(&args.file)? {
        let code = match args.open(&segment.path) {
            // A segment need not contain every container.
            Ok(reader) => print_to_stdout(reader, &args.output, true)?.0,
            // The others can still be used.
            Err(error) => {
                print_message(error);
                ExitCode::from(2)
            }
        };
        if code != ExitCode::SUCCESS && worst != ExitCode::from(2) {
            worst = code;
        }
    }
    Ok(worst)
}

/// Replays a recording, prints the requested lines, and compares the findings if `compare`. Exit code 2
/// where it does not contain a container that was asked for.
pub(super) fn show(
    reader: RecordingReader,
    output: &Output,
    compare: bool,
) -> Result<ExitCode, CliError> {
    let (code, found_all) = print_to_stdout(reader, output, compare)?;
    Ok(match found_all || code != ExitCode::SUCCESS {
        true => code,
        false => ExitCode::from(2),
    })
}

/// Prints as [`print`] does.
fn print_to_stdout(
    reader: RecordingReader,
    output: &Output,
    compare: bool,
) -> Result<(ExitCode, bool), CliError> {
    let mut out = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    let printed = print(reader, output, compare, &mut out)?;
    out.flush()?;
    Ok(printed)
}

/// Prints the requested lines; damage of the file is reported on stderr. Also whether it contains each
/// container that was asked for.
fn print(
    reader: RecordingReader,
    args: &Output,
    compare: bool,
    out: &mut impl Write,
) -> Result<(ExitCode, bool), CliError> {
    let mut recording = ReadAhead::start(reader)?;
    let mut core = Core::new(recording.header().settings.clone());
    let mut report = ReadReport::default();
    let mut comparison = Comparison::default();
    let mut lines = OutputLines::new(
        args.events.clone().unwrap_or_default(),
        args.selection.clone(),
    );
    let mut events = 0_u64;
    let mut written = Ok(());
    let mut write = |line: Vec<u8>| {
        if written.is_ok() {
            written = out.write_all(&line);
        }
    };
    while let Some(batch) = recording.next_batch() {
        for piece in batch.pieces {
            match piece {
                RecordingPiece::Event(event) => {
                    events += 1;
                    core.apply(&event);
                    lines.look(&event, &core);
                    if args.events.is_some() {
                        lines.event(&event, &core, &mut write);
                    }
                }
                RecordingPiece::Finding(line) => {
                    comparison.recorded(&line, core.detector.findings())
                }
                // The report has it.
                RecordingPiece::Gap { .. } => {}
            }
        }
        report = batch.report;
    }
    if args.events.is_some() {
        lines.finish(&core, &mut write);
    }
    written?;
    if args.findings {
        let findings = core.detector.findings().iter();
        for finding in findings.filter(|finding| finding.part_of.is_none()) {
            let line = finding_line(finding).map_err(std::io::Error::from)?;
            if lines.is_selected(finding, &core) {
                let line = lines.printable(line);
                let line = match &finding.container {
                    Some(id) => output_lines::named(line, id, &core),
                    None => line,
                };
                out.write_all(&line)?;
            }
        }
    }
    out.flush()?;
    let missing = lines.never_selected(&core);
    for problem in &missing {
        print_message(format!("{}: {problem}", report.name));
    }
    for notice in report.notices() {
        print_message(notice);
    }
    let found_all = missing.is_empty();
    if !report.is_sound() {
        return Ok((ExitCode::from(2), found_all));
    }
    if compare && let Some(difference) = comparison.finish(core.detector.findings(), &report) {
        let version = &recording.header().version;
        print_message(format!(
            "{}: {difference} (recorded by version {version})",
            report.name
        ));
        return Ok((ExitCode::from(u8::from(args.findings)), found_all));
    }
    if args.no_output_selected() {
        let findings = core.detector.findings().iter();
        let findings = findings.filter(|f| f.part_of.is_none()).count();
        let alike = if compare { ", as recorded" } else { "" };
        print_message(format!(
            "{}: {events} events, {findings} findings{alike}",
            report.name
        ));
    }
    Ok((ExitCode::SUCCESS, found_all))
}
