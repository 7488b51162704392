//! `--since` and `--until`: a part of a recording, and of the segments of a ring.

use std::path::Path;

use crate::{DEMO, hullwatch, stderr};

/// A time within the incident of the demo's web server.
const MIDDLE: &str = "2026-11-25T10:10:30Z";

fn text(args: &[&str]) -> String {
    let output = hullwatch(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Ids of the findings that are listed.
fn findings(more: &[&str]) -> Vec<String> {
    let args = [&["list", "findings", "--json", "--recording"], more].concat();
    let rows = text(&args);
    let rows = rows.lines().map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["id"].as_str().unwrap().to_owned()
    });
    let mut ids: Vec<String> = rows.collect();
    ids.sort();
    ids
}

#[test]
fn a_list_covers_only_the_selected_part() {
    let all = findings(&[DEMO]);
    let before = findings(&[DEMO, "--until", MIDDLE]);
    let after = findings(&[DEMO, "--since", MIDDLE]);
    assert!(!before.is_empty() && !after.is_empty(), "{all:?}");
    // Actions in progress at that moment are in both.
    assert!(before.len() < all.len() && after.len() < all.len());
    for id in &all {
        assert!(before.contains(id) || after.contains(id), "{id}");
    }
    assert!(findings(&[DEMO, "--since", "2026-11-25T11:00:00Z"]).is_empty());
}

#[test]
fn a_report_covers_only_the_selected_part() {
    let incidents = |more: &[&str]| {
        let args = [&["report", DEMO, "--format", "json"], more].concat();
        let report: serde_json::Value = serde_json::from_str(&text(&args)).unwrap();
        let stories = report["incidents"].as_array().unwrap().iter();
        stories
            .map(|incident| incident["incident"]["findings"].as_array().unwrap().len())
            .collect::<Vec<_>>()
    };
    let (all, before) = (incidents(&[]), incidents(&["--until", MIDDLE]));
    assert_eq!((all.len(), before.len()), (1, 1));
    assert!(before < all, "{before:?} {all:?}");
    assert!(incidents(&["--until", "2026-11-25T10:10:00Z"]).is_empty());
}

/// Two runs of hullwatch in one ring: both are reported, and so is the gap between them.
#[test]
fn separate_runs_are_all_reported() {
    let ring = tempfile::tempdir().unwrap();
    let add = |name: &str, from: &str| {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("demo")
            .join(from);
        std::fs::copy(from, ring.path().join(name)).unwrap();
    };
    add("2026-11-25T10-09-50.000000000Z.jsonl.zst", "demo.jsonl.zst");
    add("2026-11-25T10-20-00.000000000Z.jsonl.zst", "demo.jsonl.zst");
    let ring = ring.path().to_str().unwrap();
    let report = hullwatch(&["report", ring, "--format", "json"]);
    assert!(
        stderr(&report).contains("nothing was recorded"),
        "{}",
        stderr(&report)
    );
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["incidents"].as_array().unwrap().len(), 2);
    assert!(
        report["context"]["not_seen"]
            .to_string()
            .contains("Between")
    );
    let csv = text(&["list", "incidents", "--csv", "--recording", ring]);
    assert_eq!(csv.lines().count(), 3, "{csv}");
    // The existing objects are those of the last run only.
    let containers = text(&["list", "--json", "--recording", ring]);
    assert_eq!(containers.lines().count(), 2, "{containers}");
}

#[test]
fn learning_and_comparing_accept_a_part() {
    let learned = |more: &[&str]| {
        let args = [&["learn", "shop-web", "-o", "-", "--recording", DEMO], more].concat();
        text(&args)
    };
    const EARLY: &str = "2026-11-25T10:10:12Z";
    let (all, early) = (learned(&[]), learned(&["--until", EARLY]));
    assert_ne!(all, early);
    let late = learned(&["--since", EARLY]);
    assert!(late != all && late.contains("shop/web"), "{late}");
    let cron = format!("{DEMO}@shop-cron");
    let diff = |more: &[&str]| {
        let args = [&["diff", &cron, &cron, "--json"], more].concat();
        let diff: serde_json::Value = serde_json::from_str(&text(&args)).unwrap();
        let new = diff["new"].as_array().unwrap().len();
        (new, diff["notes"].to_string())
    };
    assert_eq!(diff(&[]).0, 0);
    assert!(diff(&["--until", EARLY]).0 > 0);
    let (_, notes) = diff(&["--since", EARLY]);
    assert!(notes.contains("of the second no start was seen"), "{notes}");
}

#[test]
fn an_empty_part_is_refused() {
    for (args, printed) in [
        (vec!["list", "--since", "-1h"], "no recording is given"),
        (
            vec!["report", "--live", "--until", "-1h"],
            "no recording is given",
        ),
        (
            vec![
                "list",
                "--recording",
                DEMO,
                "--since",
                "-1h",
                "--until",
                "-2h",
            ],
            "is before",
        ),
        (
            vec!["diff", "a.toml", "b.toml", "--since", "-1h"],
            "b.toml is not a recording",
        ),
    ] {
        let output = hullwatch(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            stderr(&output).contains(printed),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}
