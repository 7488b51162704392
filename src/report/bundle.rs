//! The evidence of an incident in one tar archive: the report, its findings, a slice of the
//! recording, and its files.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::json;

use super::archive::{self, ArchiveFile, EvidenceEvents, json_file};
use super::slice::Slice;
use super::{Context, IncidentReport, ReportFormat, render, report};
use crate::core::Core;
use crate::detect::Finding;
use crate::event::{Bytes, Timestamp};
use crate::incident::{Incident, IncidentId};
use crate::response::{
    CopiedFile, FileSources, ResponseSubject, checksums, copy_files, evidence_files,
};

/// The evidence of one incident, collected from memory; the files of its container are read while
/// it is written.
pub struct IncidentEvidence {
    folder: String,
    at: Timestamp,
    files: Vec<ArchiveFile>,
    reports: Vec<IncidentReport>,
    context: Context,
    masked: bool,
    /// Files that the incident created, and where they can be read; `None` if they cannot.
    dropped: Vec<Bytes>,
    sources: Option<FileSources>,
}

impl IncidentEvidence {
    /// Collects the evidence in memory. Events of the findings that are no longer there are listed
    /// in the manifest. `here`: the container is one of this host as it is now, so that its files
    /// can be read; with the address of the Docker engine where it is not the standard one.
    ///
    /// # Errors
    /// When there is no such incident, or it has no JSON form.
    pub fn of(
        core: &Core,
        id: IncidentId,
        masked: bool,
        here: Option<Option<&str>>,
    ) -> io::Result<Self> {
        let docker_host = here.flatten();
        let here = here.is_some();
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
        let slice = Slice::of(core, &incident.container, &numbers, here, masked)?;
        let events = EvidenceEvents::of(core, numbers, masked)?;
        let findings = json_file(&findings, masked)?;
        let source = if here { "this host" } else { "a recording" };
        let mut context = Context::of(core, source.to_owned());
        context.not_seen.push(format!(
            "slice.jsonl contains the {} events of this container that were in memory, from {} on.",
            slice.events, slice.from
        ));
        if !events.gone.is_empty() {
            context.not_seen.push(format!(
                "{} evidence events were no longer in memory; manifest.json lists them.",
                events.gone.len()
            ));
        }
        let [processes, connections, drift] = facts(core, &incident, masked)?;
        let subject = ResponseSubject::of_incident(&core.state, &core.detector, &incident);
        let sources = evidence_files(&core.state, &subject).filter(|_| here);
        let reports = report(core, vec![incident], masked, docker_host);
        let manifest = json!({
            "hullwatch": context.hullwatch,
            "incident": id.to_string(),
            "taken": core.state.now,
            "secrets": if masked { "masked" } else { "as seen" },
            "events": events.count,
            "events_no_longer_in_memory": events.gone,
            "slice_events": slice.events,
            "slice_from": slice.from,
            "lost_so_far": core.state.totals.lost,
        });
        Ok(Self {
            folder: id.to_string(),
            at: core.state.now,
            files: vec![
                ("findings.json", findings),
                ("events.jsonl", events.lines),
                ("slice.jsonl", slice.lines),
                ("processes.json", processes),
                ("connections.json", connections),
                ("drift.json", drift),
                ("manifest.json", json_file(&manifest, false)?),
            ],
            reports,
            context,
            masked,
            dropped: subject.files,
            sources,
        })
    }

    /// Writes the archive with the contents of the incident's files; returns the outcome for each.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(mut self, out: impl Write) -> io::Result<Vec<CopiedFile>> {
        let mut archive = tar::Builder::new(out);
        let below = format!("{}/files", self.folder);
        let copied = match &self.sources {
            Some(sources) => copy_files(sources, &below, &mut archive)?,
            None => {
                let why = "not kept: a recording holds no file contents";
                let dropped = self.dropped.iter();
                dropped.map(|path| CopiedFile::refused(path, why)).collect()
            }
        };
        for report in &mut self.reports {
            report.copied(&copied);
        }
        let markdown = render(&self.reports, &self.context, ReportFormat::Md, self.masked)?;
        let json = render(
            &self.reports,
            &self.context,
            ReportFormat::Json,
            self.masked,
        )?;
        let mut files = vec![
            ("report.md", markdown.into_bytes()),
            ("incident.json", json.into_bytes()),
            ("files.json", json_file(&copied, false)?),
            ("files/SHA256SUMS", checksums(&copied).into_bytes()),
        ];
        files.append(&mut self.files);
        archive::append(archive, &self.folder, self.at, &files)?;
        Ok(copied)
    }
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
