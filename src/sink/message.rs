//! The messages that sinks deliver.

use std::sync::Arc;

use crate::core::Core;
use crate::detect::Finding;
use crate::event::{ContainerId, Severity, Timestamp};
use crate::incident::Incident;

/// The subject of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum MessageSubject {
    /// A finding that is new or has become more severe.
    Finding(Arc<Finding>),
    /// An incident with its latest [`LISTED`] findings.
    Incident(Box<Incident>, Vec<Arc<Finding>>),
}

/// Maximum number of findings in the message about an incident, which has the ids of all.
pub(super) const LISTED: usize = 32;

/// The identity of a container for people and programs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContainerLabels {
    /// Its id.
    pub id: String,
    /// Its name; empty when it is not known.
    pub name: String,
    /// Its image as it was named; empty when it is not known.
    pub image: String,
    /// The image's id or digest; empty when it is not known.
    pub image_digest: String,
    /// The word of its runtime.
    pub runtime: &'static str,
    /// Kubernetes namespace; empty outside.
    pub namespace: String,
    /// Name of its pod; empty outside.
    pub pod: String,
    /// Uid of its pod; empty when it is not known.
    pub pod_uid: String,
}

impl ContainerLabels {
    /// Those of a container in this state.
    #[must_use]
    pub fn of(core: &Core, id: &ContainerId) -> Self {
        let mut facts = Self {
            id: id.to_string(),
            ..Self::default()
        };
        if let Some(container) = core.state.containers.get(id) {
            let info = &container.info;
            facts.name = info.name.escaped().to_string();
            facts.image = info.image.escaped().to_string();
            facts.image_digest.clone_from(&info.image_digest);
            facts.runtime = info.runtime.word();
            if let Some(pod) = &info.pod {
                facts.namespace.clone_from(&pod.namespace);
                facts.pod.clone_from(&pod.name);
                facts.pod_uid.clone_from(&pod.uid);
            }
        }
        facts
    }

    /// Its name, else the beginning of its id.
    #[must_use]
    pub fn title(&self) -> &str {
        match self.name.as_str() {
            "" => self.id.get(..12).unwrap_or(&self.id),
            name => name,
        }
    }
}

/// One message to a sink.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Time of the stream.
    pub at: Timestamp,
    /// The subject.
    pub subject: MessageSubject,
    /// The container; `None` is the host.
    pub container: Option<ContainerLabels>,
    /// It was reported before, and has changed since.
    pub again: bool,
}

impl Message {
    pub(super) fn of_finding(core: &Core, finding: &Arc<Finding>, again: bool) -> Self {
        Self {
            at: core.state.now,
            container: finding
                .container
                .as_ref()
                .map(|id| ContainerLabels::of(core, id)),
            subject: MessageSubject::Finding(Arc::clone(finding)),
            again,
        }
    }

    pub(super) fn of_incident(core: &Core, incident: Incident, again: bool) -> Self {
        let all = core.detector.findings();
        let mut latest: Vec<_> = incident
            .findings
            .iter()
            .filter_map(|id| all.get(id.0.checked_sub(1)? as usize))
            .cloned()
            .collect();
        let left_out = latest.len().saturating_sub(LISTED);
        latest.drain(..left_out);
        Self {
            at: core.state.now,
            container: Some(ContainerLabels::of(core, &incident.container)),
            subject: MessageSubject::Incident(Box::new(incident), latest),
            again,
        }
    }

    /// Its severity.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match &self.subject {
            MessageSubject::Finding(finding) => finding.severity,
            MessageSubject::Incident(incident, _) => incident.severity,
        }
    }

    /// Its number: `I-0001` or `F-0001`.
    #[must_use]
    pub fn id(&self) -> String {
        match &self.subject {
            MessageSubject::Finding(finding) => finding.id.to_string(),
            MessageSubject::Incident(incident, _) => incident.id.to_string(),
        }
    }

    /// `incident` or `finding`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.subject {
            MessageSubject::Finding(_) => "finding",
            MessageSubject::Incident(..) => "incident",
        }
    }

    /// The event in one line, escaped; secrets are not masked.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.subject {
            MessageSubject::Finding(finding) => finding.title.clone(),
            MessageSubject::Incident(incident, _) => incident.sentence(" > "),
        }
    }
}
