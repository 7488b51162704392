//! The past of a running watch, compared with a recording of the same.

use super::*;
use crate::recording::{Player, demo};

/// The demo as if it were watched, remembered within `limit`.
fn watched(limit: usize) -> (Arc<Past>, Player) {
    let header = demo::reader().header().clone();
    let mut core = demo::empty();
    let past = Arc::new(Past::new(limit, &core));
    demo::replay(&mut core, |event, core| {
        past.push(event, core);
        past.settle();
        assert!(past.bytes() <= limit + 2 * (limit / 4 + 65 * 8192));
    });
    let player = Player::of_past(&past, header, core);
    (past, player)
}

#[test]
fn going_back_shows_what_a_recording_shows() {
    let (_, mut past) = watched(PAST_BYTES);
    let mut recorded = demo::player();
    recorded.wait_indexed();
    while recorded.step() {}
    for _ in 0..5 {
        assert!(past.step_back().unwrap() && recorded.step_back().unwrap());
        assert_eq!(past.core().state.now, recorded.core().state.now);
    }
    for back in [10, 20, 7] {
        let to = past.position().minus(std::time::Duration::from_secs(back));
        past.seek(to).unwrap();
        recorded.seek(to).unwrap();
        assert_eq!(past.ordinal(), recorded.ordinal());
        assert_eq!(
            past.core().detector.findings(),
            recorded.core().detector.findings()
        );
    }
    assert_eq!(past.findings(), recorded.findings());
    assert_eq!(past.rates(), recorded.rates());
    assert!(past.next_finding().unwrap());
    while past.step() {}
    assert_eq!(past.ordinal(), recorded.events());
}

#[test]
fn dropped_history_is_out_of_reach_and_the_rest_is_exact() {
    let (memory, mut past) = watched(12 << 10);
    let first = memory.first();
    assert!(first > 0, "nothing was forgotten");
    let (begin, end) = past.span();
    assert!(begin < end);
    past.seek(Timestamp::default()).unwrap();
    assert_eq!(past.ordinal().max(first), past.ordinal());
    assert!(past.findings().iter().all(|mark| mark.ordinal > first));
    let mut recorded = demo::player();
    recorded.wait_indexed();
    recorded.seek_ordinal(past.ordinal()).unwrap();
    assert_eq!(
        past.core().detector.findings(),
        recorded.core().detector.findings()
    );
}

/// Short-lived processes in some containers, each of which is tampered with once.
fn churn(rounds: u32) -> Vec<Arc<Event>> {
    use crate::event::{ContainerAction, ContainerEvent, ContainerId, Exec, Exit, File, FileFacts};
    use crate::event::{FileOp, Filesystem, Fork};
    let ids: Vec<_> = (0..6)
        .map(|n| ContainerId::new(&n.to_string().repeat(64)))
        .collect();
    let mut events = Vec::new();
    let mut at = 1_795_442_607_000_000_000;
    let mut push = |container: &ContainerId, pid: u32, kind: Kind| {
        let seq = events.len() as u64 + 1;
        at += 250_000 + i64::try_from(seq * 7919 % 1000).unwrap() * 331;
        events.push(Arc::new(Event {
            seq,
            ts: Timestamp(at),
            container: Some(container.clone()),
            pid,
            nspid: pid % 30_000 + 1,
            kind,
        }));
    };
    let exec = |ppid, exe: &str| {
        Kind::Exec(Box::new(Exec {
            ppid,
            exe: exe.into(),
            argv: vec![exe.into(), "--part".into()],
            cwd: "/srv".into(),
            comm: "part".into(),
            ..Exec::default()
        }))
    };
    let facts = |ino| FileFacts {
        ino,
        fs: Filesystem::Overlay,
        upper: true,
        ..FileFacts::default()
    };
    let file = |path: String, ino| {
        Kind::File(Box::new(File {
            file: Some(facts(ino)),
            comm: "part".into(),
            ..File::new(FileOp::Write, path.as_str().into())
        }))
    };
    for (id, init) in ids.iter().zip(1..) {
        let started = ContainerEvent {
            action: ContainerAction::Started,
            info: None,
        };
        push(id, 0, Kind::Container(Box::new(started)));
        push(id, init, exec(0, "/sbin/service"));
    }
    for round in 0..rounds {
        let place = round as usize % ids.len();
        let (id, init, pid) = (&ids[place], place as u32 + 1, 1000 + round % 60_000);
        let fork = Fork {
            ppid: init,
            ..Fork::default()
        };
        push(id, pid, Kind::Fork(fork));
        push(id, pid, exec(init, "/bin/part"));
        push(
            id,
            pid,
            file(format!("/tmp/part-{}", round % 900), round.into()),
        );
        let end = Exit {
            code: Some(0),
            ..Exit::default()
        };
        push(id, pid, Kind::Exit(end));
        let every = rounds / 40;
        if round % every == 0 {
            let which = usize::try_from(round / every).unwrap() % ids.len();
            let path = format!("/etc/cron.d/job-{round}");
            push(&ids[which], which as u32 + 1, file(path, round.into()));
        }
    }
    events
}

