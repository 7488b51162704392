//! Incidents of the demo's recording, and the reports about them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use crate::core::Core;
use crate::detect::rules;
use crate::event::Severity;
use crate::recording::{Comparison, Player, RecordedItem, RecordingReader, demo};
use crate::report::{Context, IncidentEvidence, ReportFormat, render, report};

#[test]
fn the_break_in_of_the_demo_is_one_incident() {
    let core = demo::core();
    let incidents = core.ranked_incidents();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    let incident = &incidents[0];
    assert_eq!(incident.severity, Severity::Critical);
    let names: Vec<&str> = incident.stages.iter().map(|stage| stage.name).collect();
    for stage in ["cloud metadata", "dropped program", "account", "cron job"] {
        assert!(names.contains(&stage), "{names:?}");
    }
    // It came by docker exec: requests to the unrelated container explain nothing.
    assert_eq!(incident.request, None);
    let cron = core
        .state
        .containers
        .values()
        .find(|c| c.display_name() == "shop-cron");
    assert_ne!(incident.container, cron.unwrap().id);
}

#[test]
fn a_silenced_finding_leaves_its_incident() {
    let core = demo::core();
    let id = core.ranked_incidents()[0].id;
    let all = core.incident(id).unwrap().findings.len();
    let open = core
        .detector
        .findings()
        .iter()
        .filter(|f| f.silenced.is_none())
        .count();
    assert!(all <= open);
    for finding in core.incident(id).unwrap().findings {
        assert_eq!(core.incidents.of(finding), Some(id));
    }
}

#[test]
fn reports_and_evidence_tell_the_same() {
    let core = demo::core();
    let incidents = core.ranked_incidents();
    let id = incidents[0].id;
    let context = Context::of(&core, "demo".to_owned());
    let reports = report(&core, incidents, true, None);
    for format in [ReportFormat::Md, ReportFormat::Html, ReportFormat::Json] {
        let text = render(&reports, &context, format, true).unwrap();
        assert!(text.contains("/tmp/.kworker"), "{text}");
        assert!(text.contains("shop"), "{text}");
        assert!(text.contains("docker pause"), "{text}");
        let check = rules::info("drift.exec-new").unwrap().check;
        let start = check.split(['.', ',', '\'', '`']).next().unwrap();
        assert!(text.contains(start), "{start}: {text}");
    }
    let mut archive = Vec::new();
    let evidence = IncidentEvidence::of(&core, id, true, None).unwrap();
    let copied = evidence.write(&mut archive).unwrap();
    assert!(!copied.is_empty());
    let files = contents(&archive);
    assert_eq!(files.len(), 11, "{:?}", files.keys());
    let report = &files["report.md"];
    for part in ["Watching began at", "not kept: a recording", "slice.jsonl"] {
        assert!(report.contains(part), "{part}: {report}");
    }
    // The commands are for the engine that is watched.
    let host = Some(Some("unix:///run/other.sock"));
    let evidence = IncidentEvidence::of(&core, id, true, host).unwrap();
    let mut archive = Vec::new();
    evidence.write(&mut archive).unwrap();
    let report = &contents(&archive)["report.md"];
    assert!(
        report.contains("docker --host unix:///run/other.sock pause"),
        "{report}"
    );
    let missing = IncidentEvidence::of(&core, crate::incident::IncidentId(9999), true, None);
    assert!(missing.is_err_and(|error| error.to_string().contains("I-9999")));
}

fn contents(archive: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(archive);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().file_name().unwrap().to_owned();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        (name.into_string().unwrap(), content)
    };
    archive.entries().unwrap().map(read).collect()
}

/// How the findings of a replay differ from those in the file.
fn differences(path: &std::path::Path) -> Option<String> {
    let mut reader = RecordingReader::open(path).unwrap();
    let mut core = Core::new(reader.header().settings.clone());
    let mut comparison = Comparison::default();
    let mut findings = 0;
    while let Some(item) = reader.next_item() {
        match item {
            RecordedItem::Event(event) => core.apply(&std::sync::Arc::from(event)),
            RecordedItem::Finding(line) => {
                findings += 1;
                comparison.recorded(line, core.detector.findings());
            }
        }
    }
    assert!(findings > 0, "the file has findings");
    comparison.finish(core.detector.findings(), reader.report())
}

#[test]
fn the_slice_replays_and_shows_the_incident() {
    let core = demo::core();
    let incident = core.ranked_incidents().remove(0);
    for masked in [true, false] {
        let mut archive = Vec::new();
        let evidence = IncidentEvidence::of(&core, incident.id, masked, None).unwrap();
        evidence.write(&mut archive).unwrap();
        let slice = contents(&archive).remove("slice.jsonl").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slice.jsonl");
        std::fs::write(&path, slice).unwrap();
        let mut player = Player::open(&path).unwrap();
        while player.step() {}
        let report = player.report();
        assert!(report.is_sound(), "{report:?}");
        assert_eq!(differences(&path), None);
        let again = player.core().ranked_incidents();
        assert_eq!(again[0].container, incident.container);
        assert_eq!(again[0].severity, incident.severity);
        assert_eq!(again[0].sentence("›"), incident.sentence("›"));
        let of = |core: &Core| {
            let all = core.detector.findings().iter();
            let own = all.filter(|f| f.container.as_ref() == Some(&incident.container));
            own.map(|f| (f.rule.to_string(), f.severity, f.title.clone()))
                .collect::<BTreeSet<_>>()
        };
        let (there, here) = (of(player.core()), of(&core));
        let missing: Vec<_> = here.difference(&there).collect();
        assert!(missing.is_empty() && !here.is_empty(), "{missing:#?}");
    }
}
