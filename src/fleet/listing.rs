//! All hosts by their summaries: ranked, and findings of several hosts told as one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::{self, Message};
use futures_util::StreamExt as _;
use parking_lot::Mutex;

use super::server::{ANSWER, NatsServer, is_replaced};
use super::subject::{HostName, SUMMARIES};
use super::summary::{HostSummary, IncidentDigest};
use crate::event::{Severity, Timestamp};
use crate::system;
use crate::text::error_chain;

/// Maximum number of hosts; further ones are counted.
const HOSTS: usize = 20_000;
/// Maximum number of hosts that are named for one finding.
const NAMED: usize = 8;
/// Interval of looking whether the reader is still needed.
const LOOK: Duration = Duration::from_millis(200);
/// After this time without a summary the reader asks whether its stream is still there.
const SILENCE: Duration = Duration::from_secs(5);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// A host as it was last heard of.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetHost {
    /// What it reported.
    pub summary: HostSummary,
    /// When the server got it, by the server's clock.
    pub heard: Timestamp,
    /// Time between the stream's time in it and that.
    pub lag: Duration,
}

/// After this time without a summary a host counts as silent.
const SILENT: Duration = Duration::from_secs(60);

impl FleetHost {
    /// Time since it was last heard of, by this host's clock, from which the server's may differ.
    #[must_use]
    pub fn silent(&self) -> Duration {
        system::wall_now().since(self.heard)
    }

    /// Whether it was not heard of for so long that something is wrong: summaries that do not differ
    /// come every 20 seconds.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent() >= SILENT
    }
}

/// Findings of one rule about containers of one image, on one or more hosts.
#[derive(Debug, Clone, PartialEq)]
pub struct CommonFinding {
    /// The rule.
    pub rule: String,
    /// The image; empty for the hosts themselves.
    pub image: String,
    /// The highest severity.
    pub severity: Severity,
    /// The title of the worst one.
    pub title: String,
    /// Number of findings.
    pub findings: u64,
    /// Number of hosts.
    pub hosts: u64,
    /// Some of them, in order.
    pub named: Vec<HostName>,
    /// Latest time.
    pub last: Timestamp,
}

/// All hosts.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    /// By their names.
    pub hosts: BTreeMap<HostName, FleetHost>,
    /// Summaries of hosts beyond the limit.
    pub beyond: u64,
    /// Summaries that could not be read.
    pub unreadable: u64,
    /// Every summary that the server had at the beginning was read.
    pub complete: bool,
    /// Why nothing is received at present.
    pub error: Option<String>,
}

impl Fleet {
    /// Takes a summary that the server got at this time.
    pub fn take(&mut self, subject: &str, json: &[u8], heard: Timestamp) {
        let host = HostName::of_subject(subject);
        let (Some(host), Ok(summary)) = (host, HostSummary::read(json)) else {
            self.unreadable += 1;
            return;
        };
        if self.hosts.len() >= HOSTS && !self.hosts.contains_key(&host) {
            self.beyond += 1;
            return;
        }
        let lag = heard.since(summary.at);
        let known = FleetHost {
            summary,
            heard,
            lag,
        };
        self.hosts.insert(host, known);
    }

    /// The hosts, that with the worst incident first.
    #[must_use]
    pub fn ranked(&self) -> Vec<(&HostName, &FleetHost)> {
        let mut all: Vec<_> = self.hosts.iter().collect();
        all.sort_by_key(|(_, host)| {
            let worst = host.summary.incidents.iter();
            let worst = worst
                .map(|incident| (incident.severity, incident.rank))
                .max();
            std::cmp::Reverse((worst, host.summary.all_incidents))
        });
        all
    }

    /// The incidents of all hosts, the likeliest break-in first.
    #[must_use]
    pub fn incidents(&self) -> Vec<(&HostName, &IncidentDigest)> {
        let hosts = self.hosts.iter();
        let mut all: Vec<_> = hosts
            .flat_map(|(name, host)| host.summary.incidents.iter().map(move |one| (name, one)))
            .collect();
        all.sort_by_key(|(_, one)| std::cmp::Reverse((one.rank, one.severity, one.last)));
        all
    }

    /// The findings of all hosts: those of one rule and image are one. The most severe first, then
    /// those of most hosts.
    #[must_use]
    pub fn common(&self) -> Vec<CommonFinding> {
        let mut kinds: BTreeMap<(&str, &str), CommonFinding> = BTreeMap::new();
        for (name, host) in &self.hosts {
            for one in &host.summary.findings {
                let kind = kinds.entry((&one.rule, &one.image));
                let kind = kind.or_insert_with(|| CommonFinding {
                    rule: one.rule.clone(),
                    image: one.image.clone(),
                    severity: one.severity,
                    title: one.title.clone(),
                    findings: 0,
                    hosts: 0,
                    named: Vec::new(),
                    last: one.last,
                });
                if one.severity > kind.severity {
                    kind.severity = one.severity;
                    kind.title.clone_from(&one.title);
                }
                kind.findings = kind.findings.saturating_add(one.findings);
                kind.hosts += 1;
                kind.last = kind.last.max(one.last);
                if kind.named.len() < NAMED {
                    kind.named.push(name.clone());
                }
            }
        }
        let mut all: Vec<CommonFinding> = kinds.into_values().collect();
        all.sort_by_key(|kind| std::cmp::Reverse((kind.severity, kind.hosts, kind.last)));
        all
    }
}

/// The thread that keeps the list up to date.
#[derive(Debug)]
pub struct FleetReader {
    fleet: Arc<Mutex<Fleet>>,
    unwanted: Arc<AtomicBool>,
}

