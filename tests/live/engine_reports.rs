//! Reports about an engine's tags and exec sessions: no duplicates, and no uninvolved client.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use hullwatch::event::{ContainerAction, Event, Kind};
use hullwatch::state::Lineage;
use serde_json::Value;

use crate::common::{self, BUSYBOX, DEBIAN, Engine, Recording};

/// Removes its tags when the test ends, also when it fails.
struct Tags(Engine, Vec<String>);

impl Drop for Tags {
    fn drop(&mut self) {
        let names = self.1.iter().map(String::as_str);
        let words: Vec<&str> = ["rmi"].into_iter().chain(names).collect();
        self.0.output(&words);
    }
}

#[test]
fn many_tags_cause_no_new_reports_about_containers() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let run = || engine.run(&[], BUSYBOX, &["sleep", "1000"]);
    let containers: Vec<_> = (0..12).map(|_| run()).collect();
    let mut recording = Recording::start(&engine);
    for container in &containers {
        // The last of the facts.
        recording.wait_for("how it is confined", |event| {
            let known = |kind: &Kind| match kind {
                Kind::Container(c) => c
                    .info
                    .as_ref()
                    .is_some_and(|info| info.confinement.is_some() && !info.image.is_empty()),
                _ => false,
            };
            event.container.as_ref() == Some(&container.id) && known(&event.kind)
        });
    }
    let begin = run();
    recording.wait_for_facts(&begin.id);
    let names = (0..40).map(|n| format!("hullwatch-tags:{}-{n}", std::process::id()));
    let tags = Tags(engine.clone(), names.collect());
    for tag in &tags.1 {
        engine.docker(&["tag", BUSYBOX, tag]);
    }
    let end = run();
    recording.wait_for_facts(&end.id);
    let session = recording.stop();
    let of = |container: &common::Container| {
        let mut events = session.events.iter();
        let at = events.position(|event| event.container.as_ref() == Some(&container.id));
        at.unwrap()
    };
    let reported = session.events[of(&begin)..of(&end)].iter().filter(|event| {
        let infos = matches!(&event.kind, Kind::Container(c) if c.action == ContainerAction::Info);
        infos
            && containers
                .iter()
                .any(|c| event.container.as_ref() == Some(&c.id))
    });
    let reported: Vec<&Event> = reported.collect();
    assert!(reported.is_empty(), "{reported:#?}");
}

/// Queries the engine's API directly, without a client; returns the answer.
fn ask(engine: &Engine, path: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(engine.0.strip_prefix("unix://").unwrap()).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    answer
}

#[test]
fn an_idle_client_is_not_named_for_a_session_through_the_api() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let container = engine.run(&[], BUSYBOX, &["sleep", "1000"]);
    let id = container.id.as_str();
    let open = |command: &[&str]| {
        let words = [&["-H", &engine.0, "exec", id], command].concat();
        let mut docker = std::process::Command::new("docker");
        docker
            .args(words)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    // An unrelated client that stays, and is older than a client may be for its session.
    let mut left_open = open(&["sleep", "300"]);
    std::thread::sleep(Duration::from_secs(12));
    let mut recording = Recording::start(&engine);
    recording.wait_for_facts(&container.id);
    let made = ask(
        &engine,
        &format!("/containers/{id}/exec"),
        r#"{"Cmd":["sleep","300"]}"#,
    );
    let json = &made[made.find('{').unwrap()..=made.rfind('}').unwrap()];
    let exec: Value = serde_json::from_str(json).unwrap();
    let exec = exec["Id"].as_str().unwrap();
    ask(
        &engine,
        &format!("/exec/{exec}/start"),
        r#"{"Detach":true}"#,
    );
    // The session of a real client, reported after that one.
    let mut client = open(&["sleep", "301"]);
    recording.wait_for("who opened the later session", |event| {
        matches!(&event.kind, Kind::Client(client) if client.argv.last().is_some_and(|w| *w == "301"))
    });
    for child in [&mut left_open, &mut client] {
        let _ = child.kill();
        let _ = child.wait();
    }
    let session = recording.stop();
    let named = session.count(&container.id, |kind| {
        matches!(kind, Kind::Client(client) if client.argv.last().is_some_and(|w| *w == "300"))
    });
    assert_eq!(named, 0);
}

#[test]
fn work_that_outlives_its_session_is_attributed_to_it() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let container = engine.run(&[], DEBIAN, &["sleep", "1000"]);
    let mut recording = Recording::start(&engine);
    let name = "/tmp/daemonised";
    container.sh(&format!(
        "nohup sh -c 'sleep 3; echo x >{name}; sleep 1; :' >/dev/null 2>&1 &"
    ));
    recording.wait_for(
        "the file",
        |event| matches!(&event.kind, Kind::File(file) if file.path == name),
    );
    let session = recording.stop();
    let (event, _) = session.find(&container.id, "the file", |kind| match kind {
        Kind::File(file) if file.path == name => Some(()),
        _ => None,
    });
    let core = session.state_at(event.seq);
    let process = &core.state.processes[&event.pid];
    let Lineage::ExecSession(root) = process.lineage else {
        panic!("{:?}", process.lineage);
    };
    let words = &core.state.processes[&root].argv;
    assert!(words[2].starts_with(b"nohup "), "{words:?}");
    assert!(!session.ancestry(event).contains(&"sleep".to_owned()));
}
