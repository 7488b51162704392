//! HTTP requests of sinks: bounded in time and size, TLS verified, no secrets in errors.

use std::time::Duration;

use ureq::config::Config;
use ureq::http::{StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Error};

use super::worker::DeliveryError;

/// Time limit of a request.
const WHOLE: Duration = Duration::from_secs(15);
/// Time limit for connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// Maximum size of an answer.
const MOST: u64 = 64 << 10;

/// The target of requests, with their headers. Parts of it may be secret.
#[derive(Clone)]
pub struct HttpTarget {
    url: Uri,
    headers: Vec<(String, String)>,
}

impl std::fmt::Debug for HttpTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpTarget")
            .field("host", &self.name())
            .finish_non_exhaustive()
    }
}

impl HttpTarget {
    /// Reads a URL of `http` or `https`.
    ///
    /// # Errors
    /// When it is none. The text is not repeated: it may be secret.
    pub fn new(url: &str, headers: Vec<(String, String)>) -> Result<Self, String> {
        let url: Uri = url
            .trim()
            .parse()
            .map_err(|_| "it is not a URL".to_owned())?;
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none() {
            return Err("write a URL that begins with https:// or http://".to_owned());
        }
        // The type reads a port that is none as no port, and the standard one would be used.
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let place = authority.rsplit('@').next().unwrap_or_default();
        let has_port = place.len() > url.host().map_or(0, str::len);
        if has_port && url.port_u16().is_none_or(|port| port == 0) {
            return Err("its port is not a number from 1 to 65535".to_owned());
        }
        Ok(Self { url, headers })
    }

    /// Reads the text of a file: the URL in the first line, a header `Name: value` in each further
    /// one; empty lines and those that begin with # are left out.
    ///
    /// # Errors
    /// Which line is wrong, without repeating it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line.trim()));
        let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let (number, url) = lines.next().ok_or("line 1: it holds no URL")?;
        let mut target =
            Self::new(url, Vec::new()).map_err(|why| format!("line {number}: {why}"))?;
        for (number, line) in lines {
            target
                .headers
                .push(header(line).map_err(|why| format!("line {number}: {why}"))?);
        }
        Ok(target)
    }

    /// Reads headers, `Name: value` a line; empty lines and those that begin with # are left out.
    ///
    /// # Errors
    /// Which line is wrong, without repeating it.
    pub fn parse_headers(text: &str) -> Result<Vec<(String, String)>, String> {
        let lines = text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|(number, line)| header(line).map_err(|why| format!("line {number}: {why}")))
            .collect()
    }

    /// Whether the URL holds a name or password.
    #[must_use]
    pub fn has_userinfo(&self) -> bool {
        self.url
            .authority()
            .is_some_and(|a| a.as_str().contains('@'))
    }

    /// The target at a path below this URL.
    ///
    /// # Errors
    /// When that is no URL.
    pub fn below(self, path: &str) -> Result<Self, String> {
        let base = self.url.to_string();
        let url = format!("{}/{path}", base.trim_end_matches('/'));
        Self::new(&url, self.headers)
    }

    /// The target for display: host and port only.
    #[must_use]
    pub fn name(&self) -> String {
        let host = self.url.host().unwrap_or_default();
        match self.url.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

/// A header from its line.
fn header(line: &str) -> Result<(String, String), String> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| "write a header as Name: value".to_owned())?;
    let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
    let valid = ureq::http::HeaderName::try_from(name.as_str()).is_ok()
        && ureq::http::HeaderValue::try_from(value.as_str()).is_ok();
    if valid {
        Ok((name, value))
    } else {
        Err("it is not a header".to_owned())
    }
}

/// Sends requests.
#[derive(Debug, Clone)]
pub struct HttpClient {
    agent: Agent,
}

impl HttpClient {
    /// A client that trusts the host's certificate authorities, and those of `more`, a PEM text.
    /// Reads files: call it with the rights of the user.
    ///
    /// # Errors
    /// When `more` holds no certificate.
    pub fn new(more: Option<&str>) -> Result<Self, String> {
        Self::with_times(more, CONNECT, WHOLE)
    }

