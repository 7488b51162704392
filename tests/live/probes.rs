//! The probes alone, on the running kernel.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use hullwatch::event::Kind;
use hullwatch::probe::{Observation, Observed, Probe, ProbeConfig};

use crate::cgroup::Container;
use crate::common;

/// The events of one container; tests run in parallel.
fn drain(probe: &mut Probe, container: u64) -> Vec<Observed> {
    let mut seen = Vec::new();
    probe.drain(&mut |observed| seen.push(observed));
    seen.retain(|observed| observed.cgroup == container);
    seen
}

fn events(seen: &[Observed]) -> impl Iterator<Item = &Kind> {
    seen.iter().filter_map(|o| match &o.fact {
        Observation::Event(kind) => Some(kind),
        _ => None,
    })
}

#[test]
fn reports_processes_files_and_privileged_calls_of_a_new_container() {
    if !common::kernel_is_ready() {
        return;
    }
    let mut probe = Probe::load(&ProbeConfig::default()).unwrap();
    assert!(probe.report().refused.is_empty(), "{:?}", probe.report());
    let container = Container::new("a1");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("new file\n\u{1b}[31m");
    container.run(&format!(
        "/bin/true 'an argument' ''; echo x > '{}'; unshare --fork true; sh -c 'exit 7'; true",
        file.display()
    ));
    let id = container.id();
    drop(container);
    let seen = drain(&mut probe, id);
    assert!(probe.losses().is_empty());
    assert!(
        seen.iter()
            .any(|o| matches!(&o.fact, Observation::CgroupBorn { id: born, .. } if *born == id))
    );
    assert!(
        seen.iter()
            .any(|o| matches!(&o.fact, Observation::CgroupGone { id: gone } if *gone == id))
    );
    let exec = events(&seen)
        .find_map(|k| match k {
            Kind::Exec(e) if e.exe.ends_with(b"/true") && e.argv.len() == 3 => Some(e),
            _ => None,
        })
        .expect("the exec of true");
    assert_eq!(exec.argv[1], "an argument");
    assert!(exec.argv[2].is_empty() && !exec.runtime && exec.file.ino != 0);
    let wrote = events(&seen)
        .find_map(|k| match k {
            Kind::File(f) if f.path.ends_with(b"new file\n\x1b[31m") => Some(f),
            _ => None,
        })
        .expect("the file");
    assert_eq!(wrote.errno, 0);
    assert_eq!(wrote.path, file.to_str().unwrap());
    assert!(
        events(&seen).any(|k| matches!(k, Kind::Exit(e) if e.code == Some(7) && e.lived_ns > 0))
    );
    assert!(events(&seen).any(|k| matches!(k, Kind::Fork(f) if f.ppid != 0)));
}

#[test]
fn keeps_up_with_short_lived_processes_and_long_arguments() {
    if !common::kernel_is_ready() {
        return;
    }
    let mut probe = Probe::load(&ProbeConfig::default()).unwrap();
    let container = Container::new("b2");
    container.run(
        "i=0; while [ $i -lt 500 ]; do /bin/true $i; i=$((i+1)); done; /bin/true $(seq 20000)",
    );
    let seen = drain(&mut probe, container.id());
    assert!(probe.losses().is_empty());
    let execs: Vec<_> = events(&seen)
        .filter_map(|k| match k {
            Kind::Exec(e) if e.exe.ends_with(b"/true") => Some(e),
            _ => None,
        })
        .collect();
    assert_eq!(execs.len(), 501);
    assert!(execs[500].argv_cut && execs[500].argv_bytes > 100_000 && execs[500].argv[1] == "1");
}

/// containerd's own client allows container names chosen by users.
#[test]
fn a_container_of_containerds_default_namespace_is_included() {
    if !common::kernel_is_ready() {
        return;
    }
    let mut probe = Probe::load(&ProbeConfig::default()).unwrap();
    let container = Container::at("default/hullwatch-test-named");
    container.run("/bin/true named");
    let id = container.id();
    drop(container);
    let seen = drain(&mut probe, id);
    assert!(
        events(&seen).any(|k| matches!(k, Kind::Exec(e) if e.exe.ends_with(b"/true"))),
        "{seen:?}"
    );
}

/// A process that moves itself to a lower cgroup of its own container is not a runtime.
#[test]
fn moving_itself_to_a_cgroup_below_hides_nothing() {
    if !common::kernel_is_ready() {
        return;
    }
    let mut probe = Probe::load(&ProbeConfig::default()).unwrap();
    let container = Container::new("c3");
    let below = container.path.join("below");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hidden");
    // In a mount namespace of its own, as a container's processes are.
    container.run(&format!(
        "unshare --mount sh -c 'mkdir {0}; echo 0 > {0}/cgroup.procs; echo x > {1}'",
        below.display(),
        file.display()
    ));
    let id = fs::metadata(&below).unwrap().ino();
    fs::remove_dir(&below).unwrap();
    drop(container);
    let seen = drain(&mut probe, id);
    assert!(
        events(&seen).any(|k| matches!(k, Kind::File(f) if f.path.ends_with(b"/hidden"))),
        "{seen:?}"
    );
}

/// A process that leaves its container's cgroup still belongs to the container, and so do its
/// children.
#[test]
fn leaving_the_cgroup_hides_nothing() {
    if !common::kernel_is_ready() {
        return;
    }
    let mut probe = Probe::load(&ProbeConfig::default()).unwrap();
    let container = Container::new("e5");
    let dir = tempfile::tempdir().unwrap();
    // In a mount namespace of its own, as a container's processes are.
    container.run(&format!(
        "unshare --mount sh -c 'echo 0 > {0}/cgroup.procs; echo x > {1}/itself; sh -c \"echo x > {1}/child; true\"; true'",
        container.path.parent().unwrap().display(),
        dir.path().display()
    ));
    let id = container.id();
    drop(container);
    let seen = drain(&mut probe, id);
    let wrote =
        |name: &[u8]| events(&seen).any(|k| matches!(k, Kind::File(f) if f.path.ends_with(name)));
    assert!(wrote(b"/itself") && wrote(b"/child"), "{seen:?}");
    let left =
        events(&seen).filter(|k| matches!(k, Kind::Privilege(p) if p.call == "leave-cgroup"));
    assert_eq!(left.count(), 1, "{seen:?}");
}

/// Actions of a process moved in from outside are set-up of the runtime until its own exec.
#[test]
fn a_process_moved_in_from_outside_is_set_up_until_its_exec() {
    if !common::kernel_is_ready() {
        return;
    }
    let mut probe = Probe::load(&ProbeConfig::default()).unwrap();
    let container = Container::new("d4");
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new("sh")
        .args([
            "-c",
            "echo here; read go; echo x > early; exec sh -c 'echo x > late'",
        ])
        .current_dir(dir.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Its own exec is done: the spawn returns shortly before that is reported.
    let mut here = [0; 5];
    child.stdout.take().unwrap().read_exact(&mut here).unwrap();
    fs::write(container.path.join("cgroup.procs"), child.id().to_string()).unwrap();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert!(child.wait().unwrap().success());
    let seen = drain(&mut probe, container.id());
    let wrote =
        |name: &[u8]| events(&seen).any(|k| matches!(k, Kind::File(f) if f.path.ends_with(name)));
    assert!(dir.path().join("early").exists() && !wrote(b"/early"));
    assert!(wrote(b"/late"), "{seen:?}");
}
