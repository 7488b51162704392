//! A baseline file as an event of the stream, so that a replay uses it from the same moment on.

use serde::{Deserialize, Serialize};

/// A baseline file was read, refused or removed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BaselineChange {
    /// The file.
    pub file: String,
    /// SHA-256 of its content, hex.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// Its whole content, in force from now on. Without it and without `refused` the file was
    /// removed and its baseline is no longer in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Why the file was refused, with the line where there is one. The earlier content stays in
    /// force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}
