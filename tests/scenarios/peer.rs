//! The outside world: a container whose network has addresses of clouds, registries and attackers,
//! with servers. Scenarios that need a network share it.

use super::common::PATIENCE;
use super::docker;

/// Its name.
pub(crate) const NAME: &str = "hullwatch-test-peer";

const SCRIPT: &str = r#"
import socket, threading, http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'#!/bin/sh\necho fetched >/tmp/fetched\n'
        # A command for whoever asks again and again, and a program.
        if self.path.startswith('/command'): body = b'id\n'
        if self.path.startswith('/program'): body = open('/usr/bin/true', 'rb').read() + b'x'
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *rest): pass
def web(address):
    http.server.ThreadingHTTPServer((address, 80), Handler).serve_forever()
def command(port, sends):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('0.0.0.0', port))
    s.listen(64)
    while True:
        c, _ = s.accept()
        try: c.sendall(sends)
        except OSError: pass
        threading.Timer(2, c.close).start()
def datagrams(port, sends):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('0.0.0.0', port))
    while True:
        _, who = s.recvfrom(4096)
        if sends: s.sendto(sends, who)
def names():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('10.9.8.7', 53))
    while True:
        q, who = s.recvfrom(4096)
        end = 12
        while q[end]: end += q[end] + 1
        question = q[12:end + 5]
        kind = q[end + 1:end + 3]
        answers = kind == b'\0\1'
        r = q[:2] + b'\x81\x80\0\1\0' + bytes([answers]) + b'\0\0\0\0' + question
        if answers: r += b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4' + bytes([203, 0, 113, 9])
        s.sendto(r, who)
for address in ('203.0.113.9', '169.254.169.254', '10.9.8.7'):
    threading.Thread(target=web, args=(address,)).start()
# Who connects here gets commands, as from an attacker; other ports only take.
for port in (4444, 4445, 4446, 4447):
    threading.Thread(target=command, args=(port, b'id\nsleep 1\nexit\n')).start()
for port in (443, 2375, 5432, 6443, 9000):
    threading.Thread(target=command, args=(port, b'')).start()
# The same over UDP; the second one only takes.
for port, sends in ((5555, b'id\n'), (5556, b'')):
    threading.Thread(target=datagrams, args=(port, sends)).start()
# Who connects here stays connected and hears nothing.
def hold(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('0.0.0.0', port))
    s.listen(64)
    kept = []
    while True: kept.append(s.accept())
threading.Thread(target=hold, args=(4448,)).start()
threading.Thread(target=names).start()
print('ready', flush=True)
"#;

const ADDRESSES: &[&str] = &["203.0.113.9", "198.51.100.7", "169.254.169.254", "10.9.8.7"];

/// Starts it and waits until it answers.
pub(crate) fn start() {
    stop();
    // The busybox image has `ip`, the other one the servers: two containers share one network.
    let router = format!("{NAME}-net");
    let adds: String = ADDRESSES
        .iter()
        .map(|a| format!("ip addr add {a}/32 dev lo; "))
        .collect();
    docker(&[
        "run",
        "-d",
        "--name",
        &router,
        "--network",
        "none",
        "--cap-add",
        "NET_ADMIN",
        "hullwatch-test:busybox",
        "sh",
        "-c",
        &format!("ip link set lo up; {adds} sleep 3600"),
    ])
    .unwrap();
    docker(&[
        "run",
        "-d",
        "--name",
        NAME,
        "--network",
        &format!("container:{router}"),
        "hullwatch-test:servers",
        "python3",
        "-c",
        SCRIPT,
    ])
    .unwrap();
    let until = std::time::Instant::now() + PATIENCE;
    while std::time::Instant::now() < until {
        let log = docker(&["logs", NAME]).unwrap();
        if log.contains("ready") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the peer does not answer");
}

/// Ends it.
pub(crate) fn stop() {
    let _ = docker(&["rm", "-f", NAME, &format!("{NAME}-net")]);
}
