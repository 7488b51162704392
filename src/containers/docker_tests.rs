//! The connection to a Docker engine, tested with engines that hang, fail, send false answers and
//! flood.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::Receiver;
use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::event::ContainerInfo;

/// The engine's reaction to a request.
enum Reply {
    Answer(Value),
    /// Refuses it with this status.
    Refuse(u16),
    /// Sends nothing, keeps the connection open.
    Hold,
    /// Sends these lines, then keeps the connection open, or ends it.
    Lines(Vec<Value>, bool),
}

/// An engine made for one test.
struct FakeEngine {
    dir: tempfile::TempDir,
    inspects: Arc<AtomicUsize>,
    lists: Arc<AtomicUsize>,
}

impl FakeEngine {
    fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let engine = Self {
            dir,
            inspects: Arc::default(),
            lists: Arc::default(),
        };
        let (inspects, lists) = (Arc::clone(&engine.inspects), Arc::clone(&engine.lists));
        let reply = Arc::new(reply);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (reply, inspects, lists) = (
                    Arc::clone(&reply),
                    Arc::clone(&inspects),
                    Arc::clone(&lists),
                );
                std::thread::spawn(move || {
                    let path = request(&stream);
                    if path.starts_with("/containers/json") {
                        lists.fetch_add(1, Ordering::Relaxed);
                    } else if path.starts_with("/containers/") {
                        inspects.fetch_add(1, Ordering::Relaxed);
                    }
                    let reply = match path.as_str() {
                        "/info" => Reply::Answer(json!({"Driver": "overlay2"})),
                        path => match reply(path) {
                            Reply::Answer(Value::Null) if path == "/version" => {
                                Reply::Answer(json!({"Version": "1"}))
                            }
                            reply => reply,
                        },
                    };
                    serve(stream, reply);
                });
            }
        });
        engine
    }

    fn connect(&self) -> (oneshot::Sender<()>, Receiver<RuntimeMessage>) {
        let (out, messages) = crossbeam_channel::unbounded();
        let (stop, stopped) = oneshot::channel();
        let host = self.dir.path().join("s").to_str().unwrap().to_owned();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let engine = Box::new(DockerEngine::new(Some(host)));
            runtime.block_on(engine.run(EngineLink { out, stop: stopped }));
        });
        (stop, messages)
    }
}

fn request(stream: &UnixStream) -> String {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    lines.find(String::is_empty);
    first.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn serve(mut stream: UnixStream, reply: Reply) {
    // The other side may leave at any time.
    let _ = match reply {
        Reply::Answer(value) => {
            let body = value.to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes())
        }
        Reply::Refuse(status) => {
            let head = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes())
        }
        Reply::Lines(lines, hold) => {
            let mut text = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned();
            for line in lines {
                text += &format!("{line}\n");
            }
            let sent = stream.write_all(text.as_bytes());
            if hold {
                std::thread::sleep(Duration::from_secs(20));
            }
            sent
        }
        Reply::Hold => {
            std::thread::sleep(Duration::from_secs(20));
            Ok(())
        }
    };
}

fn id(n: usize) -> String {
    format!("{n:064x}")
}

/// Waits for a message that `wanted` takes.
fn wait<T>(
    messages: &Receiver<RuntimeMessage>,
    mut wanted: impl FnMut(RuntimeMessage) -> Option<T>,
) -> T {
    loop {
        let message = messages.recv_timeout(Duration::from_secs(15)).unwrap();
        if let Some(found) = wanted(message) {
            return found;
        }
    }
}

fn info(message: RuntimeMessage) -> Option<(ContainerId, Option<ContainerInfo>)> {
    match message {
        RuntimeMessage::Update(_, update) => Some((update.id, update.event.info.map(|i| *i))),
        _ => None,
    }
}

#[test]
fn the_option_wins_and_a_path_is_a_socket() {
    let host = |host: &str| DockerEngine::new(Some(host.to_owned())).host;
    assert_eq!(host("/run/x.sock"), "unix:///run/x.sock");
    assert_eq!(host("tcp://h:1"), "tcp://h:1");
}

