//! `hullwatch keys`: lists the key bindings in force.

use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::CliError;
use super::config::ScreenArgs;
use crate::tui::{ACTIONS, ActionGroup, ActionScope, Entry};

/// List the key bindings, including those of the configuration
///
/// The names are those to use in [keys] of the configuration and after ":" on the screen.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON lines
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    screen: ScreenArgs,
}

#[derive(Serialize)]
struct KeyLine<'a> {
    action: &'a str,
    keys: Vec<String>,
    group: ActionGroup,
    #[serde(rename = "where")]
    place: ActionScope,
    help: &'a str,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let config = args.screen.load()?;
    let mut out = std::io::stdout().lock();
    let keys = |entry: &'static Entry| -> Vec<String> {
        config.keys.keys(entry).map(|key| key.to_string()).collect()
    };
    let mut group = None;
    for entry in ACTIONS {
        if args.json {
            let line = KeyLine {
                action: entry.name,
                keys: keys(entry),
                group: entry.group,
                place: entry.place,
                help: entry.help,
            };
            let line = serde_json::to_string(&line).map_err(std::io::Error::from)?;
            writeln!(out, "{line}")?;
            continue;
        }
        if group != Some(entry.group) {
            let blank = if group.is_some() { "\n" } else { "" };
            writeln!(out, "{blank}{}", entry.group.title())?;
            group = Some(entry.group);
        }
        let keys = keys(entry).join(" ");
        write!(out, "  {keys:20} {:18} {}", entry.name, entry.help)?;
        match entry.place {
            ActionScope::Anywhere => writeln!(out)?,
            place => writeln!(out, " ({})", place.needed())?,
        }
    }
    Ok(ExitCode::SUCCESS)
}
