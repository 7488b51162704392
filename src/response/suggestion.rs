//! A response that fits: its name, its command line, and how hullwatch carries it out.

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
    /// The container as named in questions: name and short id, escaped.
    pub named: String,
    /// The action in a few words, escaped.
    pub title: String,
    /// The action and its consequences, as a sentence.
    pub effect: String,
    /// Its targets other than the container: networks, an address, files, a process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Bytes>,
    /// The shell line: printable, and safe whatever a container put into names and paths.
    pub command: String,
    /// The line that undoes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// How hullwatch carries it out.
    #[serde(skip)]
    pub work: ResponseWork,
}

/// How hullwatch carries out a response.
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
    /// Not at all, for this reason.
    ByHand(&'static str),
}

/// The sources of copied files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSources {
    /// The archive's name without its ending.
    pub name: String,
    /// The container's writable layer on the host; empty unknown.
    pub upper: Bytes,
    /// Its init, whose root directory has the files outside the layer (tmpfs, volumes).
    pub init: Option<ProcessIdentity>,
    /// Paths as the container sees them.
    pub files: Vec<Bytes>,
    /// Processes whose programs are copied, whether or not these still have a path.
    pub programs: Vec<ProcessIdentity>,
}
