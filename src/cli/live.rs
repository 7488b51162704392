//! Watching this host: the options every such command has, start and end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::error::print_message;
use super::runtimes::RuntimeArgs;
use super::{CliError, limits, privileges};
use crate::collect::{Live, LiveOptions, PolicyFile, Tap};
use crate::containers::{EngineKind, EngineState};
use crate::core::Core;
use crate::detect::Settings;
use crate::event::{Event, Kind};
use crate::memory::MemoryBudget;
use crate::response::docker_address;
use crate::sink::SinkBoard;
use crate::tui::Attach;
use crate::user_files;

/// Options of every command that watches this host.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Watching")]
pub struct LiveArgs {
    /// Also watch the processes of the host itself
    #[arg(long)]
    pub host: bool,

    /// Also report the first use of each system call by each container, for a custom seccomp
    /// profile (harden --seccomp)
    #[arg(long)]
    pub syscalls: bool,

    /// Which engines are queried.
    #[command(flatten)]
    pub runtimes: RuntimeArgs,

    // From here on each names its heading: it would be that of the engines.
    /// Report containers older than this, e.g. 30d, 12h, or none [default: 30d]
    #[arg(long, value_name = "AGE", value_parser = age, help_heading = "Policy")]
    pub max_age: Option<Age>,

    /// Policy file: severities, limits, allowances, silences; reloaded when it changes [default:
    /// hullwatch/policy.toml in $XDG_CONFIG_HOME, if it exists]
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    pub policy: Option<PathBuf>,

    /// Baseline file, or a directory of *.baseline.toml: whatever a container does that is not in
    /// its baseline is a finding; reloaded when one changes [default: hullwatch/baselines in
    /// $XDG_CONFIG_HOME, if it exists]
    #[arg(long, value_name = "PATH", help_heading = "Policy")]
    pub baseline: Option<PathBuf>,

    /// Repeat the comparison of running containers with their images at this interval, e.g. 10m;
    /// containers that already run at the start are compared once in any case
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Watching")]
    pub rescan: Option<Duration>,

    /// Bytes that events, tables and queues may hold, from 16MiB to 1GiB; what exceeds it is
    /// dropped and counted [default: 128MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub memory: Option<MemoryBudget>,
}

/// A limit of age, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Option<Duration>);

impl LiveArgs {
    /// Address of the Docker engine where it is not the standard one, for command lines.
    pub(super) fn docker_address(&self) -> Option<String> {
        let set = std::env::var("DOCKER_HOST")
            .ok()
            .filter(|set| !set.is_empty());
        docker_address(self.runtimes.docker_host.as_deref().or(set.as_deref())?)
    }

    /// Where baselines are read from. A named file must be a baseline.
    fn baselines(&self) -> Result<Option<PathBuf>, CliError> {
        let Some(path) = &self.baseline else {
            return Ok(user_files::standard("baselines").filter(|path| path.is_dir()));
        };
        if !path.is_dir() {
            super::baseline::load(path)?;
        }
        Ok(Some(path.clone()))
    }

    /// The options of the watch, and the settings of the rules. An option on the command line
    /// overrides the policy file.
    ///
    /// # Errors
    /// When the policy file cannot be read or is invalid, or the engine's address is.
    fn options(&self) -> Result<LiveOptions, CliError> {
        let max_age = self.max_age.map(|age| age.0);
        let named = self.policy.as_deref();
        let path = named
            .map(Path::to_owned)
            .or_else(|| user_files::standard("policy.toml"));
        let (policy, settings) = match path {
            Some(path) => PolicyFile::open(&path, named.is_some(), max_age)
                .map(|(file, settings)| (Some(file), settings))
                .map_err(CliError::Expected)?,
            None => (None, Settings::default()),
        };
        Ok(LiveOptions {
            host: self.host,
            syscalls: self.syscalls,
            settings: Settings {
                max_age: max_age.unwrap_or(settings.max_age),
                memory: self.memory.unwrap_or_default(),
                ..settings
            },
            policy,
            baselines: self.baselines()?,
            runtimes: self.runtimes.options()?,
            rescan: self.rescan,
            past: 0,
            allow_actions: false,
            sinks: SinkBoard::default(),
        })
    }
}

/// Reports on stderr whether an edited policy file was accepted.
pub(super) fn report_policy(event: &Event) {
    if let Kind::Policy(change) = &event.kind {
        match &change.refused {
            Some(why) => print_message(format!("{}: {why}", change.file)),
            None => print_message(format!("{}: now in force", change.file)),
        }
    }
    if let Kind::Baseline(change) = &event.kind {
        let what = match (&change.refused, &change.content) {
            (Some(why), _) => why,
            (None, Some(_)) => "now in force",
            (None, None) => "removed, no longer in force",
        };
        print_message(format!("{}: {what}", change.file));
    }
}

