//! The metrics in the formats of Prometheus.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::snapshot::{
    ContainerMetrics, Labels, Metric, MetricKind, MetricUnit, MetricsSnapshot, MetricsSource,
};

/// Maximum length of a label from a container.
const MAX_LABEL: usize = 200;

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
        let MetricsSnapshot {
            metrics,
            containers,
        } = self.snapshot();
        for metric in metrics {
            write(metric, &mut encoder)?;
        }
        for metric in of_containers(&containers) {
            write(metric, &mut encoder)?;
        }
        Ok(())
    }
}

fn write(metric: Metric, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let unit = metric.unit.map(|unit| match unit {
        MetricUnit::Bytes => Unit::Bytes,
        MetricUnit::Seconds => Unit::Seconds,
    });
    let kind = match metric.kind {
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Gauge => MetricType::Gauge,
    };
    let mut out = encoder.encode_descriptor(metric.name, metric.help, unit.as_ref(), kind)?;
    for (labels, value) in metric.samples {
        let labels: Labels = labels
            .into_iter()
            .map(|(name, text)| (name, label(&text)))
            .collect();
        match (metric.kind, labels.is_empty()) {
            (MetricKind::Counter, false) => {
                ConstCounter::new(value).encode(out.encode_family(&labels)?)?;
            }
            (MetricKind::Gauge, false) => {
                ConstGauge::new(value).encode(out.encode_family(&labels)?)?;
            }
            // A metric without labels has one sample.
            (MetricKind::Counter, true) => return ConstCounter::new(value).encode(out),
            (MetricKind::Gauge, true) => return ConstGauge::new(value).encode(out),
        }
    }
    Ok(())
}

/// The usage of containers as metrics with the container as labels.
fn of_containers(containers: &[ContainerMetrics]) -> [Metric; 3] {
    let metric = |name, help, unit, value: fn(&ContainerMetrics) -> f64| Metric {
        name,
        help,
        kind: MetricKind::Gauge,
        unit,
        samples: (containers.iter())
            .map(|usage| (labels(usage), value(usage)))
            .collect(),
    };
    [
        metric(
            "hullwatch_container_cpu_cores",
            "CPU that a container uses, in cores, over the last second",
            None,
            |usage| usage.cpu_cores,
        ),
        metric(
            "hullwatch_container_memory",
            "Memory that a container uses, without reclaimable page cache",
            Some(MetricUnit::Bytes),
            |usage| usage.memory,
        ),
        metric(
            "hullwatch_container_tasks",
            "Tasks of a container",
            None,
            |usage| usage.tasks,
        ),
    ]
}

fn labels(usage: &ContainerMetrics) -> Labels {
    let ContainerMetrics {
        short_id, labels, ..
    } = usage;
    vec![
        ("id", short_id.clone()),
        ("name", labels.name.clone()),
        ("image", labels.image.clone()),
        ("namespace", labels.namespace.clone()),
        ("pod", labels.pod.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::super::snapshot::MAX_CONTAINERS;
    use super::*;
    use crate::core::Core;
    use crate::event::{
        ContainerAction, ContainerEvent, ContainerId, ContainerInfo, Event, Kind, Timestamp,
    };
    use crate::recording::demo;
    use crate::sink::SinkBoard;

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
