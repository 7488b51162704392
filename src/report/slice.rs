//! The slice of an incident: the events of its container that are in memory, as a recording that
//! replays.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::core::Core;
use crate::event::{
    ContainerAction, ContainerEvent, ContainerId, Event, Kind, Process, Timestamp, escape_json,
};
use crate::masking::mask_json;
use crate::recording::{BlindRule, Header, Redaction, SCHEMA, finding_line};
use crate::state::ProcessEntry;
use crate::text::hex;

/// The longest time in seconds that a rule waits after an event.
const MAX_WAIT: u64 = 60;

/// A recording in memory.
pub(super) struct Slice {
    /// Header, events and end line.
    pub(super) lines: Vec<u8>,
    /// Events of the stream in it, without the initial facts.
    pub(super) events: usize,
    /// Time of the first of them.
    pub(super) from: Timestamp,
}

impl Slice {
    /// The events of `container` that are in memory, with those of the numbers in `evidence`. They
    /// are renumbered, so that the reader does not take a gap for lost events.
    /// `here`: the events are this host's.
    ///
    /// # Errors
    /// When an event has no JSON form.
    pub(super) fn of(
        core: &Core,
        container: &ContainerId,
        evidence: &BTreeSet<u64>,
        here: bool,
        masked: bool,
    ) -> io::Result<Self> {
        let recent = core.state.recent.events.iter();
        let own = recent.filter(|event| event.container.as_ref() == Some(container));
        let kept = evidence.iter().filter_map(|number| core.event(*number));
        let events: BTreeMap<u64, &Arc<Event>> =
            own.chain(kept).map(|event| (event.seq, event)).collect();
        let from = events
            .values()
            .next()
            .map_or(core.state.now, |event| event.ts);
        let mut slice = SliceWriter {
            lines: Vec::new(),
            number: 0,
            masked,
            core: Core::new(core.detector.settings().clone()),
        };
        slice.line(&mut header(core, from, here, masked)?)?;
        for event in before(core, container, &events, from) {
            slice.event(event)?;
        }
        let mut last = from;
        for event in events.values() {
            slice.ticks(last, event.ts)?;
            slice.event(Event::clone(event))?;
            last = last.max(event.ts);
        }
        let last = slice.ticks(last, core.state.now)?;
        slice.end(last)?;
        Ok(Self {
            lines: slice.lines,
            events: events.len(),
            from,
        })
    }
}

struct SliceWriter {
    lines: Vec<u8>,
    /// Number of the last event.
    number: u64,
    masked: bool,
    /// The core that a replay of the events so far has.
    core: Core,
}

impl SliceWriter {
    fn event(&mut self, mut event: Event) -> io::Result<()> {
        self.number += 1;
        event.seq = self.number;
        let mut line = Vec::new();
        event.write_json(&mut line)?;
        let written = self.lines.len();
        if self.masked {
            self.line(&mut serde_json::from_slice(&line)?)?;
        } else {
            self.lines.extend_from_slice(&line);
        }
        // As a replay reads it: masked, where it is.
        let line = self.lines.get(written..).unwrap_or_default();
        let read = Event::from_json(line.trim_ascii_end()).map_err(io::Error::other)?;
        self.core.apply(&Arc::new(read));
        Ok(())
    }

    /// Adds the ticks between two events, which are not in memory: rules that wait for something
    /// decide at a tick. A gap gets few: the seconds after the event, and then fewer. Returns the
    /// time of the last one, or `after`.
    fn ticks(&mut self, after: Timestamp, before: Timestamp) -> io::Result<Timestamp> {
        let mut last = after;
        for seconds in (1..10).chain((10..=MAX_WAIT).step_by(10)) {
            let ts = after.plus(Duration::from_secs(seconds));
            if ts >= before {
                break;
            }
            self.event(Event {
                seq: 0,
                ts,
                container: None,
                pid: 0,
                nspid: 0,
                kind: Kind::Tick(Box::default()),
            })?;
            last = ts;
        }
        Ok(last)
    }

    fn line(&mut self, value: &mut Value) -> io::Result<()> {
        if self.masked {
            mask_json(value);
        }
        let line = serde_json::to_vec(value)?;
        self.lines.extend_from_slice(&escape_json(&line));
        self.lines.push(b'\n');
        Ok(())
    }

    /// Writes the findings of the slice, which a replay compares with its own, and the end line.
    fn end(&mut self, at: Timestamp) -> io::Result<()> {
        for finding in self.core.detector.findings() {
            self.lines.extend(finding_line(finding)?);
        }
        let sha256 = hex(&Sha256::digest(&self.lines));
        let events = self.number;
        self.line(&mut json!({ "type": "end", "ts": at, "events": events, "sha256": sha256 }))
    }
}

fn header(core: &Core, started: Timestamp, here: bool, masked: bool) -> io::Result<Value> {
    let settings = core.detector.settings().clone();
    let header = if here {
        Header::here(started, settings)
    } else {
        Header {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            settings,
            ..Header::default()
        }
    };
    let blind = core.detector.blind().into_iter();
    let header = Header {
        blind: blind
            .map(|(rule, fact)| BlindRule {
                rule: rule.to_owned(),
                why: format!("it needs {}", fact.name()),
            })
            .collect(),
        redaction: match masked {
            true => Redaction::Secrets,
            false => Redaction::None,
        },
        ..header
    };
    let mut line = json!({ "type": "session" });
    if let (Some(line), Value::Object(fields)) =
        (line.as_object_mut(), serde_json::to_value(header)?)
    {
        line.extend(fields);
    }
    Ok(line)
}

/// The initial facts of the slice: the container, and its processes that were started before.
fn before(
    core: &Core,
    container: &ContainerId,
    events: &BTreeMap<u64, &Arc<Event>>,
    from: Timestamp,
) -> Vec<Event> {
    let began = |event: &&Arc<Event>| match &event.kind {
        Kind::Container(change) => {
            event.container.as_ref() == Some(container)
                && matches!(
                    change.action,
                    ContainerAction::Existing
                        | ContainerAction::Appeared
                        | ContainerAction::Created
                )
        }
        _ => false,
    };
    if events.values().any(began) {
        return Vec::new();
    }
    let Some(known) = core.state.containers.get(container) else {
        return Vec::new();
    };
    let initial = |pid, nspid, kind| Event {
        seq: 0,
        ts: from,
        container: Some(container.clone()),
        pid,
        nspid,
        kind,
    };
    let facts = ContainerEvent {
        action: ContainerAction::Existing,
        info: Some(Box::new(known.info.clone())),
    };
    let mut all = vec![initial(0, 0, Kind::Container(Box::new(facts)))];
    let mut processes: Vec<&Arc<ProcessEntry>> = core.state.processes.values().collect();
    processes.retain(|p| {
        p.owner.as_ref() == Some(container)
            && p.started < from
            && p.exited.is_none_or(|exited| exited >= from)
    });
    processes.sort_by_key(|p| (p.started, p.pid));
    all.extend(processes.into_iter().map(|p| {
        let process = Process {
            ppid: p.ppid,
            uid: p.uid,
            comm: p.comm.clone(),
            exe: p.exe.clone(),
            argv: p.argv.clone(),
            cwd: p.cwd.clone(),
            started: p.started,
            file: p.file,
            replaced: p.replaced,
            tty: p.tty,
            entered: p.entered,
            streams: p.streams.clone(),
            mapped: p.mapped.clone(),
            mapped_more: p.mapped_more,
        };
        initial(p.pid, p.nspid, Kind::Process(Box::new(process)))
    }));
    all
}
