//! Answers `GET /metrics` on an address, and nothing else.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::thread::CapabilitySet;
use tokio::task::AbortHandle;

use super::snapshot::MetricsSource;
use crate::system;

/// Maximum number of connections at once; a further one ends the oldest.
const MOST: usize = 32;
/// Time limit of one connection.
const TIME: Duration = Duration::from_secs(10);
/// The media type of OpenMetrics.
const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The media type of Prometheus' own format.
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A bound address that is not served yet.
#[derive(Debug)]
pub struct MetricsServer(TcpListener);

impl MetricsServer {
    /// Binds the address.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// The bound address.
    ///
    /// # Errors
    /// When the system does not know it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves requests on a thread of its own that ends with the program.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(self, source: MetricsSource) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || {
                // It needs none of the rights that watching needs.
                let _ = system::keep_capabilities(CapabilitySet::empty());
                let _ = system::confine_calls();
                let _ = system::confine_files();
                if let Err(error) = runtime.block_on(serve(self.0, Arc::new(source))) {
                    tracing::error!(%error, "metrics are no longer served");
                }
            })?;
        Ok(())
    }
}

async fn serve(listener: TcpListener, source: Arc<MetricsSource>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // The client disconnected, or file descriptors are short for a moment.
            Err(error) => {
                tracing::debug!(%error, "metrics: accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let source = Arc::clone(&source);
        open.retain(|connection| !connection.is_finished());
        // One that says nothing makes room for one that may: a request takes a moment only.
        while open.len() >= MOST
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let served = tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let answer = answer(&request, &source);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            // A client that is slow, or disconnects, gets no metrics.
            let _ = tokio::time::timeout(TIME, connection).await;
        });
        open.push_back(served.abort_handle());
    }
}

/// The metrics in the requested format, after its media type.
fn metrics(
    request: &Request<Incoming>,
    source: &MetricsSource,
) -> Result<(&'static str, String), std::fmt::Error> {
    let accepted = request.headers().get_all(hyper::header::ACCEPT);
    let mut accepted = accepted.iter().filter_map(|value| value.to_str().ok());
    match accepted.any(|value| value.contains("application/openmetrics-text")) {
        true => Ok((OPEN, source.text()?)),
        false => Ok((CLASSIC, source.classic_text()?)),
    }
}

fn answer(request: &Request<Incoming>, source: &MetricsSource) -> Response<Full<Bytes>> {
    let plain = |status: StatusCode, text: String| {
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response
    };
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match metrics(request, source) {
            Ok((kind, text)) => {
                let mut response = plain(StatusCode::OK, text);
                let kind = hyper::header::HeaderValue::from_static(kind);
                response
                    .headers_mut()
                    .insert(hyper::header::CONTENT_TYPE, kind);
                response
            }
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        (_, "/metrics") => plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned()),
        _ => plain(
            StatusCode::NOT_FOUND,
            "hullwatch: see /metrics\n".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    fn get(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        let (line, header) = request.split_once('|').unwrap_or((request, "x-none: 1"));
        write!(stream, "{line} HTTP/1.1\r\nhost: x\r\n{header}\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn metrics_are_answered_and_nothing_else() {
        let server = MetricsServer::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = server.address().unwrap();
        let source = MetricsSource {
            core: Arc::default(),
            events: Arc::default(),
            sinks: crate::sink::SinkBoard::default(),
        };
        server.start(source).unwrap();
        // Idle connections keep no other client waiting, however many there are.
        let idle: Vec<_> = (0..4 * MOST)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let text = get(address, "GET /metrics");
        assert!(
            text.starts_with("HTTP/1.1 200") && text.contains(CLASSIC),
            "{text}"
        );
        assert!(text.contains("hullwatch_containers 0.0\n"), "{text}");
        let open = get(address, "GET /metrics|accept: application/openmetrics-text");
        assert!(open.contains(OPEN) && open.ends_with("# EOF\n"), "{open}");
        assert!(get(address, "GET /").starts_with("HTTP/1.1 404"));
        assert!(get(address, "POST /metrics").starts_with("HTTP/1.1 405"));
        drop(idle);
        assert!(MetricsServer::bind(address).is_err());
    }
}
