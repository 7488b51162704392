//! Findings: rules over events and state.
//!
//! Pure: the same stream gives the same findings, byte for byte.

mod acts;
mod alert;
mod attribution;
mod baselines;
mod build_artifacts;
mod command_shape;
mod correlation;
mod discovery;
mod drifted_files;
mod engine;
mod exec_client;
mod exec_session;
mod file_change;
mod file_links;
mod file_origin;
mod finding;
mod finding_store;
mod inner_engine;
mod joining;
mod keyframe;
mod known_behavior;
mod memory;
mod policy;
mod policy_application;
mod program_roles;
mod reason_line;
mod rule;
mod rule_context;
mod rule_info;
mod rule_memory;
pub mod rules;
mod seen_set;
mod serving;
mod silence;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod testkit_events;

pub use crate::event::{AgeLimit, Allow, Policy, PolicySettings, Scope, Severity, Silence};
pub use engine::Detector;
pub use finding::{Ancestor, ChainLink, Finding, FindingId};
pub(crate) use keyframe::Frozen;
pub use policy::{PolicyError, Read as PolicyRead};
pub(crate) use rule::{Handler, Rule};
pub use rule_info::{Requirement, RuleInfo};
pub(crate) use rules::{
    Planted, is_downloader, planted, runs_output_of, script_of_shell, waits_for_input,
};
pub(crate) use silence::exactly;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::memory::MemoryBudget;

/// User settings. A recording's header contains all of them, so that a replay decides in the same
/// way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Containers older than this are a finding; `None`: no limit.
    pub max_age: Option<Duration>,
    /// How long after its first exec a container's init tree is starting up.
    pub startup_grace: Duration,
    /// Kinds of facts that this host cannot provide; rules that need one of them are blind.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub missing: BTreeSet<Requirement>,
    /// Severities, limits, allowances and silences.
    pub policy: Policy,
    /// Bytes that state, findings and evidence may hold: it decides what is evicted.
    #[serde(skip_serializing_if = "MemoryBudget::is_usual")]
    pub memory: MemoryBudget,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_age: Some(Duration::from_secs(30 * 86_400)),
            startup_grace: Duration::from_secs(10),
            missing: BTreeSet::new(),
            policy: Policy::default(),
            memory: MemoryBudget::default(),
        }
    }
}

impl Settings {
    /// Applies a policy file; settings that it leaves out get their defaults.
    pub fn adopt(&mut self, read: PolicyRead) {
        let usual = Self::default();
        self.max_age = read.max_age.unwrap_or(usual.max_age);
        self.startup_grace = read.startup_grace.unwrap_or(usual.startup_grace);
        self.policy = read.policy;
    }

    /// The settings that a policy file can change.
    #[must_use]
    pub fn policy_settings(&self) -> PolicySettings {
        PolicySettings {
            max_age: self.max_age,
            startup_grace: self.startup_grace,
            policy: self.policy.clone(),
        }
    }
}