/// Reports on stderr when the engine becomes unreachable, and when it is back.
#[derive(Debug)]
pub(super) struct EngineReporter {
    /// Docker's address, if it was chosen: then its absence is news on any host.
    chosen: Option<String>,
    reported: Option<EngineState>,
}

impl EngineReporter {
    /// Nothing is reported so far.
    pub(super) fn new(args: &LiveArgs) -> Self {
        Self {
            chosen: args.docker_address(),
            reported: None,
        }
    }

    /// Reports a changed engine state.
    pub(super) fn look(&mut self, live: &Live) {
        let engines = live.engines();
        let mut state = engines.get(&EngineKind::Docker).cloned();
        if state == Some(EngineState::Absent)
            && !is_missed(engines.get(&EngineKind::Containerd), self.chosen.as_deref())
        {
            state = None;
        }
        if state == self.reported {
            return;
        }
        if let Some(what) = news(
            state.as_ref(),
            self.reported.as_ref(),
            self.chosen.as_deref(),
        ) {
            print_message(what);
        }
        self.reported = state;
    }
}

/// Reports on stderr that the wall clock was set.
#[derive(Debug, Default)]
pub(super) struct ClockReporter {
    /// By how much, as last reported.
    reported: Option<String>,
}

impl ClockReporter {
    /// Reports a changed distance between the wall clock and the stream's times.
    pub(super) fn look(&mut self, live: &Live) {
        let step = live.core().lock().state.clock_set();
        if step == self.reported {
            return;
        }
        print_message(match &step {
            Some(step) => format!(
                "the host's clock was set by {step} since watching began; times here ignore that \
                 step"
            ),
            None => "the host's clock matches the times here again".to_owned(),
        });
        self.reported = step;
    }
}

/// Reports on stderr the system calls that this program makes and is not known to need.
#[derive(Debug, Default)]
pub(super) struct CallReporter {
    reported: BTreeSet<&'static str>,
}

impl CallReporter {
    /// Reports each such call once.
    pub(super) fn look(&mut self, live: &Live) {
        for (call, count) in live.logged_calls() {
            if self.reported.insert(call) {
                print_message(format!(
                    "this program made the system call {call}, which it is not known to need ({count} \
                     so far); the kernel logged it: please report this"
                ));
            }
        }
    }
}

/// Reports on stderr that the recording waits for room on the disk.
#[derive(Debug, Default)]
pub(super) struct RoomReporter {
    waits: bool,
}

impl RoomReporter {
    /// Reports a disk that is full, and one that has room again.
    pub(super) fn look(&mut self, live: &Live) {
        let why = live
            .status()
            .recording
            .and_then(|recording| recording.waits);
        if why.is_some() == self.waits {
            return;
        }
        self.waits = why.is_some();
        print_message(match why {
            Some(why) => format!("the recording waits for disk space: {why}"),
            None => "the disk has space again; the recording continues".to_owned(),
        });
    }
}

/// Whether a Docker engine that does not exist is missed: a host of containerd's needs none, unless
/// its address was chosen.
fn is_missed(containerd: Option<&EngineState>, chosen: Option<&str>) -> bool {
    use EngineState as S;
    chosen.is_some() || !matches!(containerd, Some(S::Connecting | S::Connected { .. }))
}

/// The message about a change of the engine's state, if it needs one.
fn news(
    state: Option<&EngineState>,
    before: Option<&EngineState>,
    chosen: Option<&str>,
) -> Option<String> {
    const WITHOUT: &str = "containers are known by id only";
    match state? {
        EngineState::Connecting => None,
        // The ordinary case needs no words.
        EngineState::Connected { .. } => match before {
            None | Some(EngineState::Connecting) => None,
            _ => Some("the Docker engine answers".to_owned()),
        },
        EngineState::Unreachable { error } => Some(format!(
            "the Docker engine does not answer: {error}; until it does, {WITHOUT}"
        )),
        EngineState::Absent => Some(match chosen {
            Some(at) => format!("there is no Docker engine at {at}: {WITHOUT}"),
            None => format!("there is no Docker engine on this host: {WITHOUT}"),
        }),
    }
}

/// A tap that only reports policy changes.
pub(super) struct PolicyReporter;

impl Tap for PolicyReporter {
    fn event(&mut self, event: &Event, _core: &mut Core) {
        report_policy(event);
    }
}

/// Options of a watch that only a screen needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Watching {
    /// Size in bytes of the history kept in memory.
    pub(super) past: usize,
    /// Responses may be made.
    pub(super) allow_actions: bool,
    /// The sinks of what is found.
    pub(super) sinks: SinkBoard,
}

