//! Runs many scenarios at once under one watch.

use std::collections::VecDeque;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hullwatch::detect::Finding;
use hullwatch::event::Timestamp;

use super::watch::{Watch, now};
use super::{Scenario, Step, docker, peer};

/// Scenarios whose steps run at the same time.
const WORKERS: usize = 6;
/// Start-up, with a margin: the default grace is ten seconds.
const STARTED: u64 = 12;
/// Rules stop waiting for a comparison with the image after five seconds.
const SETTLED: u64 = 7;
/// Maximum time for comparing the files of ten containers with their images.
const SCANNED: u64 = 20;
/// A container that runs longer than this counts as hanging.
const LONGEST: Duration = Duration::from_secs(900);

/// One watch at a time: the tests of a program run in threads.
static ONE: Mutex<()> = Mutex::new(());

/// Held by the watching thread.
#[allow(dead_code, reason = "each test takes what it needs")]
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The result of a scenario.
pub(crate) struct Ran {
    pub(crate) scenario: Scenario,
    pub(crate) findings: Vec<Finding>,
    /// Watching began after its actions.
    pub(crate) late: bool,
    /// The end of start-up.
    pub(crate) steady: Timestamp,
    /// How long it was watched.
    pub(crate) watched: Duration,
    /// Steps that failed to run.
    pub(crate) failed: Vec<String>,
}

struct Running {
    scenario: Scenario,
    id: String,
    began: Timestamp,
    since: Instant,
    watched: Duration,
    failed: Vec<String>,
}

/// Runs them all; returns each with its findings. Late scenarios have a separate hullwatch, which
/// starts after their actions.
pub(crate) fn run(scenarios: Vec<Scenario>) -> Vec<Ran> {
    let all_late = watch_begins();
    let (late, seen): (Vec<_>, Vec<_>) = scenarios
        .into_iter()
        .partition(|scenario| scenario.late || all_late.is_some());
    let mut all = Vec::new();
    if !seen.is_empty() {
        all.extend(run_beside(seen, WORKERS, |_| ()).0);
    }
    if !late.is_empty() {
        all.extend(run_late(late, all_late));
    }
    all
}

/// The number of seconds after the start of each container at which watching begins, from
/// `HULLWATCH_TEST_LATE`: so any scenario can be run late.
fn watch_begins() -> Option<Duration> {
    let seconds = std::env::var("HULLWATCH_TEST_LATE").ok()?;
    Some(Duration::from_secs(seconds.parse().unwrap()))
}

/// Actions first: all containers do theirs, or run for `after`, and then watching begins.
fn run_late(scenarios: Vec<Scenario>, after: Option<Duration>) -> Vec<Ran> {
    let _one = alone();
    let peer = scenarios.iter().any(|s| s.peer);
    if peer {
        peer::start();
    }
    let started = parallel(scenarios, WORKERS, start);
    let passes = |running: Running| {
        let since_start = running.since.elapsed();
        std::thread::sleep(Duration::from_secs(STARTED).saturating_sub(since_start));
        act(running, after.is_some())
    };
    let (watch, done) = std::thread::scope(|scope| {
        let actions = scope.spawn(|| parallel(started, WORKERS, passes));
        match after {
            Some(after) => {
                std::thread::sleep(after);
                let watch = Watch::start();
                (watch, actions.join().unwrap())
            }
            None => {
                let done = actions.join().unwrap();
                (Watch::start(), done)
            }
        }
    });
    // Containers' files are compared one after another.
    watch.passes(now(), SETTLED + SCANNED * done.len() as u64 / 10);
    finish(watch, done, peer, true)
}

/// As [`run`], with this many at the same time, and other work under the same watch.
pub(crate) fn run_beside<T: Send>(
    scenarios: Vec<Scenario>,
    workers: usize,
    beside: impl FnOnce(&Watch) -> T + Send,
) -> (Vec<Ran>, T) {
    let _one = alone();
    let watch = Watch::start();
    let peer = scenarios.iter().any(|s| s.peer);
    if peer {
        peer::start();
    }
    let (done, other) = std::thread::scope(|scope| {
        let beside = scope.spawn(|| beside(&watch));
        let started = parallel(scenarios, WORKERS, start);
        let done = parallel(started, workers, |running| {
            if !running.id.is_empty() {
                watch.passes(running.began, STARTED);
            }
            act(running, true)
        });
        (done, beside.join().unwrap())
    });
    watch.passes(now(), SETTLED);
    (finish(watch, done, peer, false), other)
}

