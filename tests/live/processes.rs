//! Process facts, in real containers: program, origin and ancestry.

use hullwatch::event::{Bytes, ContainerId, Event, Exec, Kind, Origin};
use hullwatch::state::Lineage;

use crate::common::{self, BUSYBOX, DEBIAN, Engine, Recording, Session};

/// A container's own execs, without those of the runtime.
fn execs<'a>(
    session: &'a Session,
    id: &'a ContainerId,
) -> impl Iterator<Item = (&'a Event, &'a Exec)> {
    session.of(id).filter_map(|event| match &event.kind {
        Kind::Exec(exec) if !exec.runtime => Some((event, &**exec)),
        _ => None,
    })
}

fn exec_of<'a>(session: &'a Session, id: &'a ContainerId, name: &str) -> (&'a Event, &'a Exec) {
    execs(session, id)
        .find(|(_, exec)| exec.argv.iter().any(|word| *word == name))
        .unwrap_or_else(|| panic!("no {name} in {:#?}", execs(session, id).collect::<Vec<_>>()))
}

fn words(argv: &[Bytes]) -> Vec<String> {
    argv.iter().map(|word| word.to_string()).collect()
}

#[test]
fn the_first_exec_and_the_end_of_a_short_life_are_reported() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let options = ["--workdir", "/var", "--user", "1000:1001"];
    let short = engine.run_to_end(&options, BUSYBOX, &["sleep", "0.05"]);
    let long = r#"i=0; exec /bin/echo $(/bin/busybox seq 20000) >/dev/null"#;
    let long = engine.run_to_end(&[], BUSYBOX, &["sh", "-c", long]);
    recording.wait_for_exit(&short.id);
    recording.wait_for_exit(&long.id);
    let session = recording.stop();
    let (event, first) = execs(&session, &short.id).next().unwrap();
    assert_eq!(words(&first.argv), ["sleep", "0.05"]);
    assert_eq!(
        (first.exe.to_string(), first.cwd.to_string()),
        ("/bin/busybox".into(), "/var".into())
    );
    assert_eq!((first.uid, first.gid, event.nspid), (1000, 1001, 1));
    assert_eq!(first.file.origin(), Origin::Image);
    assert_ne!(first.file.ino, 0);
    let exit = session
        .of(&short.id)
        .find_map(|ended| match &ended.kind {
            Kind::Exit(exit) if ended.pid == event.pid => Some(exit),
            _ => None,
        })
        .unwrap();
    assert!(
        exit.code == Some(0) && exit.lived_ns > 50_000_000,
        "{exit:?}"
    );
    let (_, cut) = execs(&session, &long.id)
        .find(|(_, exec)| exec.argv_cut)
        .unwrap();
    assert!(cut.argv_bytes > 100_000 && cut.argv[1] == "1");
    // Set-up does not count: no process of it is left in the state.
    let core = session.state_at(u64::MAX);
    let shown = core.state.processes.values();
    let shown: Vec<_> = shown
        .filter(|p| p.owner.as_ref() == Some(&short.id) && !p.runtime)
        .collect();
    assert_eq!(shown.len(), 1, "{shown:#?}");
}

