//! `hullwatch harden`: suggests settings that remove unneeded rights of a container.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::error::print_message;
use super::verify::{self, VerifyArgs};
use super::{CliError, diff};
use crate::advice::{Advice, NAMES, advise, advise_with_seccomp, check};
use crate::baseline::{Baseline, readiness};
use crate::event::escape;
use crate::render::{HardenFormat, render, words};
use crate::user_files;

/// Suggest how to harden a container
///
/// From a baseline: capabilities, new privileges, a read-only root with the directories that must
/// stay writable, limits, network, user; each with its evidence and a verdict. safe: enough was
/// seen; try: nothing that was seen contradicts it; blocked: something that was seen would break;
/// unknown: there is no evidence.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A baseline file, a recording (FILE@NAME), or NAME for NAME.baseline.toml here or in
    /// $XDG_CONFIG_HOME/hullwatch/baselines
    #[arg(value_name = "BASELINE")]
    of: String,

    /// Print the settings ready to be pasted, or everything as JSON
    #[arg(long, value_enum)]
    format: Option<HardenFormat>,

    /// A custom seccomp profile instead of the engine's default: the calls that were observed
    /// (learn --syscalls), never more than the default allows
    #[arg(long)]
    seccomp: bool,

    /// Only these settings, separated by commas: capabilities, no-new-privileges, read-only, memory,
    /// pids, user, seccomp, egress
    #[arg(long, value_name = "ADVICE", value_delimiter = ',', value_parser = name)]
    only: Vec<String>,

    /// Test the advice on recordings or baselines that it was not made from: list what it would have
    /// refused there; exit 1 if anything
    #[arg(long, value_name = "FILE", num_args = 1..)]
    check: Vec<String>,

    #[command(flatten)]
    verify: VerifyArgs,
}

fn name(text: &str) -> Result<String, String> {
    if NAMES.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("known are {}", NAMES.join(", ")))
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let (title, baseline) = find(&args.of)?;
    let mut advice = match args.seccomp {
        true => advise_with_seccomp(&baseline),
        false => advise(&baseline),
    };
    advice.retain(|a| args.only.is_empty() || args.only.iter().any(|n| n == a.setting.name()));
    let mut out = std::io::stdout().lock();
    if args.verify.verify.is_some() {
        let report = args.verify.run(&args.of, &title, &baseline, &advice)?;
        let code = verify::print(&report, &mut out)?;
        if let Some(format) = args.format {
            out.write_all(render(format, &title, &baseline, &report.works).as_bytes())?;
        }
        return Ok(code);
    }
    match args.format {
        Some(format) => out.write_all(render(format, &title, &baseline, &advice).as_bytes())?,
        None if args.check.is_empty() => list(&baseline, &advice, &mut out)?,
        None => {}
    }
    let mut broken = 0;
    for file in &args.check {
        let other = diff::side(file)?;
        for (setting, what) in check(&advice, &other) {
            broken += 1;
            writeln!(
                out,
                "{}: {setting} would have refused {what}",
                escape(file.as_bytes())
            )?;
        }
    }
    if !args.check.is_empty() && broken == 0 {
        print_message("the advice would have refused nothing there");
    }
    Ok(ExitCode::from(u8::from(broken > 0)))
}

/// The baseline that a text means, and the name of its service.
fn find(text: &str) -> Result<(String, Baseline), CliError> {
    let file = format!("{text}.baseline.toml");
    let standard = user_files::standard("baselines").map(|d| d.join(&file));
    let is_file = Path::new(text).exists() || text.contains('@') || text.ends_with(".toml");
    let path = [Some(PathBuf::from(&file)), standard]
        .into_iter()
        .flatten()
        .find(|p| p.exists());
    let baseline = match path {
        Some(path) if !is_file => super::baseline::load(&path)?,
        None if !is_file => {
            return Err(CliError::expected(format!(
                "there is no baseline of {text:?}: hullwatch learn {text} makes {file}"
            )));
        }
        _ => diff::side(text)?,
    };
    let service = if baseline.service.is_empty() {
        &baseline.image
    } else {
        &baseline.service
    };
    let name = service.rsplit(|b| *b == b'/').next().unwrap_or_default();
    Ok((String::from_utf8_lossy(name).into_owned(), baseline))
}

fn list(baseline: &Baseline, advice: &[Advice], out: &mut impl Write) -> Result<(), CliError> {
    for advice in advice {
        writeln!(
            out,
            "{:<8} {}",
            advice.verdict.name(),
            words(&advice.setting)
        )?;
        for why in &advice.why {
            writeln!(out, "           {why}")?;
        }
    }
    let ready = readiness(baseline);
    writeln!(out, "readiness {} %", ready.percent)?;
    for why in ready.unmet {
        writeln!(out, "           {why}")?;
    }
    Ok(())
}
