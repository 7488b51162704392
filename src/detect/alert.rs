//! Alerts: what a handler reports of one event.

use smallvec::SmallVec;

use super::finding::FindingIndex;
use super::finding_store::Explanation;
use super::rule_context::RuleContext;
use super::rule_info::RuleInfo;
use crate::event::{Bytes, Severity, Timestamp};

/// The alerts of one handler for one event; usually none, which allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Alerts(SmallVec<[Box<Alert>; 1]>);

impl Alerts {
    /// Nothing to report.
    #[must_use]
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Adds an alert; they are recorded in this order.
    pub(crate) fn push(&mut self, alert: Alert) {
        self.0.push(Box::new(alert));
    }

    /// There are none.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Alerts {
    type Item = Box<Alert>;
    type IntoIter = smallvec::IntoIter<[Box<Alert>; 1]>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Alert> for Alerts {
    fn from(alert: Alert) -> Self {
        let mut alerts = Self::none();
        alerts.push(alert);
        alerts
    }
}

impl From<Option<Alert>> for Alerts {
    fn from(alert: Option<Alert>) -> Self {
        alert.map_or_else(Self::none, Self::from)
    }
}

#[allow(dead_code, reason = "used once more rules are converted")]
impl FromIterator<Alert> for Alerts {
    fn from_iter<I: IntoIterator<Item = Alert>>(alerts: I) -> Self {
        Self(alerts.into_iter().map(Box::new).collect())
    }
}

/// Which finding an alert is recorded on.
#[derive(Debug)]
pub(super) enum Target {
    /// The finding of a rule about a subject in the event's container.
    Subject {
        /// The rule.
        rule: &'static RuleInfo,
        /// The subject.
        subject: Bytes,
        /// Title and reasons for a new finding; `None` when the finding exists.
        explanation: Option<Explanation>,
    },
    /// One more occurrence of a known finding.
    Occurrence(FindingIndex),
    /// A known finding, to which the alert only adds.
    Addition(FindingIndex),
}

/// One alert, and what it adds to its finding.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(super) target: Target,
    pub(super) severity: Severity,
    pub(super) parts: SmallVec<[Bytes; 1]>,
    pub(super) reasons: SmallVec<[String; 1]>,
    pub(super) evidence: SmallVec<[(Timestamp, u64); 1]>,
    pub(super) title: Option<String>,
    pub(super) title_by_count: Option<fn(u64) -> String>,
    pub(super) revised_severity: Option<Severity>,
    pub(super) planted: SmallVec<[Bytes; 1]>,
    pub(super) processes: SmallVec<[u32; 1]>,
    pub(super) history_of: Option<Bytes>,
}

#[allow(dead_code, reason = "some are used once their rules are converted")]
impl Alert {
    fn new(target: Target, severity: Severity) -> Self {
        Self {
            target,
            severity,
            parts: SmallVec::new(),
            reasons: SmallVec::new(),
            evidence: SmallVec::new(),
            title: None,
            title_by_count: None,
            revised_severity: None,
            planted: SmallVec::new(),
            processes: SmallVec::new(),
            history_of: None,
        }
    }

    /// One more occurrence of a known finding; its severity only rises.
    #[must_use]
    pub(crate) fn occurrence(index: FindingIndex, severity: Severity) -> Self {
        Self::new(Target::Occurrence(index), severity)
    }

    /// An addition to a known finding that is no further occurrence.
    #[must_use]
    pub(crate) fn addition(index: FindingIndex) -> Self {
        Self::new(Target::Addition(index), Severity::Info)
    }

    /// Adds one of the things the finding gathers: a path, a destination.
    #[must_use]
    pub(crate) fn part(mut self, part: impl Into<Bytes>) -> Self {
        self.parts.push(part.into());
        self
    }

    /// Adds a line to the finding's reasons, unless it has that line.
    #[must_use]
    pub(crate) fn reason(mut self, line: impl Into<String>) -> Self {
        self.reasons.push(line.into());
        self
    }

    /// Adds another event to the evidence; the alert's own event counts already.
    #[must_use]
    pub(crate) fn evidence(mut self, at: Timestamp, seq: u64) -> Self {
        self.evidence.push((at, seq));
        self
    }

    /// Gives the finding another title.
    #[must_use]
    pub(crate) fn title(mut self, title: String) -> Self {
        self.title = Some(title);
        self
    }

    /// Gives the finding a title that depends on its number of occurrences.
    #[must_use]
    pub(crate) fn title_by_count(mut self, title: fn(u64) -> String) -> Self {
        self.title_by_count = Some(title);
        self
    }

    /// Sets the finding's severity, also to a lower one: what it is has become known.
    #[must_use]
    pub(crate) fn revise_severity(mut self, severity: Severity) -> Self {
        self.revised_severity = Some(severity);
        self
    }

    /// The finding reports a change of this file: whatever runs the file later continues it.
    #[must_use]
    pub(crate) fn plants(mut self, path: &Bytes) -> Self {
        self.planted.push(path.clone());
        self
    }

    /// What this process and its descendants do next continues the finding.
    #[must_use]
    pub(crate) fn follows(mut self, pid: u32) -> Self {
        self.processes.push(pid);
        self
    }

    /// A new finding has the events that made this file as its first evidence.
    #[must_use]
    pub(crate) fn history_of(mut self, path: &Bytes) -> Self {
        self.history_of = Some(path.clone());
        self
    }
}

impl RuleContext<'_> {
    /// An alert of the running rule. `describe` writes title and reasons, and runs only when there
    /// is no finding of this subject yet.
    #[must_use]
    pub(crate) fn alert(
        &self,
        severity: Severity,
        subject: &[u8],
        describe: impl FnOnce(&mut Explanation),
    ) -> Alert {
        self.alert_as(self.rule, severity, subject, describe)
    }

    /// An alert of another rule of the same family.
    #[must_use]
    pub(crate) fn alert_as(
        &self,
        rule: &'static RuleInfo,
        severity: Severity,
        subject: &[u8],
        describe: impl FnOnce(&mut Explanation),
    ) -> Alert {
        let known = self.findings.find(rule.id, Some(self.owner), subject);
        let explanation = known.is_none().then(|| {
            let mut explanation = Explanation::default();
            describe(&mut explanation);
            explanation
        });
        let subject = Bytes::new(subject);
        Alert::new(
            Target::Subject {
                rule,
                subject,
                explanation,
            },
            severity,
        )
    }
}
