//! `hullwatch doctor`.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use super::hullwatch;

#[test]
fn doctor_always_prints_a_result() {
    let output = hullwatch(&["doctor", "--json", "--docker-host", "unix:///nowhere.sock"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let able = json["able"].as_bool().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(!able)));
    assert_eq!(json["engine"]["reachable"], false);
    assert!(!json["kernel"].as_str().unwrap().is_empty());
}

/// What an engine answers is printed, and controls no terminal.
#[test]
fn an_engines_answer_is_printed_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.sock");
    let engine = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let body = r#"{"message":"\u001b[31mred\n\u202eold\u009b31m\u0007"}"#;
        for link in engine.incoming() {
            let mut link = link.unwrap();
            let mut request = [0; 4096];
            let _ = link.read(&mut request);
            let _ = write!(
                link,
                "HTTP/1.1 500 No\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    let address = format!("unix://{}", path.display());
    for format in [&[][..], &["--json"]] {
        let args = [&["doctor", "--docker-host", &address], format].concat();
        let printed = String::from_utf8(hullwatch(&args).stdout).unwrap();
        assert!(printed.contains("it answered 500"), "{printed}");
        let mut rest = printed.chars().filter(|c| *c != '\n');
        assert!(
            !rest.any(|c| c.is_control() || c == '\u{202e}'),
            "{printed:?}"
        );
    }
}
