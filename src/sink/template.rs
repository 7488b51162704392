//! The bodies of webhook requests: hullwatch's own document, Slack's message, Alertmanager's
//! alerts.

use serde_json::{Map, Value, json};

use super::document::{document, line};
use super::message::{Message, MessageSubject};
use crate::masking::mask;

/// The format that a webhook accepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum WebhookFormat {
    /// The message as JSON, with all of its facts.
    #[default]
    Json,
    /// A Slack message, also for compatible receivers.
    Slack,
    /// Alerts of Prometheus Alertmanager (`/api/v2/alerts`).
    Alertmanager,
}

/// Maximum length of a text in a chat.
const MOST: usize = 2_000;

/// The body of a message in a format.
pub(super) fn body(format: WebhookFormat, host: &str, message: &Message, missed: u64) -> Value {
    match format {
        WebhookFormat::Json => document(host, message, missed, true),
        WebhookFormat::Slack => slack(host, message, missed),
        WebhookFormat::Alertmanager => alertmanager(host, message),
    }
}

/// `&`, `<` and `>` are what Slack reads as more than text.
fn plain(text: &str) -> String {
    let cut: String = text.chars().take(MOST).collect();
    cut.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn slack(host: &str, message: &Message, missed: u64) -> Value {
    let mut text = plain(&line(host, message, missed, true));
    if let MessageSubject::Incident(_, findings) = &message.subject {
        for finding in findings.iter().rev().take(5).rev() {
            let title = mask(&finding.title);
            text.push_str(&format!("\n• {} {}", finding.severity, plain(&title)));
        }
    }
    json!({ "text": text })
}

/// One alert. Its labels identify it, so that a later one of the same incident takes its place.
fn alertmanager(host: &str, message: &Message) -> Value {
    let mut labels = Map::new();
    let mut label = |name: &str, text: &str| {
        if !text.is_empty() {
            labels.insert(name.to_owned(), json!(text));
        }
    };
    label("alertname", &format!("hullwatch_{}", message.kind()));
    label("instance", host);
    label("id", &message.id());
    if let Some(container) = &message.container {
        label("container", container.title());
        label(
            "container_id",
            container.id.get(..12).unwrap_or(&container.id),
        );
        label("image", &container.image);
        label("namespace", &container.namespace);
        label("pod", &container.pod);
    }
    label("severity", &message.severity().to_string());
    let began = match &message.subject {
        MessageSubject::Finding(finding) => {
            label("rule", &finding.rule);
            finding.began()
        }
        MessageSubject::Incident(incident, _) => incident.first,
    };
    let title = message.title();
    json!([{
        "labels": labels,
        "annotations": {
            "summary": line(host, message, 0, true),
            "description": mask(&title),
        },
        "startsAt": began,
    }])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::recording::demo;

    fn incident() -> Message {
        let core = demo::core();
        let incident = core.ranked_incidents().remove(0);
        Message::of_incident(&core, incident, true)
    }

    #[test]
    fn the_document_has_what_a_program_needs() {
        let document = body(WebhookFormat::Json, "node", &incident(), 3);
        assert_eq!(document["type"], "incident");
        assert_eq!(document["severity"], "critical");
        assert_eq!(document["host"], "node");
        assert_eq!(document["missed"], 3);
        assert_eq!(document["container"]["name"], "shop-web");
        let findings = document["findings"].as_array().unwrap();
        assert!(findings.len() > 5);
        assert!(findings[0]["evidence"][0].is_u64() && findings[0]["rule"].is_string());
        assert_eq!(findings[0]["id"].as_str().unwrap().len(), 6);
        let stages = document["stages"].as_array().unwrap();
        assert_eq!(stages[0], "exec session");
    }

    #[test]
    fn slack_gets_text_without_markup_of_a_container() {
        let mut message = incident();
        let container = message.container.as_mut().unwrap();
        container.name = "<!channel> & <https://evil.example|x>".to_owned();
        let text = body(WebhookFormat::Slack, "node", &message, 2)["text"].to_string();
        assert!(text.contains("CRITICAL incident I-0001 (grew)"), "{text}");
        assert!(text.contains("2 messages before this one"), "{text}");
        assert!(
            text.contains("&lt;!channel&gt; &amp;") && !text.contains("<"),
            "{text}"
        );
    }

    #[test]
    fn alertmanager_gets_one_alert_whose_labels_stay_the_same() {
        let mut message = incident();
        let [first, again] = [false, true].map(|again| {
            message.again = again;
            body(WebhookFormat::Alertmanager, "node", &message, 0)
        });
        assert_eq!(first[0]["labels"], again[0]["labels"]);
        assert_eq!(first[0]["labels"]["alertname"], "hullwatch_incident");
        assert_eq!(first[0]["labels"]["container"], "shop-web");
        assert!(first[0]["startsAt"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn secrets_are_masked_in_every_format() {
        let mut message = incident();
        let MessageSubject::Incident(_, findings) = &mut message.subject else {
            panic!("an incident");
        };
        let finding = Arc::make_mut(&mut findings[0]);
        finding.title = "Ran mysql --password=hunter2".to_owned();
        finding.why = vec!["mysql --password=hunter2".to_owned()];
        let only = Message {
            subject: MessageSubject::Finding(Arc::new(finding.clone())),
            ..message.clone()
        };
        for format in [
            WebhookFormat::Json,
            WebhookFormat::Slack,
            WebhookFormat::Alertmanager,
        ] {
            for message in [&message, &only] {
                let text = body(format, "node", message, 0).to_string();
                assert!(!text.contains("hunter2"), "{format:?}: {text}");
            }
        }
    }
}
