//! `hullwatch posture`: what containers may do, compared with their observed actions.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::period::Period;
use super::{CliError, LiveArgs, learn, live};
use crate::baseline::Learner;
use crate::containers::ContainerSelector;
use crate::detect::Severity;
use crate::event::{ContainerId, escape_json};
use crate::posture::{CheckResult, Neighbour, PostureOutcome, posture, segmentation};

/// Check what containers may do
///
/// Compares the settings with which each container was started with what its service was seen to
/// use: rights, namespaces, mounts, ports, limits. The checks have their numbers of the CIS Docker
/// Benchmark.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Containers: a name, an id or its beginning, a pod, or image:NAME [default: all]
    #[arg(value_name = "NAME", add = super::completions::containers())]
    names: Vec<String>,

    /// Check the containers of a recording instead of this host's
    #[arg(long, visible_alias = "session", value_name = "FILE")]
    recording: Option<PathBuf>,

    /// How long to watch this host first
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = live::duration)]
    time: Duration,

    /// Print JSON lines, one for each check
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// Print CSV
    #[arg(long)]
    csv: bool,

    /// Instead of the checks list which container can reach which port of which other one on this
    /// host, and whether it did; with names, only pairs in which one of them is involved
    #[arg(long, conflicts_with_all = ["csv", "fail_on", "exit_code"])]
    matrix: bool,

    /// Lowest severity of a failed check that counts for the exit code
    #[arg(long, value_name = "SEVERITY", default_value = "info")]
    fail_on: Severity,

    /// Exit with 1 when a check of that severity failed
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    live: LiveArgs,
}

type ContainerReport = (String, CheckResult);

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let (learner, sound) = match &args.recording {
        Some(path) => learn::from_recording(path, Period::default(), args.live.memory)?,
        None => (learn::watch(&args.live, args.time)?, true),
    };
    if args.matrix {
        return matrix(args, &learner, sound);
    }
    let mut results: Vec<ContainerReport> = Vec::new();
    for id in selected(&learner, &args.names)? {
        let Some((_, info)) = learner.containers().find(|(known, _)| **known == id) else {
            continue;
        };
        let name = if info.name.is_empty() {
            id.short().to_owned()
        } else {
            info.name.escaped().to_string()
        };
        let used = learner.baseline(&id);
        let checks = posture(info, used.as_ref());
        results.extend(checks.into_iter().map(|check| (name.clone(), check)));
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        for (name, check) in &results {
            let mut line = json!(check);
            if let Some(map) = line.as_object_mut() {
                map.insert("container".to_owned(), json!(name));
            }
            out.write_all(&escape_json(line.to_string().as_bytes()))?;
            writeln!(out)?;
        }
    } else if args.csv {
        csv(&results, &mut out)?;
    } else {
        text(&results, &mut out)?;
    }
    if !sound {
        return Ok(ExitCode::from(2));
    }
    let failed = |(_, check): &ContainerReport| {
        check.outcome == PostureOutcome::Fail && check.severity >= args.fail_on
    };
    let failed = args.exit_code && results.iter().any(failed);
    Ok(ExitCode::from(u8::from(failed)))
}

/// Which container can reach which port of which other.
fn matrix(args: &Args, learner: &Learner, sound: bool) -> Result<ExitCode, CliError> {
    let wanted = selected(learner, &args.names)?;
    let all: Vec<_> = learner.containers().collect();
    let learned: Vec<_> = all.iter().map(|(id, _)| learner.baseline(id)).collect();
    let neighbours: Vec<Neighbour<'_>> = all
        .iter()
        .zip(&learned)
        .map(|((_, info), used)| Neighbour {
            info,
            used: used.as_ref(),
        })
        .collect();
    let named = |name: &str| {
        let mut of = all.iter().filter(|(id, _)| wanted.contains(id));
        of.any(|(_, info)| info.name.escaped().to_string() == name)
    };
    let mut ports = segmentation(&neighbours);
    ports.retain(|p| args.names.is_empty() || named(&p.from) || named(&p.to));
    let mut out = std::io::stdout().lock();
    for port in &ports {
        if args.json {
            out.write_all(&escape_json(json!(port).to_string().as_bytes()))?;
            writeln!(out)?;
        } else {
            let word = if port.used { "used" } else { "never used" };
            let (from, to) = (&port.from, format!("{}:{}", port.to, port.port));
            writeln!(out, "{word:<10} {from:<24} -> {to:<32} on {}", port.network)?;
        }
    }
    if !args.json {
        let used = ports.iter().filter(|p| p.used).count();
        writeln!(out, "{} ports are reachable, {used} are used", ports.len())?;
    }
    Ok(ExitCode::from(if sound { 0 } else { 2 }))
}

fn selected(learner: &Learner, names: &[String]) -> Result<Vec<ContainerId>, CliError> {
    let known: Vec<_> = learner.containers().collect();
    if names.is_empty() {
        return Ok(known.into_iter().map(|(id, _)| id.clone()).collect());
    }
    let mut ids = Vec::new();
    for name in names {
        let found = ContainerSelector::new(name).resolve(known.iter().copied());
        for id in found.map_err(|e| CliError::expected(e.to_string()))? {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    Ok(ids)
}

fn text(results: &[ContainerReport], out: &mut impl Write) -> Result<(), CliError> {
    let mut last = "";
    for (name, check) in results {
        if name != last {
            writeln!(out, "{name}")?;
            last = name;
        }
        if check.outcome == PostureOutcome::Pass {
            continue;
        }
        let cis = if check.cis.is_empty() {
            String::new()
        } else {
            format!("CIS {}", check.cis)
        };
        writeln!(
            out,
            "  {:<8} {:<8} {:<18} {cis:<9} {}",
            check.outcome.name(),
            check.severity,
            check.id,
            both(check)
        )?;
        if !check.used.is_empty() {
            writeln!(out, "           {}", check.used)?;
        }
    }
    let of = |outcome| results.iter().filter(|(_, c)| c.outcome == outcome).count();
    writeln!(
        out,
        "{} failed, {} passed, {} unknown",
        of(PostureOutcome::Fail),
        of(PostureOutcome::Pass),
        of(PostureOutcome::Unknown)
    )?;
    Ok(())
}

/// What was declared, and what is in force where that is something else.
fn both(check: &CheckResult) -> String {
    if check.effective.is_empty() || check.effective == check.declared {
        check.declared.clone()
    } else {
        format!("{}, in force: {}", check.declared, check.effective)
    }
}

/// A cell that no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn csv(results: &[ContainerReport], out: &mut impl Write) -> Result<(), CliError> {
    let mut table = csv::Writer::from_writer(out);
    let failed = |e: csv::Error| CliError::from(std::io::Error::other(e));
    let head = [
        "container",
        "check",
        "cis",
        "severity",
        "outcome",
        "declared",
        "effective",
        "used",
    ];
    table.write_record(head).map_err(failed)?;
    for (name, check) in results {
        let severity = check.severity.to_string();
        let row = [
            &cell(name),
            check.id,
            check.cis,
            severity.as_str(),
            check.outcome.name(),
            &cell(&check.declared),
            &cell(&check.effective),
            &cell(&check.used),
        ];
        table.write_record(row).map_err(failed)?;
    }
    table.flush()?;
    Ok(())
}
