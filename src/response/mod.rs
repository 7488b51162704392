//! Responses: what a person can do about a container with a finding, as command lines for its engine,
//! and done by hullwatch itself where that is allowed.
//!
//! [`fitting`] is pure: from the state it makes the suggestions with the exact command lines.

mod command;
mod engine;
mod network;
mod quote;
mod subject;
mod suggest;
mod target;
#[cfg(test)]
mod tests;

pub use command::CommandLine;
pub use subject::{ProcessIdentity, ResponseSubject};
pub use suggest::{FileSources, ResponseWork, Suggestion, evidence_files, fitting};
pub use target::docker_address;
