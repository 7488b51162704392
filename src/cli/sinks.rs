//! Options that report findings, incidents and metrics to other programs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::CliError;
use super::error::print_message;
use super::publish::{PublishArgs, PublishPlan, read};
use super::sink_reporter::{SinkReporter, undelivered};
use crate::collect::{Live, Tap};
use crate::core::Core;
use crate::event::{Event, Severity};
use crate::fleet::Publisher;
use crate::metrics::{EventCounts, MetricsServer, MetricsSource, OtlpMetrics, OtlpMetricsSender};
use crate::sink::{
    CommandSink, Delivery, HttpClient, HttpTarget, JournalSink, OtlpHost, OtlpSink, Outlet,
    SinkBoard, SinkCounters, SinkWatcher, SyslogSink, Wanted, WebhookFormat, WebhookSink,
    find_program,
};
use crate::user_files;

/// Holds the URL of the webhook where no file does.
const WEBHOOK: &str = "HULLWATCH_NOTIFY_WEBHOOK";

/// Time at the end for what was not published yet.
const GRACE: Duration = Duration::from_secs(5);

/// A receiver and its name.
type Means = (String, Box<dyn Delivery>);

/// The receivers of incidents: none by default.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Notifications")]
pub(super) struct SinkArgs {
    /// Report incidents of this severity or above, and again when they grow: by --notify-command,
    /// --notify-webhook-file, --notify-journal or --notify-syslog [default: high when one of these
    /// is given]
    #[arg(long, value_name = "SEVERITY")]
    notify: Option<Severity>,

    /// Run this command for each incident reported, with the incident as JSON on its standard
    /// input; its words are split as a shell does, but no shell runs. Under sudo it runs as the
    /// calling user
    #[arg(long, value_name = "COMMAND")]
    notify_command: Option<String>,

    /// Post each incident reported to the URL in the first line of this file; further lines are
    /// headers, Name: value. Without a file the URL in $HULLWATCH_NOTIFY_WEBHOOK is used, if
    /// --notify is given
    #[arg(long, value_name = "FILE")]
    notify_webhook_file: Option<PathBuf>,

    /// Format of the webhook's messages
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "json")]
    notify_format: WebhookFormat,

    /// Write each incident reported into the system's journal
    #[arg(long)]
    notify_journal: bool,

    /// Write each incident reported to syslog
    #[arg(long)]
    notify_syslog: bool,

    /// Report at most this many incidents a minute to each receiver; the others are counted, and
    /// their number is reported with the next
    #[arg(long, value_name = "NUMBER", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    notify_limit: u32,

    /// Send findings and incidents as OpenTelemetry logs to this collector (OTLP over HTTP;
    /// /v1/logs is added), e.g. http://localhost:4318
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,

    /// Send findings and incidents of this severity or above by --otlp
    #[arg(
        long,
        value_name = "SEVERITY",
        default_value = "low",
        requires = "otlp"
    )]
    otlp_severity: Severity,

    /// A file with headers for --otlp, Name: value a line
    #[arg(long, value_name = "FILE", requires = "otlp")]
    otlp_headers_file: Option<PathBuf>,

    /// Also send the counts of --metrics to the collector of --otlp, once in this time, e.g. 60s
    /// (/v1/metrics is added)
    #[arg(long, value_name = "TIME", requires = "otlp", value_parser = interval)]
    otlp_metrics: Option<Duration>,

    /// Serve GET /metrics for Prometheus on this address, e.g. 127.0.0.1:9469, to anybody who can
    /// reach it
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,

    #[command(flatten)]
    publish: PublishArgs,

    // From here on each names its heading.
    /// Also trust the certificate authorities in this PEM file, besides the host's
    #[arg(long, value_name = "FILE", help_heading = "Notifications")]
    ca_file: Option<PathBuf>,
}

