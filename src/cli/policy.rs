//! `hullwatch policy`: checks a policy file; and where the policy of a watch comes from.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::Failure;
use crate::detect::{Policy, PolicyRead};

/// Check a policy file: severities, limits, what is allowed, what is silenced
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Read a policy file and say what it sets, or where it is wrong
    Check {
        /// The file [default: $XDG_CONFIG_HOME/hullwatch/policy.toml]
        file: Option<PathBuf>,
    },
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let Action::Check { file } = &args.action;
    let path = match file {
        Some(file) => file.clone(),
        None => standard().ok_or_else(|| Failure::expected("no home directory is known"))?,
    };
    let read = read(&path)?;
    let mut out = std::io::stdout().lock();
    let policy = read.policy;
    writeln!(
        out,
        "{}: {} severities, {} age limits, {} allowances, {} sensitive paths, {} silences",
        path.display(),
        policy.severity.len(),
        policy.age.len() + usize::from(read.max_age.is_some()),
        policy.allow.len(),
        policy.sensitive.len(),
        policy.silence.len()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Where a policy lies when none is named.
fn standard() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
    Some(base.join("hullwatch/policy.toml"))
}

/// The policy of the named file, or of the standard one where that exists.
///
/// # Errors
/// When the file cannot be read or is no policy: with file, line and cause.
pub(super) fn load(named: Option<&Path>) -> Result<Option<PolicyRead>, Failure> {
    match named {
        Some(path) => read(path).map(Some),
        None => match standard().filter(|p| p.exists()) {
            Some(path) => read(&path).map(Some),
            None => Ok(None),
        },
    }
}

fn read(path: &Path) -> Result<PolicyRead, Failure> {
    let at = |why: &dyn std::fmt::Display| Failure::expected(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| at(&e))?;
    Policy::parse(&text).map_err(|e| at(&e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
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
        let Err(Failure::Expected(message)) = load(Some(&path)) else {
            panic!("it was read");
        };
        assert!(message.contains("p.toml: line 3"), "{message}");
        std::fs::write(&path, "max-age = \"none\"\n").unwrap();
        let read = load(Some(&path)).unwrap().unwrap();
        assert_eq!(read.max_age, Some(None));
    }
}
