//! `hullwatch theme`: lists the themes, and measures whether one is readable.

use std::io::Write as _;
use std::process::ExitCode;

use super::CliError;
use super::config::ConfigFolder;
use crate::tui::Depth;
use crate::tui::theme::{DISTANCE, check};

/// List the themes, or measure one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: ThemeCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ThemeCommand {
    /// List the themes that can be chosen
    List,
    /// Measure contrast, and how distinct severities are for each kind of colour vision
    ///
    /// Exit 1 when text has a contrast below 4.5 with the background the theme names, lines and
    /// charts below 3, or two severities are closer than 20 (CIE76) in one kind of vision.
    Check {
        /// Files, or names of themes
        #[arg(required = true, value_name = "THEME")]
        themes: Vec<String>,
    },
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let library = ConfigFolder::standard().themes();
    let mut out = std::io::stdout().lock();
    let themes = match &args.action {
        ThemeCommand::List => {
            for name in library.names() {
                writeln!(out, "{name}")?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        ThemeCommand::Check { themes } => themes,
    };
    let mut good = true;
    for name in themes {
        let theme = library
            .load(name, Depth::True)
            .map_err(|error| CliError::expected(error.to_string()))?;
        let report = check(&theme);
        good &= report.good();
        writeln!(
            out,
            "{name}: {}",
            if report.good() { "good" } else { "NOT GOOD" }
        )?;
        let worst = report.contrast.first();
        for low in &report.contrast {
            let wrong = low.ratio < low.needs;
            if wrong || (report.good() && worst == Some(low)) {
                let (token, ratio, needs) = (low.token.name(), low.ratio, low.needs);
                writeln!(out, "  contrast {ratio:4.1}, needs {needs}: {token}")?;
            }
        }
        // For a bad theme only the failures are printed; for a good one its closest pairs.
        let pairs = report.closest.iter();
        for pair in pairs.filter(|pair| report.good() || pair.delta < DISTANCE) {
            let (one, other) = (pair.one.name(), pair.other.name());
            let (delta, vision) = (pair.delta, pair.vision);
            writeln!(
                out,
                "  distance {delta:4.0}, needs {DISTANCE}: {one} and {other}, {vision}"
            )?;
        }
        if !report.unknown.is_empty() {
            let names: Vec<_> = report.unknown.iter().map(|token| token.name()).collect();
            writeln!(
                out,
                "  not measured (colours of the terminal, or no background given): {}",
                names.join(" ")
            )?;
        }
    }
    Ok(ExitCode::from(u8::from(!good)))
}
