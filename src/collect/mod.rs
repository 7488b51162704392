//! The live stream: probes and runtimes merged, attributed, numbered, applied.
//!
//! Two threads. The collector takes records, engine messages and comparisons and makes events of
//! them; the core thread numbers and applies them, records them and passes them to the tap. Between
//! them is a bounded queue: dropped events are counted and reported as `lost`.

mod apply;
mod baselines;
pub mod blind;
mod by_namespace;
mod capabilities;
mod collector;
mod comparisons;
mod container_facts;
mod drift_scan;
mod engine_messages;
mod entries;
mod event_queue;
mod existing;
mod fetching_scripts;
mod host_entries;
mod lifecycle;
mod live;
mod look_limit;
mod older_links;
mod password_hashes;
mod policy;
mod program_files;
mod publishing;
mod root_files;
mod shared;
mod standard_input;
mod tick;
mod unreported;
mod unwatched;

pub use capabilities::{give_up as give_up_privileges, give_up_everything, give_up_files};
pub use live::{Live, LiveError, LiveOptions, LiveStatus};
pub use policy::PolicyFile;
pub use publishing::LivePublishing;
pub use shared::Tap;
