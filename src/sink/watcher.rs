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
mod tests {
    use std::collections::VecDeque;

    use parking_lot::Mutex;

    use super::super::worker::{Delivery, DeliveryError, Patience};
    use super::*;
    use crate::recording::demo::{empty, replay};

    /// A message, and how many were missed before it.
    type Received = (Arc<Message>, u64);

    /// The messages that a test sink received, and its next answers.
    #[derive(Debug, Clone, Default)]
    struct Other {
        got: Arc<Mutex<Vec<Received>>>,
        answers: Arc<Mutex<VecDeque<DeliveryError>>>,
        tries: Arc<Mutex<usize>>,
    }

    impl Delivery for Other {
        fn deliver(&mut self, messages: &[Arc<Message>], missed: u64) -> Result<(), DeliveryError> {
            *self.tries.lock() += 1;
            if let Some(error) = self.answers.lock().pop_front() {
                return Err(error);
            }
            let messages = messages.iter().map(|m| (Arc::clone(m), missed));
            self.got.lock().extend(messages);
            Ok(())
        }
    }

    /// Longer than any of the tests takes.
    const PATIENCE: Patience = Patience {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(4),
        give_up: Duration::from_secs(600),
    };
    const IMPATIENCE: Patience = Patience {
        give_up: Duration::from_millis(10),
        ..PATIENCE
    };

    fn outlet(other: &Other) -> Outlet {
        patient(other, PATIENCE)
    }

    fn patient(other: &Other, patience: Patience) -> Outlet {
        Outlet::start_with("test".to_owned(), Box::new(other.clone()), patience).unwrap()
    }

    /// Plays the demo to the sinks.
    fn demo(watcher: &mut SinkWatcher) -> Core {
        let mut core = empty();
        replay(&mut core, |event, core| watcher.event(event, core));
        watcher.finish(&core);
        core
    }

    fn reported(other: &Other) -> Vec<(String, Severity, bool)> {
        let got = other.got.lock();
        got.iter()
            .map(|(m, _)| (m.id(), m.severity(), m.again))
            .collect()
    }

    #[test]
    fn an_incident_is_reported_once_and_again_only_when_it_grew() {
        let all = Other::default();
        let grave = Other::default();
        let mut watcher = SinkWatcher::default();
        let incidents = |least| Wanted {
            incidents: Some(least),
            ..Wanted::default()
        };
        watcher.add(outlet(&all), incidents(Severity::Medium));
        watcher.add(outlet(&grave), incidents(Severity::Critical));
        let core = demo(&mut watcher);
        let messages = reported(&all);
        assert!(messages.len() > 1 && messages.len() < 12, "{messages:?}");
        assert!(!messages[0].2 && messages[1..].iter().all(|m| m.2));
        assert!(messages.iter().all(|m| m.0 == "I-0001"));
        let critical = reported(&grave);
        assert_eq!((critical[0].1, critical[0].2), (Severity::Critical, false));
        // The last message has all that it became.
        let incident = core.incident(IncidentId(1)).unwrap();
        let last = all.got.lock().last().unwrap().0.title();
        assert_eq!(last, incident.sentence(" > "));
        assert_eq!(watcher.board().statuses()[0].sent, messages.len() as u64);
    }

    /// A receiver that accepts and does not answer must not keep anybody from leaving.
    #[test]
    fn what_is_not_delivered_at_the_end_is_counted_and_not_waited_for() {
        struct Stuck;
        impl Delivery for Stuck {
            fn deliver(&mut self, _: &[Arc<Message>], _: u64) -> Result<(), DeliveryError> {
                std::thread::sleep(Duration::from_secs(600));
                Ok(())
            }
        }
        let other = Other::default();
        let mut watcher = SinkWatcher::default();
        let wanted = Wanted {
            incidents: Some(Severity::Medium),
            ..Wanted::default()
        };
        watcher.add(outlet(&other), wanted);
        demo(&mut watcher);
        let message = Arc::clone(&other.got.lock()[0].0);
        let mut stuck = Outlet::start("stuck".to_owned(), Box::new(Stuck)).unwrap();
        for _ in 0..3 {
            stuck.offer(&message);
        }
        let deadline = Instant::now() + Duration::from_millis(50);
        stuck.close(deadline);
        stuck.join(deadline);
        let status = stuck.counters.status();
        assert_eq!((status.sent, status.missed()), (0, 3), "{status:?}");
    }

    #[test]
    fn findings_are_reported_when_they_are_new_or_graver() {
        let other = Other::default();
        let mut watcher = SinkWatcher::default();
        let wanted = Wanted {
            findings: Some(Severity::High),
            ..Wanted::default()
        };
        watcher.add(outlet(&other), wanted);
        let core = demo(&mut watcher);
        let high = core.detector.findings().iter();
        let high = high.filter(|f| f.severity >= Severity::High && f.silenced.is_none());
        let mut ids: Vec<String> = reported(&other).into_iter().map(|m| m.0).collect();
        ids.sort();
        ids.dedup();
        let wanted: Vec<String> = high.map(|f| f.id.to_string()).collect();
        assert_eq!(ids, wanted);
    }

