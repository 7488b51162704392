//! `hullwatch completions`: a completion script for a shell.

use std::io::Write as _;
use std::process::ExitCode;

use clap_complete::Shell;

use super::CliError;

/// Print a completion script for a shell
///
/// For example: hullwatch completions bash > /etc/bash_completion.d/hullwatch
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &Args, mut command: clap::Command) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "hullwatch", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
