//! An engine that maps the ids of its containers (`--userns-remap`).

use std::path::Path;

use hullwatch::event::Kind;

use crate::common::{self, DEBIAN, Engine, Recording};
use crate::dockerd::Dockerd;

/// Root becomes another user and root again; another user becomes root by a setuid program.
const WORK: &str = "until [ -e /tmp/go ]; do sleep 0.2; done; \
    perl -e 'use POSIX; $< = 33; $> = 33; $> = 0; exec \"true\"'; \
    perl -e '$> = 33; $> = 0; $< = 0; exec \"true\"'; \
    cp /usr/bin/perl /tmp/p; chmod u+s /tmp/p; \
    su -s /bin/sh -c '/tmp/p -e \"\\$< = \\$>; sleep 1\"' nobody; sleep 2";

/// A mount namespace in which the ids from 165536 on are assigned to a user for containers.
fn mapped(dir: &Path) -> Vec<String> {
    let file = |name: &str, text: &str| {
        let at = dir.join(name);
        std::fs::write(&at, text).unwrap();
        at.display().to_string()
    };
    let with = |of: &str, line: &str| std::fs::read_to_string(of).unwrap() + line;
    let files = [
        (
            "/etc/passwd",
            with("/etc/passwd", "hwremap:x:64321:64321::/:/bin/false\n"),
        ),
        ("/etc/group", with("/etc/group", "hwremap:x:64321:\n")),
        ("/etc/subuid", "hwremap:165536:65536\n".to_owned()),
        ("/etc/subgid", "hwremap:165536:65536\n".to_owned()),
    ];
    let mut script = String::new();
    for (over, text) in &files {
        let from = file(over.rsplit('/').next().unwrap(), text);
        script += &format!("touch {over}; mount --bind {from} {over} && ");
    }
    let words = [
        "unshare",
        "--net",
        "--mount",
        "--propagation",
        "slave",
        "sh",
        "-c",
    ];
    let mut words: Vec<String> = words.map(str::to_owned).to_vec();
    words.extend([format!("{script}exec \"$@\""), "sh".to_owned()]);
    words
}

#[test]
fn ids_are_judged_and_reported_as_the_container_has_them() {
    if !common::engine_is_ready() {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let front = mapped(files.path());
    let front: Vec<&str> = front.iter().map(String::as_str).collect();
    let mut daemon = Dockerd::new(&["--userns-remap", "hwremap"]).behind(&front);
    daemon.start();
    daemon.load(&Engine::tests(), DEBIAN);
    let mut recording = Recording::start(&daemon.engine);
    let container = daemon.engine.run(&[], DEBIAN, &["sh", "-c", WORK]);
    let id = &container.id;
    recording.wait_for("the ids of the container", |event| {
        event.container.as_ref() == Some(id)
            && matches!(&event.kind, Kind::Container(c) if c.info.as_ref().is_some_and(
                |i| i.confinement.as_ref().is_some_and(|c| !c.ids.is_empty())))
    });
    container.exec(&["touch", "/tmp/go"]);
    assert_eq!(container.wait(), 0, "{}", container.logs());
    recording.wait_for_exit(id);
    let session = recording.stop();
    let (_, ids) = session.find(id, "the ids", |kind| match kind {
        Kind::Container(c) => c.info.as_ref()?.confinement.as_ref().map(|c| &c.ids),
        _ => None,
    });
    let [ids] = &ids[..] else {
        panic!("{ids:?}");
    };
    assert_eq!((ids.inside, ids.outside, ids.count), (0, 165_536, 65_536));
    // Root of the container is root already; the other user is reported by the id inside.
    let became = session
        .findings
        .values()
        .filter(|f| f["container"] == id.as_str() && f["rule"] == "priv.became-root");
    let titles: Vec<_> = became.map(|f| &f["title"]).collect();
    assert_eq!(titles, ["User 65534 became root: /tmp/p"]);
}
