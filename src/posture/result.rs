//! The result of a check.

use serde::Serialize;

use crate::event::Severity;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PostureOutcome {
    /// The container lacks the tested property.
    Pass,
    /// It has the property.
    Fail,
    /// The deciding facts are not known.
    Unknown,
}

impl PostureOutcome {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        }
    }
}

/// One check of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// Its name, e.g. `privileged`.
    pub id: &'static str,
    /// Its number in the CIS Docker Benchmark; empty without one.
    pub cis: &'static str,
    /// Severity of a failure.
    pub severity: Severity,
    /// The outcome.
    pub outcome: PostureOutcome,
    /// What the container was started with, escaped.
    pub declared: String,
    /// The setting in force for its init, escaped; empty if it is not known or not examined.
    pub effective: String,
    /// The observed use, escaped; empty if nothing was observed.
    pub used: String,
}
