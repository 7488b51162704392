//! Publishing to a real NATS server, and reading from it. Needs no rights.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod publishing;
mod replayed;
mod server;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use hullwatch::event::Event;
use hullwatch::fleet::PublishLimits;
use hullwatch::recording::Header;
use publishing::{PATIENCE, Publishing, limits, plain};
use replayed::{demo, read};
use rustix::process::Signal;
use server::{TestServer, free_port, is_ready};

fn fleet(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hullwatch"));
    command.arg("fleet").args(words).env("NO_COLOR", "1");
    command
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The lines of `fleet --json`.
fn listed(url: &str) -> Vec<serde_json::Value> {
    let out = output(&mut fleet(&[url, "--json"]));
    assert!(out.status.success(), "{}", text(&out.stderr));
    let lines = text(&out.stdout);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What the server keeps of a host, as a recording; further options.
fn save(url: &str, host: &str, path: &Path, words: &[&str]) -> (Header, Vec<Event>) {
    let mut command = fleet(&[url, "--host", host, "--save"]);
    let out = output(command.arg(path).args(words));
    assert!(out.status.success(), "{}", text(&out.stderr));
    let replay = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .arg("replay")
        .arg("--findings")
        .arg(path)
        .output()
        .unwrap();
    assert!(replay.status.success(), "{}", text(&replay.stderr));
    read(path)
}

/// Every number once, in order.
fn assert_whole(events: &[Event], count: u64) {
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    let wanted: Vec<u64> = (1..=count).collect();
    assert_eq!(numbers.len(), wanted.len());
    assert_eq!(numbers, wanted);
}

#[test]
fn findings_reach_the_fleet_and_a_late_reader_opens_the_host() {
    if !is_ready() {
        return;
    }
    let server = TestServer::start();
    let dir = tempfile::tempdir().unwrap();
    let published = Publishing::start(plain(&server.url()), "db.example", limits());
    let other = Publishing::start(plain(&server.url()), "quiet", limits());
    let count = published.events.len();
    // Over several segments.
    published.feed(count, u32::try_from(count / 4).unwrap());
    other.feed(5, 100);
    let last = published.host.last();
    published.wait("published", |status| status.sent >= last);
    // The summary follows within seconds.
    let until = Instant::now() + PATIENCE;
    let lines = loop {
        let lines = listed(&server.url());
        if lines.len() > 2 && lines[0]["seq"] == last {
            break lines;
        }
        assert!(Instant::now() < until, "{lines:?}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(
        (&lines[0]["host"], &lines[1]["host"]),
        (&"db.example".into(), &"quiet".into())
    );
    assert_eq!(lines[0]["incidents"][0]["severity"], "critical");
    assert_eq!(lines[0]["unpublished"], 0);
    assert!(
        lines[2]["type"] == "finding" && lines[2]["hosts"] == 1,
        "{}",
        lines[2]
    );
    let table = text(&output(&mut fleet(&[&server.url()])).stdout);
    assert!(
        table.contains("HOST") && table.contains("db.example  critical"),
        "{table}"
    );
    // While it goes on: the newest segment alone, and everything from the beginning.
    let until = Instant::now() + PATIENCE;
    let (header, newest) = loop {
        published.tick();
        std::thread::sleep(Duration::from_millis(300));
        let path = dir
            .path()
            .join(format!("new-{}.jsonl.zst", published.host.last()));
        let (header, newest) = save(&server.url(), "db.example", &path, &[]);
        // Of a segment that has just begun the first line may be all.
        if !newest.is_empty() {
            break (header, newest);
        }
        assert!(Instant::now() < until);
    };
    assert!(newest.len() < count / 2, "{}", newest.len());
    let last = published.host.last();
    published.wait("ticks", |status| status.sent >= last);
    assert_eq!(header.redaction, hullwatch::recording::Redaction::Secrets);
    let whole = dir.path().join("all.jsonl.zst");
    let (_, all) = save(&server.url(), "db.example", &whole, &["--since=1h"]);
    assert_whole(&all, last);
    let ((status, _), (quiet, _)) = (published.end(), other.end());
    assert_eq!((status.missed(), status.sent), (0, last));
    assert_eq!(quiet.missed(), 0);
    assert_eq!(listed(&server.url())[0]["ended"], true);
}

#[test]
fn a_broken_link_loses_nothing_and_repeats_nothing() {
    if !is_ready() {
        return;
    }
    let mut server = TestServer::start();
    let dir = tempfile::tempdir().unwrap();
    let published = Publishing::start(plain(&server.url()), "host", limits());
    published.feed(500, 500);
    server.signal(Signal::STOP);
    published.feed(6_000, 500);
    server.signal(Signal::CONT);
    published.feed(1_500, 500);
    server.kill();
    published.feed(2_000, 500);
    published.wait("told", |status| status.error.is_some());
    server.run();
    published.feed(1_000, 500);
    let last = published.host.last();
    published.wait("all", |status| status.sent >= last);
    let (status, _) = published.end();
    assert_eq!((status.missed(), status.sent), (0, last));
    assert_eq!(status.error, None);
    let (_, all) = save(
        &server.url(),
        "host",
        &dir.path().join("a.jsonl.zst"),
        &["--since=1h"],
    );
    assert_whole(&all, last);
}

#[test]
fn streams_that_are_deleted_are_created_again_and_the_loss_is_counted() {
    if !is_ready() {
        return;
    }
    let server = TestServer::start();
    // A segment that would not end by itself.
    let long = PublishLimits {
        segment: Duration::from_secs(3600),
        ..limits()
    };
    let published = Publishing::start(plain(&server.url()), "host", long);
    published.feed(2_000, 10_000);
    published.tick();
    published.wait("first", |status| status.sent >= 2_000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.unwrap();
        let context = async_nats::jetstream::new(client);
        for name in ["hullwatch", "hullwatch-summaries"] {
            context.delete_stream(name).await.unwrap();
        }
    });
    published.feed(2_000, 1_000);
    published.tick();
    let last = published.host.last();
    published.wait("counted", |status| status.sent + status.missed() >= last);
    let lost = published.status().missed();
    assert!(lost > 0, "what the deleted stream held is no loss of ours");
    published.feed(2_000, 1_000);
    published.tick();
    let last = published.host.last();
    published.wait("all", |status| status.sent + lost >= last);
    let (_, all) = save(
        &server.url(),
        "host",
        &server.store().join("a.jsonl.zst"),
        &["--since=1h"],
    );
    let numbers: Vec<u64> = all
        .iter()
        .map(|event| event.seq)
        .rev()
        .take(2_000)
        .collect();
    assert!(numbers.iter().copied().eq((last - 1_999..=last).rev()));
    let (status, _) = published.end();
    assert_eq!((status.missed(), status.error), (lost, None));
    let hosts = listed(&server.url());
    assert_eq!(hosts[0]["unpublished"], lost, "{hosts:?}");
}

#[test]
fn a_dead_server_delays_nothing_and_every_loss_is_counted() {
    let (mut header, events) = demo();
    header.settings.memory = "16MiB".parse().unwrap();
    let dead = format!("nats://127.0.0.1:{}", free_port());
    let published = Publishing::start_of(plain(&dead), "host", limits(), &header, events);
    // If it waited for the server it would not return.
    published.feed(120_000, 1_000_000);
    published.wait("told", |status| {
        status.error.is_some() && status.dropped > 0
    });
    let last = published.host.last();
    let (status, took) = published.end();
    // It does not use the time that it has for a server that answers.
    assert!(took < PATIENCE / 2, "{took:?}");
    assert!(status.events && status.sent == 0);
    assert!(status.missed() >= last, "{status:?}");
    let why = status.error.unwrap();
    assert!(why.contains("cannot connect"), "{why}");
}

#[test]
fn a_server_with_little_room_gets_a_smaller_stream_unless_a_size_was_chosen() {
    if !is_ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    std::fs::write(&config, "jetstream { max_file_store: 300MB }").unwrap();
    let config = config.into_os_string().into_string().unwrap();
    let server = TestServer::start_with(free_port(), vec!["-c".to_owned(), config]);
    let of = |max_bytes| PublishLimits {
        max_bytes,
        ..limits()
    };
    let chosen = Publishing::start(plain(&server.url()), "host", of(Some(1 << 30)));
    chosen.wait("refused", |status| status.error.is_some());
    let (status, _) = chosen.end();
    let why = status.error.unwrap();
    assert!(
        why.contains("insufficient storage") && why.contains("1.0 GiB"),
        "{why}"
    );
    let published = Publishing::start(plain(&server.url()), "host", of(None));
    published.all();
    let last = published.host.last();
    published.wait("all", |status| status.sent >= last);
    let (status, _) = published.end();
    assert_eq!((status.missed(), status.error), (0, None));
}

#[test]
fn a_reader_that_stops_delays_no_publisher_and_reads_on() {
    if !is_ready() {
        return;
    }
    let server = TestServer::start();
    let dir = tempfile::tempdir().unwrap();
    let published = Publishing::start(plain(&server.url()), "host", limits());
    published.feed(20_000, 20_000);
    let first = published.host.last();
    published.wait("first", |status| status.sent >= first);
    let path = dir.path().join("slow.jsonl.zst");
    let mut reader = fleet(&[&server.url(), "--host=host", "--since=1h", "--save"])
        .arg(&path)
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&reader);
    std::thread::sleep(Duration::from_millis(150));
    rustix::process::kill_process(pid, Signal::STOP).unwrap();
    published.feed(5_000, 5_000);
    let last = published.host.last();
    published.wait("all", |status| status.sent >= last);
    rustix::process::kill_process(pid, Signal::CONT).unwrap();
    assert!(reader.wait().unwrap().success());
    let (_, events) = read(&path);
    assert_whole(&events, events.last().unwrap().seq);
    assert!(events.last().unwrap().seq >= first);
    assert_eq!(published.end().0.missed(), 0);
}

#[test]
fn the_server_is_verified_and_secrets_stay_secret() {
    if !is_ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, signed.cert.pem()).unwrap();
    std::fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    let file = |path: &Path| path.display().to_string();
    let options = ["--tls", "--tlscert", &file(&cert), "--tlskey", &file(&key)];
    let mut options: Vec<String> = options.map(str::to_owned).to_vec();
    options.extend(["--user", "hull", "--pass", "s3cret-word"].map(str::to_owned));
    let server = TestServer::start_with(free_port(), options);
    let url = format!("tls://localhost:{}", server.port);
    let secret = "user: hull\npassword: s3cret-word\n";
    let known = plain(&url)
        .with_authorities(Some(&signed.cert.pem()))
        .unwrap();
    let unknown = plain(&url).with_authorities(None).unwrap();
    // Not verified; not allowed; both right.
    for (server, right) in [
        (unknown.with_credentials(secret).unwrap(), false),
        (
            known
                .clone()
                .with_credentials("user: hull\npassword: wrong")
                .unwrap(),
            false,
        ),
        (known.with_credentials(secret).unwrap(), true),
    ] {
        let published = Publishing::start(server, "host", limits());
        published.all();
        let last = published.host.last();
        published.wait("an outcome", |status| match right {
            true => status.sent >= last,
            false => status.error.is_some(),
        });
        let (status, _) = published.end();
        assert_eq!(status.missed() == 0, right, "{status:?}");
        assert!(!format!("{status:?}").contains("s3cret"));
    }
    let words = dir.path().join("words");
    std::fs::write(&words, secret).unwrap();
    let list = |trusted: bool| {
        let mut command = fleet(&[&url, "--json", "--credentials", &file(&words)]);
        if trusted {
            command.arg("--ca-file").arg(&cert);
        }
        output(&mut command)
    };
    assert!(list(true).status.success());
    let refused = list(false);
    let why = text(&refused.stderr);
    assert!(
        !refused.status.success() && why.contains("certificate"),
        "{why}"
    );
    let argument = output(&mut fleet(&["nats://hull:s3cret-word@localhost"]));
    assert!(!argument.status.success() && !text(&argument.stderr).contains("s3cret"));
}

