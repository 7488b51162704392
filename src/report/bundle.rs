//! The evidence of an incident in one tar archive: the report, its findings and their events.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::json;

use super::archive::{self, EvidenceEvents, json_file};
use super::{ReportFormat, render, report};
use crate::core::Core;
use crate::detect::Finding;
use crate::incident::{Incident, IncidentId};

/// Writes the archive. Events of the findings that are no longer in memory are listed in the
/// manifest.
///
/// # Errors
/// When there is no such incident, or the archive cannot be written.
pub fn write_evidence(
    core: &Core,
    id: IncidentId,
    masked: bool,
    out: impl Write,
) -> io::Result<()> {
    let incident = core
        .incident(id)
        .ok_or_else(|| io::Error::other(format!("{id} does not exist any more")))?;
    let findings: Vec<&Finding> = incident
        .findings
        .iter()
        .filter_map(|id| core.detector.finding(*id))
        .collect();
    let numbers: BTreeSet<u64> = findings
        .iter()
        .flat_map(|f| f.evidence.iter().copied())
        .collect();
    let events = EvidenceEvents::of(core, numbers, masked)?;
    let findings = json_file(&findings, masked)?;
    let context = super::Context::of(core, "evidence".to_owned());
    let [processes, connections, drift] = facts(core, &incident, masked)?;
    let reports = report(core, vec![incident], masked, None);
    let manifest = json!({
        "hullwatch": context.hullwatch,
        "incident": id.to_string(),
        "taken": core.state.now,
        "secrets": if masked { "masked" } else { "as seen" },
        "events": events.count,
        "events_no_longer_in_memory": events.gone,
        "lost_so_far": core.state.totals.lost,
    });
    let files = [
        (
            "report.md",
            render(&reports, &context, ReportFormat::Md, masked)?.into_bytes(),
        ),
        (
            "incident.json",
            render(&reports, &context, ReportFormat::Json, masked)?.into_bytes(),
        ),
        ("findings.json", findings),
        ("events.jsonl", events.lines),
        ("processes.json", processes),
        ("connections.json", connections),
        ("drift.json", drift),
        ("manifest.json", json_file(&manifest, false)?),
    ];
    archive::write(out, &id.to_string(), core.state.now, &files)
}

/// All processes of the container, parents first; its connections; and the latest comparison of its
/// files with the image (`null` when there was none).
fn facts(core: &Core, incident: &Incident, masked: bool) -> io::Result<[Vec<u8>; 3]> {
    let owner = Some(&incident.container);
    let mut processes: Vec<_> = core.state.processes.values().collect();
    processes.retain(|process| process.owner.as_ref() == owner);
    processes.sort_by_key(|process| (process.started, process.pid));
    let all = core.state.connections.iter();
    let connections: Vec<_> = all.filter(|(key, _)| key.owner.as_ref() == owner).collect();
    let container = core.state.containers.get(&incident.container);
    let drift = container.and_then(|container| container.scan());
    Ok([
        json_file(&processes, masked)?,
        json_file(&connections, masked)?,
        json_file(&drift, masked)?,
    ])
}
