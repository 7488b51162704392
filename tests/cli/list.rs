//! `list`: one view of a recording, for people and for programs.

use crate::{DEMO, hullwatch, stderr};

#[test]
fn a_view_of_a_recording_is_listed_for_people_and_programs() {
    let text = hullwatch(&["list", "--session", DEMO]);
    assert_eq!(text.status.code(), Some(0), "{}", stderr(&text));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.starts_with("SEV  NAME") && text.contains("shop-web"),
        "{text}"
    );
    let json = [
        "list",
        "findings",
        "--session",
        DEMO,
        "--json",
        "--filter",
        "sev>=h",
    ];
    let json = String::from_utf8(hullwatch(&json).stdout).unwrap();
    assert!(json.lines().count() >= 3, "{json}");
    for line in json.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(row["sev"] == "H" || row["sev"] == "C", "{line}");
        assert!(row["n"].is_u64() && row["age"].is_u64(), "{line}");
    }
    let bad = hullwatch(&["list", "--session", DEMO, "--filter", "colour=red"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(
        stderr(&bad).contains("no column colour"),
        "{}",
        stderr(&bad)
    );
}

/// Programs get words, numbers and whole ids as fields, not letters and short ids.
#[test]
fn rows_have_their_facts_in_fields_of_their_own() {
    for view in [
        "incidents",
        "containers",
        "findings",
        "processes",
        "network",
        "files",
        "images",
        "events",
    ] {
        let output = hullwatch(&["list", view, "--recording", DEMO, "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.is_empty(), "{view}");
        for line in text.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let letter = row["sev"].as_str().unwrap_or(".");
            match row["severity"].as_str() {
                Some(word) => assert!(word.len() > 2, "{line}"),
                None => assert_eq!(letter, ".", "{line}"),
            }
            for (text, number) in [
                ("first_seen", "first_seen_ms"),
                ("last_seen", "last_seen_ms"),
            ] {
                let time = row[text].as_str().map(|t| t.parse::<jiff::Timestamp>());
                let time = time.map(|t| t.unwrap().as_millisecond());
                assert_eq!(row[number].as_i64(), time, "{line}");
            }
            match view {
                "images" => assert!(row["image_digest"].is_string(), "{line}"),
                _ => assert_eq!(
                    row["container_id"].as_str().map(str::len),
                    Some(64),
                    "{line}"
                ),
            }
            if view == "containers" {
                assert!(row["image_digest"].as_str().unwrap().starts_with("sha256:"));
                assert!(
                    row["labels"].is_object() && row["runtime"] == "docker",
                    "{line}"
                );
                assert!(
                    row["exit_code"].is_null() && row["exit"].is_null(),
                    "{line}"
                );
            }
        }
    }
}