#[test]
fn an_engine_that_hangs_is_noticed() {
    let engine = FakeEngine::start(|path| match path {
        path if path.starts_with("/events") => Reply::Lines(Vec::new(), true),
        path if path.starts_with("/containers/json") => Reply::Answer(json!([])),
        _ => Reply::Hold,
    });
    let (_stop, messages) = engine.connect();
    let error = wait(&messages, |message| match message {
        RuntimeMessage::State(_, EngineState::Unreachable { error }) => Some(error),
        _ => None,
    });
    assert!(error.contains("no answer"), "{error}");
}

#[test]
fn one_hanging_container_delays_no_other() {
    let engine = FakeEngine::start(|path| match path {
        path if path.starts_with("/events") => Reply::Lines(Vec::new(), true),
        path if path.starts_with("/containers/json") => {
            let ids: Vec<_> = (0..20).map(|n| json!({"Id": id(n), "State": n})).collect();
            Reply::Answer(ids.into())
        }
        path if path.contains(&id(7)) => Reply::Hold,
        path if path.starts_with("/containers/") => Reply::Answer(json!({"Name": "/web"})),
        _ => Reply::Answer(Value::Null),
    });
    let (_stop, messages) = engine.connect();
    let (mut named, mut given_up) = (BTreeSet::new(), false);
    while named.len() < 19 {
        let (of, info) = wait(&messages, info);
        if info.is_some_and(|info| info.name == "web") {
            named.insert(of.to_string());
        } else if of.as_str() == id(7) && !given_up {
            given_up = true;
            let later = named.range(id(8)..).count();
            assert!(later > 0, "the ones after it waited until it was given up");
        }
    }
}

#[test]
fn a_container_about_which_the_engine_was_silent_is_asked_for_again() {
    // Silent when the list is read, and once more.
    let asked = AtomicUsize::new(0);
    let engine = FakeEngine::start(move |path| match path {
        path if path.starts_with("/events") => Reply::Lines(Vec::new(), true),
        path if path.starts_with("/containers/json") => Reply::Answer(json!([{"Id": id(7)}])),
        path if path.contains(&id(7)) && asked.fetch_add(1, Ordering::Relaxed) < 2 => Reply::Hold,
        path if path.starts_with("/containers/") => Reply::Answer(json!({"Name": "/web"})),
        _ => Reply::Answer(Value::Null),
    });
    let (_stop, messages) = engine.connect();
    let found = wait(&messages, |message| match message {
        RuntimeMessage::Lost(_, lost) => panic!("{}", lost.detail),
        other => info(other).filter(|(_, info)| info.is_some()),
    });
    assert_eq!(found.1.unwrap().name, "web");
}

#[test]
fn an_odd_entry_hides_no_other_container() {
    let engine = FakeEngine::start(|path| match path {
        path if path.starts_with("/events") => Reply::Lines(Vec::new(), true),
        path if path.starts_with("/containers/json") => Reply::Answer(
            json!([{"Id": 7}, "odd", {"Id": "../x"}, {"Id": id(1), "Created": "now"}]),
        ),
        path if path.starts_with("/containers/") => {
            Reply::Answer(json!({"Name": "/web", "State": {"Status": "dreaming"}}))
        }
        _ => Reply::Answer(Value::Null),
    });
    let (_stop, messages) = engine.connect();
    let (mut left_out, mut odd) = (false, false);
    let found = wait(&messages, |message| match message {
        RuntimeMessage::Lost(_, lost) => {
            left_out |= lost.detail.starts_with("3 entries");
            odd |= lost.detail.contains("State.Status");
            None
        }
        other => info(other),
    });
    assert_eq!(found.0.as_str(), id(1));
    assert_eq!(found.1.unwrap().name, "web");
    assert!(left_out && odd);
}

#[test]
fn a_stream_that_breaks_at_once_is_not_followed_without_a_pause() {
    let engine = FakeEngine::start(|path| match path {
        path if path.starts_with("/events") => Reply::Lines(Vec::new(), false),
        path if path.starts_with("/containers/json") => Reply::Answer(json!([])),
        _ => Reply::Answer(Value::Null),
    });
    let (_stop, _messages) = engine.connect();
    std::thread::sleep(Duration::from_secs(4));
    // After 0, 0.2, 0.6, 1.4 and 3 seconds.
    let lists = engine.lists.load(Ordering::Relaxed);
    assert!((2..=6).contains(&lists), "{lists}");
}

