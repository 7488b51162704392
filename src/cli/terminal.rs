//! `hullwatch` without a command: this host in the terminal.

use std::io::{IsTerminal as _, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use parking_lot::Mutex;

use super::config::ScreenArgs;
use super::sinks::SinkArgs;
use super::{CliError, LiveArgs, live, ssh};
use crate::link::Destination;
use crate::memory::Share;
use crate::recording::Player;
use crate::tui::{self, Attach, Config, ReplayFrom};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show another host: hullwatch runs there, where it must be installed, as root or through sudo,
    /// and sends what it sees here. Options of watching (--host, --policy and so on) apply there.
    /// --bps limits the bytes per second of the link; without a number it is not limited. An
    /// interrupted link continues where it was. HULLWATCH_SSH names another program than ssh
    #[arg(long, value_name = "USER@HOST", allow_hyphen_values = true, conflicts_with_all = [
        "allow_actions", "notify", "notify_command", "notify_webhook_file", "notify_journal",
        "notify_syslog", "otlp", "otlp_metrics", "metrics", "publish",
    ])]
    ssh: Option<Destination>,

    /// Also record to this file from the start
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Let the menu of responses (A) carry out what it shows: pause, disconnect, block, kill, stop,
    /// copy out; each asks for confirmation and is recorded. Otherwise the menu only copies the
    /// commands
    #[arg(long)]
    allow_actions: bool,

    #[command(flatten)]
    sinks: SinkArgs,

    #[command(flatten)]
    live: LiveArgs,

    #[command(flatten)]
    screen: ScreenArgs,
}

/// True when a person can be shown a screen.
pub(super) fn there() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if !there() {
        return Err(CliError::expected(
            "this is not a terminal; hullwatch watch prints JSON lines, hullwatch list --json \
             prints a screen once",
        ));
    }
    let mut config = args.screen.load()?;
    let mut watched = args.live.clone();
    watched.memory = watched.memory.or(config.memory);
    config.memory = watched.memory;
    if let Some(host) = &args.ssh {
        return ssh::run(host, args.record.as_deref(), &watched, config);
    }
    config.allow_actions |= args.allow_actions;
    config.docker_host = args.live.docker_address();
    let sinks = args.sinks.start()?;
    let live = live::Watching {
        past: watched.memory.unwrap_or_default().of(Share::Past),
        allow_actions: config.allow_actions,
        sinks: sinks.board(),
    };
    let attach = live::prepare(&watched, sinks.tap(None), args.record.as_deref(), live)?;
    let sinks = Arc::new(Mutex::new(sinks));
    let answering = Arc::clone(&sinks);
    let attach: Attach = Box::new(move || {
        let live = attach()?;
        let begun = answering.lock().begin(&live);
        begun.map_err(|error| format!("cannot begin to report: {error}"))?;
        Ok(live)
    });
    let shown = tui::run_live(attach, &config);
    sinks.lock().end();
    shown.map_err(|error| CliError::expected(error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the demo on the screen, paused at its worst incident.
pub(super) fn demo(player: Player, screen: &ScreenArgs) -> Result<ExitCode, CliError> {
    let config = screen.load()?;
    tui::run_demo(player, &config).map_err(|error| CliError::expected(error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows a recording on the screen.
pub(super) fn replay(
    player: Player,
    from: ReplayFrom,
    config: &Config,
) -> Result<ExitCode, CliError> {
    tui::run_replay(player, from, config).map_err(|error| CliError::expected(error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}
