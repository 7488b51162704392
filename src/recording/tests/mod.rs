//! Round trips, and files that were cut, changed, or written by a later version.
mod arbitrary;
mod damage;
mod follow;
mod play;
mod roundtrip;

use std::path::{Path, PathBuf};

use super::*;
use crate::detect::Settings;
use crate::event::{ContainerId, Event, Exec, Kind, Timestamp};

const START: i64 = 1_795_442_607_000_000_000;

fn container() -> ContainerId {
    ContainerId::new(&"c".repeat(64))
}

fn event(seq: u64, ms: i64, kind: Kind) -> Event {
    Event {
        seq,
        ts: Timestamp(START + ms * 1_000_000),
        container: Some(container()),
        pid: 100 + u32::try_from(seq % 1000).unwrap(),
        nspid: 7,
        kind,
    }
}

fn exec(argv: &[u8]) -> Kind {
    Kind::Exec(Box::new(Exec {
        comm: "sh".into(),
        exe: "/bin/sh".into(),
        argv: vec!["sh".into(), argv.into()],
        ..Exec::default()
    }))
}

/// `seconds` ticks with `each` execs before each.
fn stream(seconds: u64, each: u64) -> Vec<Event> {
    let mut events = Vec::new();
    for second in 0..seconds {
        for i in 0..=each {
            let seq = second * (each + 1) + i + 1;
            let ms = i64::try_from(second * 1000 + i * 1000 / (each + 1)).unwrap();
            let kind = if i == each {
                Kind::Tick(Box::default())
            } else {
                exec(b"\xff\x1b[31m \"\n")
            };
            events.push(event(seq, ms, kind));
        }
    }
    events
}

fn header() -> Header {
    Header::here(Timestamp(START), Settings::default())
}

fn write(path: &Path, events: &[Event]) -> RecordingSummary {
    let mut writer = Writer::create(path, &header()).unwrap();
    for event in events {
        writer.event(event).unwrap();
    }
    writer.finish(&[]).unwrap()
}

fn read(path: &Path) -> Result<(Vec<Event>, ReadReport), RecordingError> {
    let mut reader = RecordingReader::open(path)?;
    let mut events = Vec::new();
    while let Some(item) = reader.next_item() {
        if let RecordedItem::Event(event) = item {
            events.push(*event);
        }
    }
    Ok((events, reader.report().clone()))
}

fn scratch(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    (dir, path)
}
