//! Options that publish the stream to a NATS server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;

use super::{CliError, live};
use crate::fleet::{HostName, NatsServer, PublishLimits, Publisher};
use crate::recording::SegmentSource;
use crate::sink::SinkCounters;
use crate::user_files;

/// Publishing: off by default.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Publishing")]
pub(super) struct PublishArgs {
    /// Publish everything recorded to this NATS server with JetStream, for hullwatch fleet: nats:// or
    /// tls://HOST:PORT; several servers of one cluster are separated by commas. Secrets are masked
    #[arg(long, value_name = "URL")]
    publish: Option<String>,

    /// A file of credentials for --publish: as nsc makes it, or lines user: NAME and password: WORD, or
    /// token: WORD
    #[arg(long, value_name = "FILE", requires = "publish")]
    publish_credentials: Option<PathBuf>,

    /// Name of this host on the server [default: the host name]
    #[arg(long, value_name = "NAME", requires = "publish")]
    publish_as: Option<String>,

    /// How long the server keeps what is published; this and the next two are used when the stream is
    /// created, and one that exists is never changed
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = live::duration, requires = "publish")]
    publish_keep: Duration,

    /// Bytes of all hosts that the server keeps; the oldest are removed [default: 10GiB; where the server
    /// has less room, halved until it fits]
    #[arg(long, value_name = "SIZE", requires = "publish")]
    publish_max_size: Option<ByteSize>,

    /// Number of servers of the cluster that keep each message
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=5), requires = "publish")]
    publish_replicas: u8,

    /// Begin another segment after this time: a reader begins with a whole one
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = live::duration, requires = "publish")]
    publish_segment: Duration,
}

/// A publisher that has not begun.
#[derive(Debug)]
pub(super) struct PublishPlan {
    pub(super) server: NatsServer,
    host: HostName,
    limits: PublishLimits,
}

/// A text file that the user named.
pub(super) fn read(path: &Path) -> Result<String, CliError> {
    user_files::read(path)
        .map_err(|error| CliError::expected(format!("{}: {error}", path.display())))
}

/// The server of a URL, with these credentials and authorities.
pub(super) fn server(
    option: &str,
    urls: &str,
    credentials: Option<&Path>,
    authorities: Option<&Path>,
) -> Result<NatsServer, CliError> {
    let wrong = |why| CliError::expected(format!("{option}: {why}"));
    let mut server = NatsServer::new(urls).map_err(wrong)?;
    if let Some(path) = credentials {
        let of_file = |why| CliError::expected(format!("{}: {why}", path.display()));
        server = server.with_credentials(&read(path)?).map_err(of_file)?;
    }
    let more = authorities.map(read).transpose()?;
    // The environment names files of certificates, too.
    let made = user_files::with_rights(move || {
        server
            .with_authorities(more.as_deref())
            .map_err(std::io::Error::other)
    });
    made.map_err(|error| match authorities {
        Some(path) => CliError::expected(format!("{}: {error}", path.display())),
        None => CliError::expected(format!("certificates: {error}")),
    })
}

impl PublishArgs {
    /// What is to be published where; nothing without the option.
    pub(super) fn read(&self, authorities: Option<&Path>) -> Result<Option<PublishPlan>, CliError> {
        let Some(urls) = &self.publish else {
            return Ok(None);
        };
        let credentials = self.publish_credentials.as_deref();
        let server = server("--publish", urls, credentials, authorities)?;
        let host = match &self.publish_as {
            Some(name) => HostName::new(name.as_bytes()),
            None => HostName::new(rustix::system::uname().nodename().to_bytes()),
        };
        Ok(Some(PublishPlan {
            server,
            host,
            limits: PublishLimits {
                keep: self.publish_keep.max(Duration::from_secs(1)),
                max_bytes: self.publish_max_size.map(|size| size.as_u64().max(1 << 20)),
                replicas: usize::from(self.publish_replicas),
                segment: self.publish_segment.max(Duration::from_secs(1)),
                ..PublishLimits::default()
            },
        }))
    }
}

impl PublishPlan {
    /// Begins.
    pub(super) fn start(
        self,
        source: Box<dyn SegmentSource>,
        counters: Arc<SinkCounters>,
    ) -> std::io::Result<Publisher> {
        Publisher::start(self.server, self.host, self.limits, source, counters)
    }
}
