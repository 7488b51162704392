//! The program's log for bug reports: off unless HULLWATCH_LOG is set.
//!
//! Values in it may come from containers: every line is escaped before it is written.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::CliError;
use crate::event::escape;
use crate::user_files;

/// What to log, e.g. `info` or `hullwatch::containers=debug`.
const FILTER: &str = "HULLWATCH_LOG";
/// The file to append to.
const FILE: &str = "HULLWATCH_LOG_FILE";

/// Starts logging if the environment variable is set. `screen`: the command draws on the terminal,
/// so that without a file named the log goes to one in the state directory instead of stderr.
///
/// # Errors
/// When the filter cannot be read, or the file cannot be opened.
pub(super) fn start(screen: bool) -> Result<(), CliError> {
    let requested = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let Some(filter) = requested(FILTER) else {
        return Ok(());
    };
    let filter = EnvFilter::try_new(&filter)
        .map_err(|error| CliError::expected(format!("{FILTER}: {error}")))?;
    let target = match requested(FILE).map(PathBuf::from) {
        Some(path) => LogTarget::File(open(&path)?),
        None if screen => {
            let folder = user_files::state_folder().ok_or_else(|| {
                CliError::expected(format!(
                    "the home directory is unknown: name a file in {FILE}"
                ))
            })?;
            LogTarget::File(open(&folder.join("hullwatch.log"))?)
        }
        None => LogTarget::Stderr,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(target)
        .with_ansi(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|error| CliError::expected(error.to_string()))?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        commit = env!("HULLWATCH_COMMIT"),
        "started"
    );
    Ok(())
}

/// Opens a log to append to, with the caller's rights.
fn open(path: &Path) -> Result<Arc<File>, CliError> {
    let to = path.to_owned();
    let opened = user_files::with_rights(move || {
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder)?;
        }
        File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            // A pipe without a reader would keep the program waiting.
            .custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0))
            .open(&to)
    });
    opened
        .map(Arc::new)
        .map_err(|error| CliError::expected(format!("{}: {error}", path.display())))
}

/// Where the log goes.
#[derive(Debug)]
enum LogTarget {
    File(Arc<File>),
    Stderr,
}

impl<'a> MakeWriter<'a> for LogTarget {
    type Writer = EscapedLine;

    fn make_writer(&'a self) -> EscapedLine {
        EscapedLine {
            file: match self {
                Self::File(file) => Some(Arc::clone(file)),
                Self::Stderr => None,
            },
            line: Vec::new(),
        }
    }
}

/// One event of the log: written whole, as one line, when it is complete.
#[derive(Debug)]
struct EscapedLine {
    /// Else stderr.
    file: Option<Arc<File>>,
    line: Vec<u8>,
}

impl Write for EscapedLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for EscapedLine {
    fn drop(&mut self) {
        let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        if text.is_empty() {
            return;
        }
        let line = format!("{}\n", escape(text));
        // A log that cannot be written must not end the watch.
        let _ = match &self.file {
            Some(file) => file.as_ref().write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_a_container_stays_one_escaped_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/log");
        let target = LogTarget::File(open(&path).unwrap());
        let subscriber = tracing_subscriber::fmt()
            .with_writer(target)
            .with_ansi(false)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(name = "a\n2026 ERROR b\u{1b}[31m", "read {}", "x\u{202e}\r");
            tracing::info!("second");
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text:?}");
        assert!(
            lines[0].contains("WARN") && lines[0].contains("ERROR b"),
            "{text:?}"
        );
        assert!(
            !text
                .chars()
                .any(|c| (c.is_control() && c != '\n') || c == '\u{202e}')
        );
        assert!(lines[1].contains("INFO") && lines[1].ends_with("second"));
    }
}
