//! Which messages are sent, and how often.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::*;
use crate::recording::demo::{empty, replay};
use crate::sink::worker::{Delivery, DeliveryError, Patience};

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

/// A process is found in a disguise, and later its program turns out not to be the image's.
#[test]
fn a_finding_that_becomes_a_part_of_another_is_not_reported_twice() {
    use crate::event::{
        Bytes, ContainerAction, ContainerEvent, ContainerId, Difference, Differing, DriftScan,
        FileClass, FileFacts, Filesystem, NodeKind, Process,
    };
    let other = Other::default();
    let mut watcher = SinkWatcher::default();
    let wanted = Wanted {
        findings: Some(Severity::Info),
        incidents: Some(Severity::Info),
        ..Wanted::default()
    };
    watcher.add(outlet(&other), wanted);
    let mut core = empty();
    let id = ContainerId::new(&"c".repeat(64));
    let second = |n: i64| Timestamp(n * 1_000_000_000);
    let mut seq = 0;
    let mut happens = |at: i64, pid: u32, kind: Kind| {
        seq += 1;
        let event = Arc::new(Event {
            seq,
            ts: second(at),
            container: Some(id.clone()),
            pid,
            nspid: 7,
            kind,
        });
        core.apply(&event);
        watcher.event(&event, &core);
    };
    let existing = ContainerEvent {
        action: ContainerAction::Existing,
        info: None,
    };
    happens(100_000, 0, Kind::Container(Box::new(existing)));
    let process = Process {
        exe: "/tmp/.x/upd".into(),
        argv: vec![Bytes::from("[kworker/0:0]")],
        started: second(90_000),
        file: FileFacts {
            fs: Filesystem::Overlay,
            upper: true,
            ..FileFacts::default()
        },
        ..Process::default()
    };
    happens(100_000, 9, Kind::Process(Box::new(process)));
    happens(100_001, 0, Kind::Tick(Box::default()));
    let differing = Differing {
        path: "/tmp/.x/upd".into(),
        difference: Difference::Added,
        class: FileClass::Binary,
        kind: NodeKind::File,
        metadata_only: false,
        size: 1,
        size_before: None,
        mode: 0o100_755,
        mode_before: None,
        uid: 0,
        gid: 0,
        mtime: second(80_000),
        ctime: second(80_000),
        target: None,
        sha256: None,
        package: None,
        below: None,
        note: None,
    };
    let scan = DriftScan {
        entries: vec![differing],
        ..DriftScan::default()
    };
    happens(100_002, 0, Kind::DriftScan(Box::new(scan)));
    happens(100_003, 0, Kind::Tick(Box::default()));
    watcher.finish(&core);
    let open = core.detector.findings().iter().filter(|f| f.is_open());
    let open: Vec<_> = open.map(|f| (f.id.to_string(), &*f.rule)).collect();
    assert_eq!(open, [("F-0001".to_owned(), "drift.exec-new")]);
    let ids: Vec<String> = reported(&other).into_iter().map(|m| m.0).collect();
    assert_eq!(
        ids.iter().filter(|id| **id == "F-0001").count(),
        1,
        "{ids:?}"
    );
    assert!(
        ids.iter().all(|id| id == "F-0001" || id == "I-0001"),
        "{ids:?}"
    );
    // The evidence of the part and of the whole is there.
    let finding = &core.detector.findings()[0];
    assert!(
        finding
            .evidence
            .iter()
            .all(|seq| core.event(*seq).is_some())
    );
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
    let hanging = Outlet::start_with("h".to_owned(), Box::new(Hanging(wait)), PATIENCE).unwrap();
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