/// The origin of programs: the image, the writable layer, memory, a volume; and scripts.
#[test]
fn the_origin_of_a_program_is_reported() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let volume = tempfile::tempdir().unwrap();
    let mount = format!("{}:/vol", volume.path().display());
    let mut recording = Recording::start(&engine);
    let script = r#"
        cp /bin/true /opt/new; /opt/new
        touch /bin/uname; /bin/uname
        cp /bin/true /vol/volume; /vol/volume
        cp /bin/true /ram/tmpfs; /ram/tmpfs
        printf '#!/bin/sh\nexit 3\n' >/opt/script; chmod +x /opt/script; /opt/script an\ argument
        perl -e 'my $fd = syscall(319, my $name = "m", 0); open my $f, ">&=", $fd; binmode $f;
            open my $in, "<", "/bin/true"; local $/; print {$f} readline $in; $f->flush; exec "/proc/self/fd/$fd"'
        sh -c 'kill -9 $$'
        exit 7"#;
    // memfd_create has another number elsewhere.
    let script = if cfg!(target_arch = "aarch64") {
        script.replace("319", "279")
    } else {
        script.to_owned()
    };
    // Docker mounts its tmpfs noexec by default.
    let options = ["-v", &mount, "--tmpfs", "/ram:exec"];
    let container = engine.run(&options, DEBIAN, &["bash", "-c", &script]);
    assert_eq!(container.wait(), 7);
    recording.wait_for_exit(&container.id);
    let session = recording.stop();
    let id = &container.id;
    for (exe, origin) in [
        ("/opt/new", Origin::Upper),
        ("/usr/bin/uname", Origin::CopiedUp),
        ("/vol/volume", Origin::Volume),
        ("/ram/tmpfs", Origin::Tmpfs),
        ("/usr/bin/perl", Origin::Image),
    ] {
        let (_, exec) = execs(&session, id).find(|(_, e)| e.exe == exe).unwrap();
        assert_eq!(exec.file.origin(), origin, "{exe}");
    }
    assert!(execs(&session, id).any(|(_, e)| e.file.origin() == Origin::Memfd));
    let (event, exec) = exec_of(&session, id, "an argument");
    assert_eq!(*exec.script.as_ref().unwrap(), "/opt/script");
    assert_eq!(session.ancestry(event), ["/bin/sh", "bash"]);
    let ended = |code, signal| {
        session.has(
            id,
            |kind| matches!(kind, Kind::Exit(e) if e.code == code && e.signal == signal),
        )
    };
    assert!(ended(Some(3), None) && ended(Some(7), None) && ended(None, Some(9)));
    assert!(session.has(
        id,
        |kind| matches!(kind, Kind::Fork(f) if f.comm == "bash" && !f.runtime)
    ));
}

#[test]
fn two_sessions_from_outside_at_once_are_distinguished() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let container = engine.run(&[], BUSYBOX, &["sleep", "1000"]);
    let mut recording = Recording::start(&engine);
    std::thread::scope(|scope| {
        for name in ["left", "right"] {
            let container = &container;
            let script = format!("sleep 0.3; sh -c 'sleep 0.2; /bin/busybox true {name}; :'");
            scope.spawn(move || container.sh(&format!(": {name}; {script}; true")));
        }
    });
    recording.wait_for_facts(&container.id);
    let session = recording.stop();
    let core = session.state_at(u64::MAX);
    let mut roots = Vec::new();
    for name in ["left", "right"] {
        let (event, _) = exec_of(&session, &container.id, name);
        assert_eq!(session.ancestry(event).last().unwrap(), "sh");
        let process = &core.state.processes[&event.pid];
        let Lineage::ExecSession(root) = process.lineage else {
            panic!("{:?}", process.lineage);
        };
        // Its root is the shell that this client started.
        let words = &core.state.processes[&root].argv;
        assert!(
            words[2].starts_with(format!(": {name};").as_bytes()),
            "{words:?}"
        );
        roots.push(root);
    }
    assert_ne!(roots[0], roots[1]);
    // Existing processes are listed when watching begins, and marked.
    let init = &core.state.processes[&container.init()];
    assert!(init.existing && words(&init.argv) == ["sleep", "1000"]);
    assert_eq!(init.lineage, Lineage::Init);
}

#[test]
fn five_thousand_short_lived_processes_are_seen_or_counted_as_lost() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let script = "i=0; while [ $i -lt 5000 ]; do /bin/busybox true; i=$((i+1)); done";
    let container = engine.run_to_end(&[], BUSYBOX, &["sh", "-c", script]);
    recording.wait_for_exit(&container.id);
    let session = recording.stop();
    let id = &container.id;
    let lost: u64 = session
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            Kind::Lost(lost) => Some(lost.count),
            _ => None,
        })
        .sum();
    let seen = execs(&session, id)
        .filter(|(_, exec)| exec.argv.len() == 2 && exec.argv[1] == "true")
        .count() as u64;
    let ended = session.count(id, |kind| matches!(kind, Kind::Exit(_))) as u64;
    // Each of them, and the shell.
    assert!(
        seen <= 5000 && seen + lost >= 5000,
        "{seen} seen, {lost} lost"
    );
    assert!(ended + lost >= 5001, "{ended} ended, {lost} lost");
    // The host is not overloaded otherwise: no event may be lost here.
    assert_eq!(lost, 0);
}
