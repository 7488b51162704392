//! HTTP to a container engine over its Unix socket or TCP. Every answer is bounded in bytes and
//! time: a faulty or malicious engine must not fill this program's memory.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes as Chunk, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::text::error_chain;

/// Time limit for an answer; an engine that takes longer counts as unavailable.
pub(super) const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// Longest error text taken from an answer.
const MAX_ERROR: usize = 1024;
/// Longest line of the event stream; a longer one is left out.
const MAX_LINE: usize = 256 << 10;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HttpError {
    /// The socket does not exist.
    Absent,
    /// The engine answered with this status and text.
    Status(u16, String),
    /// It did not answer in time.
    Silent,
    /// It was not reached, or its answer was invalid.
    Failed(String),
}

impl std::fmt::Display for HttpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("its socket does not exist"),
            Self::Status(code, text) => write!(f, "it answered {code}: {text}"),
            Self::Silent => f.write_str("no answer"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

fn failed(error: &dyn std::error::Error) -> HttpError {
    HttpError::Failed(error_chain(error))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Unix(PathBuf),
    Tcp(String),
}

/// An engine's address.
#[derive(Debug, Clone)]
pub(super) struct EngineHttp {
    address: Address,
    /// Prefix of every path: the version of the API, `/v1.41`; empty until it is known.
    version: String,
}

impl EngineHttp {
    /// `unix:///path`, `/path`, `tcp://host:port` or `http://host:port`.
    pub(super) fn new(url: &str) -> Result<Self, HttpError> {
        let address = if let Some(path) = url.strip_prefix("unix://") {
            Address::Unix(path.into())
        } else if url.starts_with('/') {
            Address::Unix(url.into())
        } else if let Some(rest) = url
            .strip_prefix("tcp://")
            .or_else(|| url.strip_prefix("http://"))
        {
            let host = rest.trim_end_matches('/');
            let port = host.rsplit_once(':').map(|(_, port)| port);
            let has_port = port.is_some_and(|port| port.parse::<u16>().is_ok());
            Address::Tcp(if has_port {
                host.to_owned()
            } else {
                format!("{host}:2375")
            })
        } else {
            let why = "an address of this kind cannot be used: only unix:// and tcp:// without TLS";
            return Err(HttpError::Failed(why.to_owned()));
        };
        Ok(Self {
            address,
            version: String::new(),
        })
    }

    /// Queries the engine's version, and uses its API version from then on: Docker announced that
    /// later engines refuse requests without one.
    pub(super) async fn negotiate(&mut self, limit: usize) -> Result<Value, HttpError> {
        let answer = match self.get("/version", limit).await {
            Err(HttpError::Status(400..500, _)) => self.get("/v1.44/version", limit).await?,
            answer => answer?,
        };
        let version = answer.get("ApiVersion").and_then(Value::as_str);
        let is_number = |v: &&str| {
            let digit = |b: u8| b.is_ascii_digit() || b == b'.';
            !v.is_empty() && v.len() < 16 && v.bytes().all(digit)
        };
        if let Some(version) = version.filter(is_number) {
            self.version = format!("/v{version}");
        }
        Ok(answer)
    }

    async fn send(&self, path: &str) -> Result<Response<Incoming>, HttpError> {
        let path = &*format!("{}{path}", self.version);
        let requested = async {
            match &self.address {
                Address::Unix(socket) => {
                    let stream = UnixStream::connect(socket)
                        .await
                        .map_err(|e| match e.kind() {
                            io::ErrorKind::NotFound => HttpError::Absent,
                            _ => failed(&e),
                        })?;
                    request(stream, "localhost", path).await
                }
                Address::Tcp(host) => {
                    let stream = TcpStream::connect(host).await.map_err(|e| failed(&e))?;
                    request(stream, host, path).await
                }
            }
        };
        let answer = timeout(PATIENCE, requested).await;
        answer.map_err(|_| HttpError::Silent)?
    }

    /// The JSON answer to a GET, of at most `limit` bytes, within `patience`.
    pub(super) async fn get_within(
        &self,
        path: &str,
        limit: usize,
        patience: Duration,
    ) -> Result<Value, HttpError> {
        let answered = async {
            let (status, body) = self.read(path, limit).await?;
            if !(200..300).contains(&status) {
                return Err(HttpError::Status(status, error_text(&body)));
            }
            serde_json::from_slice(&body).map_err(|e| failed(&e))
        };
        let answer = timeout(patience, answered).await;
        answer.map_err(|_| HttpError::Silent)?
    }

    /// The JSON answer to a GET, of at most `limit` bytes.
    pub(super) async fn get(&self, path: &str, limit: usize) -> Result<Value, HttpError> {
        self.get_within(path, limit, PATIENCE).await
    }

    /// The same by at most this version of the engine's API.
    pub(super) async fn get_as_of(
        &self,
        latest: (u32, u32),
        path: &str,
        limit: usize,
    ) -> Result<Value, HttpError> {
        let version = self.version.strip_prefix("/v").and_then(|version| {
            let (major, minor) = version.split_once('.')?;
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        });
        let (major, minor) = latest;
        if version.is_some_and(|version| version <= latest) {
            return self.get(path, limit).await;
        }
        let older = Self {
            address: self.address.clone(),
            version: format!("/v{major}.{minor}"),
        };
        older.get(path, limit).await
    }

    /// Pings the engine.
    pub(super) async fn ping(&self) -> Result<(), HttpError> {
        let answer = timeout(PATIENCE, self.read("/_ping", MAX_ERROR)).await;
        match answer.map_err(|_| HttpError::Failed("no answer to a ping".to_owned()))?? {
            (200..300, _) => Ok(()),
            (status, body) => Err(HttpError::Status(status, error_text(&body))),
        }
    }

    async fn read(&self, path: &str, limit: usize) -> Result<(u16, Chunk), HttpError> {
        let answer = self.send(path).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), limit).collect().await;
        let body = body.map_err(|e| {
            if e.is::<http_body_util::LengthLimitError>() {
                HttpError::Failed(format!("an answer larger than {} KiB", limit >> 10))
            } else {
                HttpError::Failed(error_chain(&*e))
            }
        })?;
        Ok((status, body.to_bytes()))
    }

    /// Opens a stream of JSON lines.
    pub(super) async fn lines(&self, path: &str) -> Result<JsonLines, HttpError> {
        let answer = self.send(path).await?;
        let status = answer.status().as_u16();
        if !(200..300).contains(&status) {
            return Err(HttpError::Status(status, String::new()));
        }
        Ok(JsonLines {
            body: answer.into_body(),
            buffer: Vec::new(),
            skipping: false,
        })
    }
}

