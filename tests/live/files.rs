//! File facts: every way to change a file, in real containers.

use hullwatch::event::{Bytes, ContainerId, File, FileOp, Filesystem, Kind, Origin};

use crate::common::{self, BUSYBOX, DEBIAN, Engine, Recording, Session};

/// Every file event of a container: operation, path, target path and errno.
fn reported(session: &Session, id: &ContainerId) -> Vec<(FileOp, String, String, u16)> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    session
        .of(id)
        .filter_map(|event| match &event.kind {
            Kind::File(file) => {
                let target = file.target.as_ref().map_or_else(String::new, text);
                Some((file.op, text(&file.path), target, file.errno))
            }
            _ => None,
        })
        .collect()
}

fn file<'a>(session: &'a Session, id: &'a ContainerId, op: FileOp, path: &[u8]) -> &'a File {
    let pick = |kind: &'a Kind| match kind {
        Kind::File(file) if file.op == op && **file.path == *path => Some(&**file),
        _ => None,
    };
    let what = format!("{op:?} of {}", String::from_utf8_lossy(path));
    session.find(id, &what, pick).1
}

#[test]
fn every_change_is_reported_with_its_path_and_result() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let script = include_str!("inside/files.pl");
    let container = engine.run_to_end(&[], DEBIAN, &["perl", "-e", script]);
    recording.wait_for_exit(&container.id);
    let session = recording.stop();
    let mut reported = reported(&session, &container.id);
    use FileOp::{
        Chmod, Chown, Create, Link, Mkdir, Mknod, Rename, Rmdir, Symlink, Truncate, Unlink, Write,
    };
    for (op, path, target) in [
        (Mkdir, "/job", ""),
        (Create, "/job/made", ""),
        // Of two writes or truncations of one file by one process within a second the second is
        // only counted, and reported if no other event follows.
        // An open with O_TRUNC counts as a truncation.
        (Write, "/job/made", ""),
        (Truncate, "/job/made", ""),
        (Truncate, "/job/made", ""),
        (Truncate, "/job/made", ""),
        (Create, "/job/second", ""),
        (Link, "/proc/self/fd/7", "/job/from-nameless"),
        (Rename, "/job/second", "/job/third"),
        (Mkdir, "/job/below", ""),
        (Rename, "/job/third", "/job/below/fourth"),
        (Rename, "/job/made", "/job/below/fourth"),
        (Link, "/job/made", "/job/hard"),
        (Symlink, "/job/conf", "/etc"),
        (Chmod, "/job/made", ""),
        (Chmod, "/job/below", ""),
        (Chmod, "/job/below/fourth", ""),
        (Chown, "/job/made", ""),
        (Chown, "/job/below/fourth", ""),
        (Chown, "/job/below/fourth", ""),
        (Create, "/etc/through-link", ""),
        (Create, "/etc/through-root", ""),
        (Mknod, "/job/pipe", ""),
        (Mkdir, "/job/below/deeper", ""),
        (Rmdir, "/job/below/deeper", ""),
        (Unlink, "/job/below/fourth", ""),
        (Unlink, "/job/hard", ""),
        (Rmdir, "/job/below", ""),
    ] {
        let expected = (op, path.to_owned(), target.to_owned(), 0);
        let at = reported.iter().position(|one| *one == expected);
        let at = at.unwrap_or_else(|| panic!("no {expected:?} in {reported:#?}"));
        reported.remove(at);
    }
    // The file without a name is reported by its number.
    reported.retain(|(op, path, ..)| *op != Write || !path.starts_with("/job/#"));
    assert!(reported.is_empty(), "beyond what was done: {reported:#?}");

    let made = file(&session, &container.id, FileOp::Create, b"/job/made");
    assert_eq!(
        (made.mode, made.comm.to_string()),
        (Some(0o100_640), "perl".to_owned())
    );
    let facts = made.file.unwrap();
    assert_eq!(
        (facts.fs, facts.origin()),
        (Filesystem::Overlay, Origin::Upper)
    );
    let chmod = file(&session, &container.id, FileOp::Chmod, b"/job/made");
    assert_eq!(chmod.mode, Some(0o755));
    assert!(session.losses().is_empty(), "{:?}", session.losses());
}

