//! What publishing costs: many simulated hosts that replay the demo to a real NATS server.
//!
//! `cargo bench --bench fleet`; HULLWATCH_FLEET_HOSTS (50), HULLWATCH_FLEET_RATE (events a second and
//! host, 50) and HULLWATCH_FLEET_SECONDS (30) choose how much.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

#[path = "../../tests/fleet/replayed.rs"]
mod replayed;
#[path = "../../tests/fleet/server.rs"]
mod server;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use hullwatch::event::{Event, Timestamp};
use hullwatch::fleet::{FleetReader, HostName, NatsServer, PublishLimits, Publisher};
use hullwatch::sink::SinkBoard;
use replayed::{ReplayedHost, demo, is_tick};
use server::TestServer;

fn setting(name: &str, usual: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

/// The wall clock as a time of the stream.
fn now() -> Timestamp {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(i64::try_from(since.as_nanos()).unwrap())
}

/// CPU seconds of a process so far, and its resident memory in MiB.
fn used(pid: &str) -> (f64, f64) {
    let read = |file: &str| std::fs::read_to_string(Path::new("/proc").join(pid).join(file));
    let stat = read("stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let statm = read("statm").unwrap();
    let pages: f64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    (ticks / 100.0, pages * 4.0 / 1024.0)
}

/// Hands over each host's next events for this time: a tick a second, the others spread over it.
fn feed(hosts: &[ReplayedHost], events: &[Event], tick: &Event, rate: usize, time: Duration) {
    let begun = Instant::now();
    let mut step = 0_u32;
    let pause = Duration::from_secs(1) / u32::try_from(rate).unwrap();
    while begun.elapsed() < time {
        for (number, host) in hosts.iter().enumerate() {
            let at = step as usize;
            // Not all hosts tick at once.
            let event = match (at + number) % rate {
                0 => tick,
                _ => &events[at % events.len()],
            };
            host.event(event, now());
        }
        step += 1;
        std::thread::sleep((pause * step).saturating_sub(begun.elapsed()));
    }
}

fn main() {
    let count = setting("HULLWATCH_FLEET_HOSTS", 50);
    let rate = setting("HULLWATCH_FLEET_RATE", 50);
    let time = Duration::from_secs(setting("HULLWATCH_FLEET_SECONDS", 30) as u64);
    if !server::is_ready() {
        return;
    }
    let (mut header, all) = demo();
    // Simulated hosts share this machine's memory.
    header.settings.memory = "16MiB".parse().unwrap();
    let tick = all.iter().find(|event| is_tick(event)).unwrap().clone();
    let events: Vec<Event> = all.into_iter().filter(|event| !is_tick(event)).collect();
    let server = TestServer::start();
    let nats = server.pid().as_raw_nonzero().to_string();
    let hosts: Vec<ReplayedHost> = (0..count).map(|_| ReplayedHost::new(&header)).collect();

    // Without publishing: the simulation itself.
    let before = used("self").0;
    feed(&hosts, &events, &tick, rate, time / 2);
    let simulation = (used("self").0 - before) / (time / 2).as_secs_f64();
    let memory = used("self").1;

    let mut board = SinkBoard::default();
    let mut publishers = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        let name = HostName::new(format!("host-{number:04}").as_bytes());
        let counters = board.add_of_events(name.to_string());
        let nats = NatsServer::new(&server.url()).unwrap();
        let limits = PublishLimits::default();
        publishers.push(Publisher::start(nats, name, limits, host.source(), counters).unwrap());
    }
    // They connect, and send the state.
    feed(&hosts, &events, &tick, rate, Duration::from_secs(5));
    let reader = FleetReader::start(NatsServer::new(&server.url()).unwrap()).unwrap();
    let (own, theirs) = (used("self").0, used(&nats).0);
    let sent = |board: &SinkBoard| board.statuses().iter().map(|one| one.sent).sum::<u64>();
    let stored = || size(server.store());
    let (events_before, bytes_before) = (sent(&board), stored());
    feed(&hosts, &events, &tick, rate, time);
    let seconds = time.as_secs_f64();
    let (own, own_memory) = ((used("self").0 - own) / seconds, used("self").1);
    let (theirs, their_memory) = ((used(&nats).0 - theirs) / seconds, used(&nats).1);
    let published = sent(&board) - events_before;
    let bytes = stored() - bytes_before;
    let mut lags: Vec<f64> = {
        let fleet = reader.fleet().lock();
        fleet
            .hosts
            .values()
            .map(|host| host.lag.as_secs_f64())
            .collect()
    };
    lags.sort_by(f64::total_cmp);
    let begun = Instant::now();
    for host in &hosts {
        host.end();
    }
    let deadline = begun + Duration::from_secs(20);
    for publisher in &publishers {
        publisher.close(deadline);
    }
    for publisher in &mut publishers {
        publisher.join(deadline);
    }
    let missed: u64 = board.statuses().iter().map(|one| one.missed()).sum();
    let per_host = count as f64;
    println!("{count} hosts, {rate} events a second each, {seconds} s");
    println!(
        "published            {:.0} events/s, {missed} missed",
        published as f64 / seconds
    );
    println!(
        "publishing           {:.2} % of a core and {:.1} MiB a host (simulation {:.2} %)",
        (own - simulation).max(0.0) * 100.0 / per_host,
        (own_memory - memory).max(0.0) / per_host,
        simulation * 100.0 / per_host,
    );
    println!(
        "server               {:.1} % of a core, {their_memory:.0} MiB",
        theirs * 100.0
    );
    println!(
        "stored               {:.2} KiB/s a host, {:.1} bytes an event",
        bytes as f64 / 1024.0 / seconds / per_host,
        bytes as f64 / (published as f64).max(1.0),
    );
    let at = |part: f64| {
        lags.get((lags.len() as f64 * part) as usize)
            .copied()
            .unwrap_or(0.0)
    };
    println!(
        "lag of the summaries median {:.2} s, 95 % {:.2} s, {} hosts listed",
        at(0.5),
        at(0.95),
        lags.len()
    );
    println!(
        "ending               {:.1} s for all",
        begun.elapsed().as_secs_f64()
    );
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(facts) if facts.is_dir() => size(&entry.path()),
            Ok(facts) => facts.len(),
            Err(_) => 0,
        })
        .sum()
}