    pub(super) fn with_times(
        more: Option<&str>,
        connect: Duration,
        whole: Duration,
    ) -> Result<Self, String> {
        // Fails only when one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots: Vec<Certificate<'static>> = rustls_native_certs::load_native_certs()
            .certs
            .iter()
            .map(|certificate| Certificate::from_der(certificate).to_owned())
            .collect();
        if let Some(more) = more {
            let before = roots.len();
            for item in ureq::tls::parse_pem(more.as_bytes()) {
                if let Ok(ureq::tls::PemItem::Certificate(certificate)) = item {
                    roots.push(certificate);
                }
            }
            if roots.len() == before {
                return Err("it holds no certificate in PEM form".to_owned());
            }
        }
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::new_with_certs(&roots))
            .build();
        let config = Config::builder()
            .tls_config(tls)
            .timeout_global(Some(whole))
            .timeout_connect(Some(connect))
            // A redirection would send secrets elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("hullwatch/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: config.into(),
        })
    }

    /// Posts a body; returns the answer's body, at most 64 KiB of it.
    ///
    /// # Errors
    /// When the other side is not reached, or refuses it.
    pub fn post(
        &self,
        target: &HttpTarget,
        content_type: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, DeliveryError> {
        let mut request = self
            .agent
            .post(&target.url)
            .header("content-type", content_type);
        for (name, value) in &target.headers {
            request = request.header(name, value);
        }
        let answer = request.send(body).map_err(|error| failure(&error))?;
        let status = answer.status();
        let mut body = answer.into_body();
        let body = body.with_config().limit(MOST).read_to_vec();
        if status.is_success() {
            // The message was accepted, whatever the answer.
            return Ok(body.unwrap_or_default());
        }
        let why = format!("the answer is {status}");
        let retry = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        Err(DeliveryError { why, retry })
    }
}

