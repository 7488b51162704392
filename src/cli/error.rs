//! Errors of a command: one sentence for expected ones, a report for unexpected ones.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::event::escape;
use crate::recording::RecordingError;

/// How long the reader of stderr may take nothing, until messages are left out.
const PATIENCE: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// Prints a message of one line on stderr. It may contain names and errors from outside: control
/// characters are escaped, so that a file's name makes no further line. A closed stderr is ignored.
pub(super) fn print_message(what: impl Display) {
    let text = what.to_string();
    if is_read() {
        let _ = writeln!(
            io::stderr(),
            "hullwatch: {}",
            escape(text.trim_end().as_bytes())
        );
    }
}

/// Whether stderr takes a message now, or soon: nothing may wait for a reader that has stopped reading.
fn is_read() -> bool {
    static STALLED: AtomicBool = AtomicBool::new(false);
    let wait = match STALLED.load(Ordering::Relaxed) {
        true => Timespec::default(),
        false => PATIENCE,
    };
    let stderr = io::stderr();
    let mut polled = [PollFd::new(&stderr, PollFlags::OUT)];
    // What cannot be polled is written to.
    let stalled = poll(&mut polled, Some(&wait)) == Ok(0);
    STALLED.store(stalled, Ordering::Relaxed);
    !stalled
}

/// The error of a command.
#[derive(Debug)]
pub enum CliError {
    /// Something the user can act on: one sentence.
    Expected(String),
    /// The reader of the output closed it; nothing is printed.
    Closed,
    /// Anything else.
    Unexpected(color_eyre::Report),
}

impl CliError {
    /// A failure that one sentence explains.
    pub fn expected(message: impl Into<String>) -> Self {
        Self::Expected(message.into())
    }

    /// Prints the error and returns the exit code.
    #[must_use]
    pub fn report(self) -> ExitCode {
        match self {
            Self::Expected(message) => print_message(message),
            Self::Closed => return ExitCode::SUCCESS,
            Self::Unexpected(report) => {
                let _ = writeln!(io::stderr(), "hullwatch: {report:?}");
            }
        }
        ExitCode::from(2)
    }
}

impl From<RecordingError> for CliError {
    fn from(error: RecordingError) -> Self {
        Self::Expected(error.to_string())
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Expected(format!("reading or writing failed: {error}"))
        }
    }
}
