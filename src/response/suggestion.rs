//! A response that fits: what it is called, its command line, and how hullwatch does it itself.

use serde::Serialize;

use super::command::CommandLine;
use super::subject::ProcessIdentity;
use crate::event::{Bytes, ContainerId, ResponseAction};

/// A response that fits, with its command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// Its kind.
    pub action: ResponseAction,
    /// The container; `None` is the host.
    pub container: Option<ContainerId>,
    /// The container as people are asked about it: name and short id, escaped.
    pub named: String,
    /// What it does, in a few words, escaped.
    pub title: String,
    /// What it does and what that means, as a sentence.
    pub effect: String,
    /// What it is done to beside the container: networks, an address, files, a process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Bytes>,
    /// The line for a shell: printable, and safe whatever a container put into names and paths.
    pub command: String,
    /// The line that takes it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// How hullwatch does it itself.
    #[serde(skip)]
    pub work: ResponseWork,
}

/// How hullwatch does a response itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseWork {
    /// Runs commands, one after the other, until one fails. With a process: checks first that it is
    /// still the same, and that its network namespace is not the host's.
    Commands(Vec<CommandLine>, Option<ProcessIdentity>),
    /// Ends a process after it was checked.
    Kill(ProcessIdentity),
    /// Copies files into one archive.
    CopyOut(FileSources),
    /// Runs a command whose output is kept in a file of this name, after the same checks.
    Output(CommandLine, ProcessIdentity, String),
    /// Not at all: why.
    ByHand(&'static str),
}

/// Where copies of files come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSources {
    /// The archive's name without its ending.
    pub name: String,
    /// The container's writable layer on the host; empty unknown.
    pub upper: Bytes,
    /// Its init, whose root directory has what the layer has not (tmpfs, volumes).
    pub init: Option<ProcessIdentity>,
    /// Paths as the container sees them.
    pub files: Vec<Bytes>,
    /// Processes whose programs are copied, whether or not these still have a path.
    pub programs: Vec<ProcessIdentity>,
}
