//! The command line: one file per command.
//!
//! Exit codes: 0 done; 1 a finding was seen (`--exit-code`), this host cannot do it (`doctor`,
//! `selftest`), or a replay differs from its recording; 2 anything that kept the command from
//! running: usage, bad input, missing privileges.

mod attach;
mod completions;
mod config;
mod demo;
mod doctor;
mod drift;
mod failure;
mod keys;
mod list;
mod live;
mod man;
mod policy;
mod privileges;
mod record;
mod replay;
mod rules;
mod selftest;
mod signals;
mod stop;
mod stream;
mod terminal;
mod theme;
mod underway;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use failure::Failure;
pub use live::LiveArgs;

/// Shows what running containers do that they should not.
///
/// Without a command it watches this host in the terminal. Watching needs root or a few
/// capabilities; `demo` and `replay` need nothing.
#[derive(Debug, Parser)]
#[command(name = "hullwatch", version, propagate_version = true)]
#[command(args_conflicts_with_subcommands = true)]
#[command(max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    terminal: terminal::Args,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Watch(watch::Args),
    List(list::Args),
    Record(record::Args),
    Attach(attach::Args),
    Stop(stop::Args),
    Replay(replay::Args),
    Demo(demo::Args),
    Drift(drift::Args),
    Rules(rules::Args),
    Policy(policy::Args),
    Theme(theme::Args),
    Keys(keys::Args),
    Doctor(doctor::Args),
    Selftest(selftest::Args),
    Completions(completions::Args),
    Man(man::Args),
    #[command(hide = true)]
    Inside(selftest::inside::Args),
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(error) = color_eyre::install() {
        failure::say(error);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for and go to stdout; a closed pipe is no trouble.
            let code = if error.use_stderr() { 2 } else { 0 };
            match misplaced(&error) {
                Some(why) => failure::say(why),
                None => drop(error.print()),
            }
            return ExitCode::from(code);
        }
    };
    let done = match cli.command {
        None => terminal::run(&cli.terminal),
        Some(Command::Watch(args)) => watch::run(&args),
        Some(Command::List(args)) => list::run(&args),
        Some(Command::Record(args)) => record::run(&args),
        Some(Command::Attach(args)) => attach::run(&args),
        Some(Command::Stop(args)) => stop::run(&args),
        Some(Command::Replay(args)) => replay::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Drift(args)) => drift::run(&args),
        Some(Command::Rules(args)) => rules::run(&args),
        Some(Command::Policy(args)) => policy::run(&args),
        Some(Command::Theme(args)) => theme::run(&args),
        Some(Command::Keys(args)) => keys::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Selftest(args)) => selftest::run(&args),
        Some(Command::Completions(args)) => completions::run(&args),
        Some(Command::Man(args)) => man::run(&args),
        Some(Command::Inside(args)) => selftest::inside::run(&args),
    };
    done.unwrap_or_else(|failure| failure.report())
}

/// What to say of options that stand before the command they are meant for.
fn misplaced(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    if error.kind() != ErrorKind::ArgumentConflict {
        return None;
    }
    let command = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(command)) => command,
        _ => return None,
    };
    Some(format!(
        "put options behind the command: hullwatch {command} --option …; before it they are those \
         of hullwatch without a command"
    ))
}

fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn options_before_a_command_are_explained() {
        let refused = |words: &[&str]| Cli::try_parse_from(words).unwrap_err();
        let why = misplaced(&refused(&[
            "hullwatch",
            "--docker-host",
            "x",
            "replay",
            "F",
        ]));
        let why = why.unwrap();
        assert!(why.contains("hullwatch replay --option"), "{why}");
        assert!(misplaced(&refused(&["hullwatch", "--no-such"])).is_none());
    }
}
