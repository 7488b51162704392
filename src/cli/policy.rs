//! `hullwatch policy`: writes a starter policy file, and checks one.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{CliError, starter_file};
use crate::detect::{Policy, PolicyRead};
use crate::user_files;

/// Write a starter policy file, or check one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: PolicyCommand,
}

#[derive(Debug, clap::Subcommand)]
enum PolicyCommand {
    /// Read a policy file; report what it sets, or the line of its first error
    Check {
        /// The file [default: $XDG_CONFIG_HOME/hullwatch/policy.toml]
        file: Option<PathBuf>,
    },
    /// Write a policy file in which everything is explained and nothing is in force; never
    /// overwrites
    Init {
        /// The file [default: $XDG_CONFIG_HOME/hullwatch/policy.toml]
        file: Option<PathBuf>,
    },
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let file = match &args.action {
        PolicyCommand::Check { file } => file,
        PolicyCommand::Init { file } => {
            let path = starter_file::path(file.as_deref(), "policy.toml")?;
            return starter_file::write(&path, starter_file::POLICY);
        }
    };
    let path = starter_file::path(file.as_deref(), "policy.toml")?;
    let read = read(&path).map_err(|error| match (file, error) {
        // No policy file at the default place is nothing wrong, but there is nothing to check.
        (None, CliError::Expected(why)) if !path.exists() => CliError::expected(format!(
            "{why}; hullwatch works without a policy file; give a path to check one"
        )),
        (_, error) => error,
    })?;
    let mut out = std::io::stdout().lock();
    let policy = read.policy;
    writeln!(
        out,
        "{}: severities {}, age limits {}, allowances {}, sensitive paths {}, added paths {}, \
         added programs {}, silences {}",
        path.display(),
        policy.severity.len(),
        policy.age.len() + usize::from(read.max_age.is_some()),
        policy.allow.len(),
        policy.sensitive.len(),
        policy.paths.len(),
        policy.programs.len(),
        policy.silence.len()
    )?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<PolicyRead, CliError> {
    let at = |why: &dyn std::fmt::Display| CliError::expected(format!("{}: {why}", path.display()));
    let text = user_files::read(path).map_err(|e| at(&e))?;
    Policy::parse(&text).map_err(|e| at(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_file_is_refused_with_its_name_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.toml");
        std::fs::write(
            &path,
            "max-age = \"30d\"\n[severity]\n\"file.cron\" = \"x\"\n",
        )
        .unwrap();
        let Err(CliError::Expected(message)) = read(&path) else {
            panic!("it was read");
        };
        assert!(message.contains("p.toml: line 3"), "{message}");
        std::fs::write(&path, "max-age = \"none\"\n").unwrap();
        assert_eq!(read(&path).unwrap().max_age, Some(None));
    }
}
