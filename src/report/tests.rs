//! Incidents of the demo's recording, and the reports about them.

use crate::core::Core;
use crate::detect::rules;
use crate::event::Severity;
use crate::recording::Player;
use crate::report::{Context, ReportFormat, render, report, write_evidence};

fn demo() -> Core {
    let bytes: &'static [u8] = include_bytes!("../../demo/demo.jsonl.zst");
    let mut player = Player::from_memory("demo", bytes).unwrap();
    while player.step() {}
    player.core().clone()
}

#[test]
fn the_break_in_of_the_demo_is_one_incident() {
    let core = demo();
    let incidents = core.ranked_incidents();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    let incident = &incidents[0];
    assert_eq!(incident.severity, Severity::Critical);
    let names: Vec<&str> = incident.stages.iter().map(|stage| stage.name).collect();
    for stage in ["cloud metadata", "dropped program", "account", "cron job"] {
        assert!(names.contains(&stage), "{names:?}");
    }
    // It came by docker exec: requests of the honest neighbour explain nothing.
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
    let core = demo();
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
    let core = demo();
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
    write_evidence(&core, id, true, &mut archive).unwrap();
    let mut archive = tar::Archive::new(archive.as_slice());
    let entries = archive.entries().unwrap();
    let names: Vec<String> = entries
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names.len(), 8);
    assert!(names.contains(&format!("{id}/report.md")), "{names:?}");
    let missing = write_evidence(&core, crate::incident::IncidentId(9999), true, Vec::new());
    assert!(missing.unwrap_err().to_string().contains("I-9999"));
}
