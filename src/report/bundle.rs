//! The evidence of an incident in one tar archive: the report, its findings and their events.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::{ReportFormat, render, report};
use crate::core::Core;
use crate::detect::Finding;
use crate::incident::{Incident, IncidentId};
use crate::masking::mask_json;

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
    let seqs: BTreeSet<u64> = findings
        .iter()
        .flat_map(|f| f.evidence.iter().copied())
        .collect();
    let (kept, gone): (Vec<u64>, Vec<u64>) =
        seqs.into_iter().partition(|seq| core.event(*seq).is_some());
    let mut events = Vec::new();
    for event in kept.iter().filter_map(|seq| core.event(*seq)) {
        let mut line = Vec::new();
        event.write_json(&mut line)?;
        let mut event: Value = serde_json::from_slice(&line)?;
        if masked {
            mask_json(&mut event);
        }
        serde_json::to_writer(&mut events, &event)?;
        events.push(b'\n');
    }
    let mut findings = serde_json::to_value(&findings)?;
    if masked {
        mask_json(&mut findings);
    }
    let context = super::Context::of(core, "evidence".to_owned());
    let [processes, connections, drift] = facts(core, &incident, masked)?;
    let reports = report(core, vec![incident], masked, None);
    let manifest = json!({
        "hullwatch": context.hullwatch,
        "incident": id.to_string(),
        "taken": core.state.now,
        "secrets": if masked { "masked" } else { "as seen" },
        "events": kept.len(),
        "events_no_longer_in_memory": gone,
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
        ("findings.json", serde_json::to_vec_pretty(&findings)?),
        ("events.jsonl", events),
        ("processes.json", processes),
        ("connections.json", connections),
        ("drift.json", drift),
        ("manifest.json", serde_json::to_vec_pretty(&manifest)?),
    ];
    let seconds = u64::try_from(core.state.now.seconds()).unwrap_or(0);
    let mut archive = tar::Builder::new(out);
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(seconds);
        archive.append_data(&mut header, format!("{id}/{name}"), content.as_slice())?;
    }
    archive.into_inner()?.flush()
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
    let pretty = |mut value: Value| {
        if masked {
            mask_json(&mut value);
        }
        serde_json::to_vec_pretty(&value).map_err(io::Error::from)
    };
    Ok([
        pretty(serde_json::to_value(processes)?)?,
        pretty(serde_json::to_value(connections)?)?,
        pretty(serde_json::to_value(drift)?)?,
    ])
}