/// Checks options and privileges; the returned function starts watching, and recording if a file
/// is given.
pub(super) fn prepare(
    args: &LiveArgs,
    tap: Option<Box<dyn Tap>>,
    record: Option<&Path>,
    screen: Watching,
) -> Result<Attach, CliError> {
    let options = LiveOptions {
        past: screen.past,
        allow_actions: screen.allow_actions,
        sinks: screen.sinks,
        ..args.options()?
    };
    if let Some(refusal) = privileges::refusal().or_else(limits::refusal) {
        return Err(CliError::Expected(refusal));
    }
    let record = record.map(Path::to_owned);
    Ok(Box::new(move || {
        let live = Live::start(options, tap).map_err(|e| e.to_string())?;
        if let Some(path) = record {
            live.start_recording(&path).map_err(|e| e.to_string())?;
        }
        Ok(live)
    }))
}

/// Starts watching, and recording if a file is given; reports on stderr when it is ready.
pub(super) fn start(
    args: &LiveArgs,
    tap: Option<Box<dyn Tap>>,
    record: Option<&Path>,
) -> Result<Live, CliError> {
    if let Some(problem) = crate::system::unseen_containers() {
        print_message(problem);
    }
    for facts in crate::system::unseen() {
        print_message(format!("{} are not seen: {}", facts.what, facts.why));
    }
    let live = prepare(args, tap, record, Watching::default())?().map_err(CliError::Expected)?;
    let containers = live.core().lock().state.containers.len();
    print_message(format!(
        "attached and ready; {containers} containers so far"
    ));
    Ok(live)
}

/// The error that ended the recording early, if any.
pub(super) fn recording_error(live: &Live) -> Option<String> {
    live.status().recording?.error
}

/// The error that ended the recording early, with the number of events it misses.
pub(super) fn recording_failure(live: &Live) -> Option<String> {
    let recording = live.status().recording?;
    let lost = recording.lost;
    let error = recording.error?;
    Some(format!("{error}; {lost} events were not recorded"))
}

/// Ends the recording, if any, and the watch; reports on stderr what was recorded.
pub(super) fn stop(live: Live) -> Result<(), CliError> {
    let failed = recording_failure(&live);
    // The last events come as the watch ends, and are recorded.
    let summary = live.stop().map(|done| done.map_err(|e| e.to_string()));
    match (failed, summary) {
        (Some(error), _) | (None, Some(Err(error))) => Err(CliError::Expected(error)),
        (None, Some(Ok(summary))) if summary.path.as_os_str().is_empty() => Ok(()),
        (None, Some(Ok(summary))) => {
            if summary.foreign > 0 {
                print_message(format!(
                    "{}: other processes wrote into it {} times; their bytes were cut off",
                    summary.path.display(),
                    summary.foreign
                ));
            }
            print_message(format!(
                "recorded {} events ({} bytes of lines) in {}",
                summary.events,
                summary.bytes,
                summary.path.display()
            ));
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

/// The longest duration of an option.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Parses a duration such as `90s` or `1h 30m`.
///
/// # Errors
/// When it is no duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text)
        .map_err(|e| format!("{e}; write it like 30s, 5m, 1h30m"))?;
    // A clock could not hold the end of a much longer one.
    match time <= LONGEST {
        true => Ok(time),
        false => Err("it is longer than 100 years".to_owned()),
    }
}

fn age(text: &str) -> Result<Age, String> {
    if text == "none" {
        return Ok(Age(None));
    }
    duration(text).map(|age| Age(Some(age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_and_a_limit() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for text in ["18446744073709551615s", "101years", "-3d", "5", ""] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_engine_that_is_away_is_reported_and_one_that_answers_is_not() {
        let connected = EngineState::Connected {
            version: "20.10".to_owned(),
            driver: "overlay2".to_owned(),
        };
        let away = EngineState::Unreachable {
            error: "unix:///x: refused".to_owned(),
        };
        let connecting = EngineState::Connecting;
        let news = |state, before| news(state, before, Some("unix:///x"));
        assert_eq!(news(None, None), None);
        assert_eq!(news(Some(&connected), Some(&connecting)), None);
        assert!(news(Some(&away), Some(&connected)).is_some_and(|t| t.contains("refused")));
        assert!(news(Some(&connected), Some(&away)).is_some());
        let absent = news(Some(&EngineState::Absent), None);
        assert!(absent.is_some_and(|t| t.contains("no Docker engine at unix:///x")));
        // The host may run another engine; who chose Docker's address is told in any case.
        assert!(!is_missed(Some(&connected), None));
        assert!(is_missed(Some(&connected), Some("unix:///x")));
        assert!(is_missed(None, None) && is_missed(Some(&away), None));
    }
}
