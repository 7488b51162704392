//! Incidents and findings, reported to other programs as they are found: the sinks.
//!
//! A [`SinkWatcher`] follows the stream in parallel to the recording and decides, at each tick,
//! which messages to send. Each sink has a bounded queue and a thread of its own, which delivers,
//! retries and gives up; undelivered messages are counted in its [`SinkStatus`]. The core knows
//! nothing of sinks.

mod command;
mod document;
mod http;
mod journal;
mod message;
mod otlp;
mod otlp_values;
mod status;
mod template;
mod watcher;
mod webhook;
mod worker;

pub use command::{CommandSink, find_program, run_commands};
pub use http::{HttpClient, HttpTarget};
pub use journal::{JournalSink, SyslogSink};
pub use message::{ContainerLabels, Message, MessageSubject};
pub use otlp::OtlpSink;
#[cfg(test)]
pub(crate) use otlp_values::decoded_by_python;
pub use otlp_values::{CONVENTIONS, OtlpHost, attributes, resource, scope};
pub use status::{SinkBoard, SinkCounters, SinkStatus};
pub use template::WebhookFormat;
pub use watcher::{SinkWatcher, Wanted};
pub use webhook::WebhookSink;
pub use worker::{Delivery, DeliveryError, Outlet, join_until};
