//! Privileged calls and capabilities, in real containers.

use std::collections::BTreeMap;

use hullwatch::event::{ContainerId, Kind, Privilege};

use crate::common::{self, BUSYBOX, DEBIAN, Engine, Recording, Session};

/// The calls that the script made, with the errno of each.
fn made(printed: &str) -> BTreeMap<&str, u16> {
    printed
        .lines()
        .map(|line| {
            let (call, errno) = line.split_once(' ').unwrap();
            (call, errno.parse().unwrap())
        })
        .collect()
}

fn call<'a>(session: &'a Session, id: &'a ContainerId, name: &str) -> &'a Privilege {
    let pick = |kind: &'a Kind| match kind {
        Kind::Privilege(p) if p.call == name && !p.runtime => Some(&**p),
        _ => None,
    };
    session.find(id, name, pick).1
}

#[test]
fn every_privileged_call_is_reported_with_its_result() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let script = include_str!("inside/calls.pl");
    let run = |options: &[&str]| engine.run_to_end(options, DEBIAN, &["perl", "-e", script]);
    let confined = run(&[]);
    let mighty = run(&[
        "--cap-add=SYS_ADMIN",
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
    ]);
    for container in [&confined, &mighty] {
        recording.wait_for_exit(&container.id);
    }
    let session = recording.stop();
    for container in [&confined, &mighty] {
        let printed = container.logs();
        let made = made(&printed);
        assert_eq!(made.len(), 19, "{printed}");
        for (name, errno) in &made {
            let found = call(&session, &container.id, name);
            assert_eq!(found.errno, *errno, "{found:?}");
            assert_eq!(found.comm, "perl");
        }
    }
    // One container is refused by seccomp, before the kernel's tracepoint for the start of a call.
    let (refused, done) = (confined.logs(), mighty.logs());
    let (refused, done) = (made(&refused), made(&done));
    for name in ["mount", "umount2", "unshare", "setns"] {
        assert_eq!((refused[name], done[name]), (1, 0), "{name}");
    }
    for (name, detail) in [
        ("mount", "none /mnt tmpfs"),
        ("umount2", "/mnt MNT_DETACH"),
        ("unshare", "CLONE_NEWNS|CLONE_NEWUSER"),
        ("setns", "CLONE_NEWUTS"),
        ("pivot_root", "/tmp /tmp"),
        ("chroot", "/tmp"),
        ("bpf", "BPF_MAP_CREATE"),
        ("delete_module", "hullwatch_none"),
        ("memfd_create", "anon"),
        ("keyctl", "KEYCTL_JOIN_SESSION_KEYRING"),
        ("add_key", "user x"),
        ("setuid", "1234"),
        ("setresuid", "4321 4321 4321"),
    ] {
        assert_eq!(call(&session, &confined.id, name).detail, detail);
    }
    let traced = &call(&session, &confined.id, "ptrace").detail;
    assert!(traced.starts_with(b"PTRACE_SEIZE pid "), "{traced:?}");
}

#[test]
fn a_capability_is_reported_at_its_first_use() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let script = "for i in 1 2 3; do touch /tmp/$i; chown 5:5 /tmp/$i; chroot / true; done; true";
    let plain = engine.run_to_end(&[], BUSYBOX, &["sh", "-c", script]);
    let powerless = engine.run_to_end(&["--cap-drop", "ALL"], BUSYBOX, &["sh", "-c", script]);
    for container in [&plain, &powerless] {
        recording.wait_for_exit(&container.id);
    }
    let session = recording.stop();
    let uses = |id, name: &str, granted| {
        session.count(
            id,
            |kind| matches!(kind, Kind::Capability(c) if c.name == name && c.granted == granted),
        )
    };
    for name in ["CHOWN", "SYS_CHROOT"] {
        assert_eq!(uses(&plain.id, name, true), 1, "{name}");
        assert_eq!(uses(&powerless.id, name, true), 0, "{name}");
    }
    // The engine's filter refuses chroot to processes without SYS_CHROOT.
    assert_eq!(uses(&powerless.id, "CHOWN", false), 1);
}

#[test]
fn a_command_from_outside_does_not_hide_the_services_own_use_of_a_capability() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let script = "while ! [ -e /tmp/go ]; do sleep 0.1; done; chown 5:5 /tmp/go; true";
    let service = engine.run(&[], BUSYBOX, &["sh", "-c", script]);
    for name in ["a", "b"] {
        service.sh(&format!("touch /tmp/{name}; chown 5:5 /tmp/{name}"));
    }
    service.sh("touch /tmp/go");
    assert_eq!(service.wait(), 0);
    recording.wait_for_exit(&service.id);
    let session = recording.stop();
    let uses = session.count(
        &service.id,
        |kind| matches!(kind, Kind::Capability(c) if c.name == "CHOWN" && c.granted),
    );
    assert_eq!(uses, 2, "once from outside, and once by the service");
}
