//! The directory of `record --ring` on the screen: at its present, and at another moment.

use hullwatch::detect::Settings;
use hullwatch::event::{
    ContainerAction, ContainerEvent, ContainerId, ContainerInfo, Event, Kind, Timestamp,
};
use hullwatch::recording::ring::segment_path;
use hullwatch::recording::{Header, Writer};

use crate::screen::Screen;

/// Too long to be played.
const HOURS: i64 = 3 * 3600;

fn at(seconds: i64) -> Timestamp {
    Timestamp((1_790_000_000 + seconds) * 1_000_000_000)
}

fn container(seq: u64, seconds: i64, name: &str) -> Event {
    let id = format!("{seq:064x}");
    Event {
        seq,
        ts: at(seconds),
        container: Some(ContainerId::new(&id)),
        pid: 0,
        nspid: 0,
        kind: Kind::Container(Box::new(ContainerEvent {
            action: ContainerAction::Existing,
            info: Some(Box::new(ContainerInfo {
                name: name.into(),
                ..ContainerInfo::default()
            })),
        })),
    }
}

fn tick(seq: u64, seconds: i64) -> Event {
    Event {
        container: None,
        kind: Kind::Tick(Box::default()),
        ..container(seq, seconds, "")
    }
}

#[test]
fn a_ring_opens_at_its_present_and_at_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("XDG_CONFIG_HOME", folder.path().join("config"))];
    let ring = folder.path().join("ring");
    std::fs::create_dir(&ring).unwrap();
    let path = segment_path(&ring, at(0));
    let mut writer = Writer::create(&path, &Header::here(at(0), Settings::default())).unwrap();
    for event in [
        container(1, 0, "hw-early"),
        tick(2, 1),
        container(3, HOURS, "hw-late"),
        tick(4, HOURS + 1),
    ] {
        writer.event(&event).unwrap();
    }
    let ring = ring.to_str().unwrap();
    for words in [vec!["replay", ring], vec!["attach", ring]] {
        let words = [vec![env!("CARGO_BIN_EXE_hullwatch")], words].concat();
        let mut screen = Screen::start(&words, &environment);
        screen.shows(24, 80, |picture| picture.contents().contains("hw-late"));
        // Events written from now on are shown as well.
        let seq = if words[1] == "replay" { 5 } else { 7 };
        let name = format!("hw-{}", words[1]);
        writer.event(&container(seq, HOURS + 5, &name)).unwrap();
        writer.event(&tick(seq + 1, HOURS + 6)).unwrap();
        screen.shows(24, 80, |picture| picture.contents().contains(&name));
        screen.type_in("q");
        assert!(screen.ended());
    }
    let moment = at(1).to_string();
    let words = [
        env!("CARGO_BIN_EXE_hullwatch"),
        "replay",
        ring,
        "--at",
        &moment,
    ];
    let mut screen = Screen::start(&words, &environment);
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("hw-early") && !text.contains("hw-late")
    });
    drop(writer);
    // The recorder has ended: its present is its end.
    let words = [env!("CARGO_BIN_EXE_hullwatch"), "replay", ring];
    let mut screen = Screen::start(&words, &environment);
    screen.shows(24, 80, |picture| picture.contents().contains("hw-attach"));
}
