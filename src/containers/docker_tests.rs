//! The connection to a Docker engine against engines that hang, break, lie and flood.

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
    /// Says nothing, holds the connection.
    Hold,
    /// Sends these lines, then holds the connection, or ends it.
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
                        "/version" => Reply::Answer(json!({"Version": "1"})),
                        "/info" => Reply::Answer(json!({"Driver": "overlay2"})),
                        path => reply(path),
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
fn one_container_that_hangs_holds_up_no_other() {
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

#[test]
fn a_storm_of_tags_causes_one_query_and_no_events() {
    let engine = FakeEngine::start(|path| match path {
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
        path if path.starts_with("/containers/") => Reply::Answer(json!({"Name": "/web"})),
        _ => Reply::Answer(Value::Null),
    });
    let (_stop, messages) = engine.connect();
    std::thread::sleep(Duration::from_secs(2));
    let inspects = engine.inspects.load(Ordering::Relaxed);
    assert!((20..=30).contains(&inspects), "{inspects}");
    assert_eq!(messages.try_iter().filter_map(info).count(), 10);
}
