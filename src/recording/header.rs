//! The first line of a session file: what was recorded, where, and under which settings.

use serde::{Deserialize, Serialize};

use crate::detect::Settings;
use crate::event::Timestamp;

/// The session format this version writes. It grows by one when a line written by a newer
/// version could mislead an older reader; new types and fields alone do not change it.
pub const SCHEMA: u32 = 1;

/// A rule that could not see, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Blind {
    /// The rule's id, or the fact that is missing.
    pub rule: String,
    /// Why this host cannot give it.
    pub why: String,
}

/// What was left out of the recording on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redaction {
    /// Nothing: arguments, paths and names are recorded as they were.
    #[default]
    None,
    /// Something this version does not know.
    #[serde(other)]
    Other,
}

/// The first line of a session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// Format number, see [`SCHEMA`].
    pub schema: u32,
    /// Version of hullwatch that wrote it.
    pub version: String,
    /// When the recording began.
    pub started: Timestamp,
    /// Host name.
    pub host: String,
    /// Kernel release, e.g. `6.1.0-18-amd64`.
    pub kernel: String,
    /// `v2`, `hybrid` or `v1`.
    pub cgroup: String,
    /// Probes that were attached.
    pub tiers: Vec<String>,
    /// Rules that could not see.
    pub blind: Vec<Blind>,
    /// What findings depend on besides the events.
    pub settings: Settings,
    /// The policy file in `settings`; it is read again when it changes, and need not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_file: Option<String>,
    /// What was left out.
    pub redaction: Redaction,
}

impl Header {
    /// A header of this version with what can be told about the machine without privileges.
    #[must_use]
    pub fn here(started: Timestamp, settings: Settings) -> Self {
        let uname = rustix::system::uname();
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            host: uname.nodename().to_string_lossy().into_owned(),
            kernel: uname.release().to_string_lossy().into_owned(),
            cgroup: cgroup_mode().to_owned(),
            settings,
            ..Self::default()
        }
    }
}

/// How cgroups are mounted here: `v2`, `hybrid` (v1 controllers beside a v2 tree), `v1` or `none`.
#[must_use]
pub fn cgroup_mode() -> &'static str {
    let exists = |path: &str| std::path::Path::new(path).exists();
    if exists("/sys/fs/cgroup/cgroup.controllers") {
        return "v2";
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounted = |kind: &str| mounts.lines().any(|l| l.split(' ').nth(2) == Some(kind));
    match (mounted("cgroup"), mounted("cgroup2")) {
        (true, true) => "hybrid",
        (true, false) => "v1",
        (false, true) => "v2",
        (false, false) => "none",
    }
}
