//! Reading a recording. Budgets: 500,000 events a second to any point in time; a seek in a
//! recording of a million events takes at most 100 ms.

mod stream;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::Measurement;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hullwatch::core::Core;
use hullwatch::event::{ContainerIds, Event};
use hullwatch::recording::{
    Comparison, Player, ReadAhead, RecordedItem, RecordingPiece, RecordingReader,
};
use stream::{Stream, cpu, record};

const CONTAINERS: u64 = 50;
const EVENTS: usize = 200_000;
const LONG: usize = 1_000_000;

fn read(path: &Path) -> u64 {
    let mut reader = RecordingReader::open(path).expect("it is a session");
    let mut events = 0;
    while let Some(item) = reader.next_item() {
        events += u64::from(matches!(item, RecordedItem::Event(_)));
    }
    assert!(reader.report().is_sound(), "{:?}", reader.report());
    events
}

/// The work of `hullwatch replay FILE`.
fn replay(path: &Path) -> Core {
    let reader = RecordingReader::open(path).expect("it is a session");
    let mut session = ReadAhead::start(reader).expect("there are threads");
    let mut core = Core::new(session.header().settings.clone());
    let mut comparison = Comparison::default();
    let mut report = None;
    while let Some(batch) = session.next_batch() {
        for piece in batch.pieces {
            match piece {
                RecordingPiece::Event(event) => core.apply(&event),
                RecordingPiece::Finding(line) => {
                    comparison.recorded(&line, core.detector.findings())
                }
                RecordingPiece::Gap { .. } => {}
            }
        }
        report = Some(batch.report);
    }
    let report = report.expect("there is a last batch");
    assert_eq!(comparison.finish(core.detector.findings(), &report), None);
    core
}

/// The reading thread's part, by its CPU time.
fn reading<M: Measurement>(c: &mut Criterion<M>) {
    let mut group = c.benchmark_group("read");
    let lines: Vec<Vec<u8>> = Stream::new(CONTAINERS)
        .skip(EVENTS)
        .take(20_000)
        .map(|event| {
            let mut line = Vec::new();
            event.write_json(&mut line).expect("an event is JSON");
            line
        })
        .collect();
    group.throughput(Throughput::Elements(lines.len() as u64));
    group.bench_function("parse lines", |b| {
        b.iter_batched(
            ContainerIds::default,
            |mut ids| -> Vec<Event> {
                lines
                    .iter()
                    .map(|line| Event::from_json_sharing(line, &mut ids).expect("it is an event"))
                    .collect()
            },
            BatchSize::PerIteration,
        );
    });
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    for name in ["s.jsonl", "s.jsonl.zst"] {
        let path = dir.path().join(name);
        record(&path, CONTAINERS, EVENTS);
        group.throughput(Throughput::Elements(EVENTS as u64));
        group.sample_size(10);
        group.bench_function(name, |b| b.iter(|| read(&path)));
    }
    group.finish();
}

/// All of it, by the clock: two threads.
fn whole(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let path = dir.path().join("s.jsonl.zst");
    record(&path, CONTAINERS, EVENTS);
    let mut group = c.benchmark_group("replay");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.sample_size(10);
    group.bench_function("read, verify, apply, compare", |b| {
        b.iter_with_large_drop(|| replay(&path));
    });
    group.finish();
}

fn seek(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let path = dir.path().join("long.jsonl.zst");
    record(&path, CONTAINERS, LONG);
    let begun = Instant::now();
    let mut player = Player::open(&path).expect("it is a session");
    player.wait_indexed();
    println!(
        "index of {LONG} events: {:.2} s by the clock",
        begun.elapsed().as_secs_f64()
    );
    let (from, to) = player.span();
    let length = to.since(from);
    // Spread irregularly over the recording.
    let target = |n: u32| from.plus(length.mul_f64(f64::from(n * 619 % 1000) / 1000.0));
    let mut times: Vec<Duration> = (0..200)
        .map(|n| {
            let before = cpu::now();
            player.seek(target(n)).expect("the file is there");
            cpu::now().saturating_sub(before)
        })
        .collect();
    times.sort();
    println!(
        "seek in {LONG} events, CPU time of 200: median {:.1} ms, slowest {:.1} ms (budget 100)",
        times[100].as_secs_f64() * 1e3,
        times[199].as_secs_f64() * 1e3
    );
    let mut n = 0;
    c.bench_function("seek", |b| {
        b.iter(|| {
            n += 1;
            player.seek(target(n)).expect("the file is there");
        });
    });
    let event: Option<Arc<Event>> = player.core().state.recent.events.back().cloned();
    assert!(event.is_some(), "something was played");
}

criterion_group! {
    name = by_cpu;
    config = cpu::criterion();
    targets = reading
}
criterion_group! {
    name = by_clock;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = whole, seek
}
criterion_main!(by_cpu, by_clock);
