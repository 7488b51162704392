//! The first line of a recording: host, time, and settings.

use serde::{Deserialize, Serialize};

use crate::detect::Settings;
use crate::event::Timestamp;
use crate::machine::MachineFacts;
use crate::masking::mask_json;

/// The recording format this version writes. It grows by one when a line written by a newer
/// version could mislead an older reader; new types and fields alone do not change it.
pub const SCHEMA: u32 = 1;

/// A rule that was blind, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BlindRule {
    /// The rule's id, or the fact that is missing.
    pub rule: String,
    /// Facts that this host lacks.
    pub why: String,
}

/// Parts that were deliberately left out of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redaction {
    /// Nothing: arguments, paths and names are recorded unchanged.
    #[default]
    None,
    /// Secrets in command lines and settings, which are replaced.
    Secrets,
    /// Unknown to this version.
    #[serde(other)]
    Other,
}

/// The first line of a recording.
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
    /// Rules that were blind.
    pub blind: Vec<BlindRule>,
    /// Settings that findings depend on besides the events.
    pub settings: Settings,
    /// The policy file in `settings`; it is read again when it changes, and need not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_file: Option<String>,
    /// The machine when the recording began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineFacts>,
    /// Parts that were left out.
    pub redaction: Redaction,
}

impl Header {
    /// A header of this version, with the facts about the host that need no privileges.
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

    /// The header of a recording in which secrets are masked.
    #[must_use]
    pub fn masked(self) -> Self {
        let masked = serde_json::to_value(&self).ok().and_then(|mut value| {
            mask_json(&mut value);
            serde_json::from_value(value).ok()
        });
        Self {
            redaction: Redaction::Secrets,
            ..masked.unwrap_or(self)
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
