//! Responses to a container with a finding: command lines for its engine, carried out by hullwatch
//! itself if that is allowed.
//!
//! [`fitting`] is pure: from the state it makes the suggestions with the exact command lines.
//! [`ResponseExecutor`] does one of them, in the background.

mod command;
mod engine;
mod executor;
mod files;
mod identity;
mod inquiry;
mod network;
mod process;
mod rights;
mod subject;
mod suggest;
mod suggestion;
mod target;
#[cfg(test)]
mod tests;

pub use command::CommandLine;
pub use executor::{ResponseExecutor, ResponseResult, person};
pub use files::{CopiedFile, checksums, copy_files};
pub use inquiry::{Inquiry, inquire};
pub use subject::{ProcessIdentity, ResponseSubject};
pub use suggest::{evidence_files, fitting};
pub use suggestion::{FileSources, ResponseWork, Suggestion};
pub use target::docker_address;
