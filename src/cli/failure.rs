//! How a command fails: one sentence for what can be expected, a report for what cannot.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::event::escape;
use crate::recording::SessionError;

/// Says something on stderr. Names and errors from elsewhere may be in it: no control character
/// reaches the terminal. A stderr that is closed is no reason to end.
pub(super) fn say(what: impl Display) {
    let text = what.to_string();
    let lines: Vec<_> = text
        .trim_end()
        .lines()
        .map(|line| escape(line.as_bytes()).to_string())
        .collect();
    let _ = writeln!(io::stderr(), "hullwatch: {}", lines.join("\n"));
}

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// Something a person can act on: one sentence.
    Expected(String),
    /// Whoever reads our output left; nobody is to be told.
    Closed,
    /// Anything else.
    Unexpected(color_eyre::Report),
}

impl Failure {
    /// A failure that one sentence explains.
    pub fn expected(message: impl Into<String>) -> Self {
        Self::Expected(message.into())
    }

    /// Tells the person, and gives the exit code.
    #[must_use]
    pub fn report(self) -> ExitCode {
        match self {
            Self::Expected(message) => say(message),
            Self::Closed => return ExitCode::SUCCESS,
            Self::Unexpected(report) => eprintln!("hullwatch: {report:?}"),
        }
        ExitCode::from(2)
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Expected(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Expected(format!("reading or writing failed: {error}"))
        }
    }
}