/// The id of the image that each container of [`tagged`] runs.
const RUNNING: &str = "sha256:beef";

/// An engine with ten containers of two images, which reports 100 tags; `moves` is what the name `db:1`
/// refers to from then on.
fn tagged(moves: &'static str) -> (FakeEngine, Arc<AtomicUsize>) {
    let names = Arc::new(AtomicUsize::new(0));
    let (count, of_db) = (Arc::clone(&names), AtomicUsize::new(0));
    let engine = FakeEngine::start(move |path| match path {
        path if path.starts_with("/events") => {
            let tag = json!({"Type": "image", "Action": "tag", "id": "x"});
            Reply::Lines(vec![tag; 100], true)
        }
        path if path.starts_with("/containers/json") => Reply::Answer(
            (0..10)
                .map(|n| json!({"Id": id(n)}))
                .collect::<Vec<_>>()
                .into(),
        ),
        path if path.starts_with("/containers/") => {
            let image = if path.contains(&id(7)) {
                "db:1"
            } else {
                "web:1"
            };
            Reply::Answer(json!({"Name": "/web", "Image": RUNNING, "Config": {"Image": image}}))
        }
        "/images/db:1/json" => {
            count.fetch_add(1, Ordering::Relaxed);
            let first = of_db.fetch_add(1, Ordering::Relaxed) == 0;
            Reply::Answer(json!({"Id": if first { RUNNING } else { moves }}))
        }
        "/images/web:1/json" => {
            count.fetch_add(1, Ordering::Relaxed);
            Reply::Answer(json!({"Id": RUNNING}))
        }
        _ => Reply::Answer(Value::Null),
    });
    (engine, names)
}

#[test]
fn a_storm_of_tags_queries_the_names_once_and_no_container() {
    let (engine, names) = tagged(RUNNING);
    let (_stop, messages) = engine.connect();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(engine.inspects.load(Ordering::Relaxed), 10);
    // First by up to eight containers at once, then once each.
    let names = names.load(Ordering::Relaxed);
    assert!((4..=11).contains(&names), "{names}");
    assert_eq!(messages.try_iter().filter_map(info).count(), 10);
}

#[test]
fn a_tag_that_moves_an_image_is_reported_of_the_containers_that_run_it() {
    let (engine, _) = tagged("sha256:cafe");
    let (_stop, messages) = engine.connect();
    let (of, info) = wait(&messages, |message| {
        info(message).filter(|(_, info)| info.as_ref().is_some_and(|i| !i.image_now.is_empty()))
    });
    assert_eq!(of.as_str(), id(7));
    assert_eq!(info.unwrap().image_now, "sha256:cafe");
    assert_eq!(engine.inspects.load(Ordering::Relaxed), 11);
}

/// A container whose inspection fails has its name from the list and is reported; the others are read.
#[test]
fn a_container_that_cannot_be_read_is_reported_and_has_its_listed_name() {
    let engine = FakeEngine::start(|path| match path {
        path if path.starts_with("/events") => Reply::Lines(Vec::new(), true),
        path if path.starts_with("/containers/json") => Reply::Answer(json!([
            {"Id": id(1), "Names": ["/web"], "Image": "web:1"},
            {"Id": id(2), "Names": ["/db"], "Image": "db:1"},
            {"Id": 3, "Names": ["/odd"]}, {"Id": "", "Names": [3]},
        ])),
        path if path.contains(&id(2)) => Reply::Refuse(500),
        path if path.starts_with("/containers/") => Reply::Answer(json!({"Name": "/web"})),
        _ => Reply::Answer(Value::Null),
    });
    let (_stop, messages) = engine.connect();
    let mut reported = Vec::new();
    let (of, names) = wait(&messages, |message| match message {
        RuntimeMessage::Lost(_, lost) => {
            reported.push(lost.detail);
            None
        }
        RuntimeMessage::Names(_, id, names) => Some((id, names)),
        _ => None,
    });
    assert_eq!(of.as_str(), id(2));
    assert_eq!((names.name, names.image), ("db".into(), "db:1".into()));
    assert_eq!(reported.len(), 2, "{reported:?}");
    assert_eq!(reported[0], "2 entries of its container list left out: odd");
    assert!(
        reported[1].contains("(db) not read: it answered 500"),
        "{reported:?}"
    );
}

