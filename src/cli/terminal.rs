//! `hullwatch` without a command: this host in the terminal.

use std::io::{IsTerminal as _, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use super::config::ScreenArgs;
use super::{CliError, LiveArgs, live};
use crate::recording::{PAST_BYTES, Player};
use crate::tui;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also record to this file from the start
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    #[command(flatten)]
    live: LiveArgs,

    #[command(flatten)]
    screen: ScreenArgs,
}

/// True when a person can be shown a screen.
pub(super) fn there() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if !there() {
        return Err(CliError::expected(
            "this is not a terminal; hullwatch watch prints JSON lines, hullwatch list --json a view once",
        ));
    }
    let config = args.screen.load()?;
    let attach = live::prepare(&args.live, None, args.record.as_deref(), PAST_BYTES)?;
    tui::run_live(attach, &config).map_err(|error| CliError::expected(error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows a recording on the screen.
pub(super) fn replay(player: Player, screen: &ScreenArgs) -> Result<ExitCode, CliError> {
    let config = screen.load()?;
    tui::run_replay(player, &config).map_err(|error| CliError::expected(error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}
