//! Who a cgroup is: container runtimes, their facts, and what was there before.

pub mod bare;
pub mod cgroup;
mod client;
pub mod compare;
pub mod directory;
mod docker;
mod docker_facts;
mod layers;
pub mod overlay;
mod process_usage;
pub mod runtime;
pub mod setup;
pub mod snapshot;
pub mod survey;
pub mod usage;

pub use cgroup::recognise;
pub use directory::{Directory, Found};
pub use process_usage::ProcessSampler;
pub use runtime::{EngineState, RuntimeMessage, RuntimeOptions, RuntimeUpdate, Runtimes, start};
