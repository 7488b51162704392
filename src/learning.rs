//! Learns baselines from a stream: passes each event with its findings to the learner. Also reads
//! and writes baseline files.

use std::path::Path;
use std::sync::Arc;

use crate::baseline::{Baseline, Learner, Suspicion, merge, parse, write};
use crate::core::Core;
use crate::detect::Settings;
use crate::event::Event;
use crate::recording::Follower;
use crate::state::snapshot;
use crate::user_files;
use parking_lot::Mutex;

/// Adds an event that the core has applied.
pub fn learn(learner: &mut Learner, event: &Event, core: &Core) {
    let findings = core.detector.findings();
    let latest = core.detector.latest();
    let found: Vec<Suspicion> = latest
        .iter()
        .filter_map(|index| findings.get(index.get()))
        .filter(|finding| finding.is_open())
        .filter_map(|finding| {
            Some(Suspicion {
                finding: format!("{} {}", finding.rule, finding.id),
                severity: finding.severity,
                container: finding.container.clone()?,
                pid: finding.ancestry.first().map_or(0, |process| process.pid),
                files: (std::iter::once(&finding.subject).chain(&finding.parts))
                    .filter(|subject| subject.starts_with(b"/"))
                    .cloned()
                    .collect(),
            })
        })
        .collect();
    learner.apply(&core.state, event, &found);
}

/// Begins to learn in the middle of a stream: the learner gets the current state, as from a stream
/// that begins with running containers.
pub fn meet(learner: &mut Learner, core: &Core) {
    for there in snapshot(&core.state, 0) {
        learner.apply(&core.state, &there, &[]);
    }
}

/// A learner of a stream with these settings.
#[must_use]
pub fn learner(settings: &Settings) -> Learner {
    Learner::new(settings.startup_grace)
}

/// A learner that follows a recording while it is made.
#[derive(Debug, Clone)]
pub struct LiveLearner(pub Arc<Mutex<Learner>>);

impl Follower for LiveLearner {
    fn event(&mut self, event: &Event, core: &Core) {
        learn(&mut self.0.lock(), event, core);
    }
}

/// The name of the file that keeps the baseline of a container of this name; `place` counts further
/// containers of the same name from 1.
#[must_use]
pub fn file_name(name: &str, place: usize) -> String {
    let safe: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let number = if place == 0 {
        String::new()
    } else {
        format!("-{}", place + 1)
    };
    format!("{safe}{number}.baseline.toml")
}

/// Reads a baseline's file.
///
/// # Errors
/// Why it cannot be read, with its path, and with the line of a mistake in it.
pub fn read(path: &Path) -> Result<Baseline, String> {
    let text = user_files::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse(&text).map_err(|e| format!("{}:{}: {}", path.display(), e.line, e.message))
}

/// Adds the learned items to a baseline file, which need not exist; returns the merged baseline.
///
/// # Errors
/// Why the file cannot be read or written, or is of another container, with its path.
pub fn extend(path: &Path, learned: &Baseline) -> Result<Baseline, String> {
    let at = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let whole = if path.exists() {
        merge(&read(path)?, learned).map_err(|e| at(&e))?
    } else {
        learned.clone()
    };
    user_files::write(path, &write(&whole)).map_err(|e| at(&e))?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::ItemField;
    use crate::recording::{RecordedItem, RecordingReader};

    /// The web shell of the recorded break-in is written by the server, and shows what it is for
    /// only when it runs.
    #[test]
    fn a_file_that_a_finding_is_about_is_not_normal_whoever_wrote_it() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/break-in.jsonl.zst");
        let mut reader = RecordingReader::open(Path::new(file)).unwrap();
        let mut core = Core::new(reader.header().settings.clone());
        let mut learner = learner(&reader.header().settings);
        while let Some(item) = reader.next_item() {
            if let RecordedItem::Event(event) = item {
                let event = Arc::from(event);
                core.apply(&event);
                learn(&mut learner, &event, &core);
            }
        }
        let (id, _) = (learner.containers())
            .find(|(_, info)| info.name.escaped().to_string() == "shop-web")
            .unwrap();
        let baseline = learner.baseline(id).unwrap();
        let is_shell = |path: &[u8]| path == b"/var/www/cgi-bin/.p";
        let mut held = baseline.held.iter();
        let (_, why) = held
            .find(|(item, _)| is_shell(item.get(ItemField::Path)))
            .unwrap();
        assert!(why.starts_with("drift.script F-"), "{why}");
        let mut learned = baseline.items.keys();
        assert!(!learned.any(|item| is_shell(item.get(ItemField::Path))));
    }
}
