//! The data of a rule and the facts it requires, without its handlers.

use serde::{Deserialize, Serialize};

use crate::event::Severity;

/// A kind of fact that a rule requires; the rule is blind on a host that cannot provide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// Program starts.
    Exec,
    /// Program starts that were refused.
    ExecRefused,
    /// Changes to files.
    File,
    /// Reads of sensitive files.
    Read,
    /// Executable mappings of files (library loads).
    MapExec,
    /// Extended attributes and inode flags.
    Attribute,
    /// Outbound connections.
    Connect,
    /// Listening sockets.
    Listen,
    /// Answers to DNS queries.
    Dns,
    /// Privileged system calls.
    Privilege,
    /// First uses of capabilities.
    Capability,
    /// Comparison of file contents with the image.
    Compare,
    /// Facts reported by the container engine.
    Engine,
}

impl Requirement {
    /// Its name in recordings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::ExecRefused => "exec-refused",
            Self::File => "file",
            Self::Read => "read",
            Self::MapExec => "map-exec",
            Self::Attribute => "attribute",
            Self::Connect => "connect",
            Self::Listen => "listen",
            Self::Dns => "dns",
            Self::Privilege => "privilege",
            Self::Capability => "capability",
            Self::Compare => "compare",
            Self::Engine => "engine",
        }
    }
}

/// The data of a rule: lists, documentation and screens derive from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RuleInfo {
    /// Stable id, e.g. `drift.exec-new`.
    pub id: &'static str,
    /// One line.
    pub title: &'static str,
    /// Two or three words for a column, followed there by the finding's object.
    pub label: &'static str,
    /// The usual severity; a finding may be graded lower or higher by its circumstances.
    pub severity: Severity,
    /// ATT&CK technique ids.
    pub attack: &'static [&'static str],
    /// Kinds of facts it requires.
    pub needs: &'static [Requirement],
    /// What the rule flags, and what it does not.
    pub explain: &'static str,
    /// The next steps of an investigation.
    pub check: &'static str,
}
