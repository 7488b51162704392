//! Engines whose containers' roots are not on the kernel's overlayfs: vfs, and fuse-overlayfs.

use hullwatch::event::{ContainerId, Kind, Origin};
use serde_json::Value;

use crate::common::{self, DEBIAN, Engine, Recording, Session};
use crate::dockerd::Dockerd;

/// The findings of a container, their rules and subjects.
fn findings(session: &Session, id: &ContainerId) -> Vec<(String, String)> {
    let of = session
        .findings
        .values()
        .filter(|f| f["container"] == id.as_str());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    of.map(|f| (text(&f["rule"]), text(&f["subject"])))
        .collect()
}

fn origin(session: &Session, id: &ContainerId, exe: &str) -> Origin {
    let (_, exec) = session.find(id, exe, |kind| match kind {
        Kind::Exec(exec) if exec.exe == exe => Some(exec),
        _ => None,
    });
    exec.file.origin()
}

/// Ordinary use of the password files, programs of the image, of a volume and planted ones.
const WORK: &str = "until [ -e /srv/go ]; do sleep 0.2; done; sleep 12; id >/dev/null; \
    su -c true nobody; echo nobody:x | chpasswd; \
    cp /bin/true /srv/volume-true; /srv/volume-true; \
    cp /bin/true /usr/local/bin/new; /usr/local/bin/new; \
    cat /bin/true >/usr/bin/id; id; \
    perl -e 'open F, \"/etc/shadow\"; print <F>' >/dev/null; sleep 3";

fn judged_as_on_an_overlay(driver: &str, namespaces: &[&str]) {
    if !common::engine_is_ready() {
        return;
    }
    let mut daemon = Dockerd::new(&["--storage-driver", driver]).behind(namespaces);
    daemon.start();
    daemon.load(&Engine::tests(), DEBIAN);
    let volume = tempfile::TempDir::new_in("/var/tmp").unwrap();
    let mount = format!("{}:/srv", volume.path().display());
    let mut recording = Recording::start(&daemon.engine);
    let container = daemon
        .engine
        .run(&["-v", &mount], DEBIAN, &["sh", "-c", WORK]);
    let id = &container.id;
    recording.wait_for_facts(id);
    std::fs::write(volume.path().join("go"), "").unwrap();
    assert_eq!(container.wait(), 0, "{}", container.logs());
    recording.wait_for_exit(id);
    let session = recording.stop();
    assert_eq!(origin(&session, id, "/usr/bin/su"), Origin::Image);
    assert_eq!(origin(&session, id, "/srv/volume-true"), Origin::Volume);
    assert_ne!(origin(&session, id, "/usr/local/bin/new"), Origin::Volume);
    let found = findings(&session, id);
    let of = |rule: &str| -> Vec<&str> {
        let alike = found.iter().filter(|(r, _)| r == rule);
        alike.map(|(_, subject)| subject.as_str()).collect()
    };
    assert_eq!(of("drift.exec-modified"), ["/usr/bin/id"], "{found:#?}");
    // Only by the script: su and chpasswd read it for their work.
    assert_eq!(of("file.credential-read").len(), 1, "{found:#?}");
}

#[test]
fn files_of_vfs_are_judged_as_on_an_overlay() {
    judged_as_on_an_overlay("vfs", &["unshare", "--net"]);
}

#[test]
fn files_of_vfs_of_an_engine_with_its_own_mounts_are_judged_as_on_an_overlay() {
    judged_as_on_an_overlay("vfs", &["unshare", "--net", "--mount"]);
}

/// The engine keeps its data in memory, where only it sees it.
#[test]
fn files_of_a_root_in_memory_are_judged_as_on_an_overlay() {
    // After the program's name and --data-root.
    let mount = "mkdir -p \"$3\" && mount -t tmpfs tmpfs \"$3\" && exec \"$@\"";
    for driver in ["vfs", "overlay2"] {
        let front = ["unshare", "--net", "--mount", "sh", "-c", mount, "sh"];
        judged_as_on_an_overlay(driver, &front);
    }
}

#[test]
fn files_of_fuse_overlayfs_are_judged_as_on_an_overlay() {
    judged_as_on_an_overlay("fuse-overlayfs", &["unshare", "--net"]);
}