impl FleetReader {
    /// Begins to read the summaries.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(server: NatsServer) -> std::io::Result<Self> {
        let fleet: Arc<Mutex<Fleet>> = Arc::default();
        let unwanted: Arc<AtomicBool> = Arc::default();
        let (shared, over) = (Arc::clone(&fleet), Arc::clone(&unwanted));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("fleet".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    while !over.load(Ordering::Relaxed) {
                        if let Err(error) = read(&server, &shared, &over).await {
                            shared.lock().error = Some(error);
                            tokio::time::sleep(PAUSE).await;
                        }
                    }
                });
                runtime.shutdown_background();
            })?;
        Ok(Self { fleet, unwanted })
    }

    /// The list. Lock it only to read it.
    #[must_use]
    pub fn fleet(&self) -> &Arc<Mutex<Fleet>> {
        &self.fleet
    }

    /// Waits until all summaries of the server were read.
    ///
    /// # Errors
    /// Why that is not so after `time`, or when `given_up` says so.
    pub fn wait(&self, time: Duration, given_up: impl Fn() -> bool) -> Result<(), String> {
        let until = Instant::now() + time;
        loop {
            {
                let fleet = self.fleet.lock();
                if fleet.complete {
                    return Ok(());
                }
                if let Some(error) = &fleet.error {
                    return Err(error.clone());
                }
            }
            if given_up() {
                return Err("interrupted".to_owned());
            }
            if Instant::now() >= until {
                return Err("the server does not answer".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for FleetReader {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
    }
}

/// Reads summaries until it is unwanted, or fails.
async fn read(server: &NatsServer, fleet: &Mutex<Fleet>, over: &AtomicBool) -> Result<(), String> {
    let told = Arc::default();
    let client = server.connect(&told).await?;
    let mut context = jetstream::new(client);
    context.set_timeout(ANSWER);
    let stream = context
        .get_stream(SUMMARIES)
        .await
        .map_err(|error| format!("nothing is published there: {}", error_chain(&error)))?;
    let known = stream.cached_info().clone();
    let empty = known.state.messages == 0;
    let config = pull::OrderedConfig {
        deliver_policy: DeliverPolicy::All,
        ..Default::default()
    };
    let consumer = stream.create_consumer(config).await;
    let consumer = consumer.map_err(|error| error_chain(&error))?;
    let messages = consumer.messages().await;
    let mut messages = messages.map_err(|error| error_chain(&error))?;
    {
        let mut fleet = fleet.lock();
        fleet.error = None;
        fleet.complete |= empty;
    }
    let mut seen = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let Ok(next) = tokio::time::timeout(LOOK, messages.next()).await else {
            fleet.lock().error.clone_from(&told.lock());
            if seen.elapsed() >= SILENCE {
                seen = Instant::now();
                if is_replaced(&context, &known).await {
                    return Err("the summaries were deleted on the server".to_owned());
                }
            }
            continue;
        };
        seen = Instant::now();
        let message = next.ok_or("the server ended the list")?;
        let message = message.map_err(|error| error_chain(&error))?;
        let mut fleet = fleet.lock();
        fleet.error = None;
        let (heard, left) = heard(&message);
        fleet.take(&message.subject, &message.payload, heard);
        fleet.complete |= left == 0;
    }
    Ok(())
}

/// When the server got a message, and how many follow it there.
pub(super) fn heard(message: &Message) -> (Timestamp, u64) {
    message.info().map_or((Timestamp::default(), 0), |info| {
        let heard = info.published.unix_timestamp_nanos();
        (
            Timestamp(i64::try_from(heard).unwrap_or_default()),
            info.pending,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::summary::FindingDigest;
    use super::*;

    fn host(fleet: &mut Fleet, name: &str, severity: Severity, rank: u32) {
        let summary = HostSummary {
            at: Timestamp(5_000_000_000),
            incidents: vec![IncidentDigest {
                severity,
                rank,
                ..IncidentDigest::default()
            }],
            findings: vec![FindingDigest {
                rule: "drift.exec-new".to_owned(),
                image: "nginx".to_owned(),
                severity,
                title: name.to_owned(),
                findings: 2,
                ..FindingDigest::default()
            }],
            ..HostSummary::default()
        };
        let json = serde_json::to_vec(&summary).unwrap();
        let subject = HostName::new(name.as_bytes()).summary();
        fleet.take(&subject, &json, Timestamp(7_000_000_000));
    }

    #[test]
    fn hosts_are_ranked_and_a_finding_of_several_is_one() {
        let mut fleet = Fleet::default();
        host(&mut fleet, "a.b", Severity::Medium, 9);
        host(&mut fleet, "b", Severity::Critical, 1);
        host(&mut fleet, "c", Severity::Critical, 2);
        fleet.take("hullwatch.x.y.summary", b"{}", Timestamp(0));
        fleet.take("hullwatch.x.summary", b"[", Timestamp(0));
        let ranked = fleet.ranked();
        let names: Vec<String> = ranked.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["c", "b", "a.b"]);
        assert_eq!(ranked[0].1.lag, Duration::from_secs(2));
        assert_eq!(fleet.incidents()[0].0.to_string(), "a.b");
        let common = fleet.common();
        assert_eq!(
            (common.len(), common[0].hosts, common[0].findings),
            (1, 3, 6)
        );
        assert_eq!(
            (common[0].severity, &*common[0].title),
            (Severity::Critical, "b")
        );
        assert_eq!(fleet.unreadable, 2);
    }
}
