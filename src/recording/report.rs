//! Report on the file itself: damage, missing events, digests.

use std::collections::BTreeMap;

/// A damaged position of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Line number, from 1.
    pub line: u64,
    /// The cause.
    pub cause: String,
}

/// Report on the file itself: damage, missing events, digests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// The file.
    pub name: String,
    /// Lines read, whole ones only.
    pub lines: u64,
    /// Events read.
    pub events: u64,
    /// Lines of a type that this version does not know, by type; bounded.
    pub unknown: BTreeMap<String, u64>,
    /// Lines that are no JSON object of a recording, or too long.
    pub damaged: u64,
    /// The first of them.
    pub first_damage: Option<Damage>,
    /// Compressed frames that could not be read to their end; what follows them was read.
    pub damaged_frames: u64,
    /// Sequence numbers that are missing between events.
    pub missing: u64,
    /// Digest lines that matched.
    pub digests: u64,
    /// The last line covered by a digest that matched.
    pub proven: u64,
    /// A digest did not match: something changed after [`Self::proven`] and before this line.
    pub mismatch: Option<u64>,
    /// The file has no end: it was cut, or is still being written.
    pub cut: Option<Damage>,
    /// The file was written in this newer format.
    pub newer: Option<u32>,
    /// The file was read to its end.
    pub complete: bool,
}

/// More distinct unknown types than this are counted together.
const UNKNOWN_TYPES: usize = 32;

impl ReadReport {
    pub(super) fn note_unknown(&mut self, kind: &str) {
        let room = self.unknown.len() < UNKNOWN_TYPES;
        let name: String = kind.chars().take(40).collect();
        let name = if room || self.unknown.contains_key(&name) {
            name
        } else {
            "others".to_owned()
        };
        *self.unknown.entry(name).or_default() += 1;
    }

    pub(super) fn note_damage(&mut self, line: u64, cause: String) {
        self.damaged += 1;
        self.first_damage.get_or_insert(Damage { line, cause });
    }

    /// True when every byte up to where the file ends is as it was written. A cut file can be
    /// sound; see [`Self::cut`].
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged == 0
            && self.damaged_frames == 0
            && self.mismatch.is_none()
            && self.missing == 0
    }

    /// Messages for the user, one sentence each, beginning with the file's name.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let name = &self.name;
        let mut notices = Vec::new();
        if let Some(schema) = self.newer {
            notices.push(format!(
                "{name}:1: written in recording format {schema}, newer than {} of this version; \
                 its additions are not shown",
                super::SCHEMA
            ));
        }
        if let Some(damage) = &self.first_damage {
            notices.push(format!(
                "{name}:{}: {}{}",
                damage.line,
                damage.cause,
                match self.damaged {
                    1 => "; this line was skipped".to_owned(),
                    n => format!("; {n} lines were skipped"),
                }
            ));
        }
        if self.damaged_frames > 0 {
            notices.push(format!(
                "{name}: {} compressed blocks are damaged; the data after each was read",
                self.damaged_frames
            ));
        }
        if let Some(line) = self.mismatch {
            notices.push(format!(
                "{name}:{line}: digest mismatch: the file was changed between line {} and here",
                self.proven + 1
            ));
        }
        if self.missing > 0 {
            notices.push(format!(
                "{name}: {} events are missing between those recorded",
                self.missing
            ));
        }
        if let Some(cut) = &self.cut {
            notices.push(format!("{name}:{}: {}", cut.line, cut.cause));
        }
        if !self.unknown.is_empty() {
            let kinds: Vec<_> = self
                .unknown
                .iter()
                .map(|(kind, n)| format!("{} ({n})", crate::event::escape(kind.as_bytes())))
                .collect();
            notices.push(format!(
                "{name}: skipped lines of types this version does not know: {}",
                kinds.join(", ")
            ));
        }
        notices
    }
}
