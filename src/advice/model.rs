//! The type of an advice: a setting, its verdict, its evidence.

use crate::baseline::{Baseline, BaselineState, LearningSource};
use crate::event::Bytes;

/// How safe it is to follow an advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Enough was seen to expect that nothing breaks.
    Safe,
    /// It matches the observations, which are not enough, or a part of it cannot be observed.
    Try,
    /// Keep the current setting.
    Keep,
    /// An observed action would break.
    Blocked,
    /// There is no evidence.
    Unknown,
}

impl Verdict {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Try => "try",
            Self::Keep => "keep",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
        }
    }

    /// Whether to follow the advice.
    #[must_use]
    pub fn is_advised(self) -> bool {
        matches!(self, Self::Safe | Self::Try)
    }
}

/// A directory that must stay writable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WritableDirectory {
    /// The directory.
    pub path: Bytes,
    /// The image has files there that are needed: a volume starts with a copy of them, a tmpfs does
    /// not.
    pub volume: bool,
    /// Programs or libraries are run from it.
    pub exec: bool,
    /// The only user that writes there, if it is not root.
    pub uid: Option<u32>,
    /// Size of a tmpfs, MiB.
    pub size: u32,
}

impl WritableDirectory {
    /// The options of a tmpfs there, as Docker and Podman take them.
    #[must_use]
    pub fn tmpfs_options(&self) -> String {
        let mut options = format!("size={}m", self.size);
        if self.exec {
            options.push_str(",exec");
        }
        if let Some(uid) = self.uid {
            options.push_str(&format!(",uid={uid},mode=0750"));
        }
        options
    }
}

/// A seccomp profile: a part of the engine's default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeccompProfile {
    /// Allowed calls, under the conditions of the default.
    pub allowed: Vec<String>,
    /// Calls of the default that are refused, as if the kernel did not have them.
    pub removed: Vec<&'static str>,
    /// The default's conditions on creating namespaces do not apply: the container keeps
    /// `SYS_ADMIN`.
    pub unconditional: bool,
}

/// The setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// All capabilities dropped but these.
    Capabilities(Vec<String>),
    /// No new privileges.
    NoNewPrivileges,
    /// A read-only root with these directories.
    ReadOnly(Vec<WritableDirectory>),
    /// Memory, bytes.
    Memory(u64),
    /// Tasks.
    Pids(u32),
    /// User to run as.
    User(u32),
    /// Seccomp profile: the engine's own.
    SeccompDefault,
    /// Seccomp profile: a custom one.
    Seccomp(SeccompProfile),
    /// No network.
    NoNetwork,
    /// A network without access to the outside.
    InternalNetwork,
    /// Outgoing connections to these peers only.
    Peers(Vec<Bytes>),
}

impl Setting {
    /// Its name on the command line and in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Capabilities(_) => "capabilities",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::ReadOnly(_) => "read-only",
            Self::Memory(_) => "memory",
            Self::Pids(_) => "pids",
            Self::User(_) => "user",
            Self::SeccompDefault | Self::Seccomp(_) => "seccomp",
            Self::NoNetwork | Self::InternalNetwork | Self::Peers(_) => "egress",
        }
    }
}

/// All names of settings.
pub const NAMES: [&str; 8] = [
    "capabilities",
    "no-new-privileges",
    "read-only",
    "memory",
    "pids",
    "user",
    "seccomp",
    "egress",
];

/// One advice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The setting.
    pub setting: Setting,
    /// How safe that is.
    pub verdict: Verdict,
    /// Its evidence, escaped.
    pub why: Vec<String>,
}

/// The observations, summed over the sources of a baseline.
pub(super) struct WatchedTime {
    pub(super) starts: u64,
    pub(super) observed: u64,
    /// The baseline is complete enough for a promise.
    pub(super) enough: bool,
    /// No start was seen: the needs of the start are not known.
    pub(super) nothing: bool,
}

impl WatchedTime {
    pub(super) fn of(baseline: &Baseline) -> Self {
        let sum = |of: fn(&LearningSource) -> u64| baseline.sources.values().map(of).sum::<u64>();
        let state = baseline.state();
        let starts = sum(|s| s.starts.into());
        Self {
            starts,
            observed: sum(|s| s.observed),
            enough: matches!(state, BaselineState::Ready | BaselineState::Frozen),
            nothing: starts == 0 && state != BaselineState::Frozen,
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        match (self.nothing, self.enough) {
            (true, _) => Verdict::Unknown,
            (_, true) => Verdict::Safe,
            _ => Verdict::Try,
        }
    }

    /// The observation time as text.
    pub(super) fn text(&self) -> String {
        let minutes = self.observed / 60;
        let time = if minutes < 120 {
            format!("{minutes} min")
        } else {
            format!("{} h", minutes / 60)
        };
        let starts = if self.starts == 1 {
            "1 start".to_owned()
        } else {
            format!("{} starts", self.starts)
        };
        format!("{time}, {starts}")
    }
}
