//! Any written event is read back unchanged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::recording::output::FRAME_BYTES;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_kind_survives(events in arbitrary::events(1..40), compressed in any::<bool>()) {
        let (_dir, path) = scratch(if compressed { "s.jsonl.zst" } else { "s.jsonl" });
        write(&path, &events);
        let (back, report) = read(&path).unwrap();
        prop_assert_eq!(back, events);
        prop_assert_eq!(report.notices(), Vec::<String>::new());
        prop_assert!(report.complete && report.cut.is_none() && report.digests > 0);
    }
}

#[test]
fn the_header_comes_back() {
    let (_dir, path) = scratch("s.jsonl");
    let mut written = header();
    written.settings.max_age = None;
    written.blind.push(BlindRule {
        rule: "net.udp".to_owned(),
        why: "no fentry".to_owned(),
    });
    Writer::create(&path, &written)
        .unwrap()
        .finish(&[])
        .unwrap();
    assert_eq!(*RecordingReader::open(&path).unwrap().header(), written);
}

#[test]
fn a_recording_never_overwrites() {
    let (_dir, path) = scratch("s.jsonl");
    std::fs::write(&path, "precious").unwrap();
    let error = Writer::create(&path, &header()).unwrap_err();
    assert!(matches!(error, RecordingError::Exists(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_full_disk_is_an_error_not_a_panic() {
    let full = std::path::Path::new("/dev/full");
    let (_dir, path) = scratch("s.jsonl");
    let mut writer = Writer::create(&path, &header()).unwrap();
    writer.redirect(std::fs::OpenOptions::new().write(true).open(full).unwrap());
    let failed = stream(2, 10)
        .iter()
        .find_map(|event| writer.event(event).err())
        .unwrap();
    assert!(failed.to_string().contains("cannot write"), "{failed}");
}

#[test]
fn many_frames_read_as_one_stream() {
    let (_dir, path) = scratch("s.zst");
    let events = stream(60, 1000);
    let summary = write(&path, &events);
    assert!(summary.bytes > 12 << 20, "{summary:?}");
    let (back, report) = read(&path).unwrap();
    assert!(back == events && report.is_sound());
}

#[test]
fn a_recorder_writes_what_it_is_given() {
    let (_dir, path) = scratch("s.zst");
    let events = stream(5, 100);
    let (before, after) = events.split_at(50);
    let mut recorder = Recorder::start(&path, &header(), before.to_vec()).unwrap();
    assert!(Recorder::start(&path, &header(), Vec::new()).is_err());
    after
        .iter()
        .for_each(|event| recorder.event(&Arc::new(event.clone())));
    let summary = recorder.finish().unwrap();
    assert_eq!(summary.events, 505);
    let (back, report) = read(&path).unwrap();
    assert_eq!(back, events);
    assert_eq!(report.notices(), Vec::<String>::new());
}

#[test]
fn a_recorder_that_falls_behind_reports_the_missing_events() {
    let (_dir, path) = scratch("s.jsonl");
    let mut recorder = Recorder::start(&path, &header(), Vec::new()).unwrap();
    // Far more than the queue holds, at once.
    let events = stream(10, 40_000);
    events
        .iter()
        .for_each(|event| recorder.event(&Arc::new(event.clone())));
    let lost = recorder.status().lost;
    recorder.finish().unwrap();
    let (back, report) = read(&path).unwrap();
    assert!(lost > 0 && report.complete && report.digests > 0);
    let reported: u64 = back
        .iter()
        .map(|e| match &e.kind {
            Kind::Lost(lost) => lost.count,
            _ => 0,
        })
        .sum();
    let recorded = back
        .iter()
        .filter(|e| !matches!(e.kind, Kind::Lost(_)))
        .count();
    assert_eq!(reported, lost);
    assert_eq!(u64::try_from(recorded).unwrap() + lost, 400_010);
}

#[test]
fn a_file_that_others_remove_or_cut_is_noticed() {
    for name in ["s.jsonl", "s.jsonl.zst"] {
        let header = Header::here(Timestamp(1), Settings::default());
        let (_dir, path) = scratch(name);
        let mut writer = Writer::create(&path, &header).unwrap();
        std::fs::remove_file(&path).unwrap();
        let error = writer.flush().unwrap_err();
        assert!(error.to_string().contains("removed"), "{error}");
        let (_dir, path) = scratch(name);
        let mut writer = Writer::create(&path, &header).unwrap();
        writer.flush().unwrap();
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(3)
            .unwrap();
        let error = writer.finish(&[]).unwrap_err();
        assert!(error.to_string().contains("was truncated"), "{error}");
    }
}

/// The disk takes some bytes, then none, then more: the file is as if it had never been full.
#[test]
fn a_recording_continues_when_a_full_disk_has_space_again() {
    let events = stream(40, 200);
    for name in ["s.jsonl", "s.jsonl.zst"] {
        let (_dir, path) = scratch(name);
        let (_other, untroubled) = scratch(name);
        let expected = write(&untroubled, &events);
        let mut writer = Writer::create(&path, &header()).unwrap();
        let room = Arc::new(AtomicU64::new(4000));
        writer.limit(&room);
        let (more, times) = (Arc::clone(&room), Arc::new(AtomicU64::new(0)));
        let waited = Arc::clone(&times);
        writer.when_full(Box::new(move |full| {
            if full.is_some() {
                // In pieces that end anywhere, and at first not enough.
                let times = waited.fetch_add(1, Ordering::Relaxed);
                more.fetch_add(997 * (times + 1), Ordering::Relaxed);
            }
            true
        }));
        for event in &events {
            writer.event(event).unwrap();
        }
        room.store(1 << 30, Ordering::Relaxed);
        let summary = writer.finish(&[]).unwrap();
        assert!(times.load(Ordering::Relaxed) > 5, "it was full");
        assert_eq!(
            (summary.events, summary.bytes),
            (expected.events, expected.bytes)
        );
        let (back, report) = read(&path).unwrap();
        assert_eq!((back.len(), &back), (events.len(), &events));
        assert_eq!(report.notices(), Vec::<String>::new());
        assert!(report.complete);
        // When waiting ends without success, the error is returned.
        let (_dir, path) = scratch(name);
        let mut writer = Writer::create(&path, &header()).unwrap();
        writer.limit(&Arc::default());
        writer.when_full(Box::new(|_| false));
        let failed = events.iter().find_map(|event| writer.event(event).err());
        assert!(failed.unwrap().to_string().contains("cannot write"));
    }
}

/// The disk is full at each flush, also where a frame ends: the frame that is written again ends
/// there too, so that the next one begins at a place to which the file can be cut.
#[test]
fn a_frame_that_is_written_again_ends() {
    let events = stream(12, 4000);
    let (_dir, path) = scratch("s.jsonl.zst");
    let mut writer = Writer::create(&path, &header()).unwrap();
    let room = Arc::new(AtomicU64::new(0));
    writer.limit(&room);
    let (more, times) = (Arc::clone(&room), Arc::new(AtomicU64::new(0)));
    let waited = Arc::clone(&times);
    writer.when_full(Box::new(move |full| {
        if full.is_some() {
            waited.fetch_add(1, Ordering::Relaxed);
            more.store(1 << 40, Ordering::Relaxed);
        }
        true
    }));
    for event in &events {
        if matches!(event.kind, Kind::Tick(_)) {
            room.store(0, Ordering::Relaxed);
        }
        writer.event(event).unwrap();
    }
    let summary = writer.finish(&[]).unwrap();
    assert!(summary.bytes > 3 * FRAME_BYTES, "several frames");
    assert!(times.load(Ordering::Relaxed) >= 12, "it was full each time");
    let (back, report) = read(&path).unwrap();
    assert!(back == events, "{} of {} events", back.len(), events.len());
    assert_eq!(report.notices(), Vec::<String>::new());
}
