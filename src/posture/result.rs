//! The result of a check.

use serde::Serialize;

use crate::event::Severity;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PostureOutcome {
    /// The container has not what the check is about.
    Pass,
    /// It has.
    Fail,
    /// What decides it is not known.
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
    /// How bad a failure is.
    pub severity: Severity,
    /// How it ended.
    pub outcome: PostureOutcome,
    /// What the container was started with, escaped.
    pub declared: String,
    /// What is in force for its init, escaped; empty where that is not known or not looked at.
    pub effective: String,
    /// What it was seen to use of it, escaped; empty where nothing was looked at.
    pub used: String,
}
