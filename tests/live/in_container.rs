//! hullwatch itself in a container, with more and with less access to the host.

use hullwatch::event::ContainerId;
use serde_json::Value;

use crate::common::{self, BUSYBOX, DEBIAN, Engine};

/// The output of hullwatch after watching for a while in a container with these options.
fn watch(options: &[&str]) -> (ContainerId, Vec<Value>, String) {
    let engine = Engine::tests();
    let program = format!("{}:/hullwatch:ro", env!("CARGO_BIN_EXE_hullwatch"));
    // Not --privileged, which a host that is itself a container may not permit.
    let rights = [
        "--cap-add=SYS_ADMIN",
        "--cap-add=SYS_PTRACE",
        "--cap-add=NET_ADMIN",
        "--cap-add=DAC_READ_SEARCH",
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
    ];
    let options = [&rights, &["-v", &program][..], options].concat();
    let words = ["/hullwatch", "watch", "--no-engine", "--duration", "4s"];
    let words = [&words[..], &["--events", "findings,container"]].concat();
    let container = engine.run_to_end(&options, DEBIAN, &words);
    let printed = container.logs();
    let lines = printed
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    (container.id.clone(), lines.collect(), printed)
}

const CGROUPS: [&str; 3] = ["--cgroupns=host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:ro"];

#[test]
fn its_own_work_is_no_finding_in_any_pid_namespace() {
    if !common::engine_is_ready() {
        return;
    }
    let other = Engine::tests().run(&[], BUSYBOX, &["sleep", "1000"]);
    for pids in [&["--pid=host"][..], &[]] {
        let (own, lines, printed) = watch(&[&CGROUPS, pids].concat());
        let seen = |id: &ContainerId| {
            let mut all = lines.iter();
            all.any(|l| l["type"] == "container" && l["container"] == id.as_str())
        };
        assert!(seen(&other.id) && seen(&own), "{printed}");
        let own_work: Vec<_> = lines
            .iter()
            .filter(|line| line["container"] == own.as_str())
            .filter(|line| {
                line["rule"]
                    .as_str()
                    .is_some_and(|rule| rule.starts_with("priv."))
            })
            .collect();
        assert!(own_work.is_empty(), "{own_work:#?}");
    }
}

#[test]
fn facts_hidden_by_its_own_container_are_reported() {
    if !common::engine_is_ready() {
        return;
    }
    let private = ["--cgroupns=private"];
    let (_, _, printed) = watch(&private);
    assert!(
        printed.contains("in a cgroup namespace of its own"),
        "{printed}"
    );
    assert!(
        printed.contains("in a pid namespace of its own"),
        "{printed}"
    );
    // In the host's cgroup namespace the hierarchy is still not mounted.
    let (_, _, printed) = watch(&["--cgroupns=private", "--pid=host"]);
    assert!(
        printed.contains("no cgroup2 file system is mounted with its root"),
        "{printed}"
    );
}
