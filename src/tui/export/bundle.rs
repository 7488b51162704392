//! The evidence of one finding in one file: what was found, who descended from whom, the events,
//! the container.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::core::Core;
use crate::detect::{Finding, FindingId};
use crate::masking::mask_json;

/// What a bundle holds, by name of file.
type Files = Vec<(&'static str, Vec<u8>)>;

/// Writes the bundle of a finding as a tar archive. Evidence that is no longer in memory is named.
///
/// # Errors
/// When there is no such finding, or it cannot be written.
pub(in crate::tui) fn write(
    core: &Core,
    id: FindingId,
    masked: bool,
    out: impl Write,
) -> io::Result<()> {
    let finding = core
        .detector
        .findings()
        .iter()
        .find(|finding| finding.id == id)
        .ok_or_else(|| io::Error::other(format!("{id} is not there any more")))?;
    let now = core.state.now;
    let seconds = u64::try_from(now.to_jiff().as_second()).unwrap_or(0);
    let mut archive = tar::Builder::new(out);
    for (name, content) in files(core, finding, masked)? {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(seconds);
        archive.append_data(&mut header, format!("{id}/{name}"), content.as_slice())?;
    }
    archive.into_inner()?.flush()
}

fn files(core: &Core, finding: &Finding, masked: bool) -> io::Result<Files> {
    let of = |seq: &u64| core.event(*seq);
    let kept: Vec<_> = finding.evidence.iter().filter_map(of).collect();
    let gone: Vec<u64> = finding
        .evidence
        .iter()
        .filter(|seq| of(seq).is_none())
        .copied()
        .collect();
    let mut about = serde_json::to_value(finding)?;
    let mut container = Value::Null;
    if let Some(known) = finding
        .container
        .as_ref()
        .and_then(|id| core.state.containers.get(id))
    {
        container = serde_json::to_value(&known.info)?;
    }
    let mut ancestry = serde_json::to_value(&finding.ancestry)?;
    let mut events = Vec::new();
    for event in &kept {
        let mut line = Vec::new();
        event.write_json(&mut line)?;
        events.push(serde_json::from_slice::<Value>(&line)?);
    }
    if masked {
        for value in [&mut about, &mut container, &mut ancestry] {
            mask_json(value);
        }
        events.iter_mut().for_each(mask_json);
    }
    let mut lines = String::new();
    for event in &events {
        let _ = writeln!(lines, "{event}");
    }
    let manifest = json!({
        "hullwatch": env!("CARGO_PKG_VERSION"),
        "finding": finding.id.to_string(),
        "taken": core.state.now.to_string(),
        "secrets": if masked { "masked" } else { "as seen" },
        "events": events.len(),
        "events_no_longer_in_memory": gone,
        "lost_so_far": core.state.totals.lost,
    });
    let pretty = |value: &Value| serde_json::to_vec_pretty(value);
    Ok(vec![
        ("manifest.json", pretty(&manifest)?),
        ("finding.json", pretty(&about)?),
        ("ancestry.json", pretty(&ancestry)?),
        ("container.json", pretty(&container)?),
        ("events.jsonl", lines.into_bytes()),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;
    use crate::event::Event;
    use crate::recording::Player;

    #[test]
    fn a_bundle_holds_the_finding_and_its_events() {
        let demo: &'static [u8] = include_bytes!("../../../demo/demo.jsonl.zst");
        let mut player = Player::from_memory("demo", demo).unwrap();
        while player.step() {}
        let core = player.core();
        let finding = core.detector.findings().last().unwrap();
        let mut out = Vec::new();
        write(core, finding.id, true, &mut out).unwrap();
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
        let missing = write(core, FindingId(9999), true, &mut Vec::new());
        assert!(missing.unwrap_err().to_string().contains("F-9999"));
    }
}
