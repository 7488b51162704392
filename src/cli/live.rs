//! Options of every command that watches this host.

use std::time::Duration;

use clap::Args;

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

    /// A container older than this is a finding, e.g. 30d, 12h, or none
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = age)]
    pub max_age: Age,
}

/// A limit of age, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Option<Duration>);

impl LiveArgs {
    /// What findings depend on.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            max_age: self.max_age.0,
            ..Settings::default()
        }
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
