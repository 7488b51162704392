//! A NATS server of the test: on a free port of the loopback, with a store that ends with it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The server's program; Debian's package nats-server.
fn program() -> String {
    std::env::var("HULLWATCH_TEST_NATS").unwrap_or_else(|_| "nats-server".to_owned())
}

/// A running server.
pub struct TestServer {
    pub port: u16,
    store: tempfile::TempDir,
    options: Vec<String>,
    child: Option<Child>,
}

/// True where the server is installed. Where the tests' needs are promised it must be.
pub fn is_ready() -> bool {
    let there = Command::new(program()).arg("--version").output().is_ok();
    let promised = std::env::var("CI").as_deref() == Ok("true")
        || std::env::var_os("HULLWATCH_TEST_DOCKER").is_some();
    assert!(there || !promised, "nats-server is missing");
    if !there {
        eprintln!("not run: nats-server is missing");
    }
    there
}

/// A port that nothing listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl TestServer {
    pub fn start() -> Self {
        Self::start_with(free_port(), Vec::new())
    }

    /// With further options.
    pub fn start_with(port: u16, options: Vec<String>) -> Self {
        let mut server = Self {
            port,
            store: tempfile::tempdir().unwrap(),
            options,
            child: None,
        };
        server.run();
        server
    }

    /// Starts it, again on the same store.
    pub fn run(&mut self) {
        let log = self.store.path().join("log");
        let child = Command::new(program())
            .args(["-a", "127.0.0.1", "-js", "-p", &self.port.to_string()])
            .arg("-sd")
            .arg(self.store.path())
            .arg("-l")
            .arg(&log)
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < until, "{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn store(&self) -> &Path {
        self.store.path()
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.child.as_ref().unwrap())
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Ends it at once, as a power cut does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.kill();
    }
}
