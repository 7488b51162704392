//! Texts quoted for the output formats.

use serde_json::Value;

use crate::advice::WritableDirectory;

/// A text as YAML: a JSON string is one.
pub(super) fn yaml(text: &str) -> String {
    let json = Value::String(text.to_owned()).to_string();
    String::from_utf8_lossy(&crate::event::escape_json(json.as_bytes())).into_owned()
}

/// A path as text; what is no UTF-8 has no form in YAML and JSON.
pub(super) fn path(directory: &WritableDirectory) -> String {
    String::from_utf8_lossy(&directory.path).into_owned()
}

/// A peer of an advice: its name or address, and its port.
pub(super) fn split(peer: &[u8]) -> Option<(String, u16)> {
    let text = String::from_utf8_lossy(peer);
    let (to, port) = text.rsplit_once(':')?;
    Some((to.to_owned(), port.parse().ok()?))
}
