//! Progress of a file that another thread writes, and a way to stop it.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Progress of the writing, and the request to stop it.
#[derive(Debug, Default)]
pub(in crate::tui) struct EvidenceProgress {
    written: AtomicU64,
    stopped: AtomicBool,
}

impl EvidenceProgress {
    /// Bytes so far.
    pub(in crate::tui) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lets the next write fail.
    pub(in crate::tui) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// A writer that counts bytes, and fails once it should stop.
    pub(super) fn count<W: Write>(&self, to: W) -> impl Write {
        CountedWriter { to, progress: self }
    }
}

struct CountedWriter<'a, W> {
    to: W,
    progress: &'a EvidenceProgress,
}

impl<W: Write> Write for CountedWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.progress.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("stopped before it was complete"));
        }
        let count = self.to.write(bytes)?;
        let written = &self.progress.written;
        written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::export::GatheredEvidence;
    use crate::tui::rows::RowKey;
    use crate::tui::tests::demo;
    use crate::tui::ui::Ui;

    #[test]
    fn stopped_writing_leaves_no_file() {
        let core = demo();
        let incident = core.ranked_incidents()[0].id;
        let mut ui = Ui::default();
        ui.at.detail = Some(RowKey::Incident(incident));
        let dir = tempfile::tempdir().unwrap();
        let gather = || GatheredEvidence::of(&core, &ui, false).unwrap();
        let progress = EvidenceProgress::default();
        let written = gather().write(core.state.now, false, dir.path(), &progress);
        assert!(written.unwrap().starts_with("written "));
        let files = || std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files(), 1);
        assert!(progress.written() > 1000);
        progress.stop();
        let refused = gather().write(core.state.now, false, dir.path(), &progress);
        assert!(
            refused
                .unwrap_err()
                .contains("stopped before it was complete")
        );
        assert_eq!(files(), 1);
    }
}
