//! Reads a recording that is still being written: at its end the reader waits for more.
//!
//! The writer holds an exclusive lock (`flock`) on the file, which distinguishes an ended writer
//! from one that has nothing to write.

use std::fs::{File, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Interval at which the reader looks for more.
const LOOK: Duration = Duration::from_millis(50);

/// Ends the waiting of a reader.
#[derive(Debug, Default)]
pub(super) struct GrowthSignal {
    /// Nothing more will come: the recording's end was read, or its writer is gone.
    over: AtomicBool,
    /// The reader is no longer needed.
    unwanted: AtomicBool,
}

impl GrowthSignal {
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

/// True while a writer holds the lock of `file`.
///
/// # Errors
/// When its lock cannot be tested.
pub fn is_written(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// [`is_written`] for a path; false when it cannot be opened or locked.
#[must_use]
pub fn path_is_written(path: &Path) -> bool {
    crate::user_files::open(path).is_ok_and(|file| is_written(&file).unwrap_or(false))
}

/// The bytes of a growing file.
pub(super) struct GrowingFile {
    file: BufReader<File>,
    growth: Arc<GrowthSignal>,
}

impl GrowingFile {
    pub(super) fn new(file: BufReader<File>, growth: Arc<GrowthSignal>) -> Self {
        Self { file, growth }
    }

    /// Blocks until there are bytes to read or the file is complete.
    fn wait(&mut self) -> io::Result<()> {
        loop {
            // Checked before reading: everything written until then is still read.
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

impl Read for GrowingFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.file.fill_buf()?.is_empty() {
            self.wait()?;
        }
        self.file.read(buf)
    }
}

impl BufRead for GrowingFile {
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

impl Seek for GrowingFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
