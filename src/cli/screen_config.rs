//! `hullwatch config`: writes a starter configuration of the screen, and checks one.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{CliError, config, starter_file};

/// Write a starter configuration of keys and screen, or check one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Write a file in which everything is explained and nothing is in force; never overwrites
    Init {
        /// The file [default: $XDG_CONFIG_HOME/hullwatch/config.toml]
        file: Option<PathBuf>,
    },
    /// Read a configuration; report the line of its first error
    Check {
        /// The file [default: $XDG_CONFIG_HOME/hullwatch/config.toml]
        file: Option<PathBuf>,
    },
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    match &args.action {
        ConfigCommand::Init { file } => {
            let path = starter_file::path(file.as_deref(), "config.toml")?;
            starter_file::write(&path, starter_file::CONFIG)
        }
        ConfigCommand::Check { file } => {
            let path = starter_file::path(file.as_deref(), "config.toml")?;
            config::read(&path)?;
            writeln!(std::io::stdout().lock(), "{}: valid", path.display())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
