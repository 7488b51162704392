//! Streams for the benchmarks: the demo's containers many times over, with any number of events.
//!
//! Every replica has containers, processes, addresses and files of its own. The actions of the
//! demo's own services are repeated lap after lap; the break-in happens in one of [`QUIET`] laps
//! of a replica.

// Each benchmark uses a part of it.
#![allow(dead_code, clippy::expect_used)]

pub(crate) mod cpu;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use hullwatch::core::Core;
use hullwatch::detect::Settings;
use hullwatch::event::{
    Bytes, ContainerAction, ContainerId, ContainerUsage, Endpoint, Event, FileOp, Kind, Tick,
    Timestamp,
};
use hullwatch::recording::{Header, RecordedItem, RecordingReader, Writer};

static DEMO: &[u8] = include_bytes!("../../demo/demo.jsonl.zst");

/// A lap takes this long; the demo's minute is played that much faster.
const LAP: i64 = 8_000_000_000;
const SECOND: i64 = 1_000_000_000;
/// One of so many laps has a break-in.
const QUIET: u64 = 20;
/// Below the largest pid of a 64-bit kernel.
const PIDS: u64 = 4_000_000;
/// Different names of a file or a peer.
const VARIETY: u64 = 400;

/// The part of the demo that an event belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The start of a container: once.
    Birth,
    /// Actions of its own service: every lap.
    Steady,
    /// Actions from outside: some laps.
    Attack,
}

/// An endless stream.
pub(crate) struct Stream {
    demo: Vec<(i64, Part, Event)>,
    /// Processes that live from lap to lap.
    inits: BTreeSet<u32>,
    replicas: u64,
    lap: u64,
    /// Time of the first event.
    origin: i64,
    /// Rest of the lap, in order of time.
    ready: VecDeque<Event>,
    seq: u64,
    ids: BTreeMap<(u64, ContainerId), ContainerId>,
}

impl Stream {
    /// `containers` containers; the demo has two of a kind.
    pub(crate) fn new(containers: u64) -> Self {
        let mut reader = RecordingReader::from_memory("demo", DEMO).expect("the demo is a session");
        let mut events = Vec::new();
        while let Some(item) = reader.next_item() {
            if let RecordedItem::Event(event) = item
                && !matches!(event.kind, Kind::Tick(_))
            {
                events.push(*event);
            }
        }
        let begin = events.first().expect("the demo has events").ts.0;
        let end = events.last().expect("the demo has events").ts.0 + 1;
        // Descendants of a container's pid 1 are its own service; the rest comes from outside.
        let mut inits = BTreeSet::new();
        let mut own = BTreeSet::new();
        for event in &events {
            match &event.kind {
                Kind::Exec(_) if event.nspid == 1 => {
                    inits.insert(event.pid);
                    own.insert(event.pid);
                }
                Kind::Fork(fork) if own.contains(&fork.ppid) => {
                    own.insert(event.pid);
                }
                _ => {}
            }
        }
        // Processes that still ran when the demo was cut would run for ever, lap after lap.
        let mut ended = inits.clone();
        ended.extend(
            events
                .iter()
                .filter_map(|event| matches!(event.kind, Kind::Exit(_)).then_some(event.pid)),
        );
        let demo = events
            .into_iter()
            .filter(|event| {
                event.pid == 0 || !own.contains(&event.pid) || ended.contains(&event.pid)
            })
            .map(|event| {
                let at = event.ts.0 - begin;
                let part = match &event.kind {
                    Kind::Exec(_) | Kind::Listen(_) if inits.contains(&event.pid) => Part::Birth,
                    _ if own.contains(&event.pid) => Part::Steady,
                    Kind::Container(c) if !matches!(c.action, ContainerAction::ExecStarted(_)) => {
                        Part::Birth
                    }
                    _ if at < 2 * SECOND => Part::Birth,
                    _ => Part::Attack,
                };
                let at = i128::from(at) * i128::from(LAP) / i128::from(end - begin);
                (i64::try_from(at).unwrap_or(LAP), part, event)
            })
            .collect();
        Self {
            demo,
            inits,
            replicas: containers.div_ceil(2),
            lap: 0,
            origin: 1_790_000_000 * SECOND,
            ready: VecDeque::new(),
            seq: 0,
            ids: BTreeMap::new(),
        }
    }

    fn id(&mut self, replica: u64, id: &ContainerId) -> ContainerId {
        self.ids
            .entry((replica, id.clone()))
            .or_insert_with(|| {
                let tail = id.as_str().get(8..).unwrap_or_default();
                ContainerId::new(&format!(
                    "{:08x}{tail}",
                    replica * 2_654_435_761 % (1 << 32)
                ))
            })
            .clone()
    }

    fn pid(&self, replica: u64, pid: u32) -> u32 {
        if pid == 0 {
            return 0;
        }
        let lap = if self.inits.contains(&pid) {
            0
        } else {
            self.lap
        };
        let base = (lap * self.replicas + replica) * 2000 + u64::from(pid) % 2000;
        u32::try_from(2 + base % PIDS).unwrap_or(2)
    }

