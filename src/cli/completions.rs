//! `hullwatch completions`: the script by which a shell queries this program for completions, and
//! the answers that depend on this host.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::ExitCode;

use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{ArgValueCandidates, CompletionCandidate, Shell};

use super::CliError;
use crate::containers::RuntimeOptions;
use crate::containers::inventory::Inventory;
use crate::detect::rules::catalogue;

/// The shell's question arrives in this environment variable.
const VARIABLE: &str = "HULLWATCH_COMPLETE";

/// Maximum number of completed names.
const MAX_NAMES: usize = 500;

/// Print a completion script for a shell
///
/// The script gets from this program the commands, options, files, rules and, for root, the names
/// of containers. For example: hullwatch completions bash > /etc/bash_completion.d/hullwatch
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let name = args.shell.to_string();
    let shells = Shells::builtins();
    let shell = shells
        .completer(&name)
        .ok_or_else(|| CliError::expected(format!("{name}: no completions for this shell")))?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "hullwatch", "hullwatch", "hullwatch", &mut script)?;
    std::io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Answers a shell's query for completions; true if there was one.
pub(super) fn answer(command: fn() -> clap::Command) -> Result<bool, clap::Error> {
    if std::env::var_os(VARIABLE).is_none_or(|shell| shell.is_empty() || shell == OsStr::new("0")) {
        return Ok(false);
    }
    CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref())
}

/// Completes the name of a container of this host.
pub(super) fn containers() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let (known, _) = Inventory::new(RuntimeOptions::default()).containers();
        let names = known.iter().map(|one| one.info.name.to_string());
        let mut names: Vec<_> = names.filter(|name| is_plain(name)).collect();
        names.sort();
        names.dedup();
        names.truncate(MAX_NAMES);
        names.into_iter().map(CompletionCandidate::new).collect()
    })
}

/// Whether a name can be part of a command line as it is; a hostile one must not get there.
fn is_plain(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(legal)
}

/// Completes the id of a rule.
pub(super) fn rules() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let each = catalogue().iter();
        each.map(|rule| CompletionCandidate::new(rule.id).help(Some(rule.title.into())))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_shell_would_interpret_are_not_completed() {
        assert!(is_plain("web-1.shop_a"));
        for hostile in ["", "-rf", "a b", "$(reboot)", "a;b", "a\u{1b}[2J", "é"] {
            assert!(!is_plain(hostile), "{hostile:?}");
        }
    }
}
