//! The next steps in a report: checks, the responses that fit with their command lines, and the
//! responses that were made.

use serde::Serialize;

use super::document::Document;
use crate::core::Core;
use crate::detect::rules;
use crate::event::Timestamp;
use crate::incident::Incident;
use crate::response::{ResponseSubject, Suggestion, fitting};

/// The checks for the findings of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckLine {
    /// The rule's id.
    pub rule: String,
    /// The rule's title.
    pub title: String,
    /// The checks.
    pub check: String,
}

/// A response that was made from hullwatch's screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoneLine {
    /// When it ended.
    pub at: Timestamp,
    /// Action, person and outcome; escaped.
    pub text: String,
    /// The command as a line for a shell.
    pub command: String,
    /// The line that undoes it; empty if that is impossible.
    pub undo: String,
}

/// The next steps about one incident.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NextSteps {
    /// The checks, the worst finding's rule first, each rule once.
    pub checks: Vec<CheckLine>,
    /// Responses that fit, the most advisable first.
    pub responses: Vec<Suggestion>,
    /// Responses that were made since the incident began.
    pub done: Vec<DoneLine>,
}

impl NextSteps {
    /// `docker_host`: address of the Docker engine where it is not the standard one.
    pub(super) fn of(core: &Core, incident: &Incident, docker_host: Option<&str>) -> Self {
        let subject = ResponseSubject::of_incident(&core.state, &core.detector, incident);
        let container = core.state.containers.get(&incident.container);
        let responses = container.into_iter().flat_map(|c| c.responses());
        let done = responses.filter(|(at, _)| *at >= incident.first);
        Self {
            checks: checks(core, incident),
            responses: fitting(&core.state, &subject, docker_host),
            done: done
                .map(|(at, response)| DoneLine {
                    at,
                    text: response.sentence(),
                    command: response.command.clone(),
                    undo: response.undo.clone(),
                })
                .collect(),
        }
    }

    pub(super) fn write(&self, document: &mut Document) {
        if !self.done.is_empty() {
            document.heading(3, "Responses made");
            let rows = self.done.iter();
            let rows = rows.map(|d| vec![d.at.to_string(), d.text.clone(), d.undo.clone()]);
            let columns = vec!["Time (UTC)", "Response", "Undo"];
            document.table(columns, rows.collect(), usize::MAX);
        }
        document.heading(3, "Next steps");
        if !self.checks.is_empty() {
            let rows = self
                .checks
                .iter()
                .map(|c| vec![c.title.clone(), c.check.clone()]);
            document.table(vec!["Finding", "Check"], rows.collect(), usize::MAX);
        }
        for suggestion in &self.responses {
            document.text(format!("{}. {}", suggestion.title, suggestion.effect));
            document.code(suggestion.command.clone());
            if let Some(undo) = &suggestion.undo {
                document.text("Undo:");
                document.code(undo.clone());
            }
        }
    }
}

fn checks(core: &Core, incident: &Incident) -> Vec<CheckLine> {
    let all = incident.findings.iter();
    let mut findings: Vec<_> = all.filter_map(|id| core.detector.finding(*id)).collect();
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.first));
    let mut checks: Vec<CheckLine> = Vec::new();
    for finding in findings {
        if checks.iter().any(|known| known.rule == finding.rule) {
            continue;
        }
        if let Some(info) = rules::info(&finding.rule) {
            checks.push(CheckLine {
                rule: finding.rule.clone(),
                title: info.title.to_owned(),
                check: info.check.to_owned(),
            });
        }
    }
    checks
}
