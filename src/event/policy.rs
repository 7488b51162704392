//! Settings of a policy file as an event of the stream, so that a replay applies them from the same
//! moment as the recorder did.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Severity, Timestamp};

/// The policy file was reloaded, or an attempt to read it failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// The file.
    pub file: String,
    /// Settings from now on; `None`: the previous ones stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<PolicySettings>,
    /// Why the file was refused, with the line where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// All settings of a policy file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicySettings {
    /// Containers older than this are a finding; `None`: no limit.
    pub max_age: Option<Duration>,
    /// Time after a container's first exec that counts as start-up of its init tree.
    pub startup_grace: Duration,
    /// Everything else.
    pub policy: Policy,
}

/// Severities, limits, allowances, additions to the catalogue, and silences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Severity by rule; `None` turns the rule off.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub severity: BTreeMap<String, Option<Severity>>,
    /// Age limits; the first one that matches a container applies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub age: Vec<AgeLimit>,
    /// Ports containers may listen on and destinations they may connect to.
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
    /// Number of added patterns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.program.len() + self.config.len()
    }

    /// Whether nothing is added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
    /// Number of added names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shell.len()
            + self.interpreter.len()
            + self.builder.len()
            + self.package_manager.len()
            + self.downloader.len()
            + self.wrapper.len()
    }

    /// Whether nothing is added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Selection of containers; every field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// Digest of the image, whole or its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Pattern of the image's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Pattern of the container's name, or the first 12 or more digits of its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Pattern of the pod's name, or of `NAMESPACE/POD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Pattern of the pod's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
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

/// Network activity that is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allow {
    /// Which containers.
    pub scope: Scope,
    /// Ports they may listen on.
    pub listen: Vec<u16>,
    /// Destinations they may connect to: an address, a network (`10.0.0.0/8`) or a pattern of a
    /// name.
    pub connect: Vec<String>,
}

/// An accepted finding. Every part that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Silence {
    /// The rule, or a family of rules (`file.*`).
    pub rule: String,
    /// Patterns of the finding's subjects: paths, destinations, a command line. Each subject of
    /// the finding must match one of them; an empty list matches any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject: Vec<String>,
    /// Pattern of the executable of the first occurrence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// Pattern of the executable of one of its ancestors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// SHA-256 of the file, as the comparison with the image reported it.
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
