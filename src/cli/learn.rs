//! `hullwatch learn`: learns the normal behavior of containers, into baseline files.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::error::print_message;
use super::period::{Period, Played, play};
use super::signals::StopSignal;
use super::{CliError, LiveArgs, baseline, docker_host, live};
use crate::baseline::{Baseline, Learner, READY, merge, readiness};
use crate::containers::{ContainerSelector, SelectError};
use crate::detect::Settings;
use crate::event::ContainerId;
use crate::learning::{LiveLearner, extend, file_name, learn, learner, meet};
use crate::memory::MemoryBudget;
use crate::recording::RecordingTarget;
use crate::verify::restart;

/// Restarts that --restart makes: two starts and an end are seen then.
const RESTARTS: u32 = 2;

/// Learn the normal behavior of containers
///
/// Writes a baseline for each container: programs, files, connections, names, ports, capabilities
/// and calls of its own service, in general form. Exec sessions are not learned, and items that a
/// finding is about are held until you accept them. An existing file is extended. Restart the
/// container while learning: its start-up behavior is learned only then.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Containers: a name, an id or its beginning, a pod, or image:NAME
    #[arg(required = true, value_name = "NAME", add = super::completions::containers())]
    names: Vec<String>,

    /// Learn from a recording instead of this host; a file, or the directory of record --ring
    #[arg(long, visible_alias = "session", value_name = "FILE", conflicts_with_all = ["time", "until_ready", "record"])]
    recording: Option<PathBuf>,

    #[command(flatten)]
    period: Period,

    /// End after this time, e.g. 3h; otherwise with Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = live::duration)]
    time: Option<Duration>,

    /// End as soon as every baseline is ready
    #[arg(long)]
    until_ready: bool,

    /// Restart the containers (Docker) twice while learning: start-up and shutdown behavior is
    /// learned only then
    #[arg(long, conflicts_with = "recording")]
    restart: bool,

    /// Record as well, into this file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// The file to write, - for stdout [default: NAME.baseline.toml in this directory]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    live: LiveArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if args.output.is_some() && args.names.len() > 1 {
        return Err(CliError::expected("--output takes one container only"));
    }
    args.period.check(args.recording.is_some())?;
    let (learner, sound) = match &args.recording {
        Some(path) => from_recording(path, args.period, args.live.memory)?,
        None => (from_host(args)?, true),
    };
    for name in &args.names {
        for (place, baseline) in of_name(&learner, name)?.iter().enumerate() {
            save(args, name, place, baseline)?;
        }
    }
    if learner.missed > 0 {
        print_message(format!(
            "there were too many containers: {} events of the others were not used",
            learner.missed
        ));
    }
    Ok(ExitCode::from(if sound { 0 } else { 2 }))
}

/// Learns from a period of a recording; also whether all of it could be read.
pub(super) fn from_recording(
    path: &Path,
    period: Period,
    limit: Option<MemoryBudget>,
) -> Result<(Learner, bool), CliError> {
    let mut learning: Option<Learner> = None;
    let mut before = false;
    let code = play(path, period, limit, |played| match played {
        Played::Begun(settings) => {
            learning.get_or_insert_with(|| learner(settings));
            before = false;
        }
        Played::Event {
            event,
            core,
            within: true,
        } => {
            if let Some(learner) = &mut learning {
                if std::mem::take(&mut before) {
                    meet(learner, core);
                }
                learn(learner, event, core);
            }
        }
        Played::Event { .. } => before = true,
        Played::Ended(_) => {}
    })?;
    let learner = learning.unwrap_or_else(|| learner(&Settings::default()));
    Ok((learner, code == ExitCode::SUCCESS))
}

/// Watches this host for a while and learns from all its containers.
pub(super) fn watch(args: &LiveArgs, time: Duration) -> Result<Learner, CliError> {
    let stop = StopSignal::install()?;
    let live = live::start(args, None, None)?;
    let settings = live.core().lock().detector.settings().clone();
    let shared = Arc::new(Mutex::new(learner(&settings)));
    live.follow(
        RecordingTarget::Nowhere,
        Some(Box::new(LiveLearner(Arc::clone(&shared)))),
    )
    .map_err(|e| CliError::expected(e.to_string()))?;
    let until = Instant::now() + time;
    while !stop.ended() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    live::stop(live)?;
    stop.release();
    let learner = shared.lock().clone();
    Ok(learner)
}

/// Starts seen of a container.
fn starts(baselines: &[Baseline]) -> u32 {
    let sources = baselines.iter().flat_map(|b| b.sources.values());
    sources.map(|source| source.starts).sum()
}

