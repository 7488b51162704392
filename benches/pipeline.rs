//! The cost of an event: record → event → state → rules. By CPU time.
//!
//! Budget: the rules cost at most 1 µs an event.

mod stream;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;

use criterion::measurement::Measurement;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hullwatch::core::Core;
use hullwatch::detect::{Policy, Requirement, Settings};
use hullwatch::event::Event;
use hullwatch::probe::convert;
use hullwatch::state::State;
use hullwatch_abi::file::{FactsRecord, FileRecord};
use hullwatch_abi::net::NetRecord;
use hullwatch_abi::task::{ExecRecord, ExitRecord, ForkRecord};
use stream::{Stream, cpu};

const CONTAINERS: u64 = 50;
/// Events before the measured ones, so that the tables are full.
const BEFORE: usize = 200_000;
const MEASURED: usize = 20_000;

/// Every fact a rule may need.
const FACTS: &[Requirement] = &[
    Requirement::Exec,
    Requirement::ExecRefused,
    Requirement::File,
    Requirement::Read,
    Requirement::MapExec,
    Requirement::Connect,
    Requirement::Listen,
    Requirement::Dns,
    Requirement::Privilege,
    Requirement::Capability,
    Requirement::Compare,
    Requirement::Engine,
];

fn policy(lines: usize) -> Policy {
    use std::fmt::Write as _;
    let mut text = String::new();
    for n in 0..lines {
        let _ = write!(
            text,
            "[[silence]]\nrule = \"drift.*\"\nsubject = \"/opt/agent-{n}/*\"\nimage = \"team-{n}/*\"\nreason = \"updates itself\"\n\
             [[allow]]\nimage = \"team-{n}/*\"\nlisten = [{}]\nconnect = [\"10.{}.0.0/16\", \"*.team-{n}.example\"]\n",
            8000 + n,
            n % 256,
        );
    }
    Policy::parse(&text).expect("the policy is one").policy
}

fn apply<M: Measurement>(c: &mut Criterion<M>) {
    let mut stream = Stream::new(CONTAINERS).map(Arc::new);
    let before: Vec<Arc<Event>> = stream.by_ref().take(BEFORE).collect();
    let measured: Vec<Arc<Event>> = stream.take(MEASURED).collect();
    let mut group = c.benchmark_group("apply");
    group.throughput(Throughput::Elements(MEASURED as u64));

    let mut state = State::default();
    before.iter().for_each(|event| state.apply(event));
    group.bench_function("state", |b| {
        b.iter_batched(
            || state.clone(),
            |mut state| {
                measured.iter().for_each(|event| state.apply(event));
                state
            },
            BatchSize::PerIteration,
        );
    });
    drop(state);

    let all: BTreeSet<Requirement> = FACTS.iter().copied().collect();
    let without = |facts: &[Requirement]| Settings {
        missing: all.iter().filter(|f| !facts.contains(f)).copied().collect(),
        ..Settings::default()
    };
    let cases = [
        ("no rules", without(&[])),
        ("rules of exec", without(&[Requirement::Exec])),
        (
            "rules of file",
            without(&[Requirement::File, Requirement::Read]),
        ),
        ("rules of connect", without(&[Requirement::Connect])),
        ("rules of privilege", without(&[Requirement::Privilege])),
        ("all rules", Settings::default()),
        (
            "all rules, 200 silences and 200 allows",
            Settings {
                policy: policy(200),
                ..Settings::default()
            },
        ),
    ];
    for (name, settings) in cases {
        let mut core = Core::new(settings);
        before.iter().for_each(|event| core.apply(event));
        group.bench_function(name, |b| {
            b.iter_batched(
                || core.clone(),
                |mut core| {
                    measured.iter().for_each(|event| core.apply(event));
                    core
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn decode<M: Measurement>(c: &mut Criterion<M>) {
    let with = |fixed: &[u8], rest: &[u8]| [fixed, rest].concat();
    let argv = b"wget\0-q\0-O\0/tmp/page\0http://127.0.0.1:8080/\0";
    let exec = with(
        bytemuck::bytes_of(&ExecRecord {
            argv_bytes: argv.len() as u64,
            lens: [12, 4, 0, 43],
            ..ExecRecord::default()
        }),
        &[&b"busybox\0bin\0"[..], b"tmp\0", argv].concat(),
    );
    let file = with(
        bytemuck::bytes_of(&FileRecord {
            facts: FactsRecord {
                magic: 0x794c_7630,
                ..FactsRecord::default()
            },
            lens: [0, 9, 0, 0],
            op: hullwatch_abi::file::op::WRITE,
            flags: hullwatch_abi::file::flag::FACTS,
            ..FileRecord::default()
        }),
        b"/tmp/page",
    );
    let connect = with(
        bytemuck::bytes_of(&NetRecord {
            op: hullwatch_abi::net::op::CONNECT,
            family: hullwatch_abi::net::family::INET,
            kind: hullwatch_abi::net::kind::STREAM,
            ..NetRecord::default()
        }),
        b"",
    );
    let fork = with(bytemuck::bytes_of(&ForkRecord::default()), b"");
    let exit = with(bytemuck::bytes_of(&ExitRecord::default()), b"");
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    group.bench_function("exec", |b| {
        b.iter(|| convert::task::exec(black_box(&exec), 1, false).expect("it is whole"));
    });
    group.bench_function("fork", |b| {
        b.iter(|| convert::task::fork(black_box(&fork), 1, false).expect("it is whole"));
    });
    group.bench_function("exit", |b| {
        b.iter(|| convert::task::exit(black_box(&exit)).expect("it is whole"));
    });
    group.bench_function("file", |b| {
        b.iter(|| convert::file::decode(black_box(&file), 1).expect("it is whole"));
    });
    group.bench_function("connect", |b| {
        b.iter(|| convert::net::decode(black_box(&connect)).expect("it is whole"));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = cpu::criterion();
    targets = decode, apply
}
criterion_main!(benches);