/// Repeats within a second are counted, including the last.
#[test]
fn every_repeat_is_counted() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    // The shell itself opens it: one process. The last container ends within the second.
    let script = "i=0; while [ $i -lt 500 ]; do echo x >>/tmp/log; i=$((i + 1)); done; sleep 1.5;
                  i=0; while [ $i -lt 300 ]; do echo x >>/tmp/log; i=$((i + 1)); done";
    let slow = engine.run_to_end(&[], BUSYBOX, &["sh", "-c", script]);
    let short = "i=0; while [ $i -lt 100 ]; do echo x >>/tmp/log; i=$((i + 1)); done";
    let quick = engine.run_to_end(&[], BUSYBOX, &["sh", "-c", short]);
    recording.wait_for_exit(&slow.id);
    recording.wait_for_exit(&quick.id);
    let session = recording.stop();
    for (container, times) in [(&slow, 800), (&quick, 100)] {
        let opened: u32 = session
            .of(&container.id)
            .filter_map(|event| match &event.kind {
                Kind::File(file) if file.path == "/tmp/log" => Some(file.count),
                _ => None,
            })
            .sum();
        let reported = reported(&session, &container.id);
        assert_eq!(opened, times, "{reported:#?}");
        assert!(reported.len() < 12, "{reported:#?}");
    }
    assert!(session.losses().is_empty(), "{:?}", session.losses());
}

/// A name with a space, a newline, an escape sequence and a byte that is not UTF-8.
const HOSTILE: &[u8] = b"/tmp/a b\nc\x1b[31m\xffd";

#[test]
fn a_hostile_name_arrives_as_it_is() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let script = r#"n="$(printf '/tmp/a b\nc\033[31m\377d')"; echo x >"$n"; cp /bin/busybox "$n-run"; chmod +x "$n-run"; "$n-run"; true"#;
    let container = engine.run_to_end(&[], BUSYBOX, &["sh", "-c", script]);
    recording.wait_for_exit(&container.id);
    let session = recording.stop();
    file(&session, &container.id, FileOp::Create, HOSTILE);
    let name = [HOSTILE, b"-run"].concat();
    let (_, exec) = session.find(&container.id, "exec of the name", |kind| match kind {
        Kind::Exec(exec) if **exec.exe == *name => Some(exec),
        _ => None,
    });
    assert_eq!(**exec.argv[0], *name);
}

