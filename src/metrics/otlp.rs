//! The metrics, sent to an OpenTelemetry collector at intervals (OTLP over HTTP, protobuf).
//!
//! The host is the resource of hullwatch's metrics, each container that of its own. Names are those
//! of the semantic conventions where these have one. Counters are cumulative, so that an interval
//! that was not delivered costs only its resolution; it is counted.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric as OtlpMetric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use prost::Message as _;
use rustix::thread::CapabilitySet;

use super::snapshot::{
    ContainerMetrics, Labels, Metric, MetricKind, MetricUnit, MetricsSnapshot, MetricsSource,
};
use crate::event::escape;
use crate::sink::{
    CONVENTIONS, ContainerLabels, HttpClient, HttpTarget, OtlpHost, SinkCounters, attributes,
    join_until, resource, scope,
};
use crate::system;

/// Metrics whose name in the semantic conventions differs.
const NAMES: [(&str, &str); 2] = [
    ("process_cpu", "process.cpu.time"),
    ("process_resident_memory", "process.memory.usage"),
];

/// Time for the last request at the end.
const GRACE: Duration = Duration::from_secs(3);

/// Where and how often metrics are sent.
#[derive(Debug)]
pub struct OtlpMetrics {
    /// Sends the requests.
    pub client: HttpClient,
    /// The collector's `/v1/metrics`.
    pub target: HttpTarget,
    /// This host.
    pub host: OtlpHost,
    /// Time between two requests.
    pub interval: Duration,
}

/// The thread that sends metrics.
#[derive(Debug)]
pub struct OtlpMetricsSender {
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<SinkCounters>,
    /// The end of the last request.
    deadline: Option<Instant>,
}

impl OtlpMetrics {
    /// Sends metrics at each interval from now on, and once more at the end. `counters` counts the
    /// requests.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        self,
        source: MetricsSource,
        counters: Arc<SinkCounters>,
    ) -> std::io::Result<OtlpMetricsSender> {
        let (over, ends) = bounded(0);
        let counted = Arc::clone(&counters);
        let thread = std::thread::Builder::new()
            .name("otlp-metrics".to_owned())
            .spawn(move || {
                // It needs none of the rights that watching needs.
                let _ = system::keep_capabilities(CapabilitySet::empty());
                let _ = system::confine_calls();
                let _ = system::confine_files();
                self.run(&source, &counters, &ends);
            })?;
        Ok(OtlpMetricsSender {
            over: Some(over),
            thread: Some(thread),
            counters: counted,
            deadline: None,
        })
    }

    fn run(&self, source: &MetricsSource, counters: &SinkCounters, ends: &Receiver<()>) {
        let begun = SystemTime::now();
        let mut answers = true;
        loop {
            let is_over = ends.recv_timeout(self.interval) != Err(RecvTimeoutError::Timeout);
            // Leaving must not wait for a collector that did not answer the last time either.
            if is_over && !answers {
                return;
            }
            let request = request(&self.host, source.snapshot(), (begun, SystemTime::now()));
            let sent = self.send(&request);
            answers = sent.is_ok();
            match sent {
                Ok(()) => counters.delivered(1),
                Err(why) => {
                    tracing::warn!(error = why, "metrics were not delivered");
                    counters.give_up(1, why);
                }
            }
            if is_over {
                return;
            }
        }
    }

    fn send(&self, request: &ExportMetricsServiceRequest) -> Result<(), String> {
        let body = request.encode_to_vec();
        let answer = self
            .client
            .post(&self.target, "application/x-protobuf", &body)
            .map_err(|error| error.why)?;
        let answer = ExportMetricsServiceResponse::decode(answer.as_slice()).unwrap_or_default();
        match answer.partial_success {
            Some(partial) if partial.rejected_data_points > 0 => {
                let refused = partial.rejected_data_points;
                let why = escape(partial.error_message.as_bytes());
                Err(format!("{refused} data points were refused: {why}"))
            }
            _ => Ok(()),
        }
    }
}

