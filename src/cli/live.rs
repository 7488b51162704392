//! Watching this host: the options every such command has, start and end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::failure::say;
use super::{Failure, privileges};
use crate::collect::{Live, LiveOptions, PolicyFile, Tap};
use crate::containers::EngineState;
use crate::core::Core;
use crate::detect::Settings;
use crate::event::{Event, Kind};
use crate::tui::Attach;
use crate::user_files;

/// Options of every command that watches this host.
#[derive(Debug, Clone, Args)]
pub struct LiveArgs {
    /// Also watch the host's own processes
    #[arg(long)]
    pub host: bool,

    /// Where the Docker engine listens, e.g. unix:///run/docker.sock [default: $DOCKER_HOST, else
    /// /var/run/docker.sock]
    #[arg(long, value_name = "URL", value_parser = address)]
    pub docker_host: Option<String>,

    /// Do not ask any engine: containers show by id only
    #[arg(long, conflicts_with = "docker_host")]
    pub no_engine: bool,

    /// A container older than this is a finding, e.g. 30d, 12h, or none [default: 30d]
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub max_age: Option<Age>,

    /// Severities, limits, what is allowed and silenced; read again when it changes [default:
    /// hullwatch/policy.toml in $XDG_CONFIG_HOME, where that exists]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Compare the files of running containers with their images again after each of these times,
    /// e.g. 10m; those there at the beginning are compared once in any case
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub rescan: Option<Duration>,
}

/// A limit of age, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Option<Duration>);

impl LiveArgs {
    /// What to watch, and what findings depend on. An option given here counts before the policy
    /// file.
    ///
    /// # Errors
    /// When the policy file is not one.
    fn options(&self) -> Result<LiveOptions, Failure> {
        let max_age = self.max_age.map(|age| age.0);
        let named = self.policy.as_deref();
        let path = named
            .map(Path::to_owned)
            .or_else(|| user_files::standard("policy.toml"));
        let (policy, settings) = match path {
            Some(path) => PolicyFile::open(&path, named.is_some(), max_age)
                .map(|(file, settings)| (Some(file), settings))
                .map_err(Failure::Expected)?,
            None => (None, Settings::default()),
        };
        Ok(LiveOptions {
            host: self.host,
            settings: Settings {
                max_age: max_age.unwrap_or(settings.max_age),
                ..settings
            },
            policy,
            docker_host: self.docker_host.clone(),
            no_engine: self.no_engine,
            rescan: self.rescan,
            past: 0,
        })
    }
}

/// Says on stderr what became of an edit of the policy file.
pub(super) fn tell(event: &Event) {
    if let Kind::Policy(change) = &event.kind {
        match &change.refused {
            Some(why) => say(format!("{}: {why}", change.file)),
            None => say(format!("{}: now in force", change.file)),
        }
    }
}

/// Says on stderr when the engine cannot be asked, and when it can again.
#[derive(Debug, Default)]
pub(super) struct EngineTeller {
    told: Option<EngineState>,
}

impl EngineTeller {
    /// Looks how it stands.
    pub(super) fn look(&mut self, live: &Live) {
        let state = live.engine();
        if state == self.told {
            return;
        }
        if let Some(what) = news(state.as_ref(), self.told.as_ref()) {
            say(what);
        }
        self.told = state;
    }
}

/// What there is to say of the engine's state after the one before it.
fn news(state: Option<&EngineState>, before: Option<&EngineState>) -> Option<String> {
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
        EngineState::Absent => Some(format!("there is no Docker engine on this host: {WITHOUT}")),
    }
}

/// An engine's address: what can be connected to.
pub(super) fn address(text: &str) -> Result<String, String> {
    let known = ["unix://", "tcp://", "http://", "/"];
    let fits = |front: &&str| text.starts_with(*front) && text.len() > front.len();
    if known.iter().any(fits) {
        return Ok(text.to_owned());
    }
    Err("write it like unix:///run/docker.sock or tcp://127.0.0.1:2375".to_owned())
}

/// A tap that does nothing else.
pub(super) struct Teller;

impl Tap for Teller {
    fn event(&mut self, event: &Event, _core: &mut Core) {
        tell(event);
    }
}

/// Looks whether watching is possible as asked; what it gives begins to watch, and to record where
/// a file is given. `past` is how many bytes of what happened to keep in memory.
pub(super) fn prepare(
    args: &LiveArgs,
    tap: Option<Box<dyn Tap>>,
    record: Option<&Path>,
    past: usize,
) -> Result<Attach, Failure> {
    let options = LiveOptions {
        past,
        ..args.options()?
    };
    if let Some(refusal) = privileges::refusal() {
        return Err(Failure::Expected(refusal));
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

/// Begins to watch, and to record where a file is given; says on stderr when it is ready.
pub(super) fn start(
    args: &LiveArgs,
    tap: Option<Box<dyn Tap>>,
    record: Option<&Path>,
) -> Result<Live, Failure> {
    let live = prepare(args, tap, record, 0)?().map_err(Failure::Expected)?;
    let containers = live.core().lock().state.containers.len();
    say(format!(
        "attached and ready; {containers} containers so far"
    ));
    Ok(live)
}

/// Why the recording ended before its time, if it did.
pub(super) fn recording_error(live: &Live) -> Option<String> {
    live.status().recording?.error
}

/// Why the recording ended before its time, and what it lacks for that.
fn recording_failure(live: &Live) -> Option<String> {
    let recording = live.status().recording?;
    let lost = recording.lost;
    let error = recording.error?;
    Some(format!("{error}; {lost} events were not recorded"))
}

/// Ends the recording, if there is one, and the watch; says on stderr what was recorded.
pub(super) fn stop(live: Live) -> Result<(), Failure> {
    let failed = recording_failure(&live);
    // The last events come as the watch ends, and are recorded.
    let summary = live.stop().map(|done| done.map_err(|e| e.to_string()));
    match (failed, summary) {
        (Some(error), _) | (None, Some(Err(error))) => Err(Failure::Expected(error)),
        (None, Some(Ok(summary))) => {
            say(format!(
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

/// Reads a duration as people write it: `90s`, `1h 30m`.
///
/// # Errors
/// When it is no duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write it like 30s, 5m, 1h30m"))
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
    fn an_engine_that_is_away_is_told_and_one_that_answers_is_not() {
        let connected = EngineState::Connected {
            version: "20.10".to_owned(),
            driver: "overlay2".to_owned(),
        };
        let away = EngineState::Unreachable {
            error: "unix:///x: refused".to_owned(),
        };
        let connecting = EngineState::Connecting;
        assert_eq!(news(None, None), None);
        assert_eq!(news(Some(&connected), Some(&connecting)), None);
        assert!(news(Some(&away), Some(&connected)).is_some_and(|t| t.contains("refused")));
        assert!(news(Some(&connected), Some(&away)).is_some());
        assert!(news(Some(&EngineState::Absent), None).is_some());
    }

    #[test]
    fn an_engines_address_must_be_one() {
        for good in [
            "unix:///run/docker.sock",
            "/run/docker.sock",
            "tcp://h:1",
            "http://h:1",
        ] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in ["", "unix://", "garbage", "ssh://host", "h:2375"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
