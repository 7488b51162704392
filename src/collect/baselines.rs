//! Baseline files: read at the start, and again whenever one changes on disk.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use sha2::{Digest as _, Sha256};

use crate::baseline::parse;
use crate::event::BaselineChange;
use crate::user_files;

/// Interval between two checks.
const LOOK: Duration = Duration::from_millis(500);
/// Maximum number of queued changes.
const WAITING: usize = 64;
/// Maximum number of files of a directory.
const MOST: usize = 1_024;

/// Watches a file or a directory of baselines on a thread of its own.
pub(super) struct BaselineWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl BaselineWatch {
    /// Starts watching; the receiver first gets the existing files, then changes.
    pub(super) fn start(path: PathBuf) -> std::io::Result<(Self, Receiver<BaselineChange>)> {
        let (out, changes) = crossbeam_channel::bounded(WAITING);
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("baselines".to_owned())
            .spawn(move || {
                super::capabilities::give_up_files();
                watch(&path, &out, &stopping);
            })?;
        let watch = Self {
            stop,
            thread: Some(thread),
        };
        Ok((watch, changes))
    }
}

impl Drop for BaselineWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panicked thread has reported it on stderr.
            let _ = thread.join();
        }
    }
}

type Version = (u64, u64, u64, i64, i64);

fn version(path: &Path) -> Option<Version> {
    let m = path.metadata().ok()?;
    Some((m.ino(), m.dev(), m.size(), m.mtime(), m.ctime_nsec()))
}

/// The files at a path: itself, or those in it.
fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let mut found = user_files::list(path).unwrap_or_default();
    found.retain(|path| path.to_string_lossy().ends_with(".baseline.toml"));
    found.sort();
    found.truncate(MOST);
    found
}

/// The event about a file that was read, refused or removed.
fn read(path: &Path) -> BaselineChange {
    let mut change = BaselineChange {
        file: path.display().to_string(),
        ..BaselineChange::default()
    };
    match user_files::read(path) {
        Err(why) => change.refused = Some(format!("{why}; the previous content stays in force")),
        Ok(text) => {
            let hash = Sha256::digest(text.as_bytes());
            change.sha256 = hash.iter().map(|b| format!("{b:02x}")).collect();
            match parse(&text) {
                Ok(_) => change.content = Some(text),
                Err(why) => {
                    change.refused = Some(format!("{why}; the previous content stays in force"))
                }
            }
        }
    }
    change
}

fn watch(path: &Path, out: &Sender<BaselineChange>, stop: &AtomicBool) {
    let mut known: BTreeMap<PathBuf, (Option<Version>, String)> = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let there = files(path);
        for file in &there {
            // Taken before reading: a change during the read is noticed at the next check.
            let now = version(file);
            if known.get(file).is_some_and(|(seen, _)| *seen == now) {
                continue;
            }
            let change = read(file);
            let before = known.insert(file.clone(), (now, change.sha256.clone()));
            let same = before.is_some_and(|(_, hash)| {
                !hash.is_empty() && hash == change.sha256 && change.refused.is_none()
            });
            if !same && !send(change, out, stop) {
                return;
            }
        }
        let gone: Vec<PathBuf> = known
            .keys()
            .filter(|file| !there.contains(file))
            .cloned()
            .collect();
        for file in gone {
            known.remove(&file);
            let change = BaselineChange {
                file: file.display().to_string(),
                ..BaselineChange::default()
            };
            if !send(change, out, stop) {
                return;
            }
        }
        std::thread::park_timeout(LOOK);
    }
}

/// Queues a change; false when the receiver is gone.
fn send(mut change: BaselineChange, out: &Sender<BaselineChange>, stop: &AtomicBool) -> bool {
    loop {
        match out.send_timeout(change, LOOK) {
            Ok(()) => return true,
            Err(crossbeam_channel::SendTimeoutError::Timeout(back)) => change = back,
            Err(crossbeam_channel::SendTimeoutError::Disconnected(_)) => return false,
        }
        if stop.load(Ordering::Relaxed) {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_directory_come_once_and_a_broken_one_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.baseline.toml");
        let good = "baseline = 1\nimage = \"web\"\nstate = \"frozen\"\nsources = []\n[facets]\n";
        std::fs::write(&path, good).unwrap();
        std::fs::write(dir.path().join("other.txt"), "x").unwrap();
        let (watch, changes) = BaselineWatch::start(dir.path().to_owned()).unwrap();
        let next = || changes.recv_timeout(Duration::from_secs(60)).unwrap();
        let first = next();
        assert_eq!(first.content.as_deref(), Some(good));
        assert_eq!(first.sha256.len(), 64);
        std::fs::write(&path, format!("{good}exce = []\n")).unwrap();
        let broken = next();
        assert!(broken.refused.unwrap().starts_with("line 6:"));
        assert_eq!(broken.content, None);
        std::fs::remove_file(&path).unwrap();
        let gone = next();
        assert!(gone.content.is_none() && gone.refused.is_none());
        drop(watch);
    }
}
