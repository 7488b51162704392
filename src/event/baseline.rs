//! A baseline file as an event of the stream, so that a replay judges by it from the same moment.

use serde::{Deserialize, Serialize};

/// A baseline file was read, or an attempt to read it failed, or it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BaselineChange {
    /// The file.
    pub file: String,
    /// SHA-256 of its content, hex.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// Its whole content, in force from now on. Without it and without `refused` the file is gone
    /// and its baseline no longer in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Why the file was refused, with the line where there is one. What held before still holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}
