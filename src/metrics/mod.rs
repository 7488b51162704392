//! Metrics for Prometheus and OpenTelemetry collectors: events, losses, findings, incidents, the
//! usage of containers, deliveries to sinks, and hullwatch's own usage.
//!
//! All metrics are computed from the core when they are sent; only events are counted by type as they
//! come. Labels are bounded: types and rules are the program's own, containers at most
//! [`MAX_CONTAINERS`](snapshot::MAX_CONTAINERS).

mod event_counts;
mod otlp;
mod prometheus;
mod server;
mod snapshot;

pub use event_counts::EventCounts;
pub use otlp::{OtlpMetrics, OtlpMetricsSender};
pub use server::MetricsServer;
pub use snapshot::MetricsSource;