/// Refused operations are reported with the reason.
#[test]
fn refused_calls_are_reported_with_their_errno() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let read_only = engine.run_to_end(
        &["--read-only", "--tmpfs", "/scratch"],
        BUSYBOX,
        &[
            "sh",
            "-c",
            "echo x >/etc/new; echo x >>/etc/passwd; mkdir /made; rm /etc/group; mv /etc/group /etc/moved;
             ln -s x /link; chmod 777 /etc/passwd; chown 1 /etc/passwd; echo x >/scratch/allowed; true",
        ],
    );
    let user = engine.run_to_end(
        &["--user", "1000"],
        BUSYBOX,
        &[
            "sh",
            "-c",
            "echo x >/etc/new; echo x >>/etc/passwd; chmod 777 /etc/passwd; rm /etc/group; echo x >/tmp/own; true",
        ],
    );
    let powerless = engine.run_to_end(
        &["--cap-drop", "ALL"],
        BUSYBOX,
        &["sh", "-c", "echo x >/tmp/x; chown 1:1 /tmp/x; true"],
    );
    for container in [&read_only, &user, &powerless] {
        recording.wait_for_exit(&container.id);
    }
    let session = recording.stop();
    const EPERM: u16 = 1;
    const EACCES: u16 = 13;
    const EROFS: u16 = 30;
    use FileOp::{Chmod, Chown, Create, Mkdir, Rename, Symlink, Unlink, Write};
    for (container, op, path, errno) in [
        (&read_only, Create, "/etc/new", EROFS),
        (&read_only, Create, "/etc/passwd", EROFS),
        (&read_only, Mkdir, "/made", EROFS),
        (&read_only, Unlink, "/etc/group", EROFS),
        (&read_only, Rename, "/etc/group", EROFS),
        (&read_only, Symlink, "/link", EROFS),
        (&read_only, Chmod, "/etc/passwd", EROFS),
        (&read_only, Chown, "/etc/passwd", EROFS),
        (&read_only, Create, "/scratch/allowed", 0),
        (&user, Create, "/etc/new", EACCES),
        (&user, Create, "/etc/passwd", EACCES),
        (&user, Chmod, "/etc/passwd", EPERM),
        (&user, Unlink, "/etc/group", EACCES),
        (&user, Create, "/tmp/own", 0),
        (&powerless, Create, "/tmp/x", 0),
        (&powerless, Chown, "/tmp/x", EPERM),
    ] {
        let seen = session.has(&container.id, |kind| {
            matches!(kind, Kind::File(f) if (f.op == op || (op == Create && f.op == Write))
                && f.path == path && f.errno == errno)
        });
        let reported = reported(&session, &container.id);
        assert!(seen, "no {op:?} of {path} with {errno} in {reported:#?}");
    }
    let allowed = file(&session, &read_only.id, Create, b"/scratch/allowed");
    assert_eq!(allowed.file.unwrap().origin(), Origin::Tmpfs);
    // The user id on the host.
    let ran_as = |id| {
        let (_, exec) = session.find(id, "exec of sh", |kind| match kind {
            Kind::Exec(exec) if !exec.runtime => Some(exec),
            _ => None,
        });
        exec.uid
    };
    assert_eq!((ran_as(&user.id), ran_as(&powerless.id)), (1000, 0));
}

/// Nobody saw these links being made: the kernel reports the text of a rename, not where it leads.
#[test]
fn a_path_through_a_link_that_is_older_than_the_watch_is_the_real_one() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    // After the time that counts as the start of a container, also for one that was found.
    let wait = "until [ -e /go ]; do sleep 0.2; done";
    let script = format!(
        "mkdir -p /root/.ssh /etc/cron.d; ln -s /etc /tmp/innocent; ln -s .ssh /root/s; \
         ln -s /etc /scratch/a; ln -s /scratch/../scratch/a /volume/b; touch /ready; \
         {wait}; sleep 12; echo '* * * * * root id' >/tmp/a; mv /tmp/a /tmp/innocent/cron.d/job; \
         echo ssh-ed25519 AAAA >/tmp/b; mv /tmp/b /root/s/authorized_keys; \
         echo x >/etc/x; mv /etc/x /volume/b/ld.so.preload; sleep 2"
    );
    let mounts = ["--tmpfs=/scratch", "--volume=/volume"];
    let container = engine.run(&mounts, DEBIAN, &["sh", "-c", &script]);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !container.exec(&["ls", "/"]).contains("ready") {
        assert!(std::time::Instant::now() < until, "{}", container.logs());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    // The time of a link's making has a resolution of a second here.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let mut recording = Recording::start(&engine);
    recording.wait_for_facts(&container.id);
    container.exec(&["touch", "/go"]);
    recording.wait_for_exit(&container.id);
    let session = recording.stop();
    let renamed: Vec<String> = reported(&session, &container.id)
        .into_iter()
        .filter(|(op, ..)| *op == FileOp::Rename)
        .map(|(_, _, target, _)| target)
        .collect();
    assert!(
        renamed.contains(&"/etc/cron.d/job".to_owned()),
        "{renamed:?}"
    );
    assert!(
        renamed.contains(&"/root/.ssh/authorized_keys".to_owned()),
        "{renamed:?}"
    );
    // From a volume to a tmpfs to the image's root.
    assert!(
        renamed.contains(&"/etc/ld.so.preload".to_owned()),
        "{renamed:?}"
    );
    let rules: Vec<&str> = session
        .findings
        .values()
        .filter(|finding| finding["container"] == container.id.as_str())
        .filter_map(|finding| finding["rule"].as_str())
        .collect();
    assert!(rules.contains(&"file.cron"), "{rules:?}");
}