impl SinkArgs {
    /// Starts the requested sinks. Call it before watching starts: a command needs rights that are
    /// dropped then.
    ///
    /// # Errors
    /// When a file cannot be read or is invalid, or there is no receiver.
    pub(super) fn start(&self) -> Result<Sinks, CliError> {
        let mut watcher = SinkWatcher::default();
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let wanted = Wanted {
            incidents: Some(self.notify.unwrap_or(Severity::High)),
            findings: None,
            per_minute: Some(self.notify_limit),
        };
        for (name, delivery) in self.means(&host)? {
            let outlet = Outlet::start(name, delivery)?;
            watcher.add(outlet, wanted);
        }
        if self.notify.is_some() && watcher.is_empty() {
            return Err(CliError::expected(format!(
                "--notify has no receiver: add --notify-command, --notify-webhook-file, \
                 --notify-journal or --notify-syslog, or set {WEBHOOK}"
            )));
        }
        let mut otlp_metrics = None;
        if let Some(url) = &self.otlp {
            let (target, host) = self.collector(url)?;
            if let Some(interval) = self.otlp_metrics {
                otlp_metrics = Some(OtlpMetrics {
                    client: self.client()?,
                    target: below(&target, "v1/metrics")?,
                    host: host.clone(),
                    interval,
                });
            }
            let sink = OtlpSink {
                client: self.client()?,
                target: below(&target, "v1/logs")?,
                host,
            };
            let outlet = Outlet::start(format!("otlp {}", sink.target.name()), Box::new(sink))?;
            let wanted = Wanted {
                incidents: Some(self.otlp_severity),
                findings: Some(self.otlp_severity),
                per_minute: None,
            };
            watcher.add(outlet, wanted);
        }
        let publish = self.publish.read(self.ca_file.as_deref())?;
        let metrics = self.metrics.map(|address| {
            MetricsServer::bind(address)
                .map_err(|error| CliError::expected(format!("--metrics {address}: {error}")))
        });
        let counts = self.metrics.is_some() || otlp_metrics.is_some();
        let mut board = watcher.board();
        let otlp_metrics = otlp_metrics.map(|metrics| {
            let counters = board.add(format!("otlp metrics {}", metrics.target.name()));
            (metrics, counters)
        });
        let publish = publish.map(|plan| {
            let counters = board.add_of_events(format!("publish {}", plan.server.name()));
            (plan, counters)
        });
        Ok(Sinks {
            board,
            publish,
            publisher: None,
            metrics: metrics.transpose()?,
            otlp_metrics,
            metrics_sender: None,
            counts: counts.then(Arc::default),
            watcher: Arc::new(Mutex::new(watcher)),
            reporter: SinkReporter::default(),
        })
    }

    /// The receivers of incidents.
    fn means(&self, host: &str) -> Result<Vec<Means>, CliError> {
        let mut means: Vec<Means> = Vec::new();
        if let Some(command) = &self.notify_command {
            let mut words = shlex::split(command).unwrap_or_default();
            let [program, ..] = words.as_mut_slice() else {
                return Err(CliError::expected(format!(
                    "--notify-command {command:?}: the command is empty, or a quote is not closed"
                )));
            };
            let name = format!("command {program}");
            *program = find_program(program)
                .map_err(|why| CliError::expected(format!("--notify-command: {program}: {why}")))?;
            let helper = [vec!["deliver".to_owned(), "--".to_owned()], words].concat();
            let sink = CommandSink::start(&helper, host.to_owned())
                .map_err(|error| CliError::expected(format!("--notify-command: {error}")))?;
            means.push((name, Box::new(sink)));
        }
        if let Some(target) = self.webhook()? {
            let sink = WebhookSink {
                client: self.client()?,
                format: self.notify_format,
                host: host.to_owned(),
                target,
            };
            means.push((format!("webhook {}", sink.target.name()), Box::new(sink)));
        }
        if self.notify_journal {
            let sink = JournalSink::new(host.to_owned());
            means.push(("journal".to_owned(), Box::new(sink)));
        }
        if self.notify_syslog {
            let sink = SyslogSink::new(host.to_owned());
            means.push(("syslog".to_owned(), Box::new(sink)));
        }
        Ok(means)
    }

    /// The collector, and this host as it is described to it.
    fn collector(&self, url: &str) -> Result<(HttpTarget, OtlpHost), CliError> {
        let headers = match &self.otlp_headers_file {
            Some(path) => HttpTarget::parse_headers(&read(path)?)
                .map_err(|why| CliError::expected(format!("{}: {why}", path.display())))?,
            None => Vec::new(),
        };
        let target = HttpTarget::new(url, headers).map_err(wrong_url)?;
        if target.has_userinfo() {
            return Err(wrong_url(
                "every user can see a password in an argument: put a header into a file and use \
                 --otlp-headers-file"
                    .to_owned(),
            ));
        }
        let name = rustix::system::uname();
        let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let host = OtlpHost {
            name: name.nodename().to_string_lossy().into_owned(),
            id: id.trim().to_owned(),
            kernel: name.release().to_string_lossy().into_owned(),
        };
        Ok((target, host))
    }

