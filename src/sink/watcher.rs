//! Decides which findings and incidents are reported, and which again because they changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::message::Message;
use super::status::SinkBoard;
use super::worker::Outlet;
use crate::core::Core;
use crate::event::{Event, Kind, Severity, Timestamp};
use crate::incident::IncidentId;

/// Time for the sinks at the end to deliver waiting messages.
const GRACE: Duration = Duration::from_secs(5);

/// The messages that a sink accepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Incidents of this severity or above.
    pub incidents: Option<Severity>,
    /// Findings of this severity or above.
    pub findings: Option<Severity>,
    /// Messages a minute; further ones are withheld and counted.
    pub per_minute: Option<u32>,
}

/// A sink with its filter.
#[derive(Debug)]
struct Listener {
    wanted: Wanted,
    outlet: Outlet,
    /// Remaining messages of the rate limit, and the time of that number, by the stream.
    credit: (f64, Timestamp),
}

/// The reported state of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ToldIncident {
    severity: Severity,
    stages: usize,
}

/// Follows the stream and sends messages to the sinks.
#[derive(Debug, Default)]
pub struct SinkWatcher {
    listeners: Vec<Listener>,
    /// Indexes of findings that changed since the last tick. As bounded as the findings: none may be
    /// skipped, since a finding that does not change again would never be reported.
    touched: BTreeSet<usize>,
    /// The reported severity of each finding, by index.
    findings: Vec<Option<Severity>>,
    /// The reported state of each incident. As bounded as the incidents.
    incidents: BTreeMap<IncidentId, ToldIncident>,
}

impl SinkWatcher {
    /// Adds a sink.
    pub fn add(&mut self, outlet: Outlet, wanted: Wanted) {
        let credit = f64::from(wanted.per_minute.unwrap_or_default());
        self.listeners.push(Listener {
            wanted,
            outlet,
            credit: (credit, Timestamp(i64::MIN)),
        });
    }

    /// Whether there is no sink.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    /// The states of its sinks.
    #[must_use]
    pub fn board(&self) -> SinkBoard {
        let counters = self
            .listeners
            .iter()
            .map(|l| Arc::clone(&l.outlet.counters));
        SinkBoard(counters.collect())
    }

    /// Takes an event that the core has applied. Never waits.
    pub fn event(&mut self, event: &Event, core: &Core) {
        let changed = core.detector.latest().iter();
        self.touched.extend(changed.map(|index| index.get()));
        if matches!(event.kind, Kind::Tick(_)) {
            self.send_changes(core);
        }
    }

    /// Sends messages about changes since the last tick.
    fn send_changes(&mut self, core: &Core) {
        let mut incidents = BTreeSet::new();
        for place in std::mem::take(&mut self.touched) {
            let Some(finding) = core.detector.findings().get(place) else {
                continue;
            };
            if !finding.is_open() {
                continue;
            }
            if self.findings.len() <= place {
                self.findings.resize(place + 1, None);
            }
            let Some(reported) = self.findings.get_mut(place) else {
                continue;
            };
            if reported.is_some_and(|reported| reported >= finding.severity) {
                continue;
            }
            let again = reported.replace(finding.severity).is_some();
            incidents.extend(core.incidents.of(finding.id));
            let mut message = None;
            for listener in &mut self.listeners {
                if listener
                    .wanted
                    .findings
                    .is_some_and(|least| finding.severity >= least)
                {
                    let message = message
                        .get_or_insert_with(|| Arc::new(Message::of_finding(core, finding, again)));
                    listener.offer(message);
                }
            }
        }
        for id in incidents {
            self.tell_incident(core, id);
        }
    }

    fn tell_incident(&mut self, core: &Core, id: IncidentId) {
        let wanted = |listener: &Listener| listener.wanted.incidents;
        let Some(least) = self.listeners.iter().filter_map(wanted).min() else {
            return;
        };
        let incident = core
            .incident(id)
            .filter(|incident| incident.accepted.is_none());
        let Some(incident) = incident.filter(|incident| incident.severity >= least) else {
            return;
        };
        let now = ToldIncident {
            severity: incident.severity,
            stages: incident.stages.len(),
        };
        let before = self.incidents.insert(id, now);
        let news = before
            .is_none_or(|before| now.severity > before.severity || now.stages > before.stages);
        if !news {
            return;
        }
        let severity = incident.severity;
        let known = |least: Severity| before.is_some_and(|before| before.severity >= least);
        // For a sink with a higher threshold it is new once it has reached that.
        let first = Arc::new(Message::of_incident(core, incident, false));
        let again = Arc::new(Message {
            again: true,
            ..(*first).clone()
        });
        for listener in &mut self.listeners {
            if let Some(least) = listener.wanted.incidents
                && severity >= least
            {
                listener.offer(if known(least) { &again } else { &first });
            }
        }
    }

    /// Sends messages about changes since the last tick, and gives the sinks time to deliver.
    pub fn finish(&mut self, core: &Core) {
        self.send_changes(core);
        self.end();
    }

    /// Gives the sinks time to deliver waiting messages, and ends them.
    pub fn end(&mut self) {
        let deadline = Instant::now() + GRACE;
        for listener in &mut self.listeners {
            listener.outlet.close(deadline);
        }
        for listener in &mut self.listeners {
            listener.outlet.join(deadline);
        }
    }
}

impl Listener {
    /// Queues a message unless there were too many.
    fn offer(&mut self, message: &Arc<Message>) {
        if let Some(most) = self.wanted.per_minute {
            let most = f64::from(most);
            let (credit, since) = self.credit;
            let passed = message.at.since(since).as_secs_f64();
            let credit = (credit + passed * most / 60.0).min(most);
            let pays = credit >= 1.0;
            self.credit = (if pays { credit - 1.0 } else { credit }, message.at);
            if !pays {
                self.outlet
                    .counters
                    .withheld
                    .fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        self.outlet.offer(message);
    }
}

#[cfg(test)]
mod tests;