#[test]
fn what_exists_on_the_server_is_not_changed_and_hostile_names_are_data() {
    if !is_ready() {
        return;
    }
    let server = TestServer::start();
    let small = PublishLimits {
        keep: Duration::from_secs(777),
        ..limits()
    };
    for (name, limits) in [("one", small), ("\u{1b}[2J *.>", limits())] {
        let published = Publishing::start(plain(&server.url()), name, limits);
        published.all();
        let last = published.host.last();
        published.wait("all", |status| status.sent >= last);
        assert_eq!(published.end().0.missed(), 0);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let age = runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.unwrap();
        let context = async_nats::jetstream::new(client);
        // Any client may send what it likes.
        for bytes in [&b"\x00"[..], br#"{"version":"\u001b[31m"}"#] {
            let sent = context
                .publish("hullwatch.evil.summary", bytes.to_vec().into())
                .await;
            sent.unwrap().await.unwrap();
        }
        let sent = context
            .publish("hullwatch.evil.stream", "no block".into())
            .await;
        sent.unwrap().await.unwrap();
        let stream = context.get_stream("hullwatch").await.unwrap();
        stream.cached_info().config.max_age
    });
    assert_eq!(age, Duration::from_secs(777));
    let table = output(&mut fleet(&[&server.url()]));
    let table = text(&table.stdout);
    assert!(
        table.contains("\\x1b[2J *.>") && !table.contains('\u{1b}'),
        "{table}"
    );
    assert!(
        table.contains("evil") && table.contains("on 2 hosts") || table.contains("2 hosts: "),
        "{table}"
    );
    let path = server.store().join("evil.jsonl.zst");
    let out = output(fleet(&[&server.url(), "--host=evil", "--save"]).arg(&path));
    assert!(
        !out.status.success() && !path.exists(),
        "{}",
        text(&out.stderr)
    );
}

