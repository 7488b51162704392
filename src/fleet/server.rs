//! The NATS server: its address, credentials and certificates, and the connection to it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, Info};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, ConnectOptions, ServerAddr};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use time::OffsetDateTime;

use super::limits::PublishLimits;
use super::subject::{ALL_STREAMS, ALL_SUMMARIES, STREAM, SUMMARIES};
use crate::text::error_chain;

/// Time limit for connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// Time limit for an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// A server that is silent for about twice this time is away.
const PING: Duration = Duration::from_secs(5);
/// The longest pause between two attempts to connect.
const LONGEST: Duration = Duration::from_secs(5);
/// How long the server recognises a block that is sent again.
const DUPLICATES: Duration = Duration::from_secs(600);
/// Bytes of the stream of recordings when nobody chose, and the fewest tried then.
const DEFAULT_BYTES: u64 = 10 << 30;
const LEAST_BYTES: u64 = 64 << 20;

/// How to prove who connects. Secret.
#[derive(Clone)]
enum NatsCredentials {
    None,
    /// A file as `nsc` makes it: a token and a key.
    File(String),
    User(String, String),
    Token(String),
}

/// One or more servers of a cluster, and how to connect to them.
#[derive(Clone)]
pub struct NatsServer {
    addresses: Vec<ServerAddr>,
    credentials: NatsCredentials,
    tls: Option<ClientConfig>,
    require_tls: bool,
}

