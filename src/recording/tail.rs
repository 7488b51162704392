//! A session file that is still being written: its end is where reading waits for more.
//!
//! Who writes a session holds an exclusive lock on its file (`flock`), so that a writer that ended
//! in whatever way is told from one that has nothing to say.

use std::fs::{File, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long to wait before looking for more: a screen shows it a little later than it is written.
const LOOK: Duration = Duration::from_millis(50);

/// What ends the waiting.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// Nothing more will come: the session's end was read, or its writer is gone.
    over: AtomicBool,
    /// Nobody wants more.
    unwanted: AtomicBool,
}

impl Growth {
    pub(super) fn over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn stop(&self) {
        self.unwanted.store(true, Ordering::Relaxed);
    }

    fn ended(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.unwanted.load(Ordering::Relaxed)
    }
}

/// True while somebody writes the session into `file`.
///
/// # Errors
/// When its lock cannot be looked at.
pub fn is_written(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// [`is_written`] of a path; what cannot be opened or locked is not.
#[must_use]
pub fn path_is_written(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| is_written(&file).unwrap_or(false))
}

/// The bytes of such a file.
pub(super) struct Tail {
    file: BufReader<File>,
    growth: Arc<Growth>,
}

impl Tail {
    pub(super) fn new(file: BufReader<File>, growth: Arc<Growth>) -> Self {
        Self { file, growth }
    }

    /// Returns when there are bytes to read, or will never be.
    fn wait(&mut self) -> io::Result<()> {
        loop {
            // Looked at before reading: what was written until then is read all the same.
            let last = self.growth.ended() || !is_written(self.file.get_ref())?;
            if !self.file.fill_buf()?.is_empty() {
                return Ok(());
            }
            if last {
                self.growth.over();
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Read for Tail {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.file.fill_buf()?.is_empty() {
            self.wait()?;
        }
        self.file.read(buf)
    }
}

impl BufRead for Tail {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.file.fill_buf()?.is_empty() {
            self.wait()?;
        }
        self.file.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.file.consume(n);
    }
}

impl Seek for Tail {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
