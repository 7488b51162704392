//! What hullwatch counts, for Prometheus: events, losses, findings, incidents, what containers use,
//! what was told, and what hullwatch itself costs.
//!
//! Everything is computed from the core when it is asked for; only events are counted by their type
//! as they come. Labels are bounded: types and rules are the program's own, containers at most
//! [`MAX_CONTAINERS`](collector::MAX_CONTAINERS).

mod collector;
mod event_counts;
mod server;

pub use collector::MetricsSource;
pub use event_counts::EventCounts;
pub use server::MetricsServer;
