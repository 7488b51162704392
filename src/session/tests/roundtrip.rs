//! What was written is read again, whatever it is.

use proptest::prelude::*;

use super::*;

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
    written.blind.push(Blind {
        rule: "net.udp".to_owned(),
        why: "no fentry".to_owned(),
    });
    Writer::create(&path, &written)
        .unwrap()
        .finish(&[])
        .unwrap();
    assert_eq!(*Reader::open(&path).unwrap().header(), written);
}

#[test]
fn a_recording_never_overwrites() {
    let (_dir, path) = scratch("s.jsonl");
    std::fs::write(&path, "precious").unwrap();
    let error = Writer::create(&path, &header()).unwrap_err();
    assert!(matches!(error, SessionError::Exists(_)), "{error}");
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
