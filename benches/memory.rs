//! Memory of the live core with 50 containers, and of the recent past, over a million
//! events. Budget: flat over time. Arguments: containers, events.

mod stream;

use std::sync::Arc;

use hullwatch::core::Core;
use hullwatch::detect::Settings;
use hullwatch::recording::{PAST_BYTES, Past};
use stream::Stream;

/// Resident KiB, from `/proc`.
fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix(field)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

fn main() {
    let mut numbers = std::env::args().filter_map(|a| a.parse::<u64>().ok());
    let containers = numbers.next().unwrap_or(50);
    let events = numbers.next().unwrap_or(1_000_000);
    let mut core = Core::new(Settings::default());
    let past = Past::new(PAST_BYTES, &core);
    let mut stream = Stream::new(containers).map(Arc::new);
    // The first lap builds what the generator itself keeps.
    core.apply(&stream.next().expect("the stream is endless"));
    println!("before: {} KiB resident", resident("RssAnon:"));
    for step in 1..=10 {
        stream
            .by_ref()
            .take(usize::try_from(events / 10).unwrap_or(0))
            .for_each(|event| {
                core.apply(&event);
                past.push(&event, &core);
                past.settle();
            });
        let state = &core.state;
        println!(
            "{:9} events: {:6} KiB resident (generator included); {} processes, {} connections, {} files, {} findings, {} evicted; past {} KiB by its own estimate",
            events / 10 * step,
            resident("RssAnon:"),
            state.processes.len(),
            state.connections.len(),
            state.files.len(),
            core.detector.findings().len(),
            state.totals.evicted,
            past.bytes() >> 10
        );
    }
    println!("peak: {} KiB", resident("VmHWM:"));
}
