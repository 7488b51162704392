//! `hullwatch man`: the manual page.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use super::CliError;
use crate::user_files;

/// Print the manual page, or write one for each command
///
/// For example: hullwatch man | man -l -
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write hullwatch.1, hullwatch-watch.1, … into this directory, creating it if needed
    #[arg(long, value_name = "DIR")]
    directory: Option<std::path::PathBuf>,
}

pub(super) fn run(args: &Args, command: clap::Command) -> Result<ExitCode, CliError> {
    if let Some(directory) = &args.directory {
        let to = directory.clone();
        user_files::with_rights(move || {
            std::fs::create_dir_all(&to)?;
            clap_mangen::generate_to(command, &to)
        })
        .map_err(|error| {
            let why = match error.kind() {
                ErrorKind::AlreadyExists => "is not a directory".to_owned(),
                _ => format!("the manual pages cannot be written: {error}"),
            };
            CliError::expected(format!("{}: {why}", directory.display()))
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    std::io::stdout().write_all(&page)?;
    Ok(ExitCode::SUCCESS)
}
