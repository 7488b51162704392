//! Findings and incidents as OpenTelemetry logs over HTTP (OTLP, protobuf).
//!
//! The host and the container are the resource, by the semantic conventions (`host.*`,
//! `container.*`, `k8s.*`); the process of a finding are attributes of the record (`process.*`). A
//! finding names its evidence by the numbers of its events, an incident its findings.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use prost::Message as _;

use super::http::{HttpClient, HttpTarget};
use super::message::{Message, MessageSubject};
use super::otlp_values::{
    Attributes, CONVENTIONS, OtlpHost, integer, list, resource, scope, text, value,
};
use super::worker::{Delivery, DeliveryError};
use crate::detect::Finding;
use crate::event::{Severity, Timestamp, escape};
use crate::masking::{mask, mask_json};

/// Records in one request.
const MOST: usize = 64;

/// Posts records to a collector.
#[derive(Debug)]
pub struct OtlpSink {
    /// Sends the requests.
    pub client: HttpClient,
    /// The collector's `/v1/logs`.
    pub target: HttpTarget,
    /// This host.
    pub host: OtlpHost,
}

impl Delivery for OtlpSink {
    fn deliver(&mut self, messages: &[Arc<Message>], missed: u64) -> Result<(), DeliveryError> {
        let request = request(&self.host, messages, missed).encode_to_vec();
        let answer = self
            .client
            .post(&self.target, "application/x-protobuf", &request)?;
        // Some of them may be refused although the request was accepted.
        let answer = ExportLogsServiceResponse::decode(answer.as_slice()).unwrap_or_default();
        match answer.partial_success {
            Some(partial) if partial.rejected_log_records > 0 => {
                let why = escape(partial.error_message.as_bytes()).to_string();
                let refused = partial.rejected_log_records;
                Err(DeliveryError::lasting(format!(
                    "{refused} records were refused: {why}"
                )))
            }
            _ => Ok(()),
        }
    }

    fn most(&self) -> usize {
        MOST
    }
}

/// The number of OTLP for a severity.
fn severity(severity: Severity) -> SeverityNumber {
    match severity {
        Severity::Info => SeverityNumber::Info,
        Severity::Low => SeverityNumber::Info3,
        Severity::Medium => SeverityNumber::Warn,
        Severity::High => SeverityNumber::Error,
        Severity::Critical => SeverityNumber::Fatal,
    }
}

/// Records of one container share a resource.
fn request(host: &OtlpHost, messages: &[Arc<Message>], missed: u64) -> ExportLogsServiceRequest {
    let mut by_container: BTreeMap<&str, Vec<&Message>> = BTreeMap::new();
    for message in messages {
        let id = message.container.as_ref().map_or("", |c| c.id.as_str());
        by_container.entry(id).or_default().push(message);
    }
    let resource_logs = by_container.into_values().map(|messages| {
        let container = messages.first().and_then(|m| m.container.as_ref());
        ResourceLogs {
            resource: Some(resource(host, container)),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope()),
                log_records: messages.into_iter().map(|m| record(m, missed)).collect(),
                schema_url: CONVENTIONS.to_owned(),
            }],
            schema_url: CONVENTIONS.to_owned(),
        }
    });
    ExportLogsServiceRequest {
        resource_logs: resource_logs.collect(),
    }
}

fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.0).unwrap_or_default()
}

fn record(message: &Message, missed: u64) -> LogRecord {
    let mut out = Attributes::default();
    out.text("hullwatch.id", &message.id());
    out.put("hullwatch.again", value(Value::BoolValue(message.again)));
    if missed > 0 {
        out.put("hullwatch.missed", integer(missed));
    }
    let last = match &message.subject {
        MessageSubject::Finding(finding) => {
            of_finding(finding, &mut out);
            finding.last
        }
        MessageSubject::Incident(incident, _) => {
            let ids = incident.findings.iter().map(|id| text(id.to_string()));
            out.put("hullwatch.incident.findings", list(ids));
            let stages = incident.stages.iter().map(|stage| text(stage.name));
            out.put("hullwatch.incident.stages", list(stages));
            out.put(
                "hullwatch.incident.active",
                value(Value::BoolValue(incident.active)),
            );
            out.put("hullwatch.incident.first", text(incident.first.to_string()));
            incident.last
        }
    };
    let grade = message.severity();
    LogRecord {
        time_unix_nano: nanoseconds(last),
        observed_time_unix_nano: nanoseconds(message.at),
        severity_number: severity(grade).into(),
        severity_text: grade.to_string(),
        body: Some(text(mask(&message.title()))),
        attributes: out.0,
        event_name: format!("hullwatch.{}", message.kind()),
        ..LogRecord::default()
    }
}

