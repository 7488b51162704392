//! `hullwatch rules`: lists the rules, with what they flag, why, and what to do.

use std::io::Write as _;
use std::process::ExitCode;

use super::{CliError, privileges};
use crate::collect::blind;
use crate::detect::RuleInfo;
use crate::detect::rules::{catalogue, info};
use crate::probe::{Probe, ProbeConfig};

/// List the rules, or explain one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The rule to explain, e.g. drift.exec-new
    #[arg(add = super::completions::rules())]
    rule: Option<String>,

    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

/// Whether a rule works on this host, tested by loading the probes.
fn here(rule: &RuleInfo) -> String {
    if let Some(refusal) = privileges::refusal() {
        return format!("unknown, since the probes cannot be loaded: {refusal}");
    }
    match Probe::load(&ProbeConfig::default()) {
        Err(error) => format!("blind: {error}"),
        Ok(probe) => match blind::why(rule, &blind::missing(probe.report(), true)) {
            Some(blind) => format!("blind: {}", blind.why),
            None => "live".to_owned(),
        },
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let one = match &args.rule {
        Some(id) => Some(info(id).ok_or_else(|| {
            CliError::expected(format!("no rule {id:?}; hullwatch rules lists them"))
        })?),
        None => None,
    };
    let mut out = std::io::stdout().lock();
    match one {
        Some(rule) if !args.json => {
            let needs: Vec<_> = rule.needs.iter().map(|fact| fact.name()).collect();
            writeln!(out, "{} ({})\n{}\n", rule.id, rule.severity, rule.title)?;
            writeln!(out, "{}\n\nCheck: {}", rule.explain, rule.check)?;
            if !rule.attack.is_empty() {
                writeln!(out, "ATT&CK: {}", rule.attack.join(", "))?;
            }
            writeln!(out, "Needs: {}", needs.join(", "))?;
            writeln!(out, "On this host: {}", here(rule))?;
        }
        _ => {
            let chosen = one.map_or(catalogue(), std::slice::from_ref);
            for rule in chosen {
                if args.json {
                    let line = serde_json::to_string(rule).map_err(std::io::Error::from)?;
                    writeln!(out, "{line}")?;
                } else {
                    let severity = rule.severity.to_string();
                    writeln!(out, "{:24} {severity:9} {}", rule.id, rule.title)?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
