//! `hullwatch demo`: a real recording that comes with the program.

use std::process::ExitCode;

use super::config::ScreenArgs;
use super::replay::{self, Output};
use super::{CliError, terminal};
use crate::recording::{Player, RecordingReader};
use crate::tui::ReplayFrom;

/// Made by `demo/record`.
static RECORDING: &[u8] = include_bytes!("../../demo/break-in.jsonl.zst");

/// Replay a recorded attack that comes with the program
///
/// Shows an intrusion into the web server of a shop by a web request: web shell, reverse shell,
/// miner, cron job, scan. Opens at the incident with a guide. Needs neither root nor Docker.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Play it from the beginning
    #[arg(long)]
    play: bool,

    #[command(flatten)]
    pub(super) output: Output,

    #[command(flatten)]
    screen: ScreenArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if args.output.no_output_selected() && terminal::there() {
        let player = Player::from_memory("demo", RECORDING)?;
        return match args.play {
            true => terminal::replay(player, ReplayFrom::Beginning, &args.screen.load()?),
            false => terminal::demo(player, &args.screen),
        };
    }
    // Its recorded findings are those of the version that made it.
    replay::show(
        RecordingReader::from_memory("demo", RECORDING)?,
        &args.output,
        false,
    )
}
