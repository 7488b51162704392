//! Processes of the host that enter a container's namespaces, bypassing its engine.

use std::os::fd::AsFd as _;
use std::process::Command;

use hullwatch::event::{ContainerId, Event, Kind};
use hullwatch::state::Lineage;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::common::{self, Container, DEBIAN, Engine, Recording, Session};

/// Runs `nsenter` with these namespaces of the container and this command.
fn enter(container: &Container, namespaces: &[&str], command: &[&str]) {
    let init = container.init().to_string();
    let done = Command::new("nsenter")
        .args(["-t", &init])
        .args(namespaces)
        .args(command)
        .status()
        .unwrap();
    assert!(done.success(), "{namespaces:?} {command:?}");
}

/// The exec of a command with this word.
fn exec_of<'a>(session: &'a Session, id: &'a ContainerId, word: &str) -> Option<&'a Event> {
    session.of(id).find(|event| {
        matches!(&event.kind, Kind::Exec(e) if e.argv.iter().any(|w| w.contains_word(word)))
    })
}

trait Word {
    fn contains_word(&self, word: &str) -> bool;
}

impl Word for hullwatch::event::Bytes {
    fn contains_word(&self, word: &str) -> bool {
        self.windows(word.len()).any(|part| part == word.as_bytes())
    }
}

#[test]
fn entered_processes_are_exec_sessions_with_their_origin() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let older = engine.run(&[], DEBIAN, &["sleep", "1000"]);
    let mut recording = Recording::start(&engine);
    let younger = engine.run(&[], DEBIAN, &["sleep", "1000"]);
    recording.wait_for_facts(&younger.id);
    let script = "echo x >/tmp/made; sh -c ': child; echo x >/tmp/child'; true";
    let ways: [&[&str]; 3] = [&["-a"], &["-m"], &["-m", "-p", "-n", "-i", "-u"]];
    for container in [&older, &younger] {
        for (n, way) in ways.iter().enumerate() {
            let script = format!(
                ": way{n}; {}",
                script.replace("/tmp/", &format!("/tmp/{n}-"))
            );
            enter(container, way, &["sh", "-c", &script]);
        }
        // Joining only namespaces without files and processes does not count.
        enter(
            container,
            &["-n", "-u", "-i"],
            &["sh", "-c", ": outside; true"],
        );
        container.sh(": ordinary; true");
    }
    for container in [&older, &younger] {
        recording.wait_for("the ordinary session", |event| {
            event.container.as_ref() == Some(&container.id)
                && matches!(&event.kind, Kind::Exec(e) if e.argv.iter().any(|w| w.contains_word("ordinary")))
        });
    }
    let session = recording.stop();
    let core = session.state_at(u64::MAX);
    for container in [&older, &younger] {
        let id = &container.id;
        for n in 0..ways.len() {
            let root = exec_of(&session, id, &format!(": way{n}")).unwrap();
            let Kind::Exec(exec) = &root.kind else {
                unreachable!()
            };
            assert!(exec.entered && !exec.runtime);
            assert_eq!(
                core.state.processes[&root.pid].lineage,
                Lineage::ExecSession(root.pid)
            );
            let told = session.of(id).find_map(|event| match &event.kind {
                Kind::Client(client) if client.entered == Some(root.pid) => Some((event, client)),
                _ => None,
            });
            let (event, client) = told.unwrap();
            assert_eq!(client.argv[0], "nsenter");
            assert_eq!(client.ppid, std::process::id());
            assert!(event.pid != 0 && !client.parent.is_empty());
            for (made, by_child) in [("made", false), ("child", true)] {
                let path = format!("/tmp/{n}-{made}");
                let (event, ()) = session.find(id, &path, |kind| match kind {
                    Kind::File(file) if file.path == path.as_str() => Some(()),
                    _ => None,
                });
                assert_eq!(event.pid != root.pid, by_child, "{path}");
                assert_eq!(
                    core.state.processes[&event.pid].lineage,
                    Lineage::ExecSession(root.pid)
                );
            }
        }
        assert!(exec_of(&session, id, ": outside").is_none());
        let ordinary = exec_of(&session, id, ": ordinary").unwrap();
        assert!(matches!(&ordinary.kind, Kind::Exec(e) if !e.entered));
        // One session each, without duplicates: the three kinds of entry and an ordinary exec.
        let roots: std::collections::BTreeSet<u32> = core
            .state
            .processes
            .values()
            .filter(|p| p.owner.as_ref() == Some(id))
            .filter_map(|p| match p.lineage {
                Lineage::ExecSession(root) => Some(root),
                _ => None,
            })
            .collect();
        assert_eq!(roots.len(), ways.len() + 1, "{roots:?}");
    }
    assert!(session.losses().is_empty(), "{:?}", session.losses());
}

/// The kernel allows setns to a mount namespace only to a thread that shares its directories with
/// no other.
#[expect(deprecated, reason = "safe for this flag")]
fn own_directory() {
    rustix::thread::unshare(UnshareFlags::FS).unwrap();
}

/// If one thread of a process enters, the whole process is not attributed to the container.
#[test]
fn a_thread_that_enters_does_not_take_its_process_with_it() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let container = engine.run(&[], DEBIAN, &["sleep", "1000"]);
    let outside = tempfile::tempdir().unwrap();
    let mut recording = Recording::start(&engine);
    let namespace = std::fs::File::open(format!("/proc/{}/ns/mnt", container.init())).unwrap();
    std::thread::spawn(move || {
        own_directory();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount)).unwrap();
        std::fs::write("/tmp/by-a-thread", "x").unwrap();
    })
    .join()
    .unwrap();
    std::fs::write(outside.path().join("by-another"), "x").unwrap();
    recording.wait_for(
        "the file",
        |event| matches!(&event.kind, Kind::File(f) if f.path == "/tmp/by-a-thread"),
    );
    container.sh(": last; true");
    recording.wait_for("the last session", |event| {
        matches!(&event.kind, Kind::Exec(e) if e.argv.iter().any(|w| w.contains_word(": last")))
    });
    let session = recording.stop();
    let id = &container.id;
    let (event, ()) = session.find(id, "the file", |kind| match kind {
        Kind::File(f) if f.path == "/tmp/by-a-thread" => Some(()),
        _ => None,
    });
    assert_eq!(event.pid, std::process::id());
    assert!(!session.has(id, |kind| matches!(
        kind,
        Kind::File(f) if f.path.contains_word("by-another")
    )));
}
