//! Attribution of events: to one of two containers, and to one that shares the host's pids.

use hullwatch::event::{ContainerId, Kind};

use crate::common::{self, BUSYBOX, Engine, Recording, Session};

/// The repeated actions of a container, with its own name in everything.
fn script(name: &str) -> String {
    format!(
        "i=0; while [ $i -lt 100 ]; do
            echo x >/tmp/{name}-$i; mv /tmp/{name}-$i /tmp/{name}-moved-$i; /bin/busybox true {name}
            nc 127.0.0.1 9 </dev/null; mount -t {name} x /proc; i=$((i+1))
         done 2>/dev/null; true"
    )
}

/// Lines of a container in the recording.
fn lines(session: &Session, id: &ContainerId) -> Vec<String> {
    session
        .of(id)
        .map(|event| {
            let mut line = Vec::new();
            event.write_json(&mut line).unwrap();
            String::from_utf8(line).unwrap()
        })
        .collect()
}

#[test]
fn events_of_two_containers_are_not_mixed() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let run = |name| engine.run(&[], BUSYBOX, &["sh", "-c", &script(name)]);
    let (one, two) = (run("appletree"), run("pinewood"));
    for container in [&one, &two] {
        assert_eq!(container.wait(), 0);
        recording.wait_for_exit(&container.id);
    }
    let session = recording.stop();
    for (container, own, other) in [
        (&one, "appletree", "pinewood"),
        (&two, "pinewood", "appletree"),
    ] {
        let lines = lines(&session, &container.id);
        assert!(lines.iter().filter(|line| line.contains(own)).count() > 500);
        let strange: Vec<_> = lines.iter().filter(|line| line.contains(other)).collect();
        assert!(strange.is_empty(), "{strange:#?}");
        let execs = session.count(
            &container.id,
            |kind| matches!(kind, Kind::Exec(e) if e.argv.last().is_some_and(|word| *word == own)),
        );
        assert_eq!(execs, 100);
        let connects = session.count(&container.id, |kind| matches!(kind, Kind::Connect(_)));
        assert_eq!(connects, 100);
    }
    // No event of either is attributed to the host.
    let host = session
        .events
        .iter()
        .filter(|event| event.container.is_none());
    for event in host {
        assert!(
            matches!(event.kind, Kind::Tick(_) | Kind::Lost(_)),
            "{event:?}"
        );
    }
    // No process belongs to both.
    let pids = |id| session.of(id).map(|e| e.pid).filter(|pid| *pid != 0);
    let of_one: std::collections::BTreeSet<_> = pids(&one.id).collect();
    assert!(pids(&two.id).all(|pid| !of_one.contains(&pid)));
    assert!(session.losses().is_empty(), "{:?}", session.losses());
}

#[test]
fn a_container_in_the_hosts_pid_namespace_is_watched_as_well() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let container = engine.run_to_end(
        &["--pid", "host"],
        BUSYBOX,
        &[
            "sh",
            "-c",
            "echo x >/tmp/made; sh -c '/bin/busybox true deep'; true",
        ],
    );
    recording.wait_for_exit(&container.id);
    let session = recording.stop();
    let (event, _) = session.find(&container.id, "the exec", |kind| match kind {
        Kind::Exec(e) if e.argv.last().is_some_and(|word| *word == "deep") => Some(()),
        _ => None,
    });
    assert_eq!(event.pid, event.nspid);
    let ancestry = session.ancestry(event);
    assert_eq!(ancestry.last().unwrap(), "sh");
    assert!(ancestry.len() >= 2, "{ancestry:?}");
    let (first, _) = session.find(&container.id, "the first exec", |kind| match kind {
        Kind::Exec(e) if !e.runtime => Some(e),
        _ => None,
    });
    let (wrote, _) = session.find(&container.id, "the file", |kind| match kind {
        Kind::File(f) if f.path == "/tmp/made" => Some(()),
        _ => None,
    });
    assert_eq!(wrote.pid, first.pid);
}
