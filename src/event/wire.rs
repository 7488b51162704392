//! Events as JSON lines, both ways.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::{ContainerId, Event, Kind, Timestamp, common_fields};

/// Why a line is not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or a field is missing or of the wrong type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A type that this version does not know; a later version may have written it.
    #[error("unknown event type {0:?}")]
    UnknownType(String),
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    seq: u64,
    ts: Timestamp,
    #[serde(default, borrow)]
    container: Option<Text<'a>>,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    nspid: u32,
}

/// A string, borrowed where it has no escapes. (serde borrows no `Cow` inside an `Option`.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

/// Shares container ids, so that all events of a container use one allocation.
#[derive(Debug, Default)]
pub struct ContainerIds {
    known: FxHashMap<Box<str>, ContainerId>,
    /// The kind's fields of the line being read.
    fields: Vec<u8>,
}

/// Maximum number of shared ids; further ones are not shared.
const SHARED_IDS: usize = 65_536;

impl ContainerIds {
    /// The id with this text.
    pub fn get(&mut self, text: &str) -> ContainerId {
        if let Some(id) = self.known.get(text) {
            return id.clone();
        }
        let id = ContainerId::new(text);
        if self.known.len() < SHARED_IDS {
            self.known.insert(text.into(), id.clone());
        }
        id
    }
}

#[derive(Serialize)]
struct Line<'a, K: Serialize> {
    #[serde(rename = "type")]
    kind: &'static str,
    seq: u64,
    ts: Timestamp,
    container: &'a Option<ContainerId>,
    pid: u32,
    nspid: u32,
    #[serde(flatten)]
    fields: &'a K,
}

impl Event {
    /// Reads one JSON line.
    ///
    /// # Errors
    /// When the line is not an event of a known type.
    pub fn from_json(line: &[u8]) -> Result<Self, EventError> {
        Self::from_json_sharing(line, &mut ContainerIds::default())
    }

    /// The number in a line that this program wrote, without reading the whole line; `None` when it is
    /// no event.
    #[must_use]
    pub fn number_in(line: &[u8]) -> Option<u64> {
        common_fields::read(line).map(|common| common.seq)
    }

    /// Reads one JSON line of many, whose container ids are shared.
    ///
    /// # Errors
    /// When the line is not an event of a known type.
    pub fn from_json_sharing(line: &[u8], ids: &mut ContainerIds) -> Result<Self, EventError> {
        if let Some(common) = common_fields::read(line) {
            // The kind's fields as an object of their own: the rest of the line behind a brace.
            let ContainerIds { fields, .. } = ids;
            fields.clear();
            fields.push(b'{');
            fields.extend(common.rest.strip_prefix(b",").unwrap_or(common.rest));
            // The parser of whole lines reports the position of an error.
            if let Ok(kind) = Kind::read_fields(common.kind, fields) {
                return Ok(Self {
                    seq: common.seq,
                    ts: common.ts,
                    container: common.container.map(|id| ids.get(id)),
                    pid: common.pid,
                    nspid: common.nspid,
                    kind,
                });
            }
        }
        // The common fields and those of the kind are read in two passes: serde's `flatten`
        // buffers every value and costs several times as much.
        let head: Head<'_> = serde_json::from_slice(line)?;
        Ok(Self {
            seq: head.seq,
            ts: head.ts,
            kind: Kind::read_fields(&head.kind, line)?,
            container: head.container.map(|id| ids.get(&id.0)),
            pid: head.pid,
            nspid: head.nspid,
        })
    }

    /// Appends the event as one JSON line, with its newline.
    ///
    /// # Errors
    /// Only if a value cannot be represented in JSON, which no event holds.
    pub fn write_json(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        self.kind.write_fields(self, out)
    }

    /// Appends the line of an event whose kind has these fields.
    pub(super) fn line<K: Serialize>(
        &self,
        fields: &K,
        out: &mut Vec<u8>,
    ) -> Result<(), serde_json::Error> {
        let line = Line {
            kind: self.kind.type_name(),
            seq: self.seq,
            ts: self.ts,
            container: &self.container,
            pid: self.pid,
            nspid: self.nspid,
            fields,
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.push(b'\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Bytes, Exec, FileFacts};

    #[test]
    fn an_event_survives_the_round_trip() {
        let event = Event {
            seq: 7,
            ts: Timestamp(1_795_442_607_000_000_042),
            container: Some(ContainerId::new(&"a".repeat(64))),
            pid: 12,
            nspid: 1,
            kind: Kind::Exec(Box::new(Exec {
                argv: vec![Bytes::new(b"a\xff\n\x1b")],
                file: FileFacts {
                    upper: true,
                    ..FileFacts::default()
                },
                ..Exec::default()
            })),
        };
        let mut line = Vec::new();
        event.write_json(&mut line).unwrap();
        assert_eq!(Event::from_json(&line).unwrap(), event);
        let tick = Event {
            kind: Kind::Tick(Box::default()),
            container: None,
            ..event
        };
        line.clear();
        tick.write_json(&mut line).unwrap();
        assert_eq!(Event::from_json(&line).unwrap(), tick);
    }

    #[test]
    fn any_order_and_spacing_of_the_fields_reads_the_same() {
        let own = br#"{"type":"fork","seq":7,"ts":"2026-01-31T12:00:00.000000042Z","container":"a","pid":3,"nspid":2,"ppid":1}"#;
        let event = Event::from_json(own).unwrap();
        let fields = common_fields::read(own).unwrap();
        assert_eq!((fields.kind, fields.seq, fields.pid), ("fork", 7, 3));
        for other in [
            &br#"{"ppid":1,"nspid":2,"pid":3,"container":"a","ts":"2026-01-31T12:00:00.000000042Z","seq":7,"type":"fork"}"#[..],
            br#"{"type":"fork", "seq":7,"ts":"2026-01-31T12:00:00.000000042Z","container":"a","pid":3,"nspid":2,"ppid":1}"#,
            br#"{"type":"fork","seq":7,"ts":"2026-01-31T12:00:00.000000042Z","container":"\u0061","pid":3,"nspid":2,"ppid":1}"#,
            br#"{"type":"fork","seq":7,"ts":"2026-01-31T12:00:00.000000042+00:00","container":"a","pid":3,"nspid":2,"ppid":1}"#,
        ] {
            assert!(common_fields::read(other).is_none());
            assert_eq!(Event::from_json(other).unwrap(), event);
        }
        // Errors are reported with their position in the whole line.
        let wrong = br#"{"type":"fork","seq":7,"ts":"2026-01-31T12:00:00.000000042Z","container":"a","pid":3,"nspid":2,"ppid":"x"}"#;
        let Err(EventError::Json(error)) = Event::from_json(wrong) else {
            panic!("it is wrong");
        };
        assert!(error.column() > 90, "{error}");
        for wrong in ["01", "-1", "99999999999999999999", ""] {
            let line = format!(
                r#"{{"type":"fork","seq":{wrong},"ts":"2026-01-31T12:00:00.000000042Z","container":"a","pid":3,"nspid":2,"ppid":1}}"#
            );
            assert!(Event::from_json(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn an_unknown_type_is_distinguished_from_damage() {
        let line = br#"{"type":"later","seq":1,"ts":"2026-01-01T00:00:00Z"}"#;
        assert!(matches!(Event::from_json(line), Err(EventError::UnknownType(t)) if t == "later"));
        assert!(matches!(Event::from_json(b"{"), Err(EventError::Json(_))));
    }
}