/// The visible parts of a core.
fn looked_at(core: &Core) -> (String, Vec<String>) {
    let findings = core.detector.findings().iter();
    let findings = findings.map(|finding| {
        let evidence: Vec<_> = finding
            .evidence
            .iter()
            .map(|seq| core.event(*seq))
            .collect();
        format!("{finding:?} {evidence:?}")
    });
    (format!("{:?}", core.state), findings.collect())
}

#[test]
fn where_processes_come_and_go_the_past_is_what_a_recording_shows() {
    let limit = 1 << 20;
    let events = churn(25_000);
    let mut core = Core::default();
    let past = Arc::new(Past::new(limit, &core));
    for event in &events {
        core.apply(event);
        past.push(event, &core);
        past.settle();
        if event.seq.is_multiple_of(5000) {
            // The stated part is kept, and nothing else.
            let first = past.get(past.first()).unwrap();
            let (begin, end) = past.overview(None).span;
            assert!(begin <= first.ts && end == event.ts);
            assert!(
                past.first() == 0 || events[usize::try_from(past.first()).unwrap() - 1].ts <= begin
            );
            assert!(past.bytes() < 2 * limit, "{}", past.bytes());
        }
    }
    assert!(core.state.processes.len() > 7000);
    let first = past.first();
    assert!(first > 0, "nothing was forgotten");
    let header = crate::recording::Header::here(core.state.now, core.detector.settings().clone());
    let mut player = Player::of_past(&past, header, core);
    let (begin, end) = player.span();
    let marks = player.findings();
    assert!(!marks.is_empty() && marks.iter().all(|m| m.ordinal > first && m.ts >= begin));
    assert!(end.since(begin) > events[events.len() - 1].ts.since(events[0].ts) / 4);

    let part = end.since(begin) / 7;
    let mut moments: Vec<_> = (0..7).map(|n| begin.plus(part * n)).collect();
    moments.push(end);
    let mut recorded = Core::default();
    let mut next = events.iter().peekable();
    for to in moments {
        while let Some(event) = next.next_if(|event| event.ts <= to) {
            recorded.apply(event);
        }
        // From the present, so that each seek begins at a keyframe.
        player.seek(end).unwrap();
        player.seek(to).unwrap();
        assert_eq!(player.position(), to);
        assert!(looked_at(player.core()) == looked_at(&recorded), "at {to}");
        assert_eq!(player.ordinal(), recorded.state.totals.events);
    }
    player.seek(Timestamp::default()).unwrap();
    assert_eq!((player.position(), player.ordinal()), (begin, first));
    assert!(!player.step_back().unwrap(), "there is nothing before it");
    assert!(player.next_finding().unwrap());
    assert_eq!(player.ordinal(), marks[0].ordinal);
    assert!(!player.seek_finding(crate::detect::FindingId(1)).unwrap());
}

#[test]
fn rates_join_their_steps_when_there_are_too_many() {
    let mut rates = crate::recording::Rates::default();
    for second in 0..20_000 {
        rates.add(Timestamp(second * 1_000_000_000));
    }
    assert!(rates.counts.len() <= crate::recording::rates::STEPS);
    assert_eq!(rates.counts.iter().sum::<u32>(), 20_000);
    assert_eq!(rates.step, 8);
}