impl OtlpMetricsSender {
    /// Begins to send the last metrics, if the collector answered the last time.
    pub fn close(&mut self) {
        self.over = None;
        self.deadline = Some(Instant::now() + GRACE);
    }

    /// Waits a few seconds since [`OtlpMetricsSender::close`] for that, and ends.
    pub fn end(&mut self) {
        let deadline = self.deadline.unwrap_or_else(Instant::now);
        if let Some(thread) = self.thread.take()
            && !join_until(thread, deadline)
        {
            self.counters
                .give_up(1, "no answer before the end".to_owned());
        }
    }
}

/// Begin of the counters, and time of the values.
type Span = (SystemTime, SystemTime);

fn request(host: &OtlpHost, snapshot: MetricsSnapshot, span: Span) -> ExportMetricsServiceRequest {
    let own = snapshot.metrics.into_iter().map(|m| of_metric(m, span));
    let mut resource_metrics = vec![of_resource(host, None, own.collect())];
    for usage in &snapshot.containers {
        let metrics = of_container(usage, span);
        resource_metrics.push(of_resource(host, Some(&usage.labels), metrics));
    }
    ExportMetricsServiceRequest { resource_metrics }
}

fn of_resource(
    host: &OtlpHost,
    container: Option<&ContainerLabels>,
    metrics: Vec<OtlpMetric>,
) -> ResourceMetrics {
    ResourceMetrics {
        resource: Some(resource(host, container)),
        scope_metrics: vec![ScopeMetrics {
            scope: Some(scope()),
            metrics,
            schema_url: CONVENTIONS.to_owned(),
        }],
        schema_url: CONVENTIONS.to_owned(),
    }
}

fn of_metric(metric: Metric, span: Span) -> OtlpMetric {
    let samples = metric.samples.into_iter();
    let points = samples.map(|(labels, value)| point(&labels, value, span));
    let (unit, is_amount) = match metric.unit {
        Some(MetricUnit::Bytes) => ("By", true),
        Some(MetricUnit::Seconds) => ("s", false),
        None => ("", false),
    };
    OtlpMetric {
        name: name(metric.name),
        description: metric.help.to_owned(),
        unit: unit.to_owned(),
        data: Some(match metric.kind {
            MetricKind::Counter => sum(points.collect(), true),
            MetricKind::Gauge if is_amount => sum(points.collect(), false),
            MetricKind::Gauge => metric::Data::Gauge(Gauge {
                data_points: points.collect(),
            }),
        }),
        ..OtlpMetric::default()
    }
}

/// Amounts of memory are non-monotonic sums in the conventions: those of containers add up.
fn sum(data_points: Vec<NumberDataPoint>, is_monotonic: bool) -> metric::Data {
    metric::Data::Sum(Sum {
        data_points,
        aggregation_temporality: AggregationTemporality::Cumulative.into(),
        is_monotonic,
    })
}

/// `hullwatch_lost_events` is `hullwatch.lost_events`.
fn name(name: &str) -> String {
    let listed = NAMES.iter().find(|(own, _)| *own == name);
    listed.map_or_else(
        || name.replacen('_', ".", 1),
        |(_, wanted)| (*wanted).to_owned(),
    )
}

fn of_container(usage: &ContainerMetrics, span: Span) -> Vec<OtlpMetric> {
    let metric = |name: &str, description: &str, unit: &str, data| OtlpMetric {
        name: name.to_owned(),
        description: description.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..OtlpMetric::default()
    };
    let points = |value| vec![point(&Vec::new(), value, span)];
    let gauge = |value| {
        metric::Data::Gauge(Gauge {
            data_points: points(value),
        })
    };
    vec![
        metric(
            "container.cpu.usage",
            "CPU over the last second",
            "{cpu}",
            gauge(usage.cpu_cores),
        ),
        metric(
            "container.memory.usage",
            "Memory without reclaimable page cache",
            "By",
            sum(points(usage.memory), false),
        ),
        metric(
            "hullwatch.container.tasks",
            "Tasks",
            "{task}",
            gauge(usage.tasks),
        ),
    ]
}

