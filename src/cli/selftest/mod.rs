//! `hullwatch selftest`: checks in a test container that every kind of event is captured.

mod actions;
mod checks;
pub(super) mod container;
mod fact_check;
mod file_actions;
mod stage;

use std::fs;
use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::mount::UnmountFlags;
use serde::Serialize;

use super::{CliError, privileges};
use crate::collect::{Live, LiveOptions, Tap};
use crate::containers::SelftestMarker;
use crate::core::Core;
use crate::detect::Settings;
use crate::event::{ContainerId, Event};
use crate::sink::SinkBoard;
use fact_check::FactCheck;
use stage::PATIENCE;

/// Check in a test container that every kind of event is captured
///
/// Needs root and a cgroup v2 hierarchy, but no engine. Exit code 0 when every event was captured,
/// 1 when one is missing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct SelftestOutcome {
    pub(super) passed: bool,
    pub(super) facts: Vec<FactResult>,
    refused_by_host: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct FactResult {
    pub(super) fact: &'static str,
    pub(super) arrived: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if let Some(refusal) = privileges::refusal() {
        return Err(CliError::Expected(refusal));
    }
    let outcome = examine().map_err(|e| CliError::expected(format!("selftest: {e}")))?;
    let mut out = io::stdout().lock();
    if args.json {
        let json = serde_json::to_string_pretty(&outcome).map_err(io::Error::from)?;
        writeln!(out, "{json}")?;
    } else {
        for fact in &outcome.facts {
            let mark = if fact.arrived { "arrived" } else { "MISSING" };
            writeln!(out, "{mark}  {}", fact.fact)?;
        }
        for refused in &outcome.refused_by_host {
            writeln!(out, "this host did not permit: {refused}")?;
        }
        let arrived = outcome.facts.iter().filter(|f| f.arrived).count();
        writeln!(
            out,
            "{arrived} of {} kinds of event captured",
            outcome.facts.len()
        )?;
    }
    Ok(ExitCode::from(u8::from(!outcome.passed)))
}

/// Notes which expected events of the test container were captured.
struct ArrivalTap {
    id: ContainerId,
    seen: Arc<Mutex<Vec<bool>>>,
    /// The container's stdin, which ends the programs that run until they are compared.
    comparing: Option<PipeWriter>,
}

impl Tap for ArrivalTap {
    fn event(&mut self, event: &Event, _core: &mut Core) {
        if event.container.as_ref() != Some(&self.id) {
            return;
        }
        let mut compared = true;
        for (seen, check) in self.seen.lock().iter_mut().zip(checks::all()) {
            *seen = *seen || (check.seen)(event);
            compared &= *seen || check.action != "drift";
        }
        if compared {
            self.comparing = None;
        }
    }
}

/// Runs the test container and reports which events were captured.
///
/// # Errors
/// When the test container could not be created or watched.
pub(super) fn examine() -> Result<SelftestOutcome, String> {
    let container = TestContainer::name()?;
    // Another hullwatch that watches this host reports nothing of it.
    let marker = SelftestMarker::create(&ContainerId::new(&container.id))
        .map_err(|e| format!("marking the test container: {e}"))?;
    let seen = Arc::new(Mutex::new(vec![false; checks::all().count()]));
    let (stdin, comparing) = io::pipe().map_err(|e| e.to_string())?;
    let witness = ArrivalTap {
        id: ContainerId::new(&container.id),
        seen: Arc::clone(&seen),
        comparing: Some(comparing),
    };
    let options = LiveOptions {
        host: false,
        syscalls: false,
        settings: Settings::default(),
        policy: None,
        baselines: None,
        runtimes: crate::containers::RuntimeOptions::none(),
        rescan: None,
        past: 0,
        allow_actions: false,
        sinks: SinkBoard::default(),
    };
    // In a separate thread, because it drops privileges needed to create the container.
    let live = std::thread::spawn(|| Live::start(options, Some(Box::new(witness))))
        .join()
        .map_err(|_| "watching ended unexpectedly".to_owned())?
        .map_err(|e| e.to_string())?;
    let output = container.live(stdin);
    let began = Instant::now();
    while began.elapsed() < PATIENCE && seen.lock().contains(&false) {
        std::thread::sleep(Duration::from_millis(20));
    }
    live.stop();
    drop(marker);
    let refused_by_host = refusals(&output?)?;
    let seen = seen.lock();
    let facts: Vec<_> = checks::all()
        .zip(seen.iter())
        .filter(|(check, _)| !undone(check, &refused_by_host))
        .map(|(check, &arrived)| FactResult {
            fact: check.fact,
            arrived,
        })
        .collect();
    Ok(SelftestOutcome {
        passed: facts.iter().all(|f| f.arrived),
        facts,
        refused_by_host,
    })
}

/// The actions that failed inside the container; an error when it did not run them.
fn refusals(output: &str) -> Result<Vec<String>, String> {
    if !output.lines().any(|line| line.starts_with("done ")) {
        return Err(format!("the test container did nothing: {}", output.trim()));
    }
    Ok(output
        .lines()
        .filter_map(|line| line.strip_prefix("failed "))
        .map(str::to_owned)
        .collect())
}

fn undone(check: &FactCheck, refused: &[String]) -> bool {
    refused
        .iter()
        .any(|r| r.split(' ').next() == Some(check.action))
}

/// A test container: a cgroup named as an engine would, and a directory for its root.
struct TestContainer {
    id: String,
    cgroup: PathBuf,
    scratch: PathBuf,
}

impl TestContainer {
    fn name() -> Result<Self, String> {
        let mut random = [0; 32];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|e| e.to_string())?;
        let id = crate::text::hex(&random);
        let hierarchy = crate::system::cgroup2_mount()?;
        Ok(Self {
            cgroup: hierarchy.join(&id),
            scratch: std::env::temp_dir().join(format!("hullwatch-selftest-{}", &id[..12])),
            id,
        })
    }

    /// Runs it once and returns its output.
    fn live(&self, stdin: PipeReader) -> Result<String, String> {
        let failed = |what: &Path, e: io::Error| format!("{}: {e}", what.display());
        fs::create_dir(&self.cgroup).map_err(|e| failed(&self.cgroup, e))?;
        let made = fs::create_dir(&self.scratch).map_err(|e| failed(&self.scratch, e));
        // Mounted on the host side, so that its layers are visible from outside like an engine's.
        let made = made.and_then(|()| {
            stage::mount("tmpfs", &self.scratch, "tmpfs", "mode=0700")
                .map_err(|e| failed(&self.scratch, e))
        });
        let output = made.and_then(|()| {
            stage::stage(
                "/proc/self/exe",
                &[
                    "join".as_ref(),
                    self.cgroup.as_os_str(),
                    self.scratch.as_os_str(),
                ],
            )
            .stdin(stdin)
            .output()
            .map_err(|e| e.to_string())
        });
        // Its mounts end with its namespace; the cgroup can be removed after its last process.
        let began = Instant::now();
        while fs::remove_dir(&self.cgroup).is_err() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = rustix::mount::unmount(&self.scratch, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.scratch);
        let output = output?;
        let output = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&output).into_owned())
    }
}
