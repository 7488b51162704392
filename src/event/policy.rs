//! Settings of a policy file as an event of the stream, so that a replay applies them from the same
//! moment as the recorder did.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Severity, Timestamp};

/// The policy file was read again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// The file.
    pub file: String,
    /// What holds from now on; `None`: what held before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<PolicySettings>,
    /// Why the file was not taken, with its line where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// All that a policy file decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicySettings {
    /// Containers older than this are a finding; `None`: no limit.
    pub max_age: Option<Duration>,
    /// How long after its first exec a container's init tree is starting up.
    pub startup_grace: Duration,
    /// The rest.
    pub policy: Policy,
}

/// Severities, limits, what is allowed and what is silenced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Severity by rule; `None` turns the rule off.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub severity: BTreeMap<String, Option<Severity>>,
    /// Age limits; the first that fits a container holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub age: Vec<AgeLimit>,
    /// What containers may listen on and connect to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allow>,
    /// Further sensitive paths: patterns with `*` and `?`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sensitive: Vec<String>,
    /// Further paths of a class.
    #[serde(skip_serializing_if = "PathAdditions::is_empty")]
    pub paths: PathAdditions,
    /// Further programs of a role.
    #[serde(skip_serializing_if = "ProgramAdditions::is_empty")]
    pub programs: ProgramAdditions,
    /// Accepted findings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silence: Vec<Silence>,
}

/// Path patterns that a policy adds to the built-in path classes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathAdditions {
    /// Further program directories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub program: Vec<String>,
    /// Further configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<String>,
}

impl PathAdditions {
    /// Whether nothing is added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.program.is_empty() && self.config.is_empty()
    }
}

/// Program names that a policy adds to the built-in roles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgramAdditions {
    /// Command interpreters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// Interpreters of scripts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interpreter: Vec<String>,
    /// Compilers, linkers and build tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub builder: Vec<String>,
    /// Package managers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub package_manager: Vec<String>,
    /// Programs that transfer data from or to another host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub downloader: Vec<String>,
    /// Programs that only start another one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wrapper: Vec<String>,
}

impl ProgramAdditions {
    /// Whether nothing is added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which containers something is about; every field that is set must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// Digest of the image, whole or its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Pattern of the image's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Pattern of the container's name, or the beginning of its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Labels with patterns of their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub label: BTreeMap<String, String>,
}

/// An age limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgeLimit {
    /// Which containers.
    pub scope: Scope,
    /// The limit; `None`: none.
    pub max: Option<Duration>,
}

/// What containers may do on the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allow {
    /// Which containers.
    pub scope: Scope,
    /// Ports they may listen on.
    pub listen: Vec<u16>,
    /// Where they may connect: an address, a network (`10.0.0.0/8`) or a pattern of a name.
    pub connect: Vec<String>,
}

/// An accepted finding. Every part that is set must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Silence {
    /// The rule, or a family of rules (`file.*`).
    pub rule: String,
    /// Patterns of what it is about: paths, destinations, a command line. Each thing that the
    /// finding gathered must fit one of them; none given: anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject: Vec<String>,
    /// Pattern of the executable of the first occurrence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// Pattern of the executable of one of its ancestors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// SHA-256 of the file it is about, as the comparison with the image told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Which containers.
    pub scope: Scope,
    /// Why it is accepted.
    pub reason: String,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}
