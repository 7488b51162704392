//! Metrics for Prometheus: events, losses, findings, incidents, the usage of
//! containers, deliveries to sinks, and hullwatch's own usage.
//!
//! All metrics are computed from the core for each request; only events are counted by type as they
//! come. Labels are bounded: types and rules are the program's own, containers at most
//! [`MAX_CONTAINERS`](collector::MAX_CONTAINERS).

mod collector;
mod event_counts;
mod server;

pub use collector::MetricsSource;
pub use event_counts::EventCounts;
pub use server::MetricsServer;