/// Why a request failed, without any part of the URL.
fn failure(error: &Error) -> DeliveryError {
    let why = match error {
        Error::Timeout(what) => format!("no answer in time ({what})"),
        Error::HostNotFound => "its name is not known".to_owned(),
        Error::ConnectionFailed => "cannot connect".to_owned(),
        Error::Io(error) => format!("cannot reach it: {error}"),
        Error::Tls(why) => format!("TLS: {why}"),
        Error::Rustls(error) => format!("TLS: {error}"),
        Error::Protocol(_) | Error::LargeResponseHeader(..) => {
            "what it answers is not HTTP".to_owned()
        }
        _ => "the request failed".to_owned(),
    };
    DeliveryError::passing(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;

    use crossbeam_channel::{Receiver, unbounded};

    const SECOND: Duration = Duration::from_secs(1);

    /// Reads a request with its body.
    fn request(stream: &mut impl Read) -> String {
        let (mut text, mut buffer) = (String::new(), [0; 4096]);
        loop {
            let length = stream.read(&mut buffer).unwrap();
            text.push_str(&String::from_utf8_lossy(&buffer[..length]));
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let head = head.to_lowercase();
            let wanted = head.split("content-length: ").nth(1).unwrap();
            if body.len() >= wanted.lines().next().unwrap().parse().unwrap() {
                return text;
            }
        }
    }

    /// A server that answers each request with the next of these; the requests it got.
    fn server(answers: &'static [&'static str]) -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook/secret", listener.local_addr().unwrap());
        let (send, got) = unbounded();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                send.send(request(&mut stream)).unwrap();
                write!(stream, "HTTP/1.1 {answer}\r\nconnection: close\r\n\r\n").unwrap();
            }
        });
        (url, got)
    }

    fn post(client: &HttpClient, url: &str) -> Result<Vec<u8>, DeliveryError> {
        let headers = vec![("x-token".to_owned(), "t0".to_owned())];
        let target = HttpTarget::new(url, headers).unwrap();
        client.post(&target, "application/json", b"{\"a\":1}")
    }

    #[test]
    fn a_request_arrives_complete_and_answers_are_distinguished() {
        let (url, got) = server(&[
            "204 No Content",
            "500 Oops",
            "429 Slow",
            "400 Bad",
            "302 Found\r\nlocation: http://127.0.0.1:1/",
        ]);
        let client = HttpClient::new(None).unwrap();
        post(&client, &url).unwrap();
        let request = got.recv().unwrap().to_lowercase();
        assert!(
            request.starts_with("post /hook/secret http/1.1"),
            "{request}"
        );
        for wanted in ["x-token: t0", "user-agent: hullwatch/", "{\"a\":1}"] {
            assert!(request.contains(wanted), "{request}");
        }
        for retry in [true, true, false, false] {
            let error = post(&client, &url).unwrap_err();
            assert_eq!(error.retry, retry, "{error:?}");
            assert!(error.why.starts_with("the answer is") && !error.why.contains("secret"));
        }
    }

    #[test]
    fn one_that_is_dead_or_slow_is_an_error_in_time() {
        let client = HttpClient::with_times(None, SECOND, SECOND).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/secret", listener.local_addr().unwrap());
        // It accepts and does not answer.
        let slow = post(&client, &url).unwrap_err();
        assert!(
            slow.retry && slow.why.contains("no answer in time"),
            "{slow:?}"
        );
        drop(listener);
        let dead = post(&client, &url).unwrap_err();
        assert!(dead.retry && !dead.why.contains("secret"), "{dead:?}");
        let unknown = post(&client, "http://no.such.host.invalid/secret").unwrap_err();
        assert!(
            unknown.retry && !unknown.why.contains("secret"),
            "{unknown:?}"
        );
    }

    #[test]
    fn a_certificate_is_verified() {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = issued.cert.pem();
        let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der());
        let chain = vec![issued.cert.der().clone()];
        // Fails only when one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key.unwrap())
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let serve = |stream: TcpStream| -> std::io::Result<()> {
                let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut tls = rustls::StreamOwned::new(session, stream);
                // A client that does not trust it leaves here.
                tls.conn.complete_io(&mut tls.sock)?;
                request(&mut tls);
                tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            };
            for stream in listener.incoming() {
                let _ = serve(stream.unwrap());
            }
        });
        let url = format!("https://localhost:{port}/");
        let stranger = HttpClient::new(None).unwrap();
        let refused = post(&stranger, &url).unwrap_err();
        assert!(
            refused.why.contains("TLS") || refused.why.contains("certificate"),
            "{refused:?}"
        );
        let friend = HttpClient::new(Some(&pem)).unwrap();
        post(&friend, &url).unwrap();
        // The right authority, another name.
        let other = post(&friend, &format!("https://127.0.0.1:{port}/")).unwrap_err();
        assert!(other.why.contains("certificate"), "{other:?}");
    }

    #[test]
    fn a_target_is_read_and_never_repeated() {
        let target = HttpTarget::parse(
            "# Slack\nhttps://hooks.example.com/services/T0/secret\n\nAuthorization: Bearer \
             s3cret\n",
        );
        let target = target.unwrap();
        assert_eq!(target.name(), "hooks.example.com");
        assert_eq!(target.headers.len(), 1);
        assert!(!format!("{target:?}").contains("ecret"));
        for (text, why) in [
            ("", "line 1"),
            ("ftp://secret.example.com", "line 1: write a URL"),
            ("# x\nnot a secret url", "line 2"),
            (
                "https://x.example\nno secret header",
                "line 2: write a header",
            ),
            (
                "https://x.example\nBad Name: secret",
                "line 2: it is not a header",
            ),
        ] {
            let error = HttpTarget::parse(text).unwrap_err();
            assert!(error.contains(why) && !error.contains("secret"), "{error}");
        }
        for port in ["", "0", "99999", "x"] {
            for host in ["localhost", "[::1]", "u:p@localhost"] {
                let target = HttpTarget::new(&format!("http://{host}:{port}/"), Vec::new());
                assert!(target.is_err(), "{host}:{port}");
            }
        }
        let below = HttpTarget::new("http://localhost:4318/", Vec::new()).unwrap();
        let below = below.below("v1/logs").unwrap();
        assert_eq!(below.url.to_string(), "http://localhost:4318/v1/logs");
        assert!(
            HttpTarget::new("http://u:p@h/", Vec::new())
                .unwrap()
                .has_userinfo()
        );
    }
}
