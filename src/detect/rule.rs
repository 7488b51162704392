//! What a rule is: its data, and the functions that look at events.

use serde::{Deserialize, Serialize};

use super::Severity;
use super::case::Case;
use crate::event::{
    Capability, Client, Compare, Connect, ContainerEvent, Dns, DriftScan, Exec, ExecRefused, File,
    Listen, Privilege, Tick,
};

/// A kind of fact a rule needs; a host that cannot give it makes the rule blind.
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
    /// Facts from the container engine.
    Engine,
}

impl Requirement {
    /// Its name, as session files write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::ExecRefused => "exec-refused",
            Self::File => "file",
            Self::Read => "read",
            Self::MapExec => "map-exec",
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
    /// The usual severity; a finding may be graded lower or higher by its circumstances.
    pub severity: Severity,
    /// ATT&CK technique ids.
    pub attack: &'static [&'static str],
    /// Facts it cannot do without.
    pub needs: &'static [Requirement],
    /// Why it is flagged, and what stays silent.
    pub explain: &'static str,
    /// What to check next.
    pub check: &'static str,
}

/// A function that looks at one kind of event.
#[derive(Clone, Copy)]
pub(crate) enum Look {
    /// At program starts.
    Exec(fn(&mut Case<'_>, &Exec)),
    /// At program starts that were refused.
    ExecRefused(fn(&mut Case<'_>, &ExecRefused)),
    /// At file operations.
    File(fn(&mut Case<'_>, &File)),
    /// At outbound connections.
    Connect(fn(&mut Case<'_>, &Connect)),
    /// At listening sockets.
    Listen(fn(&mut Case<'_>, &Listen)),
    /// At DNS answers.
    Dns(fn(&mut Case<'_>, &Dns)),
    /// At comparisons with the image.
    Compare(fn(&mut Case<'_>, &Compare)),
    /// At a container's files compared with its image.
    DriftScan(fn(&mut Case<'_>, &DriftScan)),
    /// At privileged calls.
    Privilege(fn(&mut Case<'_>, &Privilege)),
    /// At first uses of capabilities.
    Capability(fn(&mut Case<'_>, &Capability)),
    /// At what happens to a container.
    Container(fn(&mut Case<'_>, &ContainerEvent)),
    /// At programs on this host that run commands inside.
    Client(fn(&mut Case<'_>, &Client)),
    /// Each second, once for every running container.
    Tick(fn(&mut Case<'_>, &Tick)),
}

/// A rule.
pub(crate) struct Rule {
    /// Its data.
    pub(crate) info: RuleInfo,
    /// What it looks at.
    pub(crate) looks: &'static [Look],
}