    #[test]
    fn every_finding_is_sent_or_counted_when_there_are_more_than_a_queue_holds() {
        use crate::event::{Bytes, ContainerId, Exec, File, FileFacts, FileOp, Filesystem};
        let other = Other::default();
        let mut watcher = SinkWatcher::default();
        let wanted = Wanted {
            findings: Some(Severity::Info),
            ..Wanted::default()
        };
        watcher.add(outlet(&other), wanted);
        let mut core = Core::new(crate::detect::Settings {
            memory: "1GiB".parse().unwrap(),
            ..Default::default()
        });
        let mut seq = 0;
        let mut happens = |id: &ContainerId, after: i64, kind: Kind| {
            seq += 1;
            let event = Arc::new(Event {
                seq,
                ts: Timestamp(after * 1_000_000_000),
                container: Some(id.clone()),
                pid: 1_000,
                nspid: 7,
                kind,
            });
            core.apply(&event);
            watcher.event(&event, &core);
        };
        // No tick between them: all of it is news at once.
        for container in 0..100 {
            let id = ContainerId::new(&format!("{container:064x}"));
            let program = Exec {
                exe: "/bin/sh".into(),
                ..Exec::default()
            };
            happens(&id, 0, Kind::Exec(Box::new(program)));
            for job in 0..60 {
                let path = format!("/etc/cron.d/{job}");
                let mut file = File::new(FileOp::Create, Bytes::from(path.as_str()));
                file.file = Some(FileFacts {
                    fs: Filesystem::Overlay,
                    upper: true,
                    ..FileFacts::default()
                });
                happens(&id, 1_000, Kind::File(Box::new(file)));
            }
        }
        watcher.finish(&core);
        let found = core.detector.findings().len() as u64;
        assert!(found > 5_000, "{found}");
        let status = watcher.board().statuses().remove(0);
        assert_eq!(status.sent + status.missed(), found, "{status:?}");
    }

    #[test]
    fn messages_over_the_rate_limit_are_counted_and_reported_with_the_next() {
        let other = Other::default();
        let mut watcher = SinkWatcher::default();
        let wanted = Wanted {
            findings: Some(Severity::Info),
            per_minute: Some(2),
            ..Wanted::default()
        };
        watcher.add(outlet(&other), wanted);
        demo(&mut watcher);
        let status = watcher.board().statuses().remove(0);
        assert!(status.sent >= 2 && status.sent <= 4, "{status:?}");
        assert!(status.withheld > 5, "{status:?}");
    }

    #[test]
    fn a_message_to_a_failing_sink_is_retried_and_finally_dropped() {
        let wanted = Wanted {
            findings: Some(Severity::High),
            ..Wanted::default()
        };
        let back = Other::default();
        let errors = |n| (0..n).map(|_| DeliveryError::passing("down")).collect();
        *back.answers.lock() = errors(3);
        let mut watcher = SinkWatcher::default();
        watcher.add(outlet(&back), wanted);
        demo(&mut watcher);
        let status = watcher.board().statuses().remove(0);
        assert!(status.sent > 0 && status.missed() == 0 && status.error.is_none());
        assert_eq!(*back.tries.lock() as u64, 3 + status.sent);

        let refusing = Other::default();
        *refusing.answers.lock() = [DeliveryError::lasting("400")].into();
        let gone = Other::default();
        *gone.answers.lock() = errors(100_000);
        let mut watcher = SinkWatcher::default();
        watcher.add(outlet(&refusing), wanted);
        watcher.add(patient(&gone, IMPATIENCE), wanted);
        demo(&mut watcher);
        let [refused, lost]: [_; 2] = watcher.board().statuses().try_into().unwrap();
        assert_eq!((refused.failed, refused.sent > 0), (1, status.sent > 1));
        // The next message reports it.
        if let Some((_, missed)) = refusing.got.lock().first() {
            assert_eq!(*missed, 1);
        }
        assert_eq!((lost.failed, lost.sent), (status.sent, 0));
        assert_eq!(lost.error.as_deref(), Some("down"));
    }

    #[test]
    fn a_sink_that_hangs_costs_only_its_own_messages() {
        struct Hanging(crossbeam_channel::Receiver<()>);
        impl Delivery for Hanging {
            fn deliver(&mut self, _: &[Arc<Message>], _: u64) -> Result<(), DeliveryError> {
                // Until the test releases it.
                let _ = self.0.recv();
                Ok(())
            }
        }
        let (go, wait) = crossbeam_channel::bounded(0);
        let hanging =
            Outlet::start_with("h".to_owned(), Box::new(Hanging(wait)), PATIENCE).unwrap();
        let counters = Arc::clone(&hanging.counters);
        let core = Core::default();
        let finding = {
            let mut watcher = SinkWatcher::default();
            let core = demo(&mut watcher);
            Arc::clone(&core.detector.findings()[0])
        };
        let message = Arc::new(Message::of_finding(&core, &finding, false));
        for _ in 0..2_000 {
            hanging.offer(&message);
        }
        let dropped = counters.status().dropped;
        assert!(dropped >= 2_000 - 1_024 - 1, "{dropped}");
        drop(go);
    }
}