fn error_text(body: &[u8]) -> String {
    let text = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|v| Some(v.get("message")?.as_str()?.to_owned()))
        .unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    text.trim().chars().take(MAX_ERROR).collect()
}

fn request<'a, S>(
    stream: S,
    host: &'a str,
    path: &'a str,
) -> BoxFuture<'a, Result<Response<Incoming>, HttpError>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(async move {
        let connected = http1::Builder::new()
            .max_buf_size(64 << 10)
            .handshake(TokioIo::new(stream))
            .await;
        let (mut sender, connection) = connected.map_err(|e| failed(&e))?;
        // Completes with the answer, or when that is dropped.
        tokio::spawn(connection);
        let request = Request::get(path)
            .header("Host", host)
            .header("User-Agent", "hullwatch")
            .body(Empty::<Chunk>::new())
            .map_err(|e| failed(&e))?;
        sender.send_request(request).await.map_err(|e| failed(&e))
    })
}

/// The lines of an endless answer.
pub(super) struct JsonLines {
    body: Incoming,
    buffer: Vec<u8>,
    /// The current line is too long.
    skipping: bool,
}

impl JsonLines {
    /// The next line; `None` when the engine ended the stream. Lines that are too long or no JSON
    /// are `Value::Null`.
    pub(super) async fn next(&mut self) -> Option<Result<Value, HttpError>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if std::mem::take(&mut self.skipping) {
                    return Some(Ok(Value::Null));
                }
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Some(Ok(serde_json::from_slice(&line).unwrap_or_default()));
            }
            if self.buffer.len() > MAX_LINE {
                self.buffer.clear();
                self.skipping = true;
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Err(e) => return Some(Err(failed(&e))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// Answers each connection with these bytes, then keeps it open.
    fn engine(answer: &'static [u8]) -> (tempfile::TempDir, EngineHttp) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer);
                open.push(stream);
            }
        });
        let http = EngineHttp::new(path.to_str().unwrap()).unwrap();
        (dir, http)
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let mut runtime = runtime;
        runtime.enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn addresses_are_sockets_or_hosts() {
        let address = |url: &str| EngineHttp::new(url).map(|http| http.address);
        assert_eq!(
            address("unix:///run/d.sock"),
            Ok(Address::Unix("/run/d.sock".into()))
        );
        assert_eq!(
            address("/run/d.sock"),
            Ok(Address::Unix("/run/d.sock".into()))
        );
        assert_eq!(address("tcp://h"), Ok(Address::Tcp("h:2375".to_owned())));
        assert_eq!(address("tcp://h:1/"), Ok(Address::Tcp("h:1".to_owned())));
        assert!(address("ssh://h").is_err());
    }

    #[test]
    fn answers_are_bounded_and_errors_are_reported() {
        let (_dir, http) = engine(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
        assert_eq!(run(http.get("/x", 64)).unwrap()["a"], 1);
        let too_large = run(http.get("/x", 4)).unwrap_err();
        assert!(too_large.to_string().contains("larger"), "{too_large}");
        let (_dir, http) =
            engine(b"HTTP/1.1 404 Not Found\r\nContent-Length: 16\r\n\r\n{\"message\":\"no\"}");
        assert_eq!(
            run(http.get("/x", 64)),
            Err(HttpError::Status(404, "no".to_owned()))
        );
        let (_dir, http) = engine(b"");
        let silent = run(http.get_within("/x", 64, Duration::from_millis(100)));
        assert_eq!(silent, Err(HttpError::Silent));
        let missing = EngineHttp::new("/nonexistent/s").unwrap();
        assert_eq!(run(missing.ping()), Err(HttpError::Absent));
    }

    #[test]
    fn a_line_that_is_no_json_does_not_end_the_stream() {
        let (_dir, http) = engine(
            b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{\"n\":1}\nodd\n\n{\"n\":2}\n...",
        );
        let got = run(async {
            let mut lines = http.lines("/events").await.unwrap();
            let mut got = Vec::new();
            for _ in 0..3 {
                got.push(lines.next().await.unwrap().unwrap());
            }
            got
        });
        assert_eq!(got[0]["n"], 1);
        assert_eq!(got[1], Value::Null);
        assert_eq!(got[2]["n"], 2);
    }
}
