//! Errors of recording files.

use std::io;
use std::path::{Path, PathBuf};

/// An error of a recording file; the message names the file and the cause.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file exists; a recording never overwrites.
    #[error("{}: exists already; a recording never overwrites a file, choose another name", .0.display())]
    Exists(PathBuf),
    /// The file could not be created.
    #[error("{}: cannot create: {error}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The file could not be written.
    #[error("{}: cannot write: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The file was removed while it was written.
    #[error("{}: was removed during recording: its events are lost", .0.display())]
    Removed(PathBuf),
    /// The file was cut while it was written.
    #[error("{}: was truncated to {size} bytes during recording, after {written} were written", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// Bytes written to it.
        written: u64,
    },
    /// The file could not be opened or read.
    #[error("{name}: cannot read: {error}")]
    Read {
        /// The file.
        name: String,
        /// The cause.
        error: io::Error,
    },
    /// The file is not a recording.
    #[error("{name}:1: not a hullwatch recording: {cause}")]
    NotARecording {
        /// The file.
        name: String,
        /// The cause.
        cause: String,
    },
}

impl RecordingError {
    /// The error for a file that could not be created.
    #[must_use]
    pub fn create(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        if error.kind() == io::ErrorKind::AlreadyExists {
            Self::Exists(path)
        } else {
            Self::Create { path, error }
        }
    }
}
