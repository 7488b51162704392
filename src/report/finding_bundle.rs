//! The evidence of one finding in one file: the finding, its process ancestry, the events, the
//! container.

use std::io::{self, Write};

use serde_json::json;

use super::archive::{self, EvidenceEvents, json_file};
use crate::core::Core;
use crate::detect::FindingId;

/// Writes the evidence of a finding as a tar archive. Events that are no longer in memory are
/// listed in the manifest.
///
/// # Errors
/// When there is no such finding, or the archive cannot be written.
pub fn write_finding_evidence(
    core: &Core,
    id: FindingId,
    masked: bool,
    out: impl Write,
) -> io::Result<()> {
    let finding = core
        .detector
        .finding(id)
        .ok_or_else(|| io::Error::other(format!("{id} does not exist any more")))?;
    let events = EvidenceEvents::of(core, finding.evidence.iter().copied(), masked)?;
    let owner = finding.container.as_ref();
    let container = owner.and_then(|id| core.state.containers.get(id));
    let manifest = json!({
        "hullwatch": env!("CARGO_PKG_VERSION"),
        "finding": id.to_string(),
        "taken": core.state.now,
        "secrets": if masked { "masked" } else { "as seen" },
        "events": events.count,
        "events_no_longer_in_memory": events.gone,
        "lost_so_far": core.state.totals.lost,
    });
    let files = [
        ("manifest.json", json_file(&manifest, false)?),
        ("finding.json", json_file(finding, masked)?),
        ("ancestry.json", json_file(&finding.ancestry, masked)?),
        (
            "container.json",
            json_file(&container.map(|container| &container.info), masked)?,
        ),
        ("events.jsonl", events.lines),
    ];
    archive::write(out, &id.to_string(), core.state.now, &files)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use serde_json::Value;

    use super::*;
    use crate::event::Event;
    use crate::recording::demo;

    #[test]
    fn a_bundle_holds_the_finding_and_its_events() {
        let core = &demo::core();
        let finding = core.detector.findings().last().unwrap();
        let mut out = Vec::new();
        write_finding_evidence(core, finding.id, true, &mut out).unwrap();
        let mut archive = tar::Archive::new(out.as_slice());
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().file_name().unwrap().to_owned();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            files.insert(name.into_string().unwrap(), content);
        }
        let parsed = |name: &str| serde_json::from_str::<Value>(&files[name]).unwrap();
        assert_eq!(parsed("finding.json")["rule"], finding.rule.as_str());
        assert!(parsed("container.json")["name"].is_string());
        let kept = files["events.jsonl"].lines().count();
        let gone = parsed("manifest.json")["events_no_longer_in_memory"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(kept + gone, finding.evidence.len());
        assert!(kept > 0);
        for line in files["events.jsonl"].lines() {
            Event::from_json(line.as_bytes()).unwrap();
        }
        let missing = write_finding_evidence(core, FindingId(9999), true, &mut Vec::new());
        assert!(missing.unwrap_err().to_string().contains("F-9999"));
    }
}
