//! A message as JSON, and as one line: what every sink sends, with its secrets masked.

use serde_json::{Map, Value, json};

use super::message::{ContainerLabels, Message, MessageSubject};
use crate::detect::Finding;
use crate::masking::{mask, mask_json};

/// Schema of the document; it grows when a reader of an earlier one could be misled.
const SCHEMA: u32 = 1;

/// The message as JSON. `missed`: number of earlier messages that this sink did not get.
pub(super) fn document(host: &str, message: &Message, missed: u64, masked: bool) -> Value {
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    put("type", json!(message.kind()));
    put("schema", json!(SCHEMA));
    put("hullwatch", json!(env!("CARGO_PKG_VERSION")));
    put("host", json!(host));
    put("ts", json!(message.at));
    put("id", json!(message.id()));
    put("severity", json!(message.severity()));
    put("title", json!(message.title()));
    put("again", json!(message.again));
    put("missed", json!(missed));
    put(
        "container",
        message.container.as_ref().map_or(Value::Null, container),
    );
    match &message.subject {
        MessageSubject::Finding(finding) => {
            put("finding", self::finding(finding));
        }
        MessageSubject::Incident(incident, findings) => {
            let listed: Vec<Value> = findings.iter().map(|f| finding(f)).collect();
            put("first", json!(incident.first));
            put("last", json!(incident.last));
            put("active", json!(incident.active));
            let stages: Vec<&str> = incident.stages.iter().map(|stage| stage.name).collect();
            put("stages", json!(stages));
            put("request", json!(incident.request));
            put("running", json!(incident.running.len()));
            put("connected", json!(incident.connected.len()));
            let ids = incident.findings.iter().map(ToString::to_string);
            put("finding_ids", json!(ids.collect::<Vec<_>>()));
            put("findings", json!(listed));
        }
    }
    let mut document = Value::Object(map);
    if masked {
        mask_json(&mut document);
    }
    document
}

/// A finding with the fields of `watch`, its number as it is shown.
fn finding(finding: &Finding) -> Value {
    let mut value = serde_json::to_value(finding).unwrap_or_default();
    if let Value::Object(map) = &mut value {
        map.insert("id".to_owned(), json!(finding.id.to_string()));
    }
    value
}

fn container(facts: &ContainerLabels) -> Value {
    let mut map = Map::new();
    for (name, text) in [
        ("id", facts.id.as_str()),
        ("name", &facts.name),
        ("image", &facts.image),
        ("image_digest", &facts.image_digest),
        ("runtime", facts.runtime),
        ("namespace", &facts.namespace),
        ("pod", &facts.pod),
    ] {
        if !text.is_empty() {
            map.insert(name.to_owned(), json!(text));
        }
    }
    Value::Object(map)
}

/// One line for people, secrets masked: `HIGH incident I-0001 in web on node1: …`.
pub(super) fn line(host: &str, message: &Message, missed: u64, masked: bool) -> String {
    let title = message.title();
    let title = if masked { mask(&title) } else { title.into() };
    let place = match &message.container {
        Some(container) => format!(" in {}", container.title()),
        None => String::new(),
    };
    let grown = if message.again { " (grew)" } else { "" };
    let missed = match missed {
        0 => String::new(),
        n => format!(" [{n} messages before this one were not delivered]"),
    };
    format!(
        "{} {} {}{grown}{place} on {host}: {title}{missed}",
        message.severity().to_string().to_uppercase(),
        message.kind(),
        message.id(),
    )
}
