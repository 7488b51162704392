//! The life of containers as reported by the engine and the kernel, and their resource usage.

use hullwatch::event::{ContainerAction, ContainerId, Kind};

use crate::common::{self, BUSYBOX, DEBIAN, Engine, Recording, Session};

fn actions(session: &Session, id: &ContainerId) -> Vec<ContainerAction> {
    session
        .of(id)
        .filter_map(|event| match &event.kind {
            Kind::Container(change) => Some(change.action.clone()),
            _ => None,
        })
        .collect()
}

/// A predicate: the recording contains this action of a container.
fn is(id: &ContainerId, action: ContainerAction) -> impl Fn(&hullwatch::event::Event) -> bool {
    move |event| {
        event.container.as_ref() == Some(id)
            && matches!(&event.kind, Kind::Container(c) if c.action == action)
    }
}

#[test]
fn birth_pause_and_end_are_reported_with_the_facts() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let name = format!("hullwatch-test-life-{}", std::process::id());
    let options = [
        "--name",
        &name,
        "-l",
        "com.docker.compose.project=shop",
        "--memory",
        "64m",
    ];
    let container = engine.run(&options, BUSYBOX, &["sleep", "1000"]);
    recording.wait_for_facts(&container.id);
    container.control("pause");
    recording.wait_for("the pause", is(&container.id, ContainerAction::Paused));
    container.control("unpause");
    container.control("kill");
    recording.wait_for("the end", is(&container.id, ContainerAction::Died(137)));
    recording.wait_for_exit(&container.id);
    let session = recording.stop();
    let reported = actions(&session, &container.id);
    for action in [
        ContainerAction::Appeared,
        ContainerAction::Created,
        ContainerAction::Started,
        ContainerAction::Unpaused,
        ContainerAction::Gone,
    ] {
        assert!(reported.contains(&action), "no {action:?} in {reported:?}");
    }
    assert!(session.has(
        &container.id,
        |kind| matches!(kind, Kind::Exit(e) if e.signal == Some(9))
    ));
    let core = session.state_at(u64::MAX);
    let seen = &core.state.containers[&container.id];
    assert_eq!(
        (seen.info.name.to_string(), seen.info.image.to_string()),
        (name, BUSYBOX.to_owned())
    );
    assert_eq!(seen.info.labels["com.docker.compose.project"], "shop");
    assert_eq!(seen.info.limits.memory, 64 << 20);
    assert!(!seen.running && !seen.paused && seen.exit_code == Some(137));
}

#[test]
fn restarts_are_reported_as_one_container() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let options = ["--restart", "on-failure:3"];
    let container = engine.run(&options, BUSYBOX, &["sh", "-c", "exit 3"]);
    recording.wait_for("four ends", |_| {
        container.inspect("{{.RestartCount}} {{.State.Status}}") == "3 exited"
    });
    // The engine reports an end a little after its state shows it.
    let ends = std::cell::Cell::new(0);
    recording.wait_for("four ends reported", |event| {
        let died =
            matches!(&event.kind, Kind::Container(c) if c.action == ContainerAction::Died(3));
        if died && event.container.as_ref() == Some(&container.id) {
            ends.set(ends.get() + 1);
        }
        ends.get() == 4
    });
    let session = recording.stop();
    let reported = actions(&session, &container.id);
    let died = reported
        .iter()
        .filter(|a| **a == ContainerAction::Died(3))
        .count();
    let appeared = reported
        .iter()
        .filter(|a| **a == ContainerAction::Appeared)
        .count();
    assert_eq!((died, appeared), (4, 4), "{reported:?}");
    let firsts = session.count(
        &container.id,
        |kind| matches!(kind, Kind::Exec(e) if !e.runtime && e.argv.len() == 3),
    );
    assert_eq!(firsts, 4);
}

#[test]
fn memory_is_counted_and_running_out_of_it_is_reported() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let holds = "my $x = 'x' x (48 << 20); my $n = 0; while (1) { $n++ }";
    let holds = engine.run(&["--memory", "128m"], DEBIAN, &["perl", "-e", holds]);
    let starves = ["--memory", "16m", "--memory-swap", "16m"];
    let starves = engine.run(
        &starves,
        DEBIAN,
        &["perl", "-e", "my $x = 'x' x (64 << 20);"],
    );
    assert_eq!(starves.wait(), 137);
    recording.wait_for(
        "running out of memory",
        is(&starves.id, ContainerAction::Oom),
    );
    let used = |event: &hullwatch::event::Event| match &event.kind {
        Kind::Tick(tick) => tick
            .usage
            .iter()
            .any(|u| u.id == holds.id && u.memory > 48 << 20 && u.cpu_milli > 100 && u.pids == 1),
        _ => false,
    };
    recording.wait_for("usage", used);
    let computes = |event: &hullwatch::event::Event| match &event.kind {
        Kind::Tick(tick) => tick
            .processes
            .iter()
            .flatten()
            .any(|used| used.cpu_milli > 100 && used.memory > 48 << 20),
        _ => false,
    };
    recording.wait_for("usage of its process", computes);
    let session = recording.stop();
    let core = session.state_at(u64::MAX);
    assert_eq!(core.state.containers[&starves.id].oom_kills, 1);
    assert!(session.has(
        &starves.id,
        |kind| matches!(kind, Kind::Exit(e) if e.signal == Some(9))
    ));
    // With both cgroup versions, usage comes from the v1 controllers and events from v2.
    let v1 = std::path::Path::new("/sys/fs/cgroup/memory").is_dir();
    let mode = session.header["cgroup"].as_str().unwrap();
    assert_eq!(mode == "v2", !v1, "{mode}");
}
