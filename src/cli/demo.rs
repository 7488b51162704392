//! `hullwatch demo`: a real recording that comes with the program.

use std::process::ExitCode;

use super::config::ScreenArgs;
use super::replay::{self, Output};
use super::{Failure, terminal};
use crate::recording::{Player, Reader};

/// Made by `demo/record`.
static SESSION: &[u8] = include_bytes!("../../demo/demo.jsonl.zst");

/// Replay a recorded attack that comes with the program
///
/// A shop's web server is broken into: needs neither root nor Docker.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    screen: ScreenArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.output.nothing_asked() && terminal::there() {
        return terminal::replay(Player::from_memory("demo", SESSION)?, &args.screen);
    }
    // Its recorded findings are those of the version that made it.
    replay::show(Reader::from_memory("demo", SESSION)?, &args.output, false)
}
