//! The policy file: read at the start, and reread whenever it changes on disk.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};

use crate::detect::{Policy, Settings};
use crate::event::PolicyChange;
use crate::user_files;

/// Interval between two checks of the file.
const LOOK: Duration = Duration::from_millis(250);
/// Maximum number of queued changes; a person edits more slowly.
const WAITING: usize = 16;

/// A policy file, and the settings that precede it.
#[derive(Debug, Clone)]
pub struct PolicyFile {
    path: PathBuf,
    /// An age limit from the command line, which overrides the file.
    max_age: Option<Option<Duration>>,
    /// Content at the last read; `None`: there was no file.
    text: Option<String>,
}

impl PolicyFile {
    /// Reads a policy file. An optional one may be created later.
    ///
    /// # Errors
    /// When it cannot be read or is no policy: the file, the cause, and its line where there is
    /// one.
    pub fn open(
        path: &Path,
        must_exist: bool,
        max_age: Option<Option<Duration>>,
    ) -> Result<(Self, Settings), String> {
        let at = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let text = if must_exist || path.exists() {
            Some(user_files::read(path).map_err(|e| at(&e))?)
        } else {
            None
        };
        let file = Self {
            path: path.to_owned(),
            max_age,
            text,
        };
        let settings = file.judge(file.text.as_deref().unwrap_or_default());
        let settings = settings.map_err(|e| at(&e))?;
        tracing::info!(path = ?path, exists = file.text.is_some(), "policy");
        Ok((file, settings))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn judge(&self, text: &str) -> Result<Settings, String> {
        let mut settings = Settings::default();
        settings.adopt(Policy::parse(text).map_err(|e| e.to_string())?);
        if let Some(limit) = self.max_age {
            settings.max_age = limit;
        }
        Ok(settings)
    }

    /// Rereads it; returns the change, if there is one.
    fn reread(&mut self) -> Option<PolicyChange> {
        let read = user_files::read(&self.path);
        let judged = match read {
            Ok(text) if self.text.as_ref() == Some(&text) => return None,
            Ok(text) => {
                let judged = self.judge(&text);
                self.text = Some(text);
                judged
            }
            Err(why) => {
                self.text.take()?;
                Err(why.to_string())
            }
        };
        let (rules, refused) = match judged {
            Ok(settings) => (Some(settings.policy_settings()), None),
            Err(why) => (
                None,
                Some(format!("{why}; the previous settings stay in force")),
            ),
        };
        tracing::info!(path = ?self.path, ?refused, "policy reloaded");
        Some(PolicyChange {
            file: self.path.display().to_string(),
            rules,
            refused,
        })
    }
}

/// Watches the file on a thread of its own, so that a slow disk blocks nothing.
pub(super) struct PolicyWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PolicyWatch {
    /// Starts watching; the receiver gets the changes.
    pub(super) fn start(file: PolicyFile) -> std::io::Result<(Self, Receiver<PolicyChange>)> {
        let (out, changes) = crossbeam_channel::bounded(WAITING);
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("policy".to_owned())
            .spawn(move || {
                super::capabilities::give_up_files();
                watch(file, &out, &stopping);
            })?;
        let watch = Self {
            stop,
            thread: Some(thread),
        };
        Ok((watch, changes))
    }

    /// Checks at once.
    pub(super) fn look(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for PolicyWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.look();
        if let Some(thread) = self.thread.take() {
            // A panicked thread has reported it on stderr.
            let _ = thread.join();
        }
    }
}

/// Identifies a version of a file: editors write in place or rename over it.
type FileState = Option<(u64, u64, u64, i64, i64, i64, i64)>;

fn version(path: &Path) -> FileState {
    let of = |m: Metadata| {
        let times = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
        (
            m.dev(),
            m.ino(),
            m.size(),
            times.0,
            times.1,
            times.2,
            times.3,
        )
    };
    path.metadata().ok().map(of)
}

fn watch(mut file: PolicyFile, out: &Sender<PolicyChange>, stop: &AtomicBool) {
    // The state at the first read is not known: it is read once more.
    let mut seen = None;
    let mut waiting = None;
    while !stop.load(Ordering::Relaxed) {
        // Taken before reading: a change during the read is noticed at the next check.
        let now = version(&file.path);
        if seen != Some(now) {
            seen = Some(now);
            // The later of two queued changes counts.
            waiting = file.reread().or(waiting);
        }
        if let Some(change) = waiting.take() {
            match out.try_send(change) {
                Err(TrySendError::Full(change)) => waiting = Some(change),
                Err(TrySendError::Disconnected(_)) => return,
                Ok(()) => {}
            }
        }
        std::thread::park_timeout(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Severity;

    fn wait(changes: &Receiver<PolicyChange>) -> PolicyChange {
        changes.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    #[test]
    fn each_edit_is_reported_once_and_a_bad_one_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        // It need not be there yet.
        let (file, settings) = PolicyFile::open(&path, false, Some(None)).unwrap();
        assert_eq!(settings.max_age, None);
        let (watch, changes) = PolicyWatch::start(file).unwrap();
        // In one step: a file that is written in place is empty for a moment.
        let other = dir.path().join("policy.toml~");
        std::fs::write(
            &other,
            "max-age = \"3d\"\n[severity]\n\"file.cron\" = \"low\"\n",
        )
        .unwrap();
        std::fs::rename(&other, &path).unwrap();
        let rules = wait(&changes).rules.unwrap();
        assert_eq!(rules.policy.severity["file.cron"], Some(Severity::Low));
        // The command line counts before the file.
        assert_eq!(rules.max_age, None);
        // As editors do it: another file takes the name.
        std::fs::write(&other, "[severity]\n\"file.corn\" = \"low\"\n").unwrap();
        std::fs::rename(&other, &path).unwrap();
        watch.look();
        let change = wait(&changes);
        assert_eq!(change.rules, None);
        assert!(change.refused.unwrap().starts_with("line 2:"));
        std::fs::remove_file(&path).unwrap();
        assert!(wait(&changes).refused.unwrap().contains("No such file"));
        // Rereading the same text is no change.
        std::fs::write(&path, "").unwrap();
        assert!(wait(&changes).rules.is_some());
        let reread = std::fs::read(&path).unwrap();
        std::fs::write(&path, reread).unwrap();
        assert!(changes.recv_timeout(LOOK * 3).is_err());
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let path = Path::new("/nonexistent/policy.toml");
        let error = PolicyFile::open(path, true, None).unwrap_err();
        assert!(error.contains("/nonexistent/policy.toml"), "{error}");
    }
}
