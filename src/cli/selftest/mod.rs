//! `hullwatch selftest`: does every fact arrive on this host? Tried in a throw-away container.

mod checks;
mod deeds;
pub(super) mod inside;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::mount::UnmountFlags;
use serde::Serialize;

use super::{Failure, privileges};
use crate::collect::{Live, LiveOptions, Tap};
use crate::core::Core;
use crate::detect::Settings;
use crate::event::{ContainerId, Event};
use checks::{CHECKS, Check};

/// After the container ended, what is still under way has this long to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Do each thing in a throw-away container, and tell for every fact whether it arrived
///
/// Needs root and a cgroup v2 hierarchy, but no engine. Exit code 0 when everything arrived, 1
/// when something is missing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) passed: bool,
    pub(super) facts: Vec<Fact>,
    refused_by_host: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Fact {
    pub(super) fact: &'static str,
    pub(super) arrived: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    if let Some(refusal) = privileges::refusal() {
        return Err(Failure::Expected(refusal));
    }
    let outcome = examine().map_err(|e| Failure::expected(format!("selftest: {e}")))?;
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
            writeln!(out, "this host did not let the container do: {refused}")?;
        }
        let arrived = outcome.facts.iter().filter(|f| f.arrived).count();
        writeln!(out, "{arrived} of {} facts arrived", outcome.facts.len())?;
    }
    Ok(ExitCode::from(u8::from(!outcome.passed)))
}

/// Which facts of the container have arrived.
struct Witness {
    id: ContainerId,
    seen: Arc<Mutex<Vec<bool>>>,
}

impl Tap for Witness {
    fn event(&mut self, event: &Event, _core: &mut Core) {
        if event.container.as_ref() != Some(&self.id) {
            return;
        }
        for (seen, check) in self.seen.lock().iter_mut().zip(CHECKS) {
            *seen = *seen || (check.seen)(event);
        }
    }
}

/// Lets the container live, and tells what arrived.
///
/// # Errors
/// Why it could not be made, or watched.
pub(super) fn examine() -> Result<Outcome, String> {
    let container = Throwaway::name()?;
    let seen = Arc::new(Mutex::new(vec![false; CHECKS.len()]));
    let witness = Witness {
        id: ContainerId::new(&container.id),
        seen: Arc::clone(&seen),
    };
    let options = LiveOptions {
        host: false,
        settings: Settings::default(),
        policy: None,
        docker_host: None,
        no_engine: true,
        rescan: None,
        past: 0,
    };
    // In a thread of its own, which gives up privileges that the container needs to be made.
    let live = std::thread::spawn(|| Live::start(options, Some(Box::new(witness))))
        .join()
        .map_err(|_| "watching ended unexpectedly".to_owned())?
        .map_err(|e| e.to_string())?;
    let said = container.live();
    let began = Instant::now();
    while began.elapsed() < PATIENCE && seen.lock().contains(&false) {
        std::thread::sleep(Duration::from_millis(20));
    }
    live.stop();
    let refused_by_host = refusals(&said?)?;
    let seen = seen.lock();
    let facts: Vec<_> = CHECKS
        .iter()
        .zip(seen.iter())
        .filter(|(check, _)| !undone(check, &refused_by_host))
        .map(|(check, &arrived)| Fact {
            fact: check.fact,
            arrived,
        })
        .collect();
    Ok(Outcome {
        passed: facts.iter().all(|f| f.arrived),
        facts,
        refused_by_host,
    })
}

/// The deeds that failed, as the container tells; an error when it did not get that far.
fn refusals(said: &str) -> Result<Vec<String>, String> {
    if !said.lines().any(|line| line.starts_with("done ")) {
        return Err(format!("the test container did nothing: {}", said.trim()));
    }
    Ok(said
        .lines()
        .filter_map(|line| line.strip_prefix("failed "))
        .map(str::to_owned)
        .collect())
}

fn undone(check: &Check, refused: &[String]) -> bool {
    refused
        .iter()
        .any(|r| r.split(' ').next() == Some(check.deed))
}

/// A container of our own: a cgroup named like an engine's, and a directory for its root.
struct Throwaway {
    id: String,
    cgroup: PathBuf,
    scratch: PathBuf,
}

impl Throwaway {
    fn name() -> Result<Self, String> {
        let mut random = [0; 32];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|e| e.to_string())?;
        let id = random.iter().fold(String::new(), |mut id, byte| {
            use std::fmt::Write as _;
            let _ = write!(id, "{byte:02x}");
            id
        });
        let hierarchy = crate::system::cgroup2_mount()?;
        Ok(Self {
            cgroup: hierarchy.join(&id),
            scratch: std::env::temp_dir().join(format!("hullwatch-selftest-{}", &id[..12])),
            id,
        })
    }

    /// Lets it live once, and returns what it said.
    fn live(&self) -> Result<String, String> {
        let failed = |what: &Path, e: io::Error| format!("{}: {e}", what.display());
        fs::create_dir(&self.cgroup).map_err(|e| failed(&self.cgroup, e))?;
        let made = fs::create_dir(&self.scratch).map_err(|e| failed(&self.scratch, e));
        // Its layers must be seen from outside as an engine's are: mounted here, not in there.
        let made = made.and_then(|()| {
            inside::mount("tmpfs", &self.scratch, "tmpfs", "mode=0700")
                .map_err(|e| failed(&self.scratch, e))
        });
        let output = made.and_then(|()| {
            inside::stage(
                "/proc/self/exe",
                &[
                    "join".as_ref(),
                    self.cgroup.as_os_str(),
                    self.scratch.as_os_str(),
                ],
            )
            .stdin(Stdio::null())
            .output()
            .map_err(|e| e.to_string())
        });
        // Its own mounts ended with its namespace; the cgroup empties when its last process is gone.
        let began = Instant::now();
        while fs::remove_dir(&self.cgroup).is_err() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = rustix::mount::unmount(&self.scratch, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.scratch);
        let output = output?;
        let said = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&said).into_owned())
    }
}