    fn webhook(&self) -> Result<Option<HttpTarget>, CliError> {
        if let Some(path) = &self.notify_webhook_file {
            return target(path).map(Some);
        }
        let set = std::env::var(WEBHOOK).ok().filter(|url| !url.is_empty());
        match set.filter(|_| self.notify.is_some()) {
            Some(url) => HttpTarget::new(&url, Vec::new())
                .map(Some)
                .map_err(|why| CliError::expected(format!("{WEBHOOK}: {why}"))),
            None => Ok(None),
        }
    }

    fn client(&self) -> Result<HttpClient, CliError> {
        let more = match &self.ca_file {
            Some(path) => Some(read(path)?),
            None => None,
        };
        // The environment names files of certificates, too.
        let client = user_files::with_rights(move || {
            HttpClient::new(more.as_deref()).map_err(std::io::Error::other)
        });
        client.map_err(|error| match &self.ca_file {
            Some(path) => CliError::expected(format!("{}: {error}", path.display())),
            None => CliError::expected(format!("certificates: {error}")),
        })
    }
}

/// The time between two requests with metrics, at least a second.
fn interval(text: &str) -> Result<Duration, String> {
    match super::live::duration(text)? {
        time if time < Duration::from_secs(1) => Err("it is at least 1s".to_owned()),
        time => Ok(time),
    }
}

/// A path of the collector.
fn below(collector: &HttpTarget, path: &str) -> Result<HttpTarget, CliError> {
    collector.clone().below(path).map_err(wrong_url)
}

fn wrong_url(why: String) -> CliError {
    CliError::expected(format!("--otlp: {why}"))
}

/// The target that a file names.
fn target(path: &Path) -> Result<HttpTarget, CliError> {
    HttpTarget::parse(&read(path)?)
        .map_err(|why| CliError::expected(format!("{}: {why}", path.display())))
}

/// The sinks of a command.
pub(super) struct Sinks {
    watcher: Arc<Mutex<SinkWatcher>>,
    board: SinkBoard,
    reporter: SinkReporter,
    /// The metrics server; it serves once watching begins.
    metrics: Option<MetricsServer>,
    /// Metrics that are sent once watching begins, with the counters of their requests.
    otlp_metrics: Option<(OtlpMetrics, Arc<SinkCounters>)>,
    metrics_sender: Option<OtlpMetricsSender>,
    /// The stream is published once watching begins.
    publish: Option<(PublishPlan, Arc<SinkCounters>)>,
    publisher: Option<Publisher>,
    counts: Option<Arc<EventCounts>>,
}

/// Passes each event to another tap, then to the sinks.
struct SinkTap {
    watcher: Arc<Mutex<SinkWatcher>>,
    counts: Option<Arc<EventCounts>>,
    other: Option<Box<dyn Tap>>,
}

impl Tap for SinkTap {
    fn event(&mut self, event: &Event, core: &mut Core) {
        if let Some(other) = &mut self.other {
            other.event(event, core);
        }
        if let Some(counts) = &self.counts {
            counts.count(&event.kind);
        }
        self.watcher.lock().event(event, core);
    }
}

impl Sinks {
    /// A tap that also feeds the sinks.
    pub(super) fn tap(&self, other: Option<Box<dyn Tap>>) -> Option<Box<dyn Tap>> {
        if self.watcher.lock().is_empty() && self.counts.is_none() {
            return other;
        }
        Some(Box::new(SinkTap {
            watcher: Arc::clone(&self.watcher),
            counts: self.counts.clone(),
            other,
        }))
    }