/// The oldest engine that is read, and one of today: of API 1.52, with containerd's image store, which
/// names no directories, and which refuses requests without a version.
#[test]
fn old_and_new_engines_are_read_alike() {
    const OF: &str = "sha256:beef";
    let list = |old: bool| match old {
        true => json!([{"Id": id(1), "Names": ["/web"], "Image": "web:1", "ImageID": OF,
            "Created": 1_367_854_155, "Status": "Up 2 hours", "Ports": [], "SizeRw": 12_288}]),
        false => json!([{"Id": id(1), "Names": ["/web"], "Image": "web:1", "ImageID": OF,
            "ImageManifestDescriptor": {"mediaType": "application/vnd.oci.image.manifest.v1+json"},
            "Created": 1_767_854_155, "State": "running", "Health": {"Status": "none"},
            "Status": "Up 2 hours", "Ports": null, "Mounts": null}]),
    };
    let inspect = |old: bool| {
        let mut answer = json!({"Id": id(1), "Name": "/web", "Image": OF, "Path": "/srv/web",
            "Args": [], "Created": "2026-11-20T10:00:00.5Z", "RestartCount": 1,
            "State": {"Status": "running", "Running": true, "Pid": 42, "ExitCode": 0, "Error": "",
                "StartedAt": "2026-11-20T10:00:01Z", "FinishedAt": "0001-01-01T00:00:00Z"},
            "Config": {"Image": "web:1", "User": "", "Labels": {"a": "b"}},
            "HostConfig": {"CapAdd": ["NET_ADMIN"], "Memory": 0},
            "Mounts": [{"Source": "/srv", "Destination": "/data", "Mode": "", "RW": true}],
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}});
        if old {
            answer["HostConfig"]["KernelMemory"] = json!(0);
            answer["HostConfig"]["Tmpfs"] = Value::Null;
            answer["HostConfig"]["PidsLimit"] = json!(0);
            answer["GraphDriver"] = json!({"Name": "overlay2", "Data": null});
            answer["Config"]["Volumes"] = Value::Null;
            answer["NetworkSettings"]["Ports"] = Value::Null;
        } else {
            answer["Storage"] = json!({"RootFS": {"Snapshot": {"Name": "overlayfs"}}});
            answer["ImageManifestDescriptor"] = json!({"size": 7});
            answer["Mounts"][0]["Type"] = "bind".into();
            answer["NetworkSettings"]["Networks"]["bridge"]["DNSNames"] = json!(["web"]);
        }
        answer
    };
    let image = |old: bool| match old {
        true => json!({"Id": OF, "Container": "cc", "ContainerConfig": {}, "VirtualSize": 7,
            "RepoDigests": [format!("web@{OF}")], "Config": {"ExposedPorts": {"80/tcp": {}}}}),
        false => json!({"Id": OF, "RepoDigests": [format!("web@{OF}")], "Manifests": [],
            "Config": {"ExposedPorts": {"80/tcp": {}}}, "Identity": {}}),
    };
    let event = |old: bool| match old {
        true => json!({"status": "die", "id": id(1), "from": "web:1", "Type": "container",
            "Action": "die", "Actor": {"ID": id(1), "Attributes": {"exitCode": "3"}},
            "time": 1_767_854_155, "timeNano": 1_767_854_155_000_000_007_i64}),
        false => json!({"Type": "container", "Action": "die", "scope": "local",
            "Actor": {"ID": id(1), "Attributes": {"exitCode": "3", "execDuration": "9"}},
            "time": 1_767_854_155, "timeNano": 1_767_854_155_000_000_007_i64}),
    };
    let mut read = Vec::new();
    for (old, version) in [(true, "1.24"), (false, "1.52")] {
        let engine = FakeEngine::start(move |path| {
            let prefix = format!("/v{version}");
            let path = match path.strip_prefix(&prefix) {
                Some(path) => path,
                None if path.ends_with("/version") && (old || path.starts_with("/v1.44/")) => {
                    return Reply::Answer(json!({"Version": "9", "ApiVersion": version}));
                }
                None => return Reply::Refuse(400),
            };
            match path {
                path if path.starts_with("/events") => Reply::Lines(vec![event(old)], true),
                path if path.starts_with("/containers/json") => Reply::Answer(list(old)),
                path if path.starts_with("/containers/") => Reply::Answer(inspect(old)),
                path if path.starts_with("/images/") => Reply::Answer(image(old)),
                _ => Reply::Answer(json!({"Driver": "overlay2"})),
            }
        });
        let (_stop, messages) = engine.connect();
        let (mut first, mut died) = (None, None);
        while first.is_none() || died.is_none() {
            wait(&messages, |message| match message {
                RuntimeMessage::Lost(_, lost) => panic!("{lost:?}"),
                RuntimeMessage::Update(_, update) => {
                    if let ContainerAction::Died(code) = update.event.action {
                        died = Some((update.ts, code));
                    }
                    first = first.take().or(update.event.info);
                    Some(())
                }
                _ => None,
            });
        }
        let mut info = first.unwrap();
        assert_eq!(info.name, "web");
        assert_eq!((info.image_digest.as_str(), info.init_pid), (OF, 42));
        assert_eq!(info.exposed, ["80/tcp"]);
        assert_eq!(info.networks["bridge"], "172.17.0.2");
        // An old engine gives a mount no type, and the storage driver is named by one of them.
        info.mounts[0].kind.clear();
        info.storage.driver.clear();
        read.push((info, died));
    }
    assert_eq!(read[0], read[1]);
}

