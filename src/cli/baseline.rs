//! `hullwatch baseline`: shows, checks, merges and accepts what was learned.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::CliError;
use super::error::print_message;
use crate::baseline::{
    Baseline, BaselineState, Facet, different_settings, merge, readiness, write,
};
use crate::event::escape;
use crate::user_files;

/// Show, check, merge and accept baselines
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: BaselineCommand,
}

#[derive(Debug, clap::Subcommand)]
enum BaselineCommand {
    /// List the baselines in a directory: container, state, readiness
    List {
        /// The directory [default: $XDG_CONFIG_HOME/hullwatch/baselines]
        directory: Option<PathBuf>,
    },
    /// Show a baseline: items by facet, what is held, what would raise its readiness
    Show {
        /// The file
        file: PathBuf,
        /// Only these facets, separated by commas
        #[arg(long, value_name = "FACETS", value_delimiter = ',', value_parser = facet)]
        only: Vec<Facet>,
    },
    /// Check baseline files; report the line of the first error and exit with 2
    Check {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Merge baselines of one image and service: replicas, or several recordings
    Merge {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The file to write, - for stdout
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Accept held items: they count as normal from then on
    Accept {
        /// The file
        file: PathBuf,
        /// Parts of the lines of the held items, as show prints them; --all for every one
        #[arg(required_unless_present = "all")]
        items: Vec<String>,
        /// Accept all held items
        #[arg(long)]
        all: bool,
    },
    /// Declare that a baseline is complete, whatever its readiness
    Freeze {
        /// The file
        file: PathBuf,
        /// Undo it
        #[arg(long)]
        undo: bool,
    },
}

/// Reads the name of a facet.
pub(super) fn facet(name: &str) -> Result<Facet, String> {
    Facet::named(name).ok_or_else(|| {
        let names: Vec<_> = Facet::ALL.into_iter().map(Facet::name).collect();
        format!("known are {}", names.join(", "))
    })
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let mut out = io::stdout().lock();
    match &args.action {
        BaselineCommand::List { directory } => list(directory.as_deref(), &mut out)?,
        BaselineCommand::Show { file, only } => show(&load(file)?, only, &mut out)?,
        BaselineCommand::Check { files } => {
            for file in files {
                let baseline = load(file)?;
                write!(out, "{}: ", file.display())?;
                summary(&baseline, &mut out)?;
            }
        }
        BaselineCommand::Merge { files, output } => {
            let mut all: Option<Baseline> = None;
            for file in files {
                let next = load(file)?;
                all = Some(match all {
                    None => next,
                    Some(all) => merge(&all, &next)
                        .map_err(|e| CliError::expected(format!("{}: {e}", file.display())))?,
                });
            }
            if let Some(all) = all {
                for line in different_settings(&all) {
                    super::error::print_message(format!(
                        "the sources ran under different settings, which limit what was \
                         observed: {line}"
                    ));
                }
                store(output, &all)?;
            }
        }
        BaselineCommand::Accept { file, items, all } => {
            let mut baseline = load(file)?;
            let accepted = accept(&mut baseline, items, *all)?;
            store(file, &baseline)?;
            for line in accepted {
                writeln!(out, "accepted {line}")?;
            }
        }
        BaselineCommand::Freeze { file, undo } => {
            let mut baseline = load(file)?;
            baseline.frozen = !undo;
            store(file, &baseline)?;
            summary(&baseline, &mut out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a baseline file.
pub(super) fn load(path: &Path) -> Result<Baseline, CliError> {
    crate::learning::read(path).map_err(CliError::expected)
}

fn store(path: &Path, baseline: &Baseline) -> Result<(), CliError> {
    let text = write(baseline);
    if path.as_os_str() == "-" {
        io::stdout().lock().write_all(text.as_bytes())?;
        return Ok(());
    }
    user_files::write(path, &text)
        .map_err(|e| CliError::expected(format!("{}: {e}", path.display())))
}

/// Moves held items that a text names to the known ones.
fn accept(baseline: &mut Baseline, texts: &[String], all: bool) -> Result<Vec<String>, CliError> {
    let mut accepted = Vec::new();
    let named = |line: &str, text: &String| !text.is_empty() && line.contains(text.as_str());
    for text in texts {
        let mut lines = baseline
            .held
            .keys()
            .map(|item| format!("{} {item}", item.facet));
        if !lines.any(|line| named(&line, text)) {
            return Err(CliError::expected(format!(
                "no held item contains {text:?}"
            )));
        }
    }
    let held = std::mem::take(&mut baseline.held);
    for (item, why) in held {
        let line = format!("{} {item}", item.facet);
        if all || texts.iter().any(|text| named(&line, text)) {
            accepted.push(line);
            baseline.items.entry(item).or_default();
        } else {
            baseline.held.insert(item, why);
        }
    }
    Ok(accepted)
}

/// One line about a baseline.
pub(super) fn summary(baseline: &Baseline, out: &mut impl Write) -> io::Result<()> {
    let ready = readiness(baseline);
    let state = baseline.state();
    write!(out, "{}, {}", baseline.title(), state.name())?;
    if state != BaselineState::Frozen {
        write!(out, " ({} %)", ready.percent)?;
    }
    write!(out, ", {} items", baseline.items.len())?;
    if !baseline.held.is_empty() {
        write!(out, ", {} held", baseline.held.len())?;
    }
    match ready.unmet.first() {
        Some(next) if state != BaselineState::Frozen => writeln!(out, "; {next}"),
        _ => writeln!(out),
    }
}

fn list(named: Option<&Path>, out: &mut impl Write) -> Result<(), CliError> {
    let directory = match named {
        Some(directory) => directory.to_owned(),
        None => user_files::standard("baselines")
            .ok_or_else(|| CliError::expected("the home directory is unknown"))?,
    };
    let paths = match user_files::list(&directory) {
        // The standard directory is created with the first baseline.
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => Vec::new(),
        _ => files(&directory)?,
    };
    if paths.is_empty() {
        print_message(format!(
            "no baselines in {}: hullwatch learn writes them",
            directory.display()
        ));
    }
    for path in paths {
        write!(out, "{}: ", path.display())?;
        match load(&path) {
            Ok(baseline) => summary(&baseline, out)?,
            Err(CliError::Expected(why)) => writeln!(out, "refused: {why}")?,
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// The baseline files of a directory, sorted.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let at = |e: io::Error| CliError::expected(format!("{}: {e}", directory.display()));
    let mut found: Vec<PathBuf> = user_files::list(directory)
        .map_err(at)?
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(".baseline.toml"))
        .collect();
    found.sort();
    Ok(found)
}

fn show(baseline: &Baseline, only: &[Facet], out: &mut impl Write) -> io::Result<()> {
    summary(baseline, out)?;
    for facet in Facet::ALL
        .into_iter()
        .filter(|f| only.is_empty() || only.contains(f))
    {
        for (item, facts) in baseline.facet(facet) {
            let phases = facts.phases();
            let phases = if phases.is_empty() {
                "accepted".to_owned()
            } else {
                phases
            };
            writeln!(out, "  {facet:<10} {item}  ({phases})")?;
        }
    }
    for (item, why) in &baseline.held {
        let why = escape(why.as_bytes());
        writeln!(out, "  held       {} {item}  ({why})", item.facet)?;
    }
    for source in baseline.sources.values() {
        let compared = if source.compared {
            ""
        } else {
            ", not compared with the image"
        };
        writeln!(
            out,
            "  learned    {} min, {} starts, {} ends, {} lost{compared}",
            source.observed / 60,
            source.starts,
            source.stops,
            source.lost
        )?;
    }
    for why in readiness(baseline).unmet {
        writeln!(out, "  to do      {why}")?;
    }
    Ok(())
}
