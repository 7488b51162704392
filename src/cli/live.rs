//! Watching this host: the options every such command has, start and end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{Failure, policy, privileges};
use crate::collect::{Live, LiveOptions, Tap};
use crate::detect::Settings;

/// Options of every command that watches this host.
#[derive(Debug, Clone, Args)]
pub struct LiveArgs {
    /// Also watch the host's own processes
    #[arg(long)]
    pub host: bool,

    /// Where the Docker engine listens, e.g. unix:///run/docker.sock [default: $DOCKER_HOST, else
    /// /var/run/docker.sock]
    #[arg(long, value_name = "URL")]
    pub docker_host: Option<String>,

    /// Do not ask any engine: containers show by id only
    #[arg(long, conflicts_with = "docker_host")]
    pub no_engine: bool,

    /// A container older than this is a finding, e.g. 30d, 12h, or none [default: 30d]
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub max_age: Option<Age>,

    /// Severities, limits, what is allowed and silenced [default: hullwatch/policy.toml in
    /// $XDG_CONFIG_HOME, where that exists]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
}

/// A limit of age, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Option<Duration>);

impl LiveArgs {
    /// What findings depend on. An option given here counts before the policy file.
    ///
    /// # Errors
    /// When the policy file is not one.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let mut settings = Settings::default();
        if let Some(read) = policy::load(self.policy.as_deref())? {
            settings.adopt(read);
        }
        if let Some(age) = self.max_age {
            settings.max_age = age.0;
        }
        Ok(settings)
    }

    fn options(&self) -> Result<LiveOptions, Failure> {
        Ok(LiveOptions {
            host: self.host,
            settings: self.settings()?,
            docker_host: self.docker_host.clone(),
            no_engine: self.no_engine,
        })
    }
}

/// Begins to watch, and to record where a file is given; says on stderr when it is ready.
pub(super) fn start(
    args: &LiveArgs,
    tap: Option<Box<dyn Tap>>,
    record: Option<&Path>,
) -> Result<Live, Failure> {
    let options = args.options()?;
    if let Some(refusal) = privileges::refusal() {
        return Err(Failure::Expected(refusal));
    }
    let live = Live::start(options, tap).map_err(|e| Failure::expected(e.to_string()))?;
    if let Some(path) = record {
        live.start_recording(path)
            .map_err(|e| Failure::expected(e.to_string()))?;
    }
    let containers = live.core().lock().state.containers.len();
    eprintln!("hullwatch: attached and ready; {containers} containers so far");
    Ok(live)
}

/// Why the recording ended before its time, if it did.
pub(super) fn recording_error(live: &Live) -> Option<String> {
    live.status().recording?.error
}

/// Ends the recording, if there is one, and the watch; says on stderr what was recorded.
pub(super) fn stop(live: Live) -> Result<(), Failure> {
    let failed = recording_error(&live);
    let recording = live.status().recording.is_some();
    let summary = if recording && failed.is_none() {
        Some(live.stop_recording().map_err(|e| e.to_string()))
    } else {
        None
    };
    live.stop();
    match (failed, summary) {
        (Some(error), _) | (None, Some(Err(error))) => Err(Failure::Expected(error)),
        (None, Some(Ok(summary))) => {
            eprintln!(
                "hullwatch: recorded {} events ({} bytes of lines) in {}",
                summary.events,
                summary.bytes,
                summary.path.display()
            );
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