/// Two builds at the same time on the same image: each second step runs the result of a first one, the
/// other after a step that ran nothing.
#[test]
fn steps_of_concurrent_builds_are_marked_by_the_results_they_continue() {
    const STARTED: [usize; 2] = [3, 4];
    let engine = FakeEngine::start(|path| {
        let image = |container: &str, parent: &str| {
            Reply::Answer(json!({"RepoTags": [], "Container": container, "Parent": parent}))
        };
        match path {
            path if path.starts_with("/events") => {
                let start =
                    |n| json!({"Type": "container", "Action": "start", "Actor": {"ID": id(n)}});
                Reply::Lines(STARTED.map(start).to_vec(), true)
            }
            path if path.starts_with("/containers/json") => {
                Reply::Answer(json!([{"Id": id(1)}, {"Id": id(2)}]))
            }
            path if path.starts_with("/containers/") => {
                let of = |(n, image): (usize, &'static str)| path.contains(&id(n)).then_some(image);
                let images = [(3, "sha256:a1"), (4, "sha256:b1-label")];
                let image = images.into_iter().find_map(of).unwrap_or("sha256:base");
                let config = json!({"Image": image, "Healthcheck": {"Test": ["NONE"]}});
                let host = json!({"LogConfig": {"Type": "none"}});
                Reply::Answer(json!({"Image": image, "Config": config, "HostConfig": host}))
            }
            "/v1.44/images/sha256:base/json" => {
                Reply::Answer(json!({"RepoTags": ["base:1"], "Container": id(1)}))
            }
            "/v1.44/images/sha256:a1/json" => image(&id(1), "sha256:base"),
            "/v1.44/images/sha256:b1-label/json" => image(&id(9), "sha256:b1"),
            "/v1.44/images/sha256:b1/json" => image(&id(2), "sha256:base"),
            _ => Reply::Answer(Value::Null),
        }
    });
    let (_stop, messages) = engine.connect();
    let mut builds = std::collections::BTreeMap::new();
    while builds.len() < 4 {
        let (of, info) = wait(&messages, info);
        if let Some(info) = info {
            builds.insert(of.as_str().to_owned(), info.build);
        }
    }
    let expected = [(1, 1), (2, 2), (3, 1), (4, 2)].map(|(n, build)| (id(n), id(build)));
    assert_eq!(builds, expected.into());
}
