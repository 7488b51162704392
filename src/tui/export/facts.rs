//! Facts of a row for programs, in addition to its columns: words and numbers where the screen has
//! a letter, an age or a short form, and the ids that join the views.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::core::Core;
use crate::event::{ContainerId, Timestamp};
use crate::masking::mask_json;
use crate::tui::rows::{Row, RowKey};

/// The facts of a row by name; secrets are masked unless `reveal`.
pub(super) fn facts(core: &Core, row: &Row, reveal: bool) -> Map<String, Value> {
    let mut facts = RowFacts(Map::new());
    facts.add("severity", row.severity.map(|s| s.to_string()));
    facts.add("first_seen_ms", row.seen.map(|seen| milliseconds(seen.0)));
    facts.add("last_seen_ms", row.seen.map(|seen| milliseconds(seen.1)));
    let state = &core.state;
    match &row.key {
        RowKey::Container(id) => {
            facts.add("container_id", id);
            if let Some(container) = state.containers.get(id) {
                let info = &container.info;
                facts.add("image_digest", named(&info.image_digest));
                facts.add("exit_code", container.exit_code);
                facts.add("role", info.role);
                let pod = info.pod.as_ref();
                facts.add("pod_namespace", pod.map(|pod| &pod.namespace));
                facts.add("pod_name", pod.map(|pod| &pod.name));
                facts.add("pod_uid", pod.map(|pod| &pod.uid));
                facts.add("engine_namespace", named(&info.engine_namespace));
                facts.add("owner", info.owner);
                facts.add("labels", &info.labels);
                facts.add("created", info.created);
                facts.add("started", container.started());
            }
        }
        RowKey::Finding(id) => {
            if let Some(finding) = core.detector.finding(*id) {
                facts.container(core, finding.container.as_ref());
                facts.add("subject", &finding.subject);
            }
        }
        RowKey::Incident(id) => {
            if let Some(incident) = core.incident(*id) {
                facts.container(core, Some(&incident.container));
            }
        }
        RowKey::Process(pid) => {
            if let Some(process) = state.processes.get(pid) {
                facts.container(core, process.owner.as_ref());
                facts.add("ppid", process.ppid);
                facts.add("argv", &process.argv);
                facts.add("exit_code", process.exit_code);
                facts.add("exit_signal", process.exit_signal);
            }
        }
        RowKey::Connection(key) => facts.container(core, key.owner.as_ref()),
        RowKey::File(key) => facts.container(core, key.owner.as_ref()),
        RowKey::Image(key) => facts.add("image_digest", named(&key.digest)),
        RowKey::Event(seq) => {
            let event = core.event(*seq);
            facts.container(core, event.and_then(|event| event.container.as_ref()));
        }
        RowKey::Build(id) => {
            let builds = state.builds();
            let build = builds.iter().find(|build| build.id() == Some(id));
            let steps = build.map(|build| build.steps.iter().map(|step| step.id.as_str()));
            facts.add("steps", steps.into_iter().flatten().collect::<Vec<&str>>());
        }
        RowKey::Since(_) | RowKey::Machine | RowKey::FileTree => {}
    }
    let mut value = Value::Object(facts.0);
    if !reveal {
        mask_json(&mut value);
    }
    match value {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}

struct RowFacts(Map<String, Value>);

impl RowFacts {
    fn add(&mut self, name: &str, value: impl Serialize) {
        // Facts always have a JSON form.
        let value = serde_json::to_value(value).unwrap_or_default();
        self.0.insert(name.to_owned(), value);
    }

    fn container(&mut self, core: &Core, id: Option<&ContainerId>) {
        self.add("container_id", id);
        let container = id.and_then(|id| core.state.containers.get(id));
        self.add("container_name", container.map(|c| &c.info.name));
    }
}

/// `null` for an unknown value.
fn named(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Seconds since 1970.
fn milliseconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000_000)
}
