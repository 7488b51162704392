//! Alerts: the reports that a rule handler returns for one event.

use smallvec::SmallVec;

use super::finding::{ChainLink, FindingIndex};
use super::finding_store::{Explanation, Occurrence};
use super::reason_line::ReasonLine;
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

    /// Whether the list is empty.
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

/// The finding of a file change that this alert replaces.
#[derive(Debug)]
pub(super) struct Predecessor {
    /// The changed file.
    pub(super) path: Bytes,
    /// Prefix of the rule ids whose findings are replaced.
    pub(super) family: &'static str,
}

/// How an alert continues a finding of another subject or rule.
#[derive(Debug, Default)]
pub(super) struct Joins {
    /// The finding of a change that this alert replaces.
    pub(super) predecessor: Option<Predecessor>,
    /// Changed files whose finding of this rule is continued.
    pub(super) files: SmallVec<[Bytes; 2]>,
    /// The title of a finding continued for such a file.
    pub(super) continued_title: Option<String>,
    /// When it happened, if that was before the event. Such an alert is not added to findings about
    /// drifted code.
    pub(super) as_of: Option<Occurrence>,
}

/// Another rule and severity for a finding, once more is known about it.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) rule: &'static RuleInfo,
    /// `None`: unchanged.
    pub(super) subject: Option<Bytes>,
    pub(super) title: String,
}

/// One alert with its additions to the finding.
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
    pub(super) risen_to: Option<Severity>,
    pub(super) planted: SmallVec<[Bytes; 1]>,
    pub(super) processes: SmallVec<[u32; 1]>,
    pub(super) session: Option<u32>,
    pub(super) history_of: Option<Bytes>,
    pub(super) effects: SmallVec<[ReasonLine; 1]>,
    pub(super) link: Option<ChainLink>,
    pub(super) joins: Joins,
    pub(super) becomes: Option<Identity>,
    pub(super) repeated: u64,
    pub(super) already_since: Option<Timestamp>,
}

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
            risen_to: None,
            planted: SmallVec::new(),
            processes: SmallVec::new(),
            session: None,
            history_of: None,
            effects: SmallVec::new(),
            link: None,
            joins: Joins::default(),
            becomes: None,
            repeated: 0,
            already_since: None,
        }
    }

    /// One more occurrence of a known finding; its severity only rises.
    #[must_use]
    pub(crate) fn occurrence(index: FindingIndex, severity: Severity) -> Self {
        Self::new(Target::Occurrence(index), severity)
    }

    /// An addition to a known finding that does not count as an occurrence.
    #[must_use]
    pub(crate) fn addition(index: FindingIndex) -> Self {
        Self::new(Target::Addition(index), Severity::Info)
    }

    /// Adds a subject to a finding that collects several: a path, a destination.
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

    /// Adds a line to the finding's reasons, if there is room for it; then the event becomes evidence.
    #[must_use]
    pub(crate) fn effect(mut self, line: ReasonLine) -> Self {
        self.effects.push(line);
        self
    }

    /// Adds a later action to the finding's chain.
    #[must_use]
    pub(crate) fn links(mut self, link: Option<ChainLink>) -> Self {
        self.link = link;
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

    /// Sets the finding's severity, which may be lower than before, once its circumstances are
    /// known.
    #[must_use]
    pub(crate) fn revise_severity(mut self, severity: Severity) -> Self {
        self.revised_severity = Some(severity);
        self
    }

    /// Raises the finding to at least this severity; its ancestry becomes that of the event's
    /// process.
    #[must_use]
    pub(crate) fn rises_to(mut self, severity: Severity) -> Self {
        self.risen_to = Some(severity);
        self
    }

    /// The finding reports a change of this file; an alert about running the file later continues
    /// it.
    #[must_use]
    pub(crate) fn plants(mut self, path: &Bytes) -> Self {
        self.planted.push(path.clone());
        self
    }

    /// Alerts about this process and its descendants continue the finding from now on.
    #[must_use]
    pub(crate) fn follows(mut self, pid: u32) -> Self {
        self.processes.push(pid);
        self
    }

    /// The finding is about the exec session with this root process.
    #[must_use]
    pub(crate) fn begins_session(mut self, root: u32) -> Self {
        self.session = Some(root);
        self
    }

    /// The state existed when watching began, since this time; zero where the time is not known.
    #[must_use]
    pub(crate) fn already_since(mut self, since: Timestamp) -> Self {
        self.already_since = Some(since);
        self
    }

    /// A new finding has the events that made this file as its first evidence.
    #[must_use]
    pub(crate) fn history_of(mut self, path: &Bytes) -> Self {
        self.history_of = Some(path.clone());
        self
    }

    /// Turns a finding that only reports a change of this file, of a rule whose id begins with
    /// `family`, into this finding.
    #[must_use]
    pub(crate) fn succeeds(mut self, path: &Bytes, family: &'static str) -> Self {
        let path = path.clone();
        self.joins.predecessor = Some(Predecessor { path, family });
        self
    }

    /// Counts the alert on the finding of this rule about a change of one of these files. Of
    /// several files the first with such a finding decides.
    #[must_use]
    pub(crate) fn continues(mut self, path: &Bytes) -> Self {
        self.joins.files.push(path.clone());
        self
    }

    /// The title of a finding that the alert continues because of a file.
    #[must_use]
    pub(crate) fn continued_title(mut self, title: String) -> Self {
        self.joins.continued_title = Some(title);
        self
    }

    /// Moves the finding to another rule, unless that rule has one about the subject.
    #[must_use]
    pub(crate) fn becomes(
        mut self,
        rule: &'static RuleInfo,
        subject: Option<&[u8]>,
        title: String,
    ) -> Self {
        self.becomes = Some(Identity {
            rule,
            subject: subject.map(Bytes::new),
            title,
        });
        self
    }

    /// The alert is about an earlier moment. Such an alert does not continue another finding.
    #[must_use]
    pub(crate) fn happened(mut self, first: Occurrence) -> Self {
        self.joins.as_of = Some(first);
        self
    }

    /// Adds further occurrences to the count.
    #[must_use]
    pub(crate) fn repeated(mut self, more: u64) -> Self {
        self.repeated = more;
        self
    }
}

impl Extend<Alert> for Alerts {
    fn extend<I: IntoIterator<Item = Alert>>(&mut self, alerts: I) {
        self.0.extend(alerts.into_iter().map(Box::new));
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
