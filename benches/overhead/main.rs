//! The cost of watching: the CPU time of workloads with the probes on against off, and hullwatch's
//! own. Root only; `cargo bench --bench overhead [-- --rounds N]`.
//!
//! On and off alternate within one run, on the same two workers, and only ratios of adjacent rounds
//! are compared: absolute times of a shared machine mean nothing.

mod own;
mod worker;
mod worker_process;

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hullwatch::collect::{Live, LiveOptions, Tap};
use hullwatch::detect::Settings;

use worker::Workload;
use worker_process::WorkerProcess;

/// Iterations in one run of a workload, so that each takes about a tenth of a second.
const RUNS: &[(Workload, u32)] = &[
    (Workload::Null, 300_000),
    (Workload::Exec, 150),
    (Workload::Open, 12_000),
    (Workload::Connect, 2_000),
    (Workload::Mixed, 100),
];
const ROUNDS: usize = 15;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let stage = words.first().and_then(|word| word.to_str());
    let path = |index: usize| words.get(index).map_or(Path::new(""), Path::new);
    let done = match stage {
        Some("worker") => worker::run().map_err(Into::into),
        Some("outside") => worker_process::outside(path(1), path(2)).map_err(Into::into),
        Some("join") => worker_process::join(path(1), path(2)).map_err(Into::into),
        Some("init") => worker_process::init(path(1)).map_err(Into::into),
        _ => bench(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("overhead: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(words: &[std::ffi::OsString]) -> Result<(), Box<dyn Error>> {
    if !rustix::process::geteuid().is_root() {
        return Err("watching the kernel needs root".into());
    }
    let mut rounds = ROUNDS;
    let mut words = words.iter().filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        match word {
            // Passed by cargo.
            "--bench" => {}
            "--rounds" => rounds = words.next().ok_or("--rounds needs a number")?.parse()?,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    ratios(rounds)?;
    own::measure()?;
    Ok(())
}

/// Watches with the whole program, as `hullwatch watch` does.
fn watch(tap: Option<Box<dyn Tap>>) -> Result<Live, Box<dyn Error>> {
    let options = LiveOptions {
        host: false,
        syscalls: false,
        settings: Settings::default(),
        policy: None,
        baselines: None,
        runtimes: hullwatch::containers::RuntimeOptions::none(),
        rescan: None,
        past: 0,
        allow_actions: false,
        sinks: hullwatch::sink::SinkBoard::default(),
    };
    // In a thread of its own, since it drops privileges that the workloads need.
    let started = std::thread::spawn(|| Live::start(options, tap)).join();
    Ok(started.map_err(|_| "watching ended unexpectedly")??)
}

/// Other programs on the same tracepoints would add to both sides of a ratio.
fn others() -> usize {
    /// `BPF_PROG_TYPE_TRACING`.
    const TRACING: u32 = 26;
    aya::programs::loaded_programs()
        .flatten()
        .filter(|program| program.program_type() as u32 == TRACING)
        .count()
}

/// Waits for other programs to detach. Returns whether they did.
fn alone() -> bool {
    for _ in 0..50 {
        if others() == 0 {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}

/// CPU time of each run, first of the container's, then of the host's.
fn round(workers: &mut [WorkerProcess]) -> io::Result<Vec<Duration>> {
    let mut used = Vec::new();
    for worker in workers {
        for (workload, count) in RUNS {
            used.push(worker.run(*workload, *count)?);
        }
    }
    Ok(used)
}

fn ratios(rounds: usize) -> Result<(), Box<dyn Error>> {
    let mut workers = [WorkerProcess::container()?, WorkerProcess::host()?];
    // A warm-up for caches and first uses.
    round(&mut workers)?;
    let mut ratios = vec![Vec::new(); 2 * RUNS.len()];
    let mut bases = vec![Vec::new(); 2 * RUNS.len()];
    let mut disturbed = 0;
    let mut done = 0;
    while done < rounds && disturbed <= 3 * rounds {
        let mut clean = alone();
        let mut measured = [Vec::new(), Vec::new()];
        // Which comes first alternates: a machine that gets slower favours neither.
        for on in [done % 2 == 0, done % 2 == 1] {
            if on {
                let live = watch(None)?;
                let programs = others();
                measured[1] = round(&mut workers)?;
                clean &= others() == programs;
                live.stop();
            } else {
                clean &= alone();
                measured[0] = round(&mut workers)?;
                clean &= others() == 0;
            }
        }
        if !clean {
            disturbed += 1;
            continue;
        }
        done += 1;
        let [off, on] = measured;
        for (worker, (off, on)) in off.into_iter().zip(on).enumerate() {
            ratios[worker].push(on.as_secs_f64() / off.as_secs_f64());
            bases[worker].push(off.as_secs_f64());
        }
    }
    println!("CPU time of the workload with probes, as a ratio of that without; {done} rounds");
    println!(
        "{:32} {:>8} {:>15} {:>14} {:>12}",
        "", "median", "quartiles", "without, µs", "budget"
    );
    for (worker, budgets) in [
        ("inside", [1.25, 1.02, 1.25, 1.03, 1.10]),
        ("outside", [1.25, 1.02, 1.02, 1.02, 1.02]),
    ] {
        for ((workload, count), budget) in RUNS.iter().zip(budgets) {
            let (mut ratio, mut base) = (ratios.remove(0), bases.remove(0));
            let base = quantile(&mut base, 0.5) / f64::from(*count) * 1e6;
            println!(
                "{:32} {:8.3} {:>7.3}–{:.3} {base:14.3} {:>12}",
                format!("{worker} {}", workload.name()),
                quantile(&mut ratio, 0.5),
                quantile(&mut ratio, 0.25),
                quantile(&mut ratio, 0.75),
                format!("≤ {budget:.2}"),
            );
        }
    }
    if disturbed > 0 {
        println!("{disturbed} rounds left out: other programs watched the kernel meanwhile");
    }
    println!();
    Ok(())
}

fn quantile(values: &mut [f64], which: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    values
        .get((last * which).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}
