//! Where commands that print once get their state from: the end of a recording, or this host after
//! a while.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::error::print_message;
use super::signals::StopSignal;
use super::{CliError, LiveArgs, live};
use crate::core::Core;
use crate::recording::{ReadAhead, ReadReport, RecordingPiece, RecordingReader};

/// Watches this host for `duration`, or until a signal, and returns what `print` makes of the state.
/// Lost events are reported on stderr.
pub(super) fn watch_for<T>(
    duration: Duration,
    args: &LiveArgs,
    print: impl FnOnce(&Core) -> T,
) -> Result<T, CliError> {
    let stop = StopSignal::install()?;
    let live = live::start(args, None, None)?;
    let until = Instant::now() + duration;
    while !stop.ended() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    let (printed, lost) = {
        let core = live.core().lock();
        (print(&core), core.state.totals.lost)
    };
    live::stop(live)?;
    if lost > 0 {
        print_message(format!("{lost} events were lost meanwhile"));
    }
    Ok(printed)
}

/// The state at the end of a recording. Damage is reported on stderr; the exit code is 2 then.
pub(super) fn replay_to_end(path: &Path) -> Result<(Core, ExitCode), CliError> {
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
    Ok((core, code))
}
