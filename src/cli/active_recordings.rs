//! Finds running recordings on this host by the locks their recorders hold.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use procfs::process::{FDTarget, Process};
use procfs::{Current as _, LockKind, LockType, Locks};

use super::CliError;
use crate::recording::{RecordingReader, is_written};
use crate::user_files::{self, InvokingUser};

/// A running recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActiveRecording {
    /// The recording file.
    pub(super) path: PathBuf,
    /// Process id of the recorder.
    pub(super) pid: i32,
}

/// The running recordings whose process and file belong to this user, root, or the caller of
/// sudo. Other users' are ignored: anybody can lock a file that looks like a recording.
pub(super) fn all() -> Vec<ActiveRecording> {
    let own = rustix::process::geteuid().as_raw();
    let caller = InvokingUser::from_environment().map(|who| who.uid);
    let trusted = |uid: u32| uid == 0 || uid == own || Some(uid) == caller;
    let locks = Locks::current().map(|locks| locks.0).unwrap_or_default();
    let held = locks
        .into_iter()
        .filter(|lock| lock.lock_type == LockType::FLock && matches!(lock.kind, LockKind::Write));
    let mut found: Vec<ActiveRecording> = held
        .filter_map(|lock| {
            let pid = lock.pid?;
            let process = Process::new(pid).ok()?;
            if !trusted(process.uid().ok()?) {
                return None;
            }
            let mut files = open_files(&process, lock.inode).into_iter();
            let path = files.find(|path| {
                path.symlink_metadata()
                    .is_ok_and(|facts| facts.is_file() && trusted(facts.uid()))
                    && RecordingReader::is_recording(path)
            })?;
            Some(ActiveRecording { path, pid })
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup();
    found
}

/// The files with that inode that the process has open. Files of several devices may have it, and
/// the device of the lock may differ from that of the file, as some file systems have several.
fn open_files(process: &Process, inode: u64) -> Vec<PathBuf> {
    let open = process.fd().into_iter().flatten().flatten();
    open.filter_map(|fd| match fd.target {
        FDTarget::Path(path) => Some(path),
        _ => None,
    })
    .filter(|path| path.metadata().is_ok_and(|facts| facts.ino() == inode))
    .collect()
}

/// Canonical path of the named recording, or of the only one.
///
/// # Errors
/// When there is none, or more than one.
pub(super) fn file(named: Option<&Path>) -> Result<PathBuf, CliError> {
    match named {
        Some(path) => {
            open(path)?;
            Ok(path.canonicalize()?)
        }
        None => only(all()).map(|one| one.path),
    }
}

/// Opens the file of a running recording.
fn open(path: &Path) -> Result<File, CliError> {
    let fail = |why: &dyn std::fmt::Display| {
        CliError::expected(format!("{}: cannot read: {why}", path.display()))
    };
    let file = user_files::open(path).map_err(|e| fail(&e))?;
    if !is_written(&file).map_err(|e| fail(&e))? {
        return Err(CliError::expected(format!(
            "{}: no process is recording to it; hullwatch replay plays it",
            path.display()
        )));
    }
    Ok(file)
}

/// The named recording, or the only one, with its recorder.
///
/// # Errors
/// When there is none, more than one, or when its recorder belongs to another user.
pub(super) fn one(named: Option<&Path>) -> Result<ActiveRecording, CliError> {
    let Some(path) = named else {
        return only(all());
    };
    let facts = open(path)?.metadata()?;
    let same = |other: Metadata| (other.dev(), other.ino()) == (facts.dev(), facts.ino());
    let holds = |one: &ActiveRecording| one.path.metadata().is_ok_and(same);
    all().into_iter().find(holds).ok_or_else(|| {
        CliError::expected(format!(
            "{}: the process that records to it belongs to another user",
            path.display()
        ))
    })
}

fn only(mut all: Vec<ActiveRecording>) -> Result<ActiveRecording, CliError> {
    match (all.len(), all.pop()) {
        (1, Some(one)) => Ok(one),
        (0, _) | (_, None) => Err(CliError::expected(
            "no recording of this user is running; hullwatch record --detach FILE starts one",
        )),
        (_, Some(last)) => {
            all.push(last);
            let names: Vec<_> = all
                .iter()
                .map(|one| one.path.display().to_string())
                .collect();
            Err(CliError::expected(format!(
                "several recordings are running, name one: {}",
                names.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Settings;
    use crate::event::Timestamp;
    use crate::recording::{Header, Writer};

    #[test]
    fn a_recording_is_under_way_while_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("s.jsonl");
        let header = Header::here(Timestamp::default(), Settings::default());
        let writer = Writer::create(&path, &header).unwrap();
        let own = ActiveRecording {
            path: path.clone(),
            pid: i32::try_from(std::process::id()).unwrap(),
        };
        assert!(all().contains(&own));
        assert_eq!(one(Some(&path)).unwrap(), own);
        // However it is named, it is the same.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(one(Some(&link)).unwrap(), own);
        assert_eq!(file(Some(&link)).unwrap(), path);
        writer.finish(&[]).unwrap();
        assert!(!all().contains(&own));
        let error = format!("{:?}", one(Some(&path)).unwrap_err());
        assert!(error.contains("no process is recording"), "{error}");
        assert!(file(Some(&path)).is_err());
        assert!(one(Some(&dir.path().join("none"))).is_err());
    }

    #[test]
    fn without_a_name_there_must_be_exactly_one() {
        let named = |name: &str| ActiveRecording {
            path: name.into(),
            pid: 1,
        };
        assert!(only(Vec::new()).is_err());
        assert_eq!(only(vec![named("a")]).unwrap(), named("a"));
        let error = format!("{:?}", only(vec![named("a"), named("b")]).unwrap_err());
        assert!(error.contains("a, b"), "{error}");
    }
}
