//! hullwatch's own usage: CPU per event, losses in a burst, time to the first event, memory.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hullwatch::collect::Tap;
use hullwatch::core::Core;
use hullwatch::event::{Event, Kind};
use rustix::time::{ClockId, clock_gettime};

use crate::worker::Workload;
use crate::worker_process::WorkerProcess;

/// Counts the events that arrive.
#[derive(Default)]
struct Counts {
    events: AtomicU64,
    /// Number of reported actions: an event may be the count of several alike.
    facts: AtomicU64,
    lost: AtomicU64,
}

struct Counter(Arc<Counts>);

impl Tap for Counter {
    fn event(&mut self, event: &Event, _core: &mut Core) {
        let facts = match &event.kind {
            Kind::Tick(_) => return,
            Kind::Lost(lost) => {
                self.0.lost.fetch_add(lost.count.max(1), Ordering::Relaxed);
                return;
            }
            Kind::File(file) => u64::from(file.count),
            _ => 1,
        };
        self.0.events.fetch_add(1, Ordering::Relaxed);
        self.0.facts.fetch_add(facts, Ordering::Relaxed);
    }
}

/// CPU time of this process.
fn used() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

pub(crate) fn measure() -> Result<(), Box<dyn Error>> {
    let mut container = WorkerProcess::container()?;
    println!("Own CPU time, everything decoded and applied to the state");
    println!(
        "{:32} {:>10} {:>9} {:>10} {:>8} {:>14} {:>8}",
        "", "s per 100k", "budget", "events", "facts", "at most per s", "lost"
    );
    for (workload, count, budget) in [
        (Workload::Exec, 5_000, "≤ 1.0"),
        (Workload::Open, 150_000, "≤ 0.3"),
        (Workload::Create, 150_000, "≤ 0.3"),
        (Workload::Connect, 20_000, "≤ 0.5"),
    ] {
        let counts = Arc::new(Counts::default());
        let live = crate::watch(Some(Box::new(Counter(Arc::clone(&counts)))))?;
        // Existing processes are reported by now; a tick has passed.
        std::thread::sleep(Duration::from_millis(1_200));
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (events, facts) = (read(&counts.events), read(&counts.facts));
        let (before, began) = (used(), Instant::now());
        container.run(workload, count)?;
        let took = began.elapsed();
        // Losses, and counts of repeats, are reported with a tick.
        std::thread::sleep(Duration::from_millis(1_500));
        let used = used() - before;
        live.stop();
        println!(
            "{:32} {:10.3} {budget:>9} {:10} {:8} {:14.0} {:8}",
            format!("{} {count}", workload.name()),
            used.as_secs_f64() / f64::from(count) * 1e5,
            read(&counts.events) - events,
            read(&counts.facts) - facts,
            f64::from(count) / took.as_secs_f64(),
            read(&counts.lost),
        );
    }
    println!();
    first_event(&mut container)
}

/// Runs the program itself while a container is busy all the time.
fn first_event(container: &mut WorkerProcess) -> Result<(), Box<dyn Error>> {
    let (mut times, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        container.order(Workload::Exec, 2_000)?;
        let began = Instant::now();
        let mut program = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
            .args(["watch", "--events", "exec", "--no-engine"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let out = program.stdout.take().ok_or("no stdout")?;
        // Kept until the end: a program whose output nobody reads ends.
        let mut out = BufReader::new(out);
        let mut line = String::new();
        out.read_line(&mut line)?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        if line.is_empty() {
            return Err("the program reported nothing".into());
        }
        std::thread::sleep(Duration::from_millis(300));
        let status = fs::read_to_string(format!("/proc/{}/status", program.id()))?;
        let kib = status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .ok_or("no VmRSS")?;
        resident.push(kib.parse::<f64>()? / 1024.0);
        program.kill()?;
        program.wait()?;
        container.answer("done")?;
    }
    println!(
        "first event {:.0} ms after start (≤ 300), {:.1} MiB resident then (medians of 5)",
        crate::quantile(&mut times, 0.5),
        crate::quantile(&mut resident, 0.5)
    );
    Ok(())
}