    /// Publishes the stream, and serves and sends metrics from now on, as requested.
    pub(super) fn begin(&mut self, live: &Live) -> std::io::Result<()> {
        if let Some((plan, counters)) = self.publish.take() {
            self.publisher = Some(plan.start(Box::new(live.publishing()), counters)?);
        }
        let Some(events) = self.counts.clone() else {
            return Ok(());
        };
        let source = MetricsSource {
            core: Arc::clone(live.core()),
            events,
            sinks: self.board(),
        };
        if let Some(server) = self.metrics.take() {
            server.start(source.clone())?;
        }
        if let Some((metrics, counters)) = self.otlp_metrics.take() {
            self.metrics_sender = Some(metrics.start(source, counters)?);
        }
        Ok(())
    }

    /// The states of the sinks.
    pub(super) fn board(&self) -> SinkBoard {
        self.board.clone()
    }

    /// Reports changes on stderr: a sink that fails or works again, messages that were lost.
    pub(super) fn look(&mut self) {
        for line in self.reporter.news(&self.board.statuses(), Instant::now()) {
            print_message(line);
        }
    }

    /// Ends watching, then the sinks: they receive the last events, and have a few seconds.
    pub(super) fn stop(mut self, live: Live) -> Result<(), CliError> {
        let core = Arc::clone(live.core());
        let stopped = super::live::stop(live);
        self.watcher.lock().finish(&core.lock());
        self.end();
        stopped
    }

    /// Ends the sinks, and reports undelivered messages.
    pub(super) fn end(&mut self) {
        let deadline = Instant::now() + GRACE;
        if let Some(publisher) = &self.publisher {
            publisher.close(deadline);
        }
        if let Some(sender) = &mut self.metrics_sender {
            sender.close();
        }
        self.watcher.lock().end();
        if let Some(sender) = &mut self.metrics_sender {
            sender.end();
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.join(deadline);
        }
        for status in self.board.statuses() {
            if status.missed() > 0 {
                print_message(undelivered(&status));
            }
        }
    }
}

/// Run a command for each message that hullwatch passes
#[derive(Debug, clap::Args)]
pub(super) struct DeliverArgs {
    /// The command
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// The helper of `--notify-command`.
pub(super) fn deliver(args: &DeliverArgs) -> Result<std::process::ExitCode, CliError> {
    let input = std::io::stdin().lock();
    crate::sink::run_commands(&args.words, input, std::io::stdout().lock())?;
    Ok(std::process::ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        sinks: SinkArgs,
    }

    fn refused(words: &[&str]) -> String {
        let args = Line::parse_from([&["x"], words].concat()).sinks;
        match args.start() {
            Err(CliError::Expected(why)) => why,
            _ => String::new(),
        }
    }

    #[test]
    fn invalid_receivers_are_refused_without_repeating_secrets() {
        assert_eq!(refused(&[]), "");
        assert!(refused(&["--notify", "high"]).contains("has no receiver"));
        assert!(refused(&["--notify-command", "'x"]).contains("the command is empty"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hook");
        let path = file.to_str().unwrap();
        assert!(refused(&["--notify-webhook-file", path]).contains("No such file"));
        std::fs::write(&file, "https//secret\n").unwrap();
        let why = refused(&["--notify-webhook-file", path]);
        assert!(
            why.contains("hook: line 1") && !why.contains("secret"),
            "{why}"
        );
        std::fs::write(&file, "https://hooks.example.com/secret\n").unwrap();
        assert_eq!(refused(&["--notify-webhook-file", path]), "");
        let why = refused(&["--notify-webhook-file", path, "--ca-file", path]);
        assert!(why.contains("no certificate"), "{why}");
        let why = refused(&["--otlp", "http://me:secret@collector:4318"]);
        assert!(
            why.contains("--otlp-headers-file") && !why.contains("secret"),
            "{why}"
        );
        assert!(refused(&["--otlp", "collector:4318"]).contains("begins with https://"));
        std::fs::write(&file, "authorization: Bearer x\n").unwrap();
        let words = [
            "--otlp",
            "http://localhost:4318",
            "--otlp-headers-file",
            path,
        ];
        assert_eq!(refused(&words), "");
        let more = [&words[..], &["--otlp-metrics", "60s"]].concat();
        assert_eq!(refused(&more), "");
        assert!(Line::try_parse_from(["x", "--otlp-metrics", "60s"]).is_err());
        let often = [&["x"], &words[..], &["--otlp-metrics", "10ms"]].concat();
        assert!(Line::try_parse_from(often).is_err());
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        assert!(refused(&["--metrics", &address]).contains("in use"));
    }
}
