//! Prints lines on standard output on a thread of its own, so that a reader that stops reading blocks
//! nothing else.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError};

/// Lines that wait for the reader of the output; further ones are dropped and counted.
const QUEUE: usize = 65_536;
/// How long a reader may take nothing once the end was requested; the rest is dropped and counted.
const PATIENCE: Duration = Duration::from_secs(1);
/// Interval of looking for progress.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes of one write: each that a slow reader takes is progress.
const PIECE: usize = 4096;

/// Counts of a printer.
#[derive(Debug, Default)]
struct PrinterCounts {
    /// Bytes of the lines that wait.
    waiting: AtomicUsize,
    /// Bytes that were written.
    written: AtomicU64,
    /// Lines that were dropped.
    dropped: AtomicU64,
}

/// Where lines are printed; never blocks.
#[derive(Debug, Clone)]
pub(super) struct LineQueue {
    out: Sender<Vec<u8>>,
    counts: Arc<PrinterCounts>,
    /// Maximum number of bytes that wait.
    most: usize,
}

/// The lines that are printed, and the thread that does, once it runs.
#[derive(Debug)]
pub(super) struct LinePrinter {
    queue: LineQueue,
    lines: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// Standard output, of which every write is counted.
struct CountedOutput<'a>(&'a PrinterCounts);

impl Write for CountedOutput<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The library's own output has a buffer of its own.
        let count = rustix::io::write(io::stdout(), &bytes[..bytes.len().min(PIECE)])?;
        self.0.written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LineQueue {
    /// Queues a line, or counts it as dropped.
    pub(super) fn print(&self, line: Vec<u8>) {
        let bytes = line.len();
        let before = self.counts.waiting.fetch_add(bytes, Ordering::Relaxed);
        let full = before + bytes > self.most;
        if full || matches!(self.out.try_send(line), Err(TrySendError::Full(_))) {
            self.counts.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl LinePrinter {
    /// A printer of which at most so many bytes wait.
    pub(super) fn new(most: usize) -> Self {
        let (out, lines) = crossbeam_channel::bounded(QUEUE);
        let queue = LineQueue {
            out,
            counts: Arc::default(),
            most,
        };
        Self {
            queue,
            lines,
            thread: None,
        }
    }

    /// Where lines are put.
    pub(super) fn queue(&self) -> LineQueue {
        self.queue.clone()
    }

    /// Begins to print, with the rights of the calling thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(&mut self) -> io::Result<()> {
        let lines = self.lines.clone();
        let counts = Arc::clone(&self.queue.counts);
        let thread = std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || print(&lines, &counts))?;
        self.thread = Some(thread);
        Ok(())
    }

    /// Whether printing has ended: the output is closed.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Prints what waits, then `rest`, and returns the number of lines that were not printed. Waits for
    /// the reader, but once `ended` only while it reads.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn finish(self, rest: Vec<Vec<u8>>, ended: impl Fn() -> bool) -> io::Result<u64> {
        let Self {
            queue,
            lines,
            thread,
        } = self;
        let Some(thread) = thread else { return Ok(0) };
        let counts = Arc::clone(&queue.counts);
        let mut last = (counts.written.load(Ordering::Relaxed), Instant::now());
        let mut stalled = || {
            let written = counts.written.load(Ordering::Relaxed);
            if written != last.0 || !ended() {
                last = (written, Instant::now());
            }
            last.1.elapsed() >= PATIENCE
        };
        // Those that were not queued; the empty line at the end is none of them.
        let mut unprinted = 0;
        let end = Vec::new();
        for mut line in rest.into_iter().chain([end]) {
            let is_line = u64::from(!line.is_empty());
            queue
                .counts
                .waiting
                .fetch_add(line.len(), Ordering::Relaxed);
            loop {
                match queue.out.send_timeout(line, LOOK) {
                    Err(SendTimeoutError::Timeout(back)) if !stalled() && !thread.is_finished() => {
                        line = back;
                    }
                    Err(_) => break unprinted += is_line,
                    Ok(()) => break,
                }
            }
        }
        while !thread.is_finished() {
            if stalled() {
                // And some that are in its buffer.
                return Ok(unprinted + lines.len() as u64 + counts.dropped.load(Ordering::Relaxed));
            }
            std::thread::sleep(LOOK);
        }
        // A panic was reported.
        thread.join().unwrap_or(Ok(()))?;
        Ok(unprinted + counts.dropped.load(Ordering::Relaxed))
    }
}

/// Prints until an empty line; flushes whenever nothing waits.
fn print(lines: &Receiver<Vec<u8>>, counts: &PrinterCounts) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, CountedOutput(counts));
    loop {
        let line = match lines.try_recv() {
            Ok(line) => line,
            Err(_) => {
                out.flush()?;
                match lines.recv() {
                    Ok(line) => line,
                    Err(_) => break,
                }
            }
        };
        if line.is_empty() {
            break;
        }
        out.write_all(&line)?;
        counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
    }
    out.flush()
}
