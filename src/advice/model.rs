//! What advice is: a setting, how safe it is, what it rests on.

use crate::baseline::{Baseline, BaselineState, LearningSource};
use crate::event::Bytes;

/// How safe it is to follow an advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Enough was seen to expect that nothing breaks.
    Safe,
    /// It fits what was seen, which is not enough, or something about it cannot be seen.
    Try,
    /// Leave it as it is.
    Keep,
    /// What was seen would break.
    Blocked,
    /// Nothing was seen from which it would follow.
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

    /// The advice is one to follow.
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
    /// The image has files there that are needed: a volume begins with them, a tmpfs does not.
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
    /// Calls that are allowed, under the conditions of the default.
    pub allowed: Vec<String>,
    /// Calls of the default that are refused, as if the kernel did not have them.
    pub removed: Vec<&'static str>,
    /// The default's conditions on making namespaces do not hold: the container keeps `SYS_ADMIN`.
    pub unconditional: bool,
}

/// What to set.
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
    /// Seccomp profile: one of its own.
    Seccomp(SeccompProfile),
    /// No network at all.
    NoNetwork,
    /// A network without a way out.
    InternalNetwork,
    /// A way out to these peers only.
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
    /// What to set.
    pub setting: Setting,
    /// How safe that is.
    pub verdict: Verdict,
    /// What it rests on, escaped.
    pub why: Vec<String>,
}

/// What was seen, summed over the sources of a baseline.
pub(super) struct WatchedTime {
    pub(super) starts: u64,
    pub(super) observed: u64,
    /// The baseline is complete enough for a promise.
    pub(super) enough: bool,
    /// No start was seen: what it needs for that is not known.
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

    /// How long it was watched, for people.
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
