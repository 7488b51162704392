//! The page of an incident: its events, what still runs, and what to do next.

use super::line::{DetailLine, fact, flagged, heading, steps};
use crate::core::Core;
use crate::event::{Timestamp, escape};
use crate::incident::{Incident, timeline};
use crate::report::{self, FileLine, NextSteps};
use crate::tui::action::Action;
use crate::tui::rows::{self, Query};
use crate::tui::text::things;

/// Maximum number of rows of a list; reports have all.
const MAX_ROWS: usize = 20;

/// Its letter, container and title: the line that stays while the page scrolls.
pub(super) fn headline(core: &Core, incident: &Incident) -> String {
    let name = rows::name(core, &Some(incident.container.clone()));
    let state = if incident.active { "ACTIVE" } else { "ended" };
    let what = incident.sentence("›");
    let state = match incident.accepted {
        Some(_) => format!("{state}, accepted"),
        None => state.to_owned(),
    };
    format!("{} {name}  {state}  {what}", incident.severity.letter())
}

pub(super) fn facts(core: &Core, query: &Query<'_>, incident: &Incident) -> Vec<DetailLine> {
    let described = report::report(core, vec![incident.clone()], false, None);
    let Some(report) = described.into_iter().next() else {
        return Vec::new();
    };
    let time = |at: Timestamp| query.zone.exact(at);
    let request = incident
        .request
        .as_ref()
        .map_or_else(String::new, |request| {
            let sure = if request.by_ancestor { "" } else { "perhaps " };
            format!(
                "{sure}{} to port {} of {}",
                request.peer,
                request.local.port(),
                request.server.escaped()
            )
        });
    let mut facts = vec![
        fact("first seen", time(incident.first)),
        fact("last seen", time(incident.last)),
        fact("entry", request),
        fact("accepted", accepted(incident)),
        heading("What happened"),
    ];
    facts.extend(history(core, query, incident));
    facts.push(heading(match report.processes.len() {
        0 => "No process of it is known to be running".to_owned(),
        n => format!("Runs now: {} (host pid)", things(n as u64, "process")),
    }));
    let running = report.processes.iter().take(MAX_ROWS);
    facts.extend(running.map(|p| fact(&p.pid.to_string(), p.command.clone())));
    facts.extend(more(report.processes.len()));
    facts.push(heading(match report.peers.len() {
        0 => "No outbound connection since then",
        _ => "Peers since then",
    }));
    for peer in report.peers.iter().take(MAX_ROWS) {
        let state = if peer.open > 0 { "OPEN  " } else { "" };
        let text = format!(
            "{state}{} {}  {}",
            peer.ports_text(),
            peer.name,
            peer.program
        );
        facts.push(fact(&peer.peer, text));
    }
    facts.extend(more(report.peers.len()));
    let (unseen, own): (Vec<&FileLine>, Vec<&FileLine>) =
        report.files.iter().partition(|file| file.unseen);
    facts.push(heading(match (own.len(), unseen.len()) {
        (0, 0) => "No created or changed file is known",
        (0, _) => "It was not seen creating or changing a file",
        _ => "Files it created or changed",
    }));
    facts.extend(files(&own));
    if !unseen.is_empty() {
        facts.push(heading("Differ from the image, author unknown"));
        facts.extend(files(&unseen));
    }
    facts.extend(next_steps(&report.next, query));
    facts.push(heading("Next"));
    facts.push(next(query));
    facts.retain(|line| !line.blank());
    facts
}

/// Files with their hashes.
fn files(files: &[&FileLine]) -> Vec<DetailLine> {
    let shown = files.iter().take(MAX_ROWS).map(|file| {
        let hash = file.sha256.as_deref().unwrap_or("");
        fact("", format!("{}  {hash}", file.path))
    });
    shown.chain(more(files.len())).collect()
}

/// The user who accepted it, the reason, and the number of findings since.
fn accepted(incident: &Incident) -> String {
    match (&incident.accepted, incident.silenced) {
        (Some(reason), _) => escape(reason.as_bytes()).to_string(),
        (None, 0) => String::new(),
        (None, n) => {
            let silenced = things(n, "finding");
            format!("{silenced} of it silenced and not listed here")
        }
    }
}

/// Responses that were made, next steps, and responses that fit.
fn next_steps(next: &NextSteps, query: &Query<'_>) -> Vec<DetailLine> {
    let mut lines = Vec::new();
    if !next.done.is_empty() {
        lines.push(heading("Responses made"));
        let done = next.done.iter();
        lines.extend(done.map(|done| fact(&query.zone.clock(done.at), done.text.clone())));
    }
    if !next.checks.is_empty() {
        lines.push(heading("Check"));
        let checks = (1..).zip(&next.checks);
        lines.extend(checks.map(|(n, line)| fact(&n.to_string(), line.check.clone())));
    }
    if !next.responses.is_empty() {
        let key = query.keys.sign(Action::Respond);
        lines.push(heading(format!("Next steps ({key} shows the commands)")));
        let responses = next.responses.iter();
        lines
            .extend(responses.map(|response| fact(response.action.name(), response.title.clone())));
    }
    lines
}

/// Its events, one line each.
pub(super) fn history(core: &Core, query: &Query<'_>, incident: &Incident) -> Vec<DetailLine> {
    let (lines, left_out) = timeline(&core.detector, incident);
    let mut rows: Vec<DetailLine> = lines
        .into_iter()
        .map(|line| {
            let count = match line.count {
                0 | 1 => String::new(),
                count => format!("  (x{count})"),
            };
            let at = query.zone.clock(line.first);
            flagged(line.severity, &at, line.text + &count)
        })
        .collect();
    if left_out > 0 {
        rows.push(fact("", format!("+{left_out} less important lines")));
    }
    rows
}

fn more(all: usize) -> Option<DetailLine> {
    let more = all.saturating_sub(MAX_ROWS);
    (more > 0).then(|| fact("", format!("+{more} more")))
}

/// The keys for further steps.
fn next(query: &Query<'_>) -> DetailLine {
    let actions = [
        (Action::Respond, "respond: commands, undo"),
        (Action::Owner, "its container"),
        (Action::Moment, "go to its moment"),
        (Action::Acknowledge, "acknowledge"),
        (Action::Bundle, "save the evidence of all"),
    ];
    steps(query, &actions)
}
