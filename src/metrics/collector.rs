//! Computes the current metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::event_counts::EventCounts;
use crate::core::Core;
use crate::event::Severity;
use crate::sink::SinkBoard;

/// Maximum number of containers with metrics of their own; further ones are counted.
pub(super) const MAX_CONTAINERS: usize = 1_000;
/// Maximum length of a label from a container.
const MAX_LABEL: usize = 200;

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

impl MetricsSource {
    /// All metrics in the text format of Prometheus, for tools without OpenMetrics.
    ///
    /// # Errors
    /// As [`MetricsSource::text`].
    pub fn classic_text(&self) -> Result<String, fmt::Error> {
        Ok(classic(&self.text()?))
    }

    /// All metrics as text of OpenMetrics.
    ///
    /// # Errors
    /// Never in memory; the encoder's own type.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}

/// OpenMetrics converted to the older format: there a counter is described by the name of its
/// samples, and units and the end mark are left out.
fn classic(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut described = None;
    for line in text.lines() {
        let described_as = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '));
        let typed = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '));
        if described_as.is_some() {
            described = described_as;
        } else if let Some((name, kind)) = typed {
            let total = if kind == "counter" { "_total" } else { "" };
            if let Some((name, help)) = described.take() {
                out.push_str(&format!("# HELP {name}{total} {help}\n"));
            }
            out.push_str(&format!("# TYPE {name}{total} {kind}\n"));
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Labels of one sample.
type Labels = Vec<(&'static str, String)>;
/// MetricSamples of one metric.
type MetricSamples = Vec<(Labels, f64)>;

/// One metric with its samples.
struct MetricWriter<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl MetricWriter<'_, '_> {
    fn write(
        &mut self,
        kind: MetricType,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: MetricSamples,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, kind)?;
        for (labels, value) in samples {
            match (kind, labels.is_empty()) {
                (MetricType::Counter, false) => {
                    ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
                }
                (_, false) => ConstGauge::new(value).encode(metric.encode_family(&labels)?)?,
                // A metric without labels has one sample.
                (MetricType::Counter, true) => return ConstCounter::new(value).encode(metric),
                (_, true) => return ConstGauge::new(value).encode(metric),
            }
        }
        Ok(())
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: MetricSamples,
    ) -> fmt::Result {
        self.write(MetricType::Gauge, name, help, unit, samples)
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: MetricSamples,
    ) -> fmt::Result {
        self.write(MetricType::Counter, name, help, unit, samples)
    }
}

/// A count as a sample; more than 2^53 of anything is not reached.
#[allow(clippy::cast_precision_loss)]
fn number(count: u64) -> f64 {
    count as f64
}

fn single(value: f64) -> MetricSamples {
    vec![(Vec::new(), value)]
}

/// A label from a container: bounded, without characters that end a label.
fn label(text: &str) -> String {
    let text = text.chars().take(MAX_LABEL);
    text.map(|c| match c {
        '"' => '\'',
        '\\' => '/',
        c if c.is_control() => '?',
        c => c,
    })
    .collect()
}

impl Collector for MetricsSource {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = MetricWriter(&mut encoder);
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        out.gauge(
            "hullwatch_build_info",
            "Version of hullwatch",
            None,
            vec![(version, 1.0)],
        )?;
        let events = self.events.all();
        let events = events.map(|(name, count)| (vec![("type", name.to_owned())], number(count)));
        out.counter("hullwatch_events", "Events by type", None, events.collect())?;
        {
            let core = self.core.lock();
            of_core(&core, &mut out)?;
        }
        let mut messages = Vec::new();
        for sink in self.sinks.statuses() {
            for (outcome, count) in [
                ("sent", sink.sent),
                ("dropped", sink.dropped),
                ("withheld", sink.withheld),
                ("failed", sink.failed),
            ] {
                let labels = vec![("sink", label(&sink.name)), ("outcome", outcome.to_owned())];
                messages.push((labels, number(count)));
            }
        }
        out.counter(
            "hullwatch_messages",
            "Messages to sinks by outcome",
            None,
            messages,
        )?;
        own_cost(&mut out)
    }
}

fn of_core(core: &Core, out: &mut MetricWriter<'_, '_>) -> fmt::Result {
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
        out.counter(name, help, None, single(number(count)))?;
    }
    let mut findings: BTreeMap<(&str, Severity), u64> = BTreeMap::new();
    let mut silenced = 0;
    for finding in core.detector.findings() {
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
    out.gauge("hullwatch_findings", help, None, findings.collect())?;
    let help = "Findings that the policy silences";
    out.gauge(
        "hullwatch_silenced_findings",
        help,
        None,
        single(number(silenced)),
    )?;
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
    out.gauge("hullwatch_incidents", help, None, incidents.collect())?;
    of_containers(core, out)
}

fn of_containers(core: &Core, out: &mut MetricWriter<'_, '_>) -> fmt::Result {
    let running = core.state.containers.values().filter(|c| c.running);
    let count = running.clone().count();
    let help = "Running containers";
    out.gauge(
        "hullwatch_containers",
        help,
        None,
        single(number(count as u64)),
    )?;
    let left_out = count.saturating_sub(MAX_CONTAINERS) as u64;
    let help = "Running containers without metrics of their own, since there are too many";
    out.gauge(
        "hullwatch_containers_left_out",
        help,
        None,
        single(number(left_out)),
    )?;
    let (mut cpu, mut memory, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
    for container in running.take(MAX_CONTAINERS) {
        let info = &container.info;
        let pod = info.pod.as_ref();
        let labels: Labels = vec![
            ("id", container.id.short().to_string()),
            ("name", label(&info.name.escaped().to_string())),
            ("image", label(&info.image.escaped().to_string())),
            ("namespace", label(pod.map_or("", |pod| &pod.namespace))),
            ("pod", label(pod.map_or("", |pod| &pod.name))),
        ];
        cpu.push((labels.clone(), f64::from(container.cpu_milli) / 1_000.0));
        memory.push((labels.clone(), number(container.memory)));
        tasks.push((labels, f64::from(container.pids)));
    }
    let help = "CPU that a container uses, in cores, over the last second";
    out.gauge("hullwatch_container_cpu_cores", help, None, cpu)?;
    let help = "Memory that a container uses, without reclaimable page cache";
    out.gauge(
        "hullwatch_container_memory",
        help,
        Some(&Unit::Bytes),
        memory,
    )?;
    let help = "Tasks of a container";
    out.gauge("hullwatch_container_tasks", help, None, tasks)
}

/// hullwatch's own usage, by the usual names of Prometheus clients.
fn own_cost(out: &mut MetricWriter<'_, '_>) -> fmt::Result {
    let Some(own) = procfs::process::Process::myself()
        .and_then(|own| own.stat())
        .ok()
    else {
        return Ok(());
    };
    let ticks = procfs::ticks_per_second().max(1);
    let cpu = number(own.utime + own.stime) / number(ticks);
    let help = "CPU time that hullwatch used";
    out.counter("process_cpu", help, Some(&Unit::Seconds), single(cpu))?;
    let resident = own.rss.saturating_mul(procfs::page_size());
    let help = "Resident memory of hullwatch";
    out.gauge(
        "process_resident_memory",
        help,
        Some(&Unit::Bytes),
        single(number(resident)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        ContainerAction, ContainerEvent, ContainerId, ContainerInfo, Event, Kind, Timestamp,
    };
    use crate::recording::demo;

    fn source(core: Core) -> MetricsSource {
        MetricsSource {
            core: Arc::new(Mutex::new(core)),
            events: Arc::default(),
            sinks: SinkBoard::default(),
        }
    }

    #[test]
    fn findings_incidents_and_usage_are_in_the_text() {
        let source = source(demo::empty());
        demo::replay(&mut source.core.lock(), |event, _| {
            source.events.count(&event.kind);
        });
        let text = source.text().unwrap();
        for wanted in [
            "hullwatch_events_total{type=\"exec\"} ",
            "hullwatch_lost_events_total 0.0\n",
            "hullwatch_incidents{severity=\"critical\",state=\"active\"} 1.0\n",
            "hullwatch_findings{rule=\"drift.exec-new\",severity=",
            "name=\"shop-web\",image=\"shop/web:1.4\"",
            "hullwatch_containers 2.0\n",
            "process_cpu_seconds_total ",
            "# EOF\n",
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
    }

    /// Checked by Prometheus' own tool, which `tests/run` names in `HULLWATCH_TEST_PROMTOOL`.
    #[test]
    fn promtool_finds_no_fault() {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let Some(promtool) = std::env::var_os("HULLWATCH_TEST_PROMTOOL") else {
            return eprintln!("DID NOT RUN: HULLWATCH_TEST_PROMTOOL is not set; use tests/run");
        };
        let mut tool = Command::new(promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = source(Core::default()).classic_text().unwrap();
        assert!(
            text.contains("# TYPE hullwatch_lost_events_total counter\n"),
            "{text}"
        );
        tool.stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = tool.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
    }

    #[test]
    fn labels_are_bounded_and_end_no_line() {
        let source = source(Core::default());
        for number in 0..MAX_CONTAINERS + 7 {
            let event = Event {
                seq: number as u64 + 1,
                ts: Timestamp(1),
                container: Some(ContainerId::new(&format!("{number:064x}"))),
                pid: 0,
                nspid: 0,
                kind: Kind::Container(Box::new(ContainerEvent {
                    action: ContainerAction::Existing,
                    info: Some(Box::new(ContainerInfo {
                        name: "x\"} 1\nevil{a=\"".into(),
                        ..ContainerInfo::default()
                    })),
                })),
            };
            source.core.lock().apply(&Arc::new(event));
        }
        let text = source.text().unwrap();
        let rows = text
            .lines()
            .filter(|l| l.starts_with("hullwatch_container_tasks{"));
        assert_eq!(rows.count(), MAX_CONTAINERS);
        assert!(
            text.contains("hullwatch_containers_left_out 7.0\n"),
            "{text}"
        );
        assert!(!text.lines().any(|line| line.starts_with("evil")));
    }
}
