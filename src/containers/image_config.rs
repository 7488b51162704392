//! The declarations in an image's configuration: ports, labels, health check.

use serde_json::Value;

use super::json_file::items;
use crate::event::{Bytes, ContainerInfo};

/// Maximum number of labels, and bytes of one.
const MAX_LABELS: usize = 64;
const MAX_LABEL: usize = 1024;
/// Maximum number of ports.
const MAX_PORTS: usize = 64;

/// Adds the image's declarations to the facts, where nothing more specific is known.
pub(super) fn complete(info: &mut ContainerInfo, image: &Value) {
    if info.exposed.is_empty() {
        let ports = image.pointer("/config/ExposedPorts");
        let ports = ports.and_then(Value::as_object).into_iter().flatten();
        info.exposed = ports.map(|(key, _)| key.clone()).take(MAX_PORTS).collect();
        info.exposed.sort();
    }
    let labels = image.pointer("/config/Labels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten().take(MAX_LABELS) {
        if let Some(value) = value.as_str().filter(|value| value.len() <= MAX_LABEL) {
            info.labels
                .entry(key.clone())
                .or_insert_with(|| value.into());
        }
    }
    if info.healthcheck.is_empty() {
        let mut test = items(image, "/config/Healthcheck/Test").filter_map(Value::as_str);
        info.healthcheck = match test.next() {
            Some("CMD") => test.map(Bytes::from).collect(),
            Some("CMD-SHELL") => ["/bin/sh", "-c"]
                .into_iter()
                .chain(test)
                .map(Bytes::from)
                .collect(),
            _ => Vec::new(),
        };
    }
}