fn finish(watch: Watch, done: Vec<Running>, peer: bool, late: bool) -> Vec<Ran> {
    let names: Vec<String> = done.iter().map(|r| container(&r.scenario)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = done
        .iter()
        .map(|running| Ran {
            scenario: running.scenario.clone(),
            late,
            findings: watch.findings(&running.id),
            steady: running.began.plus(Duration::from_secs(STARTED - 1)),
            watched: running.watched,
            failed: running.failed.clone(),
        })
        .collect();
    if !names.is_empty() {
        docker(&[&["rm", "-f", "-v"], names.as_slice()].concat()).unwrap();
    }
    if peer {
        peer::stop();
    }
    let lost = watch.stop();
    assert!(lost.is_empty(), "events were lost: {lost:?}");
    all
}

fn parallel<T: Send, R: Send>(work: Vec<T>, workers: usize, act: impl Fn(T) -> R + Sync) -> Vec<R> {
    let work: Mutex<VecDeque<_>> = Mutex::new(work.into_iter().enumerate().collect());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some((place, item)) = work.lock().unwrap().pop_front() else {
                        break;
                    };
                    let result = act(item);
                    done.lock().unwrap().push((place, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

fn container(scenario: &Scenario) -> String {
    format!("hullwatch-test-{}", scenario.name)
}

fn start(scenario: Scenario) -> Running {
    let name = container(&scenario);
    let _ = docker(&["rm", "-f", "-v", &name]);
    let network = if scenario.peer {
        format!("container:{}-net", peer::NAME)
    } else {
        "none".to_owned()
    };
    let image = format!("hullwatch-test:{}", scenario.image);
    let mut args = vec!["run", "-d", "--name", &name, "--network", &network];
    let engine = super::engine_directory();
    let options: Vec<String> = scenario
        .docker
        .iter()
        .map(|option| option.replace("{engine}", &engine))
        .collect();
    args.extend(options.iter().map(String::as_str));
    let script = script(&scenario);
    args.extend([image.as_str(), "/bin/sh", "-c", &script]);
    let result = docker(&args);
    let failed: Vec<String> = result.as_ref().err().cloned().into_iter().collect();
    let id = result.unwrap_or_default();
    Running {
        scenario,
        id,
        began: now(),
        since: Instant::now(),
        watched: Duration::ZERO,
        failed,
    }
}

/// The program of the container's init.
fn script(scenario: &Scenario) -> String {
    let Scenario { run, service, .. } = scenario;
    match (run.is_empty(), service.is_empty()) {
        (true, true) => "exec sleep 1000".to_owned(),
        (false, true) if scenario.steps.is_empty() => run.clone(),
        (false, true) => format!("{run}\nexec sleep 1000"),
        // The last sleep is for commands in the background to take effect.
        (_, false) => format!("{run}\nsleep {STARTED}\n{service}\nsleep 2\n"),
    }
}

/// Runs the steps from outside, then waits for the end of the container's init if requested.
fn act(mut running: Running, to_the_end: bool) -> Running {
    if running.id.is_empty() {
        return running;
    }
    let name = container(&running.scenario);
    for step in &running.scenario.steps {
        // The exit code of an attack does not matter, only that it ran.
        let result = match step {
            Step::Sh(script) => docker(&["exec", &name, "/bin/sh", "-c", script]),
            Step::Tty(script) => docker(&["exec", "-t", &name, "/bin/sh", "-c", script]),
            Step::Exec(argv) => {
                let words = argv
                    .iter()
                    .map(|a| if a == "{}" { &name } else { a }.as_str());
                docker(&["exec"].into_iter().chain(words).collect::<Vec<_>>())
            }
            Step::Docker(argv) => {
                let argv: Vec<String> = argv.iter().map(|a| a.replace("{}", &name)).collect();
                docker(&argv.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Step::Host(argv) => on_host(&name, argv),
        };
        if let Err(error) = result {
            running.failed.push(error);
        }
    }
    let Scenario {
        run,
        service,
        steps,
        ..
    } = &running.scenario;
    let ends = to_the_end && (!service.is_empty() || (!run.is_empty() && steps.is_empty()));
    while ends && is_running(&running.id) {
        if running.since.elapsed() > LONGEST {
            running.failed.push(format!("{name} does not end"));
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    running.watched = running.since.elapsed();
    running
}

/// Runs a command on the host, with the container's init for `{}`.
fn on_host(name: &str, argv: &[String]) -> Result<String, String> {
    let init = docker(&["inspect", "--format", "{{.State.Pid}}", name])?;
    let words: Vec<_> = argv.iter().map(|a| a.replace("{}", &init)).collect();
    let [program, arguments @ ..] = words.as_slice() else {
        return Err("no command".to_owned());
    };
    let done = Command::new(program).args(arguments).output();
    let done = done.map_err(|e| format!("{program}: {e}"))?;
    let error = String::from_utf8_lossy(&done.stderr);
    match done.status.success() {
        true => Ok(String::new()),
        false => Err(format!("{words:?}: {} {error}", done.status)),
    }
}

fn is_running(id: &str) -> bool {
    docker(&["inspect", "--format", "{{.State.Running}}", id]).unwrap() == "true"
}