    /// A demo event as this replica has it in this lap.
    fn copy(&mut self, replica: u64, at: i64, event: &Event) -> Event {
        let lap = i64::try_from(self.lap).unwrap_or(0);
        // Replicas do not run in step.
        let shift =
            i64::try_from(replica).unwrap_or(0) * LAP / i64::try_from(self.replicas).unwrap_or(1);
        let mut copy = event.clone();
        copy.ts = Timestamp(self.origin + lap * LAP + at + shift);
        copy.container = event.container.as_ref().map(|id| self.id(replica, id));
        copy.pid = self.pid(replica, event.pid);
        let variant = self.lap * 7 % VARIETY;
        match &mut copy.kind {
            Kind::Exec(k) => k.ppid = self.pid(replica, k.ppid),
            Kind::Fork(k) => k.ppid = self.pid(replica, k.ppid),
            Kind::File(k) if k.op != FileOp::Read && k.path.starts_with(b"/tmp/page") => {
                k.path = Bytes::from(format!("/tmp/page-{variant}").as_str());
            }
            Kind::Connect(k) => {
                k.cookie = k.cookie.wrapping_add(self.lap * 1009 + replica);
                if let Endpoint::Inet(to) = &mut k.remote
                    && to.ip().is_loopback()
                {
                    let [_, _, high, low] = u32::try_from(variant).unwrap_or(0).to_be_bytes();
                    to.set_ip([10, 9, high, low].into());
                }
            }
            Kind::Accept(k) => k.cookie = k.cookie.wrapping_add(self.lap * 1013 + replica),
            Kind::Close(k) => {
                let factor = if k.inbound { 1013 } else { 1009 };
                k.cookie = k.cookie.wrapping_add(self.lap * factor + replica);
            }
            Kind::Container(k) => {
                if let Some(info) = &mut k.info {
                    if !info.name.is_empty() {
                        info.name =
                            Bytes::from(format!("{}-{replica}", info.name.escaped()).as_str());
                    }
                    info.init_pid = self.pid(replica, info.init_pid);
                }
            }
            _ => {}
        }
        copy
    }

    fn next_lap(&mut self) {
        let demo = std::mem::take(&mut self.demo);
        let mut events = Vec::new();
        for replica in 0..self.replicas {
            let attacked = (self.lap + replica).is_multiple_of(QUIET);
            for (at, part, event) in &demo {
                let due = match part {
                    Part::Birth => self.lap == 0,
                    Part::Steady => true,
                    Part::Attack => attacked,
                };
                if due {
                    events.push(self.copy(replica, *at, event));
                }
            }
        }
        self.demo = demo;
        let begin = self.origin + i64::try_from(self.lap).unwrap_or(0) * LAP;
        let ids: BTreeSet<ContainerId> = self.ids.values().cloned().collect();
        for second in 0..LAP / SECOND {
            let usage = ids.iter().enumerate().map(|(i, id)| ContainerUsage {
                id: id.clone(),
                cpu_milli: u32::try_from((i * 37 + self.lap as usize) % 900).unwrap_or(0),
                memory: 20_000_000 + i as u64 * 4096,
                pids: 4,
            });
            events.push(Event {
                seq: 0,
                ts: Timestamp(begin + (second + 1) * SECOND - 1),
                container: None,
                pid: 0,
                nspid: 0,
                kind: Kind::Tick(Box::new(Tick {
                    processes: None,
                    usage: usage.collect(),
                    lost_total: 0,
                    clock_step: 0,
                })),
            });
        }
        // Events that the shift moved into the next lap stay there.
        events.extend(self.ready.drain(..));
        events.sort_by_key(|event| event.ts);
        self.ready = events.into();
        self.lap += 1;
    }
}

impl Iterator for Stream {
    type Item = Event;
    fn next(&mut self) -> Option<Event> {
        let until = self.origin + i64::try_from(self.lap).unwrap_or(0) * LAP;
        if self.ready.front().is_none_or(|event| event.ts.0 >= until) {
            self.next_lap();
        }
        let mut event = self.ready.pop_front()?;
        self.seq += 1;
        event.seq = self.seq;
        Some(event)
    }
}

/// Writes a recording of so many events, with findings, as the recorder does.
pub(crate) fn record(path: &Path, containers: u64, events: usize) {
    let header = Header::here(Timestamp(1_790_000_000 * SECOND), Settings::default());
    let mut core = Core::new(header.settings.clone());
    let mut writer = Writer::create(path, &header).expect("the file can be made");
    for event in Stream::new(containers).take(events) {
        let event = event.into();
        core.apply(&event);
        writer
            .record(&event, core.detector.findings())
            .expect("the file can be written");
    }
    writer
        .finish(core.detector.findings())
        .expect("the file can be finished");
}
