//! `hullwatch demo`: a real recording that comes with the program.

use std::process::ExitCode;

use super::config::ScreenArgs;
use super::replay::{self, Output};
use super::{CliError, terminal};
use crate::recording::{Player, RecordingReader};

/// Made by `demo/record`.
static RECORDING: &[u8] = include_bytes!("../../demo/demo.jsonl.zst");

/// Replay a recorded attack that comes with the program
///
/// Shows an attack on the web server of a shop. Needs neither root nor Docker.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) output: Output,

    #[command(flatten)]
    screen: ScreenArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if args.output.nothing_asked() && terminal::there() {
        return terminal::replay(Player::from_memory("demo", RECORDING)?, &args.screen);
    }
    // Its recorded findings are those of the version that made it.
    replay::show(
        RecordingReader::from_memory("demo", RECORDING)?,
        &args.output,
        false,
    )
}
