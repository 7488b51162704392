//! Which processes and cgroups are a container's.

use std::process::Command;

use serde_json::Value;

use crate::cgroup::Container;
use crate::common;
use crate::watch::Hullwatch;

/// The runtime joins a cgroup before its name can be read outside of the kernel, and then runs a
/// copy of itself: both are set-up, in a container of an image build too, and where the builder has mounts
/// of its own.
#[test]
fn set_up_in_a_cgroup_that_is_named_late_is_not_the_containers() {
    if !common::kernel_is_ready() {
        return;
    }
    let hullwatch = Hullwatch::start(&["watch", "--no-engine", "--events", "all"]);
    for round in 0..4 {
        let step = Container::at(&format!("docker/buildkit/hullwatchstep00000000000{round}"));
        // The process that joined executes nothing until the name has been read.
        let copy = "/bin/true first; true";
        let runtime = format!("3>/dev/null; sleep 1; exec /proc/self/exe -c '{copy}'");
        assert!(step.join(&runtime).status().unwrap().success());
    }
    for round in 4..6 {
        let step = Container::at(&format!("docker/buildkit/hullwatchstep00000000000{round}"));
        let runtime = "sleep 1; exec /proc/self/exe -c '/bin/true first; true'";
        let moved = format!("sh -c \"{runtime}\" & echo $! >\"$1\"; wait $!");
        let mut builder = Command::new("unshare");
        builder.args(["--mount", "sh", "-c", &moved, "sh"]);
        builder.arg(step.path.join("cgroup.procs"));
        assert!(builder.status().unwrap().success());
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    hullwatch.interrupt();
    let (_, lines, _) = hullwatch.end();
    let of_step = |line: &&Value| {
        let id = line["container"].as_str().unwrap_or_default();
        id.starts_with("hullwatchstep")
    };
    let own: Vec<&Value> = lines.iter().filter(of_step).collect();
    let copies = own
        .iter()
        .filter(|l| l["type"] == "exec" && l["argv"][1] == "-c");
    let copies: Vec<bool> = copies.map(|l| l["runtime"] == true).collect();
    assert_eq!(copies, [true; 6], "{own:#?}");
    let firsts = own
        .iter()
        .filter(|l| l["type"] == "exec" && l["argv"][1] == "first");
    let firsts: Vec<bool> = firsts.map(|l| l["runtime"] == true).collect();
    assert_eq!(firsts, [false; 6], "{own:#?}");
}

/// Containers with every recognised form of cgroup name are watched, from their first exec on if
/// the name ends in an id, and no cgroup without a process is reported.
#[test]
fn every_container_shown_is_watched() {
    if !common::kernel_is_ready() {
        return;
    }
    let id = |n: usize| format!("{n:04}{}", "e".repeat(60));
    let long = "kubepods-besteffort-pod0f1f2f3f_0000_0000_0000_000000000000.slice";
    let leaves = [
        format!("docker/{}", id(1)),
        format!("kubepods/pod1/{}", id(2)),
        format!("actions_job/{}", id(3)),
        format!("hullwatch-test.slice/docker-{}.scope", id(4)),
        format!("hullwatch-test.slice/cri-containerd-{}.scope", id(5)),
        format!("hullwatch-test.slice/libpod-{}.scope/container", id(6)),
        format!("hullwatch-test.slice/libpod-payload-{}.scope", id(7)),
        format!("libpod_parent/libpod-{}", id(8)),
        format!("kubepods/pod1/crio-{}", id(9)),
        format!("hullwatch-test.service/{long}:cri-containerd:{}", id(10)),
    ];
    let named = [
        "default/hullwatch-test",
        "lxc.payload.hullwatch-test",
        "hullwatch-test.slice/machine-hullwatch.scope/payload",
        "hullwatch-test.slice/runc-hullwatch.scope",
        "docker/buildkit/hullwatchtest000000000000",
        "ecs/0123456789abcdef0123456789abcdef-4026531836",
        "garden/d2b3f0a1-0000-4f00-8000-0123456789ab",
    ];
    let hullwatch = Hullwatch::start(&["watch", "--no-engine", "--events", "exec,container"]);
    let monitor = Container::at(&format!(
        "hullwatch-test.slice/crio-conmon-{}.scope",
        id(11)
    ));
    monitor.run("/bin/true");
    let empty = Container::at(&format!("libpod_parent/{}", id(12)));
    for leaf in &leaves {
        let container = Container::at(leaf);
        container.run("/bin/true first");
    }
    for leaf in named {
        let container = Container::at(leaf);
        // The name is recognised in user space, a moment later.
        container.run("sleep 1; /bin/true first");
    }
    drop((monitor, empty));
    std::thread::sleep(std::time::Duration::from_millis(200));
    hullwatch.interrupt();
    let (_, lines, _) = hullwatch.end();
    let mut reported = std::collections::BTreeMap::<String, (bool, u32)>::new();
    for line in &lines {
        let Some(id) = line["container"].as_str() else {
            continue;
        };
        let entry = reported.entry(id.to_owned()).or_default();
        entry.0 |= line["action"] == "appeared";
        entry.1 += u32::from(
            line["exe"]
                .as_str()
                .is_some_and(|exe| exe.ends_with("/true")),
        );
    }
    for n in 1..=leaves.len() {
        assert_eq!(
            reported.remove(&id(n)),
            Some((true, 1)),
            "{}",
            leaves[n - 1]
        );
    }
    let others = reported.keys().filter(|id| {
        let known = ["hullwatch", "0123456789", "d2b3f0a1"];
        // The other test of this file may run at the same time.
        known.iter().any(|part| id.contains(part)) && !id.starts_with("hullwatchstep")
    });
    assert_eq!(others.count(), named.len(), "{reported:?}");
    for (id, (appeared, execs)) in &reported {
        assert!(!id.starts_with("00"), "{id} was no container");
        if id.contains('/') || id.contains('-') {
            assert!(*appeared && *execs >= 1, "{id}");
        }
    }
}
