//! Files that were cut, changed, or written by a later version: never a panic, never silent.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;

fn sample(name: &str) -> (tempfile::TempDir, PathBuf, Vec<u8>, Vec<Event>) {
    let (dir, path) = scratch(name);
    let events = stream(4, 5);
    write(&path, &events);
    let bytes = std::fs::read(&path).unwrap();
    (dir, path, bytes, events)
}

/// Reads `bytes` as a recording, and plays it: neither may panic.
fn examine(path: &Path, bytes: &[u8]) -> Result<(Vec<Event>, ReadReport), RecordingError> {
    std::fs::write(path, bytes).unwrap();
    if let Ok(mut player) = Player::open(path) {
        player.wait_indexed();
        while player.step() {}
        player.seek(Timestamp(START)).unwrap();
    }
    read(path)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn cut_anywhere(at in any::<prop::sample::Index>(), compressed in any::<bool>()) {
        let (_dir, path, bytes, events) = sample(if compressed { "s.zst" } else { "s.jsonl" });
        let at = at.index(bytes.len());
        match examine(&path, &bytes[..at]) {
            Ok((back, report)) => {
                prop_assert_eq!(&back[..], &events[..back.len()]);
                // Only the last newline (or zstd's end mark) may go without a notice.
                prop_assert!(report.cut.is_some(), "{:?}", report);
                prop_assert!(report.is_sound());
            }
            // Only a file without a whole first line is no recording.
            Err(error) => prop_assert!(at < 1000, "{}", error),
        }
    }

    #[test]
    fn a_flipped_bit(at in any::<prop::sample::Index>(), bit in 0..8_u32, compressed in any::<bool>()) {
        let (_dir, path, mut bytes, events) = sample(if compressed { "s.zst" } else { "s.jsonl" });
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        if let Ok((back, report)) = examine(&path, &bytes) {
            // In a zstd file's own framing some bits carry nothing.
            prop_assert!(!report.notices().is_empty() || (compressed && back == events));
        }
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), with_header in any::<bool>()) {
        let (_dir, path) = scratch("s");
        let mut file = Vec::new();
        if with_header {
            file.extend_from_slice(b"{\"type\":\"session\",\"schema\":1}\n");
        }
        file.extend_from_slice(&bytes);
        match examine(&path, &file) {
            Ok((events, report)) => prop_assert!(events.is_empty() && !report.notices().is_empty()),
            Err(error) => prop_assert!(!with_header, "{}", error),
        }
    }
}

#[test]
fn every_bit_of_a_plain_file_counts() {
    let (_dir, path) = scratch("s.jsonl");
    write(&path, &stream(1, 1));
    let whole = std::fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1_u8 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        if let Ok((_, report)) = read(&path) {
            let at = bit / 8;
            assert!(
                !report.notices().is_empty(),
                "byte {at}: {:?}",
                bytes[at] as char
            );
        }
    }
}

#[test]
fn a_removed_line_is_noticed_twice() {
    let (_dir, path, bytes, _) = sample("s.jsonl");
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
    let kept = [&lines[..3], &lines[4..]].concat().concat();
    let (_, report) = examine(&path, &kept).unwrap();
    assert_eq!(report.missing, 1);
    assert_eq!(report.mismatch, Some(7), "{report:?}");
    assert!(
        report
            .notices()
            .iter()
            .any(|n| n.contains("between line 1 and here"))
    );
}

#[test]
fn a_changed_line_names_the_place() {
    let (_dir, path, bytes, _) = sample("s.jsonl");
    // The second second: after the first digest, on line 8.
    let text = String::from_utf8(bytes).unwrap();
    let changed = text.replacen("\"seq\":8,", "\"seq\":8 ,", 1);
    let (_, report) = examine(&path, changed.as_bytes()).unwrap();
    assert_eq!(
        (report.proven, report.mismatch),
        (7, Some(15)),
        "{report:?}"
    );
}

#[test]
fn unknown_types_are_counted_and_skipped() {
    let (_dir, path) = scratch("s.jsonl");
    let events = stream(2, 2);
    write_without_end(&path, &events);
    let (back, report) = read(&path).unwrap();
    assert_eq!(back, events);
    assert_eq!(report.unknown.get("quantum"), Some(&2));
    assert_eq!(report.damaged, 0);
    assert!(report.notices().iter().any(|n| n.contains("quantum (2)")));
}

fn write_without_end(path: &Path, events: &[Event]) {
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(b"{\"type\":\"session\",\"schema\":1}\n")
        .unwrap();
    for (i, event) in events.iter().enumerate() {
        if i == 2 {
            file.write_all(b"{\"type\":\"quantum\",\"a\":{\"b\":[1]}}\n")
                .unwrap();
            file.write_all(b"{\"seq\":3,\"type\":\"quantum\"}\n")
                .unwrap();
        }
        let mut line = Vec::new();
        event.write_json(&mut line).unwrap();
        file.write_all(&line).unwrap();
    }
}

#[test]
fn a_newer_schema_is_read_with_a_notice() {
    let (_dir, path, bytes, events) = sample("s.jsonl");
    let text = String::from_utf8(bytes).unwrap();
    let newer = text.replacen("\"schema\":1", "\"schema\":9,\"planet\":\"mars\"", 1);
    let (back, report) = examine(&path, newer.as_bytes()).unwrap();
    assert_eq!(back, events);
    assert_eq!(report.newer, Some(9));
    assert!(report.notices()[0].contains("newer than 1"));
}

