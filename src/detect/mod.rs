//! Findings: rules over events and state, grouped into stories.
//!
//! Pure: the same stream gives the same findings, byte for byte.

mod finding;

pub use finding::{Ancestor, Finding, FindingId, Severity};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::state::State;

/// What a person may set. A session's header records all of it: a replay decides alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Containers older than this are a finding; `None`: no limit.
    pub max_age: Option<Duration>,
    /// How long after its first exec a container's init tree is starting up.
    pub startup_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_age: Some(Duration::from_secs(30 * 86_400)),
            startup_grace: Duration::from_secs(10),
        }
    }
}

/// The rule engine and its findings.
#[derive(Debug, Clone, Default)]
pub struct Detector {
    settings: Settings,
    /// In the order they were first raised; never removed, only updated. Bounded.
    findings: Vec<Finding>,
}

impl Detector {
    /// An engine with every rule.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            findings: Vec::new(),
        }
    }

    /// What it was set to.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Looks at one event, after `state` applied it.
    pub fn apply(&mut self, _state: &State, _event: &Event) {}

    /// All findings, oldest first.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Takes the indices of findings raised or changed since the last call, ascending.
    pub fn take_changed(&mut self) -> Vec<usize> {
        Vec::new()
    }
}