fn of_finding(finding: &Finding, out: &mut Attributes) {
    out.text("hullwatch.finding.rule", &finding.rule);
    out.text(
        "hullwatch.finding.subject",
        &finding.subject.escaped().to_string(),
    );
    out.put("hullwatch.finding.count", integer(finding.count));
    out.put("hullwatch.finding.first", text(finding.began().to_string()));
    let why = finding.why.iter().map(|line| text(mask(line)));
    out.put("hullwatch.finding.why", list(why));
    let evidence = finding.evidence.iter().map(|seq| integer(*seq));
    out.put("hullwatch.finding.events", list(evidence));
    let attack = finding.attack.iter().map(|id| text(id.as_str()));
    out.put("hullwatch.finding.attack", list(attack));
    if let Some(process) = finding.ancestry.first() {
        out.put("process.pid", integer(u64::from(process.pid)));
        out.text(
            "process.executable.path",
            &process.exe.escaped().to_string(),
        );
        // Masked as a whole: a secret may be the word behind its option.
        let words = process.argv.iter().map(|word| word.escaped().to_string());
        let mut words = serde_json::json!({ "argv": words.collect::<Vec<_>>() });
        mask_json(&mut words);
        let words = words.get("argv").and_then(|argv| argv.as_array()).cloned();
        let words = words.unwrap_or_default().into_iter();
        let words = words.map(|word| text(word.as_str().unwrap_or_default()));
        out.put("process.command_args", list(words));
    }
    if let Some(parent) = finding.ancestry.get(1) {
        out.put("process.parent_pid", integer(u64::from(parent.pid)));
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::KeyValue;

    use super::super::otlp_values::decoded_by_python;
    use super::*;
    use crate::recording::demo;

    /// The demo's incident, and all of its findings.
    fn messages() -> Vec<Arc<Message>> {
        let core = demo::core();
        let incident = core.ranked_incidents().remove(0);
        let mut messages = vec![Arc::new(Message::of_incident(&core, incident, false))];
        let findings = core.detector.findings().iter();
        messages.extend(findings.map(|f| Arc::new(Message::of_finding(&core, f, false))));
        messages
    }

    fn host() -> OtlpHost {
        OtlpHost {
            name: "node".to_owned(),
            id: "0123".to_owned(),
            kernel: "6.1.0".to_owned(),
        }
    }

    fn attribute<'a>(all: &'a [KeyValue], key: &str) -> &'a Value {
        let found = all.iter().find(|a| a.key == key);
        found
            .unwrap()
            .value
            .as_ref()
            .unwrap()
            .value
            .as_ref()
            .unwrap()
    }

    #[test]
    fn a_finding_has_its_resource_process_and_events() {
        let messages = messages();
        let request = request(&host(), &messages, 0);
        assert_eq!(request.resource_logs.len(), 1);
        let logs = &request.resource_logs[0];
        let resource = &logs.resource.as_ref().unwrap().attributes;
        for (key, wanted) in [("host.name", "node"), ("container.name", "shop-web")] {
            assert_eq!(
                attribute(resource, key),
                &Value::StringValue(wanted.to_owned())
            );
        }
        let records = &logs.scope_logs[0].log_records;
        assert_eq!(records.len(), messages.len());
        assert_eq!(records[0].event_name, "hullwatch.incident");
        assert_eq!(records[0].severity_number, SeverityNumber::Fatal as i32);
        let finding = &records[1];
        let Value::ArrayValue(events) = attribute(&finding.attributes, "hullwatch.finding.events")
        else {
            panic!("a list");
        };
        assert!(!events.values.is_empty());
        assert!(matches!(
            attribute(&finding.attributes, "process.pid"),
            Value::IntValue(1..)
        ));
        assert!(finding.time_unix_nano > 1_700_000_000_000_000_000);
    }

    #[test]
    fn another_implementation_reads_it() {
        let script = "import sys\n\
            from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as s\n\
            r = s.ExportLogsServiceRequest()\n\
            r.ParseFromString(sys.stdin.buffer.read())\n\
            for l in r.resource_logs:\n\
            \x20 a = {x.key: x.value.string_value for x in l.resource.attributes}\n\
            \x20 for p in l.scope_logs:\n\
            \x20  for e in p.log_records:\n\
            \x20   k = {x.key: x.value for x in e.attributes}\n\
            \x20   print(a['host.name'], a['container.name'], e.event_name, e.severity_number, \
            e.body.string_value, [v.int_value for v in \
            k['hullwatch.finding.events'].array_value.values] if 'hullwatch.finding.events' in k \
            else [])\n";
        let messages = messages();
        let bytes = request(&host(), &messages, 0).encode_to_vec();
        let Some(text) = decoded_by_python(script, &bytes) else {
            return;
        };
        assert_eq!(text.lines().count(), messages.len(), "{text}");
        assert!(
            text.starts_with("node shop-web hullwatch.incident 21 "),
            "{text}"
        );
        assert!(
            text.contains(" hullwatch.finding 17 ") && text.contains(", "),
            "{text}"
        );
    }
}
