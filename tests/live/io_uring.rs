//! Requests of `io_uring`, in real containers: reported as the equivalent system calls.

use hullwatch::event::{Bytes, Endpoint, FileOp, Kind, Outcome, Protocol, Via};

use crate::common::{self, Engine, Recording, SERVERS};

#[test]
fn a_request_of_a_ring_is_reported_as_its_system_call() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let script = include_str!("inside/io_uring.py");
    let options = ["--security-opt=seccomp=unconfined"];
    let container = engine.run_to_end(&options, SERVERS, &["python3", "-c", script]);
    recording.wait_for_exit(&container.id);
    let session = recording.stop();
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let files: Vec<_> = session
        .of(&container.id)
        .filter_map(|event| match &event.kind {
            Kind::File(file) if file.via == Some(Via::IoUring) => {
                let target = file.target.as_ref().map_or_else(String::new, text);
                Some((file.op, text(&file.path), target, file.errno))
            }
            _ => None,
        })
        .collect();
    for (op, path, target, errno) in [
        (FileOp::Create, "/srv/made", "", 0),
        (FileOp::Create, "/srv/by-worker", "", 0),
        (FileOp::Create, "/srv/no-descriptor", "", 0),
        (FileOp::Read, "/etc/shadow", "", 0),
        (FileOp::Mkdir, "/srv/folder", "", 0),
        (FileOp::Rename, "/srv/made", "/srv/folder/moved", 0),
        (FileOp::Symlink, "/srv/pointer", "folder/moved", 0),
        (FileOp::Link, "/srv/folder/moved", "/srv/again", 0),
        (FileOp::Unlink, "/srv/again", "", 0),
        (FileOp::Unlink, "/srv/pointer", "", 0),
        (FileOp::SetXattr, "/srv/folder/moved", "", 0),
    ] {
        let wanted = (op, path.to_owned(), target.to_owned(), errno);
        let times = files.iter().filter(|file| **file == wanted).count();
        assert_eq!(times, 1, "{wanted:?} in {files:#?}\n{}", container.logs());
    }
    let connects: Vec<_> = session
        .of(&container.id)
        .filter_map(|event| match &event.kind {
            Kind::Connect(c) if c.via == Some(Via::IoUring) => {
                Some((c.protocol, c.remote.clone(), c.outcome))
            }
            _ => None,
        })
        .collect();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let peer = Endpoint::Inet("127.0.0.1:8081".parse().unwrap());
        let wanted = (protocol, peer, Outcome::Established);
        let times = connects.iter().filter(|c| **c == wanted).count();
        assert_eq!(times, 1, "{wanted:?} in {connects:#?}");
    }
    assert_eq!(
        session.count(
            &container.id,
            |kind| matches!(kind, Kind::Accept(a) if a.via == Some(Via::IoUring))
        ),
        1
    );
    let raw = |kind: &Kind| matches!(kind, Kind::Privilege(p) if p.call == "socket");
    assert_eq!(session.count(&container.id, raw), 1);
}
