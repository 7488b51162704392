//! Findings: rules over events and state, grouped into stories.
//!
//! Pure: the same stream gives the same findings, byte for byte.

mod case;
mod change;
mod drift;
mod engine;
mod finding;
mod memory;
mod place;
mod policy;
mod programs;
mod rule;
pub mod rules;
mod session;
mod silence;
mod stories;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testkit;

pub use engine::Detector;
pub use finding::{Ancestor, Finding, FindingId, Severity};
pub use policy::{AgeLimit, Allow, Policy, PolicyError, Read as PolicyRead, Scope};
pub use rule::{Fact, RuleInfo};
pub(crate) use rule::{Look, Rule};
pub use silence::Silence;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a person may set. A session's header records all of it: a replay decides alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Containers older than this are a finding; `None`: no limit.
    pub max_age: Option<Duration>,
    /// How long after its first exec a container's init tree is starting up.
    pub startup_grace: Duration,
    /// Facts this host cannot give; rules that need one of them are blind.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub missing: BTreeSet<Fact>,
    /// Severities, limits, what is allowed and what is silenced.
    pub policy: Policy,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_age: Some(Duration::from_secs(30 * 86_400)),
            startup_grace: Duration::from_secs(10),
            // No tier of probes tells of a refused execve yet.
            missing: BTreeSet::from([Fact::ExecRefused]),
            policy: Policy::default(),
        }
    }
}

impl Settings {
    /// Takes over a policy file.
    pub fn adopt(&mut self, read: PolicyRead) {
        if let Some(limit) = read.max_age {
            self.max_age = limit;
        }
        if let Some(grace) = read.startup_grace {
            self.startup_grace = grace;
        }
        self.policy = read.policy;
    }
}
