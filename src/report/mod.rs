//! Reports about incidents for people who were not watching: Markdown, HTML, JSON.

mod archive;
mod bundle;
mod document;
mod finding_bundle;
mod html;
mod incident;
mod markdown;
mod next_steps;
mod slice;

pub use bundle::IncidentEvidence;
pub use finding_bundle::write_finding_evidence;
pub use incident::{FileLine, IncidentReport, report};
pub use next_steps::{CheckLine, DoneLine, NextSteps};

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use document::Document;

use crate::core::Core;
use crate::event::escape_json;
use crate::masking::mask_json;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// Markdown.
    Md,
    /// One JSON document with every fact of the report.
    Json,
    /// One HTML page without scripts or external files.
    Html,
}

/// The incidents as one document. `masked`: secrets in command lines and settings are replaced.
///
/// # Errors
/// When a fact cannot be written as JSON.
pub fn render(
    reports: &[IncidentReport],
    context: &Context,
    format: ReportFormat,
    masked: bool,
) -> Result<String, serde_json::Error> {
    match format {
        ReportFormat::Md => Ok(markdown::write(&document(reports, context))),
        ReportFormat::Html => Ok(html::write(&document(reports, context))),
        ReportFormat::Json => {
            let mut all = serde_json::json!({ "context": context, "incidents": reports });
            if masked {
                mask_json(&mut all);
            }
            let text = serde_json::to_string_pretty(&all)? + "\n";
            Ok(String::from_utf8_lossy(&escape_json(text.as_bytes())).into_owned())
        }
    }
}

/// Context that a reader needs for the report: its source, and what was not seen.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Context {
    /// Version of the program.
    pub hullwatch: &'static str,
    /// The host, or the file that was read.
    pub source: String,
    /// Time of the first event.
    pub watched_from: crate::event::Timestamp,
    /// Time of the latest event.
    pub watched_until: crate::event::Timestamp,
    /// Events that were lost.
    pub lost: u64,
    /// Rules that this host has no facts for.
    pub blind_rules: Vec<String>,
    /// What else was cut or left out, as sentences.
    pub not_seen: Vec<String>,
}

impl Context {
    /// The gaps known to `core`; `source` is the host or the file.
    #[must_use]
    pub fn of(core: &Core, source: String) -> Self {
        let blind = core.detector.blind().into_iter();
        let evicted = core.state.totals.evicted;
        let mut not_seen = Vec::new();
        if evicted > 0 {
            not_seen.push(format!(
                "{evicted} rows of all containers no longer fitted the tables and are left out."
            ));
        }
        if let Some(step) = core.state.clock_set() {
            not_seen.push(format!(
                "The host's clock was set by {step} while watching; all times here go on without that \
                 step."
            ));
        }
        Self {
            hullwatch: env!("CARGO_PKG_VERSION"),
            source,
            watched_from: core.state.began,
            watched_until: core.state.now,
            lost: core.state.totals.lost,
            blind_rules: blind.map(|(rule, _)| rule.to_owned()).collect(),
            not_seen,
        }
    }

    /// The same of two runs of hullwatch, of which `later` began when this one had ended.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.not_seen.push(format!(
            "Between {} and {} nothing was recorded.",
            self.watched_until, later.watched_from
        ));
        self.not_seen.extend(later.not_seen);
        self.watched_until = later.watched_until;
        self.lost = self.lost.saturating_add(later.lost);
        for rule in later.blind_rules {
            if !self.blind_rules.contains(&rule) {
                self.blind_rules.push(rule);
            }
        }
        self
    }
}

fn document(reports: &[IncidentReport], context: &Context) -> Document {
    let mut document = Document::new(&format!("hullwatch report: {}", context.source));
    document.facts(vec![
        ("Watched from", context.watched_from.to_string()),
        ("Watched until", context.watched_until.to_string()),
        ("Incidents", reports.len().to_string()),
    ]);
    if reports.is_empty() {
        document.text("No incident: no finding of medium severity or above suggests an intruder.");
    }
    for report in reports {
        report.write(&mut document);
    }
    document.heading(2, "What was not seen");
    document.text(format!(
        "Watching began at {}: earlier activity is known only by its traces.",
        context.watched_from
    ));
    let before = reports.iter().filter(|r| r.began_before).map(|r| &r.name);
    let before: BTreeSet<&str> = before.map(String::as_str).collect();
    if !before.is_empty() {
        let names: Vec<&str> = before.into_iter().collect();
        document.text(format!("Running before that: {}.", names.join(", ")));
    }
    document.text(match context.lost {
        0 => "No event was lost.".to_owned(),
        lost => format!("{lost} events were lost: actions may be missing from this report."),
    });
    if !context.blind_rules.is_empty() {
        document.text(format!(
            "Rules that are blind on this host: {}.",
            context.blind_rules.join(", ")
        ));
    }
    for sentence in &context.not_seen {
        document.text(sentence.clone());
    }
    document
}
