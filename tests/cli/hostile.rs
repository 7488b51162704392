//! Hostile recordings: small files that decompress to large ones, and the memory for reading them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hullwatch::detect::Settings;
use hullwatch::event::{
    Bytes, Connect, ContainerAction, ContainerEvent, ContainerId, ContainerInfo, Endpoint, Event,
    Exec, File, FileOp, Kind, Outcome, Protocol, Timestamp,
};
use hullwatch::recording::{Header, Writer};

/// Length of a word, bytes; a line of a recording may be longer.
const LONG: usize = 512 << 10;

/// Events with words longer than any that a kernel reports.
fn hostile(seq: u64) -> Event {
    // Compressible, but different entries for a table.
    let word = format!("{seq}-{}", "x".repeat(LONG));
    let long = Bytes::from(word.as_str());
    let kind = match seq % 4 {
        0 => Kind::Exec(Box::new(Exec {
            exe: "/tmp/x".into(),
            argv: vec![long],
            ..Exec::default()
        })),
        1 => Kind::File(Box::new(File::new(FileOp::Create, long))),
        2 => Kind::Connect(Box::new(Connect {
            protocol: Protocol::Unix,
            local: None,
            remote: Endpoint::Unix(long),
            outcome: Outcome::Established,
            cookie: seq,
            comm: "x".into(),
            fd: 3,
            via: None,
        })),
        _ => Kind::Container(Box::new(ContainerEvent {
            action: ContainerAction::Started,
            info: Some(Box::new(ContainerInfo {
                labels: [("label".to_owned(), long)].into(),
                ..ContainerInfo::default()
            })),
        })),
    };
    Event {
        seq,
        ts: Timestamp(1_795_442_607_000_000_000 + i64::try_from(seq).unwrap() * 1_000_000),
        container: Some(ContainerId::new(&format!("{:064x}", seq % 100))),
        pid: u32::try_from(seq).unwrap(),
        nspid: 1,
        kind,
    }
}

fn write(path: &Path, settings: Settings, events: u64) {
    let header = Header::here(Timestamp(1_795_442_607_000_000_000), settings);
    let mut writer = Writer::create(path, &header).unwrap();
    for seq in 1..=events {
        writer.event(&hostile(seq)).unwrap();
    }
    writer.finish(&[]).unwrap();
}

/// The peak memory of a replay with these options in MiB, and its duration.
fn replayed(path: &Path, options: &[&str]) -> (u64, Duration) {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["replay", "--findings"])
        .args(options)
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let size = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(size.unwrap_or(0) >> 10);
        std::thread::sleep(Duration::from_millis(5));
    }
    (peak, began.elapsed())
}

#[test]
fn a_small_file_that_unpacks_to_much_takes_no_more_memory_than_stated() {
    let dir = tempfile::tempdir().unwrap();
    let small = Settings {
        memory: "32MiB".parse().unwrap(),
        ..Settings::default()
    };
    let path = |name: &str| dir.path().join(name);
    write(&path("many.jsonl.zst"), small, 1000);
    // 500 MB of lines.
    assert!(path("many.jsonl.zst").metadata().unwrap().len() < 4 << 20);
    let (many, took) = replayed(&path("many.jsonl.zst"), &[]);
    // At most half of the lines: the budget, the program itself, lines being read, batches between
    // its two threads, and memory that the allocator keeps of these.
    assert!(many < 256, "{many} MiB");
    assert!(took < Duration::from_secs(120), "{took:?}");
}

/// The first line of a recording is as hostile as the rest: who plays it decides.
#[test]
fn a_recording_takes_no_more_memory_than_its_player_allows() {
    let dir = tempfile::tempdir().unwrap();
    let large = Settings {
        memory: "1GiB".parse().unwrap(),
        ..Settings::default()
    };
    let path = dir.path().join("large.jsonl.zst");
    write(&path, large, 1000);
    let (peak, _) = replayed(&path, &["--memory", "16MiB"]);
    assert!(peak < 224, "{peak} MiB");
}