#[test]
fn three_servers_of_which_each_is_killed_once_lose_nothing() {
    if !is_ready() {
        return;
    }
    let (ports, routes): (Vec<u16>, Vec<u16>) = (0..3).map(|_| (free_port(), free_port())).unzip();
    let address = |port: &u16| format!("nats://127.0.0.1:{port}");
    let joined = |ports: &[u16]| ports.iter().map(address).collect::<Vec<_>>().join(",");
    let mut servers: Vec<TestServer> = (0..3)
        .map(|number| {
            let name = format!("node-{number}");
            let (cluster, routes) = (address(&routes[number]), joined(&routes));
            let options = ["-n", &name, "--cluster_name", "test", "--cluster", &cluster];
            let options = options.into_iter().chain(["--routes", &routes]);
            TestServer::start_with(ports[number], options.map(str::to_owned).collect())
        })
        .collect();
    let url = joined(&ports);
    let dir = tempfile::tempdir().unwrap();
    let replicated = PublishLimits {
        replicas: 3,
        ..limits()
    };
    let published = Publishing::start(plain(&url), "host", replicated);
    published.feed(500, 500);
    published.tick();
    let first = published.host.last();
    published.wait("a cluster", |status| status.sent >= first);
    for server in &mut servers {
        server.kill();
        published.feed(1_000, 500);
        published.tick();
        let last = published.host.last();
        published.wait("two servers", |status| status.sent >= last);
        server.run();
        // It gets what it missed before the next one goes.
        std::thread::sleep(Duration::from_secs(3));
    }
    let last = published.host.last();
    let (status, _) = published.end();
    assert_eq!((status.missed(), status.sent), (0, last));
    let (_, all) = save(
        &url,
        "host",
        &dir.path().join("all.jsonl.zst"),
        &["--since=1h"],
    );
    assert_whole(&all, last);
}
