//! Computes the current metrics, whatever format they are sent in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::event_counts::EventCounts;
use crate::core::Core;
use crate::event::Severity;
use crate::sink::{ContainerLabels, SinkBoard};

/// Maximum number of containers with metrics of their own; further ones are counted.
pub(super) const MAX_CONTAINERS: usize = 1_000;

/// The sources of the metrics.
#[derive(Clone)]
pub struct MetricsSource {
    /// State and findings.
    pub core: Arc<Mutex<Core>>,
    /// Counts of events.
    pub events: Arc<EventCounts>,
    /// The sinks.
    pub sinks: SinkBoard,
}

impl fmt::Debug for MetricsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsSource").finish_non_exhaustive()
    }
}

/// How the values of a metric develop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricKind {
    /// Only rises.
    Counter,
    /// A value at the moment.
    Gauge,
}

/// The unit of a metric, except for plain numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricUnit {
    Bytes,
    Seconds,
}

/// Labels of one sample.
pub(super) type Labels = Vec<(&'static str, String)>;

/// A metric with its samples.
#[derive(Debug)]
pub(super) struct Metric {
    /// In the style of Prometheus, without the suffixes for its unit and kind.
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: MetricKind,
    pub(super) unit: Option<MetricUnit>,
    pub(super) samples: Vec<(Labels, f64)>,
}

impl Metric {
    fn gauge(name: &'static str, help: &'static str, samples: Vec<(Labels, f64)>) -> Self {
        Self {
            name,
            help,
            kind: MetricKind::Gauge,
            unit: None,
            samples,
        }
    }

    fn counter(name: &'static str, help: &'static str, samples: Vec<(Labels, f64)>) -> Self {
        Self {
            kind: MetricKind::Counter,
            ..Self::gauge(name, help, samples)
        }
    }

    fn in_unit(self, unit: MetricUnit) -> Self {
        Self {
            unit: Some(unit),
            ..self
        }
    }
}

/// What a running container uses.
#[derive(Debug)]
pub(super) struct ContainerMetrics {
    /// The beginning of its id, for display.
    pub(super) short_id: String,
    pub(super) labels: ContainerLabels,
    /// CPU in cores, over the last second.
    pub(super) cpu_cores: f64,
    /// Memory without reclaimable page cache, in bytes.
    pub(super) memory: f64,
    pub(super) tasks: f64,
}

/// All metrics at one moment.
#[derive(Debug)]
pub(super) struct MetricsSnapshot {
    /// Those of the host and of hullwatch.
    pub(super) metrics: Vec<Metric>,
    /// Those of containers, of at most [`MAX_CONTAINERS`].
    pub(super) containers: Vec<ContainerMetrics>,
}

impl MetricsSource {
    /// The metrics now.
    pub(super) fn snapshot(&self) -> MetricsSnapshot {
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        let events = self.events.all();
        let events = events.map(|(name, count)| (vec![("type", name.to_owned())], number(count)));
        let mut metrics = vec![
            Metric::gauge(
                "hullwatch_build_info",
                "Version of hullwatch",
                vec![(version, 1.0)],
            ),
            Metric::counter("hullwatch_events", "Events by type", events.collect()),
        ];
        let containers = {
            let core = self.core.lock();
            of_core(&core, &mut metrics);
            of_containers(&core, &mut metrics)
        };
        metrics.push(self.messages());
        metrics.extend(own_cost());
        MetricsSnapshot {
            metrics,
            containers,
        }
    }

    /// Deliveries to sinks.
    fn messages(&self) -> Metric {
        let mut messages = Vec::new();
        for sink in self.sinks.statuses() {
            for (outcome, count) in [
                ("sent", sink.sent),
                ("dropped", sink.dropped),
                ("withheld", sink.withheld),
                ("failed", sink.failed),
            ] {
                let labels = vec![("sink", sink.name.clone()), ("outcome", outcome.to_owned())];
                messages.push((labels, number(count)));
            }
        }
        Metric::counter(
            "hullwatch_messages",
            "Messages to sinks by outcome",
            messages,
        )
    }
}

/// A count as a sample; more than 2^53 of anything is not reached.
#[allow(clippy::cast_precision_loss)]
fn number(count: u64) -> f64 {
    count as f64
}

fn single(count: u64) -> Vec<(Labels, f64)> {
    vec![(Vec::new(), number(count))]
}

fn of_core(core: &Core, out: &mut Vec<Metric>) {
    let totals = &core.state.totals;
    for (name, help, count) in [
        (
            "hullwatch_lost_events",
            "Events that were lost",
            totals.lost,
        ),
        (
            "hullwatch_evicted_entries",
            "Entries dropped from full tables",
            totals.evicted,
        ),
        (
            "hullwatch_findings_not_kept",
            "Findings dropped because there were too many",
            core.detector.unreported(),
        ),
        (
            "hullwatch_incidents_not_kept",
            "Findings that would have begun an incident when there were too many",
            core.incidents.not_kept(),
        ),
    ] {
        out.push(Metric::counter(name, help, single(count)));
    }
    let mut findings: BTreeMap<(&str, Severity), u64> = BTreeMap::new();
    let mut silenced = 0;
    let findings_seen = core.detector.findings().iter();
    for finding in findings_seen.filter(|finding| finding.part_of.is_none()) {
        if finding.silenced.is_some() {
            silenced += 1;
        } else {
            *findings
                .entry((&finding.rule, finding.severity))
                .or_default() += 1;
        }
    }
    let findings = findings.into_iter().map(|((rule, severity), count)| {
        let labels = vec![
            ("rule", rule.to_owned()),
            ("severity", severity.to_string()),
        ];
        (labels, number(count))
    });
    let help = "Findings that are not silenced, by rule and severity";
    out.push(Metric::gauge(
        "hullwatch_findings",
        help,
        findings.collect(),
    ));
    let help = "Findings that the policy silences";
    out.push(Metric::gauge(
        "hullwatch_silenced_findings",
        help,
        single(silenced),
    ));
    let mut incidents: BTreeMap<(Severity, bool), u64> = BTreeMap::new();
    for incident in core.ranked_incidents() {
        *incidents
            .entry((incident.severity, incident.active))
            .or_default() += 1;
    }
    let incidents = incidents.into_iter().map(|((severity, active), count)| {
        let state = if active { "active" } else { "ended" };
        let labels = vec![
            ("severity", severity.to_string()),
            ("state", state.to_owned()),
        ];
        (labels, number(count))
    });
    let help = "Incidents that are not accepted, by severity and state";
    out.push(Metric::gauge(
        "hullwatch_incidents",
        help,
        incidents.collect(),
    ));
}

fn of_containers(core: &Core, out: &mut Vec<Metric>) -> Vec<ContainerMetrics> {
    let running = core.state.containers.values().filter(|c| c.running);
    let count = running.clone().count();
    out.push(Metric::gauge(
        "hullwatch_containers",
        "Running containers",
        single(count as u64),
    ));
    let left_out = count.saturating_sub(MAX_CONTAINERS) as u64;
    out.push(Metric::gauge(
        "hullwatch_containers_left_out",
        "Running containers without metrics of their own, since there are too many",
        single(left_out),
    ));
    let usage = running
        .take(MAX_CONTAINERS)
        .map(|container| ContainerMetrics {
            short_id: container.id.short().to_string(),
            labels: ContainerLabels::of(core, &container.id),
            cpu_cores: f64::from(container.cpu_milli) / 1_000.0,
            memory: number(container.memory),
            tasks: f64::from(container.pids),
        });
    usage.collect()
}

/// hullwatch's own usage, by the usual names of Prometheus clients; nothing if it cannot be read.
fn own_cost() -> Vec<Metric> {
    let Some(own) = procfs::process::Process::myself()
        .and_then(|own| own.stat())
        .ok()
    else {
        return Vec::new();
    };
    let ticks = procfs::ticks_per_second().max(1);
    let cpu = number(own.utime + own.stime) / number(ticks);
    let resident = own.rss.saturating_mul(procfs::page_size());
    vec![
        Metric::counter(
            "process_cpu",
            "CPU time that hullwatch used",
            vec![(Vec::new(), cpu)],
        )
        .in_unit(MetricUnit::Seconds),
        Metric::gauge(
            "process_resident_memory",
            "Resident memory of hullwatch",
            single(resident),
        )
        .in_unit(MetricUnit::Bytes),
    ]
}
