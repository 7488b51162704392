//! gRPC calls to an engine over its Unix socket. Every answer is bounded in bytes and time: a
//! faulty or malicious engine must not fill this program's memory or block it.

use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes as Chunk, Incoming};
use hyper::client::conn::http2;
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::text::error_chain;

/// Time limit for an answer; an engine that takes longer counts as unavailable.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// Bytes of one message.
const MAX_MESSAGE: usize = 4 << 20;
/// Bytes before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// Longest error text taken from an answer.
const MAX_ERROR: usize = 1024;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GrpcError {
    /// The socket does not exist.
    Absent,
    /// The engine answered with this status and text.
    Status(u32, String),
    /// It was not reached, or its answer was invalid.
    Failed(String),
}

impl std::fmt::Display for GrpcError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("its socket does not exist"),
            Self::Status(code, text) => write!(f, "it answered gRPC status {code}: {text}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

fn failed(error: &dyn std::error::Error) -> GrpcError {
    GrpcError::Failed(error_chain(error))
}

fn no_answer() -> GrpcError {
    GrpcError::Failed("no answer".to_owned())
}

/// A connection to an engine.
#[derive(Debug)]
pub(super) struct GrpcConnection {
    sender: http2::SendRequest<Full<Chunk>>,
    driver: JoinHandle<()>,
}

impl Drop for GrpcConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl GrpcConnection {
    /// Connects to the socket at `path`.
    pub(super) async fn connect(path: &Path) -> Result<Self, GrpcError> {
        let connecting = async {
            let stream = UnixStream::connect(path).await;
            let stream = stream.map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => GrpcError::Absent,
                _ => failed(&e),
            })?;
            let connected = http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(256 << 10)
                .initial_connection_window_size(1 << 20)
                .max_header_list_size(16 << 10)
                .handshake(TokioIo::new(stream))
                .await;
            connected.map_err(|e| failed(&e))
        };
        let (sender, connection) = timeout(PATIENCE, connecting)
            .await
            .map_err(|_| no_answer())??;
        let driver = tokio::spawn(async move {
            // The callers that wait for an answer get the cause.
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// A call with one answer. `method` is `package.Service/Method`, `namespace` containerd's.
    pub(super) async fn call<A: Message + Default>(
        &self,
        method: &str,
        namespace: &str,
        request: &impl Message,
    ) -> Result<A, GrpcError> {
        let answered = async {
            let mut answers = self.stream(method, namespace, request)?;
            let answer = answers.next().await?;
            answer.ok_or_else(|| GrpcError::Failed("an answer without content".to_owned()))
        };
        timeout(PATIENCE, answered).await.map_err(|_| no_answer())?
    }

    /// A call with a stream of answers, which may take any time. The call is made at once; a server
    /// answers nothing at all before its first message.
    pub(super) fn stream<A: Message + Default>(
        &self,
        method: &str,
        namespace: &str,
        request: &impl Message,
    ) -> Result<GrpcStream<A>, GrpcError> {
        let message = request.encode_to_vec();
        let length = u32::try_from(message.len()).map_err(|e| failed(&e))?;
        let mut body = Vec::with_capacity(PREFIX + message.len());
        body.push(0);
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(&message);
        let request = Request::post(format!("http://localhost/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", "hullwatch")
            .header("containerd-namespace", namespace)
            .body(Full::new(Chunk::from(body)))
            .map_err(|e| failed(&e))?;
        let mut sender = self.sender.clone();
        let answer = sender.send_request(request);
        Ok(GrpcStream {
            answer: Answer::Awaited(Box::pin(answer)),
            buffer: Vec::new(),
            ended: false,
            of: PhantomData,
        })
    }
}

/// An answer, before and after its headers came.
enum Answer {
    Awaited(BoxFuture<'static, hyper::Result<Response<Incoming>>>),
    Body(Incoming),
}

/// The messages of an answer.
pub(super) struct GrpcStream<A> {
    answer: Answer,
    /// Bytes that are no whole message yet.
    buffer: Vec<u8>,
    ended: bool,
    of: PhantomData<A>,
}

impl<A: Message + Default> GrpcStream<A> {
    async fn body(&mut self) -> Result<&mut Incoming, GrpcError> {
        if let Answer::Awaited(answer) = &mut self.answer {
            let answer = answer.await.map_err(|e| failed(&e))?;
            if answer.status() != StatusCode::OK {
                let why = format!("it answered HTTP status {}", answer.status().as_u16());
                return Err(GrpcError::Failed(why));
            }
            // An answer without messages may hold its status there.
            status(answer.headers())?;
            self.answer = Answer::Body(answer.into_body());
        }
        match &mut self.answer {
            Answer::Body(body) => Ok(body),
            Answer::Awaited(_) => Err(no_answer()),
        }
    }

    /// The next message, within the time an engine has to answer.
    pub(super) async fn next_soon(&mut self) -> Result<Option<A>, GrpcError> {
        let next = timeout(PATIENCE, self.next()).await;
        next.map_err(|_| no_answer())?
    }

    /// The next message; `None` at the end. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<Option<A>, GrpcError> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            let frame = self.body().await?.frame().await;
            match frame {
                None => self.ended = true,
                Some(Err(e)) => return Err(failed(&e)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => {
                        self.ended = true;
                        if let Some(trailers) = frame.trailers_ref() {
                            status(trailers)?;
                        }
                    }
                },
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<A>, GrpcError> {
        let Some((&[compressed, a, b, c, d], rest)) = self.buffer.split_first_chunk::<PREFIX>()
        else {
            return Ok(None);
        };
        if compressed != 0 {
            return Err(GrpcError::Failed("a compressed answer".to_owned()));
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > MAX_MESSAGE {
            let why = format!("an answer larger than {} KiB", MAX_MESSAGE >> 10);
            return Err(GrpcError::Failed(why));
        }
        let Some(message) = rest.get(..length) else {
            return Ok(None);
        };
        let message = A::decode(message).map_err(|e| failed(&e))?;
        self.buffer.drain(..PREFIX + length);
        Ok(Some(message))
    }
}

/// An error when the headers hold a status other than success.
fn status(headers: &HeaderMap) -> Result<(), GrpcError> {
    let text = |key: &str| headers.get(key).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        None | Some("0") => Ok(()),
        Some(code) => {
            let why = text("grpc-message").unwrap_or_default();
            let why = why.chars().take(MAX_ERROR).collect();
            Err(GrpcError::Status(code.parse().unwrap_or(2), why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::containerd_api::{Empty, VersionAnswer};
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use hyper::server::conn::http2 as server;
    use hyper::service::service_fn;

    const METHOD: &str = "containerd.services.version.v1.Version/Version";

    /// A server's response to a call.
    #[derive(Clone)]
    enum Behavior {
        Answer { body: Vec<u8>, status: &'static str },
        HeadersOnly,
        Hang,
    }

    async fn ask(behavior: Behavior) -> Result<VersionAnswer, GrpcError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let socket = tokio::net::UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (stream, _) = socket.accept().await.unwrap();
            let service = service_fn(move |_: Request<Incoming>| {
                let behavior = behavior.clone();
                async move {
                    let answer = Response::builder();
                    let (answer, frames) = match behavior {
                        Behavior::Hang => std::future::pending().await,
                        Behavior::HeadersOnly => (
                            answer
                                .header("grpc-status", "12")
                                .header("grpc-message", "no"),
                            Vec::new(),
                        ),
                        Behavior::Answer { body, status } => {
                            let mut trailers = HeaderMap::new();
                            trailers.insert("grpc-status", status.parse().unwrap());
                            // In pieces of three bytes: messages do not end where frames do.
                            let mut frames: Vec<Frame<Chunk>> = body
                                .chunks(3)
                                .map(|part| Frame::data(Chunk::copy_from_slice(part)))
                                .collect();
                            frames.push(Frame::trailers(trailers));
                            (answer, frames)
                        }
                    };
                    let frames = frames.into_iter().map(Ok::<_, std::convert::Infallible>);
                    answer.body(StreamBody::new(futures_util::stream::iter(frames)))
                }
            });
            let server = server::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
        let grpc = GrpcConnection::connect(&path).await?;
        grpc.call(METHOD, "default", &Empty {}).await
    }

    fn message(length: u32, content: &[u8]) -> Vec<u8> {
        [&[0], length.to_be_bytes().as_slice(), content].concat()
    }

    fn answer(body: Vec<u8>, status: &'static str) -> Behavior {
        Behavior::Answer { body, status }
    }

    #[tokio::test]
    async fn an_answer_in_pieces_is_read() {
        let body = message(5, b"\x0a\x031.7");
        assert_eq!(ask(answer(body, "0")).await.unwrap().version, "1.7");
    }

    #[tokio::test]
    async fn a_malicious_or_hanging_engine_is_an_error() {
        let cases = [
            (Behavior::Hang, "no answer"),
            (Behavior::HeadersOnly, "status 12: no"),
            (answer(Vec::new(), "5"), "status 5"),
            (answer(message(u32::MAX, b"x"), "0"), "larger than"),
            (answer(message(50, b"x"), "0"), "without content"),
            (answer(vec![1, 0, 0, 0, 1, 0], "0"), "compressed"),
            (answer(message(2, b"\x0a\xff"), "0"), "decode"),
        ];
        for (behavior, expected) in cases {
            let error = ask(behavior).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