fn from_host(args: &Args) -> Result<Learner, CliError> {
    let stop = StopSignal::install()?;
    let live = live::start(&args.live, Some(Box::new(live::PolicyReporter)), None)?;
    let settings = live.core().lock().detector.settings().clone();
    let shared = Arc::new(Mutex::new(learner(&settings)));
    let target = args.record.as_deref();
    live.follow(
        target.map_or(RecordingTarget::Nowhere, RecordingTarget::File),
        Some(Box::new(LiveLearner(Arc::clone(&shared)))),
    )
    .map_err(|e| CliError::expected(e.to_string()))?;
    let missing = |name: &String| of_name(&shared.lock(), name).err();
    for name in &args.names {
        if let Some(CliError::Expected(why)) = missing(name) {
            print_message(format!("{why}; waiting for it"));
        }
    }
    let address = match args.restart {
        true => docker_host::resolve(args.live.runtimes.docker_host.as_deref())?,
        false => None,
    };
    // Requested restarts, by name.
    let mut restarted = vec![0; args.names.len()];
    let deadline = args.time.map(|time| Instant::now() + time);
    let mut looked = Instant::now();
    let mut reported = String::new();
    while !stop.ended() && deadline.is_none_or(|at| Instant::now() < at) {
        std::thread::sleep(Duration::from_millis(50));
        if looked.elapsed() < Duration::from_secs(5) {
            continue;
        }
        looked = Instant::now();
        let baselines: Vec<_> = args
            .names
            .iter()
            .map(|name| of_name(&shared.lock(), name).unwrap_or_default())
            .collect();
        for ((name, found), requested) in args.names.iter().zip(&baselines).zip(&mut restarted) {
            let due = args.restart && !found.is_empty() && *requested < RESTARTS;
            if due && starts(found) >= *requested {
                *requested += 1;
                print_message(format!("restarting {name}"));
                restart(address.as_deref(), name).map_err(|e| CliError::expected(e.to_string()))?;
            }
        }
        let line = progress(&args.names, &baselines);
        if line != reported {
            line.lines().for_each(print_message);
            reported = line;
        }
        let ready = |all: &Vec<Baseline>| {
            !all.is_empty() && all.iter().all(|b| readiness(b).percent >= READY)
        };
        if args.until_ready && baselines.iter().all(ready) {
            break;
        }
    }
    live::stop(live)?;
    // The recorder's thread has ended, and with it the other handle.
    let learner = shared.lock().clone();
    Ok(learner)
}

fn progress(names: &[String], baselines: &[Vec<Baseline>]) -> String {
    let parts = names.iter().zip(baselines).flat_map(|(name, all)| {
        all.iter().map(move |baseline| {
            let ready = readiness(baseline);
            let next = ready.unmet.first();
            let next = next.map_or(String::new(), |why| format!("; {why}"));
            format!(
                "{name}: {} items, readiness {} %{next}",
                baseline.items.len(),
                ready.percent
            )
        })
    });
    parts.collect::<Vec<_>>().join("\n")
}

/// The baselines of the containers that a name means, those of one image and service merged.
pub(super) fn of_name(learner: &Learner, name: &str) -> Result<Vec<Baseline>, CliError> {
    let ids: Vec<ContainerId> = ContainerSelector::new(name)
        .resolve(learner.containers().collect::<Vec<_>>().into_iter())
        .map_err(|e: SelectError| CliError::expected(e.to_string()))?;
    let mut out: Vec<Baseline> = Vec::new();
    for baseline in ids.iter().filter_map(|id| learner.baseline(id)) {
        match out.iter_mut().find(|known| known.same_subject(&baseline)) {
            Some(known) => {
                *known = merge(known, &baseline).map_err(|e| CliError::expected(e.to_string()))?;
            }
            None => out.push(baseline),
        }
    }
    Ok(out)
}

fn save(args: &Args, name: &str, place: usize, learned: &Baseline) -> Result<(), CliError> {
    let path = match &args.output {
        Some(path) if path.as_os_str() == "-" => {
            std::io::stdout()
                .lock()
                .write_all(crate::baseline::write(learned).as_bytes())?;
            return Ok(());
        }
        Some(path) => path.clone(),
        None => PathBuf::from(file_name(name, place)),
    };
    let whole = extend(&path, learned).map_err(CliError::expected)?;
    let mut out = std::io::stdout().lock();
    write!(out, "{}: ", path.display())?;
    baseline::summary(&whole, &mut out)?;
    Ok(())
}
