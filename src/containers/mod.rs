//! Containers of this host: which cgroup is which container, the facts about each, and what ran
//! before watching began.

pub mod bundle;
pub mod cgroup_directory;
pub mod cgroup_name;
pub mod compare;
mod content_cache;
mod docker;
mod docker_answer;
mod docker_client;
mod docker_event;
mod docker_facts;
mod engine;
mod engine_http;
mod engine_thread;
mod exec_client;
pub mod inventory;
mod json_file;
mod layers;
pub mod merge;
pub mod overlay;
pub mod proc_facts;
mod proc_files;
mod process_usage;
pub mod runtime_setup;
pub mod selector;
mod selftest_marker;
pub mod snapshot;
mod state_dirs;
mod storage_files;
mod supervisor;
pub mod usage;

pub use cgroup_directory::{CgroupDirectory, FoundContainer};
pub use cgroup_name::recognise;
pub use engine::{EngineState, RuntimeMessage, RuntimeUpdate};
pub use engine_thread::{RuntimeOptions, Runtimes, start};
pub(crate) use layers::open_regular;
pub use process_usage::ProcessSampler;
pub use selector::{ContainerSelector, SelectError};
pub use selftest_marker::SelftestMarker;
