//! What can go wrong with a session file.

use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with a session file; the message names the file and the cause.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A recording never replaces a file.
    #[error("{}: exists already, and a recording never overwrites: choose another name", .0.display())]
    Exists(PathBuf),
    /// The file could not be created.
    #[error("{}: cannot create: {error}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file could not be written.
    #[error("{}: cannot write: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file could not be opened or read.
    #[error("{name}: cannot read: {error}")]
    Read {
        /// The file.
        name: String,
        /// Why.
        error: io::Error,
    },
    /// The file is not a session.
    #[error("{name}:1: not a hullwatch session: {cause}")]
    NotASession {
        /// The file.
        name: String,
        /// Why.
        cause: String,
    },
}

impl SessionError {
    /// A file could not be made.
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