impl std::fmt::Debug for NatsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsServer")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl NatsServer {
    /// Reads `nats://HOST:PORT` or `tls://HOST:PORT`; several are separated by commas.
    ///
    /// # Errors
    /// When it is no such address, or holds a password, which is not repeated.
    pub fn new(urls: &str) -> Result<Self, String> {
        let mut addresses = Vec::new();
        let mut require_tls = false;
        for url in urls.split(',').map(str::trim) {
            let (scheme, rest) = url.split_once("://").unwrap_or_default();
            if !matches!(scheme, "nats" | "tls") || rest.is_empty() {
                return Err("write nats://HOST:PORT or tls://HOST:PORT".to_owned());
            }
            if rest.contains('@') {
                return Err(
                    "every user can see a password in an argument: put it into a file of credentials"
                        .to_owned(),
                );
            }
            require_tls |= scheme == "tls";
            let address = url.parse::<ServerAddr>();
            addresses.push(address.map_err(|_| "it is not an address".to_owned())?);
        }
        Ok(Self {
            addresses,
            credentials: NatsCredentials::None,
            tls: None,
            require_tls,
        })
    }

    /// Uses the content of a file of credentials: as `nsc` makes it, or lines `user: NAME` and
    /// `password: WORD`, or `token: WORD`. From then on a connection to another host is encrypted.
    ///
    /// # Errors
    /// What is missing, without repeating anything.
    pub fn with_credentials(mut self, text: &str) -> Result<Self, String> {
        let value = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(':'));
            let mut found = lines.filter(|(key, _)| key.trim() == name);
            found.next().map(|(_, value)| value.trim().to_owned())
        };
        self.credentials = if text.contains("BEGIN NATS USER JWT") {
            ConnectOptions::with_credentials(text)
                .map_err(|_| "its key cannot be read".to_owned())?;
            NatsCredentials::File(text.to_owned())
        } else if let Some(token) = value("token") {
            NatsCredentials::Token(token)
        } else {
            let both = value("user").zip(value("password"));
            let (user, password) =
                both.ok_or("it holds neither a NATS user JWT nor user and password nor a token")?;
            NatsCredentials::User(user, password)
        };
        self.require_tls |= !self.addresses.iter().all(is_here);
        Ok(self)
    }

    /// Trusts the host's certificate authorities, and those of `more`, a PEM text. Reads files: call it
    /// with the rights of the user.
    ///
    /// # Errors
    /// When `more` holds no certificate.
    pub fn with_authorities(mut self, more: Option<&str>) -> Result<Self, String> {
        // Fails only when one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(more) = more {
            let mut added = 0;
            for certificate in CertificateDer::pem_slice_iter(more.as_bytes()).flatten() {
                added += usize::from(roots.add(certificate).is_ok());
            }
            if added == 0 {
                return Err("it holds no certificate in PEM form".to_owned());
            }
        }
        let config = ClientConfig::builder().with_root_certificates(roots);
        self.tls = Some(config.with_no_client_auth());
        Ok(self)
    }

    /// For display: host and port of the first server.
    #[must_use]
    pub fn name(&self) -> String {
        self.addresses.first().map_or_else(String::new, |address| {
            format!("{}:{}", address.host(), address.port())
        })
    }

    /// Connects once; the client connects again by itself. `told` gets the latest error.
    ///
    /// # Errors
    /// Why it is not reached, without secrets.
    pub(super) async fn connect(
        &self,
        told: &Arc<Mutex<Option<String>>>,
    ) -> Result<Client, String> {
        let told = Arc::clone(told);
        let mut options = ConnectOptions::new()
            .name("hullwatch")
            .connection_timeout(CONNECT)
            .request_timeout(Some(ANSWER))
            .ping_interval(PING)
            .require_tls(self.require_tls)
            .reconnect_delay_callback(|attempt| {
                let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
                Duration::from_millis(250)
                    .saturating_mul(attempt)
                    .min(LONGEST)
            })
            .event_callback(move |event| {
                let told = Arc::clone(&told);
                async move {
                    tracing::info!(%event, "nats");
                    match event {
                        async_nats::Event::Connected => *told.lock() = None,
                        event => *told.lock() = Some(event.to_string()),
                    }
                }
            });
        if let Some(tls) = &self.tls {
            options = options.tls_client_config(tls.clone());
        }
        options = match &self.credentials {
            NatsCredentials::None => options,
            NatsCredentials::File(text) => options
                .credentials(text)
                .map_err(|_| "the credentials cannot be read".to_owned())?,
            NatsCredentials::User(user, password) => {
                options.user_and_password(user.clone(), password.clone())
            }
            NatsCredentials::Token(token) => options.token(token.clone()),
        };
        let connected = tokio::time::timeout(CONNECT * 2, options.connect(&self.addresses[..]));
        match connected.await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(error)) => Err(format!("cannot connect: {}", error_chain(&error))),
            Err(_) => Err("cannot connect: timed out".to_owned()),
        }
    }
}