/// Two files that were joined, and one to which somebody appended events.
#[test]
fn what_follows_the_end_is_not_part_of_the_recording() {
    let (_dir, path, bytes, events) = sample("s.jsonl");
    for (more, told) in [
        (&bytes[..], "another recording begins here"),
        (
            br#"{"type":"fork","seq":9}"#,
            "there is data after the end line",
        ),
    ] {
        let joined = [&bytes[..], more, b"\n"].concat();
        let (read, report) = examine(&path, &joined).unwrap();
        assert_eq!(read, events);
        assert!(!report.is_sound());
        let notices = report.notices();
        assert!(
            notices.len() == 1 && notices[0].contains(told) && notices[0].contains("skipped"),
            "{notices:?}"
        );
    }
}

#[test]
fn an_endless_line_costs_no_endless_memory() {
    let (_dir, path, bytes, events) = sample("s.jsonl");
    let first = bytes.iter().position(|&b| b == b'\n').unwrap() + 1;
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&bytes[..first]).unwrap();
    for _ in 0..20 {
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    file.write_all(b"\n").unwrap();
    file.write_all(&bytes[first..]).unwrap();
    let (back, report) = read(&path).unwrap();
    assert_eq!(back, events);
    assert_eq!(report.damaged, 1);
    let damage = report.first_damage.unwrap();
    assert!(damage.line == 2 && damage.cause.contains("longer than"));
}

#[test]
fn a_file_that_is_no_recording_is_refused_with_the_reason() {
    for (content, cause) in [
        (&b""[..], "empty"),
        (b"hello\n", "not a JSON object"),
        (b"{\"type\":\"exec\"}\n", "\"exec\" instead of"),
        (b"{\"type\":\"session\"}\n", "no schema"),
        (b"{\"type\":\"session\"", "ends within"),
        (b"\x1f\x8b\x08\0\n", "gzip: unpack it first"),
        (b"\xfd7zXZ\0\n", "xz: unpack it first"),
        (b"BZh9\n", "bzip2: unpack it first"),
        (b"PK\x03\x04\n", "zip file: unpack it first"),
        (
            b"\xef\xbb\xbf{\"type\":\"session\"}\n",
            "byte order mark: remove",
        ),
        (b"\xff\xfe{\0\n", "UTF-16: convert it"),
    ] {
        let (_dir, path) = scratch("s.jsonl");
        std::fs::write(&path, content).unwrap();
        let error = RecordingReader::open(&path).unwrap_err().to_string();
        assert!(
            error.contains(cause) && error.contains("s.jsonl:1: "),
            "{error}"
        );
    }
}

/// Damage costs the frame it is in; the frames behind it are read.
#[test]
fn reading_continues_after_a_damaged_frame() {
    let mut file = Vec::new();
    let (_dir, path) = scratch("s.jsonl.zst");
    let header = Header::here(Timestamp(1), Settings::default());
    let mut plain = Vec::new();
    serde_json::to_writer(&mut plain, &header).unwrap();
    let line = String::from_utf8(plain).unwrap();
    let first = format!("{{\"type\":\"session\",{}\n", &line[1..]);
    let mut starts = Vec::new();
    let events = stream(30, 4);
    let mut frames = vec![first.into_bytes()];
    for chunk in events.chunks(events.len().div_ceil(3)) {
        let mut lines = Vec::new();
        for event in chunk {
            event.write_json(&mut lines).unwrap();
        }
        frames.push(lines);
    }
    for lines in &frames {
        starts.push(file.len());
        file.extend(zstd::encode_all(lines.as_slice(), 3).unwrap());
    }
    // The blocks of the second of three have no valid type any more.
    file[starts[2] + 9..starts[3]].fill(0xff);
    let (back, report) = examine(&path, &file).unwrap();
    assert!(
        report.damaged_frames == 1 && !report.is_sound(),
        "{report:?}"
    );
    let third = events.len() - 2 * events.len().div_ceil(3);
    assert!(
        back.len() >= events.len().div_ceil(3) + third,
        "{}",
        back.len()
    );
    assert_eq!(back.last(), events.last());
    assert!(report.missing > 0, "{report:?}");
}

#[test]
fn what_others_write_into_it_is_cut_off() {
    use std::io::Write as _;
    for name in ["s.jsonl", "s.jsonl.zst"] {
        let (_dir, path) = scratch(name);
        let events = stream(6, 40);
        let mut writer = Writer::create(&path, &header()).unwrap();
        for (at, event) in events.iter().enumerate() {
            if at % 50 == 17 {
                let mut other = std::fs::File::options().append(true).open(&path).unwrap();
                other.write_all(b"{\"evil\":1}\n").unwrap();
            }
            writer.event(event).unwrap();
        }
        let summary = writer.finish(&[]).unwrap();
        assert!(summary.foreign >= 4, "{name}: {summary:?}");
        let (found, report) = read(&path).unwrap();
        assert!(report.is_sound(), "{name}: {:?}", report.notices());
        assert_eq!(found, events, "{name}");
    }
}

/// A frame says itself how much memory it takes to unpack it.
#[test]
fn a_frame_that_demands_much_memory_is_refused() {
    let (_dir, path, plain, _) = sample("s.jsonl");
    let framed = |window: u8| {
        let mut bytes = vec![0x28, 0xB5, 0x2F, 0xFD, 0, (window - 10) << 3];
        let mut blocks = plain.chunks(64 << 10).peekable();
        while let Some(block) = blocks.next() {
            let last = u32::from(blocks.peek().is_none());
            let head = (u32::try_from(block.len()).unwrap() << 3) | last;
            bytes.extend(&head.to_le_bytes()[..3]);
            bytes.extend(block);
        }
        bytes
    };
    let (_, report) = examine(&path, &framed(23)).unwrap();
    assert!(report.is_sound(), "{report:?}");
    let error = examine(&path, &framed(27)).unwrap_err().to_string();
    assert!(error.contains("memory"), "{error}");
}
