//! The command line: one file per command.
//!
//! Exit codes: 0 done; 1 a finding was seen (`--exit-code`), this host is not supported (`doctor`,
//! `selftest`), or a replay differs from its recording; 2 the command could not run or could not
//! see everything: usage, bad input, missing privileges, lost events (`watch --exit-code`).

mod active_recordings;
mod attach;
mod baseline;
mod completions;
mod config;
mod core_source;
mod demo;
mod diff;
mod docker_host;
mod doctor;
mod doctor_runtimes;
mod drift;
mod error;
mod fleet;
mod harden;
mod keys;
mod learn;
mod limits;
mod line_printer;
mod list;
mod live;
mod log;
mod man;
mod manual_texts;
mod output_lines;
mod password;
mod period;
mod policy;
mod posture;
mod privileges;
mod publish;
mod record;
mod record_ring;
mod replay;
mod report;
mod ring;
mod rules;
mod runtimes;
mod screen_config;
mod selection;
mod selftest;
mod serve;
mod signals;
mod sink_reporter;
mod sinks;
mod ssh;
mod starter_file;
mod stop;
mod terminal;
mod theme;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use error::CliError;
pub use live::LiveArgs;

use crate::user_files;

/// What `--version` prints: enough to build the same program again.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("HULLWATCH_COMMIT"),
    "\nbuild: ",
    env!("HULLWATCH_PROFILE"),
    " for ",
    env!("HULLWATCH_TARGET"),
    ", kernel programs ",
    env!("HULLWATCH_OBJECT"),
);

/// Shows what running containers do that they should not.
///
/// Without a command it watches this host in the terminal. Watching needs root or a few
/// capabilities; `demo` and `replay` need nothing.
#[derive(Debug, Parser)]
#[command(name = "hullwatch", version, long_version = VERSION, propagate_version = true)]
#[command(args_conflicts_with_subcommands = true)]
#[command(max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    terminal: terminal::Args,

    #[command(subcommand)]
    command: Option<CliCommand>,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    Watch(watch::Args),
    List(list::Args),
    Record(record::Args),
    Attach(attach::Args),
    Stop(stop::Args),
    Ring(ring::Args),
    Replay(replay::Args),
    Fleet(fleet::Args),
    Report(report::Args),
    Demo(demo::Args),
    Drift(drift::Args),
    Learn(learn::Args),
    Baseline(baseline::Args),
    Diff(diff::Args),
    Harden(harden::Args),
    Posture(posture::Args),
    Rules(rules::Args),
    Policy(policy::Args),
    Config(screen_config::Args),
    Theme(theme::Args),
    Keys(keys::Args),
    Doctor(doctor::Args),
    Selftest(selftest::Args),
    Completions(completions::Args),
    Man(man::Args),
    #[command(hide = true)]
    Inside(selftest::container::Args),
    #[command(hide = true)]
    Deliver(sinks::DeliverArgs),
    #[command(hide = true)]
    Serve(serve::Args),
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(error) = color_eyre::install() {
        error::print_message(error);
    }
    match completions::answer(command) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(2);
        }
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Requested help and version go to stdout; a closed pipe is no error.
            let code = if error.use_stderr() { 2 } else { 0 };
            match misplaced(&error) {
                Some(why) => error::print_message(why),
                None => drop(error.print()),
            }
            return ExitCode::from(code);
        }
    };
    limits::take();
    // Before there are other threads, which would stay where they are.
    crate::system::join_host_cgroups();
    // While the program still may change its user id.
    if let Err(error) = user_files::start() {
        return CliError::from(error).report();
    }
    if let Err(error) = log::start(cli.draws()) {
        return error.report();
    }
    let done = match cli.command {
        None => terminal::run(&cli.terminal),
        Some(CliCommand::Watch(args)) => watch::run(&args),
        Some(CliCommand::List(args)) => list::run(&args),
        Some(CliCommand::Record(args)) => record::run(&args),
        Some(CliCommand::Attach(args)) => attach::run(&args),
        Some(CliCommand::Stop(args)) => stop::run(&args),
        Some(CliCommand::Ring(args)) => ring::run(&args),
        Some(CliCommand::Replay(args)) => replay::run(&args),
        Some(CliCommand::Fleet(args)) => fleet::run(&args),
        Some(CliCommand::Report(args)) => report::run(&args),
        Some(CliCommand::Demo(args)) => demo::run(&args),
        Some(CliCommand::Drift(args)) => drift::run(&args),
        Some(CliCommand::Learn(args)) => learn::run(&args),
        Some(CliCommand::Baseline(args)) => baseline::run(&args),
        Some(CliCommand::Diff(args)) => diff::run(&args),
        Some(CliCommand::Harden(args)) => harden::run(&args),
        Some(CliCommand::Posture(args)) => posture::run(&args),
        Some(CliCommand::Rules(args)) => rules::run(&args),
        Some(CliCommand::Policy(args)) => policy::run(&args),
        Some(CliCommand::Config(args)) => screen_config::run(&args),
        Some(CliCommand::Theme(args)) => theme::run(&args),
        Some(CliCommand::Keys(args)) => keys::run(&args),
        Some(CliCommand::Doctor(args)) => doctor::run(&args),
        Some(CliCommand::Selftest(args)) => selftest::run(&args),
        Some(CliCommand::Completions(args)) => completions::run(&args),
        Some(CliCommand::Man(args)) => man::run(&args, command()),
        Some(CliCommand::Inside(args)) => selftest::container::run(&args),
        Some(CliCommand::Deliver(args)) => sinks::deliver(&args),
        Some(CliCommand::Serve(args)) => serve::run(&args),
    };
    done.unwrap_or_else(|failure| failure.report())
}

impl Cli {
    /// Whether the command draws on the terminal.
    fn draws(&self) -> bool {
        let screen = match &self.command {
            None | Some(CliCommand::Attach(_)) => true,
            Some(CliCommand::Replay(args)) => args.output.no_output_selected(),
            Some(CliCommand::Fleet(args)) => args.draws(),
            Some(CliCommand::Demo(args)) => args.output.no_output_selected(),
            Some(_) => false,
        };
        screen && terminal::there()
    }
}

/// The error message for options placed before the command they belong to.
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
        "put options after the command: hullwatch {command} --option …; options before it apply \
         to hullwatch without a command"
    ))
}

fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
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
