//! Compares the findings of a replay with those recorded, byte for byte.

use std::sync::Arc;

use serde::Deserialize;

use super::report::ReadReport;
use super::writer::finding_line;
use crate::detect::Finding;

/// Compares the findings of a replay with those recorded, byte for byte.
#[derive(Debug, Default)]
pub struct Comparison {
    /// The latest recorded line of each finding, by its number less one.
    recorded: Vec<Vec<u8>>,
    compared: u64,
    different: u64,
    first: Option<String>,
}

#[derive(Deserialize)]
struct Numbered {
    id: u32,
}

/// More findings than any recording holds; a larger number is damage.
const LIMIT: usize = 1 << 20;

impl Comparison {
    /// Takes a recorded finding line, with the findings as the replay has them at that place.
    pub fn recorded(&mut self, line: &[u8], findings: &[Arc<Finding>]) {
        self.compared += 1;
        let Some(index) = serde_json::from_slice::<Numbered>(line)
            .ok()
            .and_then(|n| usize::try_from(n.id).ok()?.checked_sub(1))
            .filter(|&index| index < LIMIT)
        else {
            self.differ("a recorded finding cannot be read".to_owned());
            return;
        };
        match findings.get(index) {
            Some(finding) if same(finding, line) => {}
            Some(finding) => self.differ(format!(
                "{} ({}) differs from what was recorded",
                finding.id, finding.rule
            )),
            None => self.differ(format!(
                "F-{:04} was recorded, but the replay does not raise it there",
                index + 1
            )),
        }
        if self.recorded.len() <= index {
            self.recorded.resize(index + 1, Vec::new());
        }
        if let Some(place) = self.recorded.get_mut(index) {
            line.clone_into(place);
        }
    }

    /// The difference in one sentence, or `None` without one. The final state is compared when the
    /// file is complete.
    #[must_use]
    pub fn finish(mut self, findings: &[Arc<Finding>], report: &ReadReport) -> Option<String> {
        if report.complete && report.cut.is_none() {
            let last = std::mem::take(&mut self.recorded);
            for (i, finding) in findings.iter().enumerate() {
                if !last.get(i).is_some_and(|line| same(finding, line)) {
                    self.differ(format!(
                        "{} ({}) differs from its last recorded state",
                        finding.id, finding.rule
                    ));
                }
            }
        }
        let first = self.first?;
        Some(match self.different {
            1 => format!("findings differ from the recording: {first}"),
            n => format!("findings differ from the recording in {n} places; first: {first}"),
        })
    }

    fn differ(&mut self, what: String) {
        self.different += 1;
        self.first.get_or_insert(what);
    }
}

fn same(finding: &Finding, line: &[u8]) -> bool {
    finding_line(finding).is_ok_and(|own| own.trim_ascii_end() == line.trim_ascii_end())
}
