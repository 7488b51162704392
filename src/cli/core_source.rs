//! Watches this host for a while, for commands that print once.

use std::time::{Duration, Instant};

use super::error::print_message;
use super::signals::StopSignal;
use super::{CliError, LiveArgs, live};
use crate::core::Core;

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
    stop.release();
    if lost > 0 {
        print_message(format!("{lost} events were lost meanwhile"));
    }
    Ok(printed)
}