/// True for an address of this host.
fn is_here(address: &ServerAddr) -> bool {
    let host = address.host();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// Creates the streams where they are missing; one that exists is left as it is. Returns when that of
/// the recordings was created: one that is created again has another time.
///
/// # Errors
/// When the server refuses it or does not answer.
pub(super) async fn create_streams(
    context: &jetstream::Context,
    limits: &PublishLimits,
) -> Result<OffsetDateTime, String> {
    let common = Config {
        max_age: limits.keep,
        discard: DiscardPolicy::Old,
        num_replicas: limits.replicas,
        duplicate_window: DUPLICATES.min(limits.keep),
        allow_direct: true,
        ..Config::default()
    };
    let recordings = Config {
        name: STREAM.to_owned(),
        subjects: vec![ALL_STREAMS.to_owned()],
        ..common.clone()
    };
    let summaries = Config {
        name: SUMMARIES.to_owned(),
        subjects: vec![ALL_SUMMARIES.to_owned()],
        max_messages_per_subject: 1,
        ..common
    };
    create_recordings(context, recordings, limits.max_bytes).await?;
    create_stream(context, &summaries)
        .await
        .map_err(|error| error.text)?;
    let stream = context.get_stream(STREAM).await;
    let stream = stream.map_err(|error| format!("stream {STREAM}: {}", error_chain(&error)))?;
    Ok(stream.cached_info().created)
}

/// Whether a stream was deleted since it was this one; a server that does not answer does not say so.
pub(super) async fn is_replaced(context: &jetstream::Context, known: &Info) -> bool {
    match context.get_stream(&known.config.name).await {
        Ok(stream) => stream.cached_info().created != known.created,
        Err(error) => matches!(
            error.kind(),
            jetstream::context::GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND
        ),
    }
}

/// Creates the stream of recordings. A server reserves a stream's bytes when it is created, so the
/// size that nobody chose is halved until the server has it.
async fn create_recordings(
    context: &jetstream::Context,
    mut config: Config,
    chosen: Option<u64>,
) -> Result<(), String> {
    let mut bytes = chosen.unwrap_or(DEFAULT_BYTES);
    loop {
        config.max_bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let size = bytesize::ByteSize(bytes);
        match create_stream(context, &config).await {
            Ok(()) => {
                if chosen.is_none() && bytes < DEFAULT_BYTES {
                    tracing::warn!(%size, "the server has little room: the stream is smaller");
                }
                return Ok(());
            }
            Err(error) if error.no_room && chosen.is_none() && bytes / 2 >= LEAST_BYTES => {
                bytes /= 2;
            }
            Err(error) if error.no_room => {
                return Err(format!("{} for {size}", error.text));
            }
            Err(error) => return Err(error.text),
        }
    }
}

/// Why a stream is not there.
struct StreamError {
    text: String,
    /// The server, or as many as are to keep it, have too little room.
    no_room: bool,
}

/// Creates a stream where it is missing.
async fn create_stream(context: &jetstream::Context, config: &Config) -> Result<(), StreamError> {
    let name = &config.name;
    match context.get_stream(name).await {
        Ok(_) => return Ok(()),
        Err(error) => match error.kind() {
            jetstream::context::GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
            _ => {
                return Err(StreamError {
                    text: format!("stream {name}: {}", error_chain(&error)),
                    no_room: false,
                });
            }
        },
    }
    let Err(error) = context.create_stream(config).await else {
        return Ok(());
    };
    // Another host may have been faster.
    if context.get_stream(name).await.is_ok() {
        return Ok(());
    }
    let code = match error.kind() {
        jetstream::context::CreateStreamErrorKind::JetStream(error) => Some(error.error_code()),
        _ => None,
    };
    // A cluster answers with the last one, which has other causes, too.
    let no_room = [
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
        ErrorCode::STORAGE_RESOURCES_EXCEEDED,
        ErrorCode::CLUSTER_NO_PEERS,
    ]
    .map(Some)
    .contains(&code);
    Err(StreamError {
        text: format!("stream {name}: {}", error_chain(&error)),
        no_room,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_no_password_and_secrets_are_encrypted() {
        for wrong in [
            "",
            "localhost",
            "http://h:1",
            "nats://",
            "nats://u:p@h:4222",
        ] {
            let why = NatsServer::new(wrong).unwrap_err();
            assert!(!why.contains("u:p"), "{why}");
        }
        let here = NatsServer::new("nats://127.0.0.1:4222").unwrap();
        assert_eq!(here.name(), "127.0.0.1:4222");
        let here = here.with_credentials("user: a\npassword: b\n").unwrap();
        assert!(!here.require_tls);
        let away = NatsServer::new("nats://a:4222,nats://b:4222").unwrap();
        assert!(!away.require_tls);
        let away = away.with_credentials("token: s3cret").unwrap();
        assert!(away.require_tls);
        assert!(!format!("{away:?}").contains("s3cret"));
        assert!(NatsServer::new("tls://a").unwrap().require_tls);
        let empty = NatsServer::new("nats://a")
            .unwrap()
            .with_credentials("user: x");
        assert!(empty.unwrap_err().contains("neither"));
        assert!(
            NatsServer::new("nats://a")
                .unwrap()
                .with_authorities(Some("x"))
                .is_err()
        );
    }
}
