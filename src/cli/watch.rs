//! `hullwatch watch`: the stream of this host as JSON lines.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::error::print_message;
use super::line_printer::{LinePrinter, LineQueue};
use super::output_lines::OutputLines;
use super::selection::{self, LineTypes, Selection};
use super::signals::StopSignal;
use super::sinks::SinkArgs;
use super::{CliError, LiveArgs, live};
use crate::collect::{Tap, give_up_files};
use crate::containers::SelectError;
use crate::core::Core;
use crate::event::Event;
use crate::memory::Share;

/// Print what containers on this host do as JSON lines
///
/// A finding is printed when it is raised, and again, with the same id, when it changes. A line on
/// stderr reports when all probes are attached. Ends with Ctrl-C, or after --duration.
/// Lost events are reported on stderr, and as lost lines among the findings.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to print: event types separated by commas, all, or findings
    #[arg(long, value_name = "TYPES", default_value = "findings", value_parser = selection::what)]
    events: LineTypes,

    #[command(flatten)]
    selection: Selection,

    /// End after this time, e.g. 10s, 5m
    #[arg(long, value_name = "TIME", value_parser = live::duration)]
    duration: Option<Duration>,

    /// Exit with 1 when a finding was seen (of --container, at or above --min-severity), with 2
    /// when none was seen but events were lost
    #[arg(long)]
    exit_code: bool,

    /// Also record everything into this file; a name ending in .zst is compressed
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    #[command(flatten)]
    sinks: SinkArgs,

    #[command(flatten)]
    live: LiveArgs,
}

/// Selects the lines on the core thread; never blocks.
struct Printer {
    lines: Arc<Mutex<OutputLines>>,
    out: LineQueue,
}

impl Tap for Printer {
    fn event(&mut self, event: &Event, core: &mut Core) {
        let Self { lines, out } = self;
        live::report_policy(event);
        lines.lock().event(event, core, &mut |line| out.print(line));
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let ended = StopSignal::install()?;
    let lines = Arc::new(Mutex::new(OutputLines::new(
        args.events.clone(),
        args.selection.clone(),
    )));
    let mut printer = LinePrinter::new(args.live.memory.unwrap_or_default().of(Share::Lines));
    let selector = Printer {
        lines: Arc::clone(&lines),
        out: printer.queue(),
    };
    let mut sinks = args.sinks.start()?;
    let tap = sinks.tap(Some(Box::new(selector)));
    let live = live::start(&args.live, tap, args.record.as_deref())?;
    sinks.begin(&live)?;
    give_up_files();
    printer.start()?;
    // The core's thread holds the core while it selects lines: in this order here, too.
    let problems = {
        let core = live.core().lock();
        lines.lock().unselected(&core)
    };
    for problem in problems {
        if let SelectError::Ambiguous { .. } = problem {
            return Err(CliError::expected(problem.to_string()));
        }
        print_message(format!("{problem}; waiting for it"));
    }
    let deadline = args.duration.map(|d| Instant::now() + d);
    let mut reported = false;
    let mut losses = LossReporter::default();
    let mut engine = live::EngineReporter::new(&args.live);
    let mut clock = live::ClockReporter::default();
    let mut calls = live::CallReporter::default();
    loop {
        if !reported && let Some(error) = live::recording_error(&live) {
            reported = true;
            print_message(format!("{error}; watching continues without recording"));
        }
        engine.look(&live);
        clock.look(&live);
        calls.look(&live);
        sinks.look();
        losses.report(lines.lock().lost());
        let over = ended.ended() || deadline.is_some_and(|at| Instant::now() >= at);
        if over || printer.has_ended() {
            break;
        }
        std::thread::sleep(LOOK);
    }
    let core = Arc::clone(live.core());
    let stopped = sinks.stop(live);
    // Unfinished actions at the end of the watch, and the findings' final state.
    let mut rest = Vec::new();
    lines
        .lock()
        .finish(&core.lock(), &mut |line| rest.push(line));
    let printed = printer.finish(rest, || ended.ended());
    let lost = *printed.as_ref().unwrap_or(&0);
    if lost > 0 {
        print_message(format!(
            "{lost} lines were dropped because the output was not read fast enough"
        ));
    }
    let lost_events = lines.lock().lost();
    if lost_events > 0 {
        print_message(format!(
            "{lost_events} events were lost in total; findings may be missing"
        ));
    }
    let unheld = lines.lock().unheld;
    if unheld > 0 {
        print_message(format!(
            "{unheld} lines of containers without a known name were dropped"
        ));
    }
    stopped?;
    printed?;
    let found = lines.lock().found();
    Ok(ExitCode::from(match (args.exit_code, found, lost_events) {
        (false, ..) | (true, false, 0) => 0,
        (true, true, _) => 1,
        // Nothing was found, but not everything was seen.
        (true, false, _) => 2,
    }))
}

/// Interval of looking for the end.
const LOOK: Duration = Duration::from_millis(50);

/// Between two reports of losses on stderr.
const LOSS_INTERVAL: Duration = Duration::from_secs(10);

/// Reports losses on stderr while watching, at most once per [`LOSS_INTERVAL`].
#[derive(Debug, Default)]
struct LossReporter {
    reported: u64,
    last: Option<Instant>,
}

impl LossReporter {
    fn report(&mut self, lost: u64) {
        let early = self.last.is_some_and(|at| at.elapsed() < LOSS_INTERVAL);
        if lost == self.reported || early {
            return;
        }
        print_message(format!(
            "{} events were lost; findings may be missing",
            lost - self.reported
        ));
        self.reported = lost;
        self.last = Some(Instant::now());
    }
}
