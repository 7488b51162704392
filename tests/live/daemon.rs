//! An engine that starts after watching began, stops and starts again: a separate dockerd.

use hullwatch::event::{ContainerAction, ContainerId, Event, Kind, LostReason};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::{self, BUSYBOX, Engine, Recording};
use crate::dockerd::Dockerd;

/// The engine reported a container with name, image and network; Docker's files have no networks.
fn reported(id: &ContainerId) -> impl Fn(&Event) -> bool {
    move |event| {
        event.container.as_ref() == Some(id)
            && matches!(&event.kind, Kind::Container(c)
            if c.info.as_ref().is_some_and(|info| {
                info.image == BUSYBOX && !info.networks.is_empty()
            }))
    }
}

fn wrote(id: &ContainerId, name: &str) -> impl Fn(&Event) -> bool {
    let path = format!("/tmp/{name}");
    move |event| {
        event.container.as_ref() == Some(id)
            && matches!(&event.kind, Kind::File(file) if file.path == path.as_str())
    }
}

#[test]
fn an_engine_may_start_later_and_be_restarted() {
    if !common::engine_is_ready() {
        return;
    }
    // Containers outlive it.
    let mut daemon = Dockerd::new(&["--live-restore"]);
    // Nothing listens there yet.
    let mut recording = Recording::start(&daemon.engine);
    daemon.start();
    daemon.load(&Engine::tests(), BUSYBOX);
    let script = "while sleep 0.2; do for f in /go/*; do [ -e $f ] && mv $f /tmp; done; done";
    let orders = tempfile::tempdir().unwrap();
    let mount = format!("{}:/go", orders.path().display());
    let order = |name: &str| std::fs::write(orders.path().join(name), "x").unwrap();
    let stays = daemon
        .engine
        .run(&["-v", &mount], BUSYBOX, &["sh", "-c", script]);
    let ends = daemon.engine.run(&[], BUSYBOX, &["sleep", "1000"]);
    recording.wait_for("facts of an engine that came later", reported(&stays.id));
    recording.wait_for("facts of an engine that came later", reported(&ends.id));
    let (init, ending) = (stays.init(), ends.init());

    daemon.stop();
    recording.wait_for(
        "the loss of the engine",
        |event| matches!(&event.kind, Kind::Lost(lost) if lost.reason == LostReason::Engine),
    );
    // Both containers keep running, and their actions are still reported.
    order("meanwhile");
    recording.wait_for("a file of the time between", wrote(&stays.id, "meanwhile"));
    kill_process(
        Pid::from_raw(i32::try_from(ending).unwrap()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
    recording.wait_for("the end of the other", |event| {
        event.pid == ending && matches!(&event.kind, Kind::Exit(exit) if exit.signal == Some(9))
    });

    daemon.start();
    // It reports missed and new events.
    recording.wait_for("the end, by the engine's report", |event| {
        event.container.as_ref() == Some(&ends.id)
            && matches!(&event.kind, Kind::Container(c) if matches!(c.action, ContainerAction::Died(_)))
    });
    let new = daemon.engine.run(&[], BUSYBOX, &["sleep", "1000"]);
    recording.wait_for("facts of a new container", reported(&new.id));
    assert_eq!(
        stays.init(),
        init,
        "the container was to outlive its engine"
    );
    let session = recording.stop();
    let core = session.state_at(u64::MAX);
    let runs = |id| core.state.containers[id].running;
    assert!(runs(&stays.id) && runs(&new.id) && !runs(&ends.id));
    let lost = session.losses();
    let engines = lost.iter().filter(
        |event| matches!(&event.kind, Kind::Lost(lost) if lost.reason == LostReason::Engine),
    );
    assert_eq!((engines.count(), lost.len()), (1, 1), "{lost:?}");
}
