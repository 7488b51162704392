//! Incidents of a real container sent to a webhook and a command, by a process that dropped its
//! privileges.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use serde_json::Value;

use crate::common::{BUSYBOX, Engine, PATIENCE, Watch, engine_is_ready};

/// A webhook that refuses the first request; returns the bodies that it received.
fn webhook() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (send, bodies) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
            let body = loop {
                let length = stream.read(&mut buffer).unwrap();
                text.extend(&buffer[..length]);
                let Some(at) = text.windows(4).position(|four| four == b"\r\n\r\n") else {
                    continue;
                };
                // It is complete when it can be parsed.
                if let Ok(body) = serde_json::from_slice(&text[at + 4..]) {
                    break body;
                }
            };
            let answer = if number == 0 { "503 Later" } else { "200 OK" };
            write!(
                stream,
                "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            .unwrap();
            if send.send(body).is_err() {
                return;
            }
        }
    });
    (url, bodies)
}

#[test]
fn an_incident_reaches_a_webhook_and_a_command() {
    if !engine_is_ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (url, bodies) = webhook();
    let hook = folder.path().join("hook");
    std::fs::write(&hook, format!("{url}\n")).unwrap();
    let got = folder.path().join("got");
    let command = format!(
        "sh -c 'cat >>{path}; grep Cap /proc/self/status >>{path}'",
        path = got.display()
    );
    let watch = Watch::start(&[
        "--notify",
        "medium",
        "--notify-webhook-file",
        hook.to_str().unwrap(),
        "--notify-command",
        &command,
    ]);
    let engine = Engine::tests();
    let container = engine.run(&["--name", "hw-notify"], BUSYBOX, &["sleep", "600"]);
    container.sh("cp /bin/busybox /tmp/busybox && /tmp/busybox true");
    let of_this = |body: &Value| body["container"]["id"] == container.id.as_str();
    let mut tries = 0;
    let message = loop {
        let body = bodies.recv_timeout(PATIENCE).unwrap();
        tries += 1;
        if of_this(&body) && tries > 1 {
            break body;
        }
    };
    assert_eq!(
        (&message["type"], &message["container"]["name"]),
        (&"incident".into(), &"hw-notify".into())
    );
    assert!(
        message["findings"].to_string().contains("/tmp/busybox"),
        "{message}"
    );
    // The refused one was sent again, and the command received it as well.
    watch.until_reported("the answer is 503");
    let until = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(&got).is_ok_and(|text| text.contains("/tmp/busybox")) {
        assert!(Instant::now() < until, "the command was not run");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    watch.stop();
}
