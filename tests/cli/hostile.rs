//! Hostile recordings: small files that unpack to much, and what reading them takes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hullwatch::detect::Settings;
use hullwatch::event::{
    Bytes, Connect, ContainerAction, ContainerEvent, ContainerId, ContainerInfo, Endpoint, Event,
    Exec, File, FileOp, Kind, Outcome, Protocol, Timestamp,
};
use hullwatch::recording::{Header, Writer};

/// Words of this many bytes: a line of a recording may be longer still.
const LONG: usize = 512 << 10;

/// One event after another with words as long as no kernel reports them.
fn hostile(seq: u64) -> Event {
    // Alike to the packer, different to a table.
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

/// The largest amount of memory that replaying takes, in MiB, and the time.
fn replayed(path: &Path) -> (u64, Duration) {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["replay", "--findings"])
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
    let (many, took) = replayed(&path("many.jsonl.zst"));
    // Half of the lines at most: the budget, what the program itself takes, lines that are read, the
    // batches between its two threads, and what the allocator keeps of them.
    assert!(many < 256, "{many} MiB");
    assert!(took < Duration::from_secs(120), "{took:?}");
}