fn point(labels: &Labels, value: f64, (begun, at): Span) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels.iter().map(|(name, text)| (*name, text.as_str()))),
        start_time_unix_nano: nanoseconds(begun),
        time_unix_nano: nanoseconds(at),
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn nanoseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;

    use parking_lot::Mutex;

    use super::*;
    use crate::recording::demo;
    use crate::sink::{SinkBoard, decoded_by_python};

    fn source() -> MetricsSource {
        let source = MetricsSource {
            core: Arc::new(Mutex::new(demo::empty())),
            events: Arc::default(),
            sinks: SinkBoard::default(),
        };
        demo::replay(&mut source.core.lock(), |event, _| {
            source.events.count(&event.kind);
        });
        source
    }

    fn host() -> OtlpHost {
        OtlpHost {
            name: "node".to_owned(),
            ..OtlpHost::default()
        }
    }

    fn metrics_to(address: &str) -> OtlpMetrics {
        OtlpMetrics {
            client: HttpClient::new(None).unwrap(),
            target: HttpTarget::new(&format!("http://{address}/v1/metrics"), Vec::new()).unwrap(),
            host: host(),
            interval: Duration::from_millis(50),
        }
    }

    /// Accepts a request, answers with this status, and returns the body.
    fn receive(listener: &TcpListener, status: &str) -> Vec<u8> {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        (&stream).write_all(answer.as_bytes()).unwrap();
        body
    }

    #[test]
    fn a_refused_request_is_counted_and_the_next_one_has_everything() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut board = SinkBoard::default();
        let counters = board.add("otlp metrics".to_owned());
        let mut sender = metrics_to(&address).start(source(), counters).unwrap();
        receive(&listener, "503 Busy");
        let body = receive(&listener, "200 OK");
        let request = ExportMetricsServiceRequest::decode(body.as_slice()).unwrap();
        let [own, containers @ ..] = request.resource_metrics.as_slice() else {
            panic!("{request:?}")
        };
        assert_eq!(containers.len(), 2);
        let all = &own.scope_metrics[0].metrics;
        let events = all.iter().find(|m| m.name == "hullwatch.events").unwrap();
        let Some(metric::Data::Sum(sum)) = &events.data else {
            panic!("{events:?}")
        };
        assert!(sum.is_monotonic && !sum.data_points.is_empty());
        // The last request comes at the end.
        let last = std::thread::spawn(move || while !receive(&listener, "200 OK").is_empty() {});
        sender.close();
        sender.end();
        let status = board.statuses().remove(0);
        assert!(status.failed == 1 && status.sent >= 2, "{status:?}");
        assert_eq!(status.error, None);
        drop(std::net::TcpStream::connect(&address).map(|mut s| s.write_all(b"\r\n")));
        last.join().unwrap();
    }

    #[test]
    fn another_implementation_reads_it() {
        let script = "import sys\n\
            from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as s\n\
            r = s.ExportMetricsServiceRequest()\n\
            r.ParseFromString(sys.stdin.buffer.read())\n\
            for l in r.resource_metrics:\n\
            \x20 a = {x.key: x.value.string_value for x in l.resource.attributes}\n\
            \x20 for p in l.scope_metrics:\n\
            \x20  for m in p.metrics:\n\
            \x20   form = m.WhichOneof('data')\n\
            \x20   for d in getattr(m, form).data_points:\n\
            \x20    k = ','.join(x.value.string_value for x in d.attributes)\n\
            \x20    print(a['host.name'], a.get('container.name', '-'), m.name, form, k, d.as_double)\n";
        let now = SystemTime::now();
        let bytes = request(&host(), source().snapshot(), (now, now)).encode_to_vec();
        let Some(text) = decoded_by_python(script, &bytes) else {
            return;
        };
        for wanted in [
            "node - hullwatch.incidents gauge critical,active 1.0\n",
            "node - hullwatch.events sum exec ",
            "node - hullwatch.lost_events sum  0.0\n",
            "node - process.memory.usage sum  ",
            "node shop-web container.memory.usage sum  ",
            "node shop-web container.cpu.usage gauge  ",
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
    }
}
