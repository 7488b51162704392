//! Executed files that differ from the image: comparisons that are pending, and their results.

use std::collections::BTreeMap;

use super::finding_store::Occurrence;
use super::rule_memory::RuleMemory;
use crate::event::{Bytes, CompareClass, FileFacts, Timestamp};

/// Maximum number of executions that await a comparison; further ones are judged without.
const MAX_PENDING: usize = 64;
/// Maximum number of remembered comparisons.
const MAX_VERDICTS: usize = 512;
/// Seconds after which a comparison is no longer expected.
pub(crate) const PATIENCE: u64 = 5;

/// An executed file whose content is not yet compared.
#[derive(Debug, Clone)]
pub(crate) struct PendingComparison {
    /// Its path.
    pub(crate) path: Bytes,
    /// Its facts at the execution.
    pub(crate) file: FileFacts,
    /// The first execution.
    pub(crate) first: Occurrence,
    /// The process.
    pub(crate) pid: u32,
    /// The command line, escaped.
    pub(crate) command: String,
    /// Executions so far, and the latest.
    pub(crate) executions: (u64, Timestamp, u64),
    /// Whether the init tree executed it within the start-up grace.
    pub(crate) starting_up: bool,
}

/// The executed drift of a container.
#[derive(Debug, Clone, Default)]
pub(crate) struct DriftedFiles {
    /// Awaiting comparison.
    pending: Vec<PendingComparison>,
    /// Compared: by path and inode, with the times the content had then.
    verdicts: BTreeMap<(Bytes, u64), (Timestamp, Timestamp, CompareClass)>,
}

impl DriftedFiles {
    /// Whether an execution that awaits its comparison passes the test.
    #[must_use]
    pub(crate) fn any_pending(&self, test: impl Fn(&PendingComparison) -> bool) -> bool {
        self.pending.iter().any(test)
    }

    /// Takes out the executions awaiting comparison that pass the test.
    pub(crate) fn take_pending(
        &mut self,
        test: impl Fn(&PendingComparison) -> bool,
    ) -> Vec<PendingComparison> {
        let (taken, waiting) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(test);
        self.pending = waiting;
        taken
    }

    /// The comparison's result for this state of the file.
    #[must_use]
    pub(crate) fn verdict(&self, path: &Bytes, file: &FileFacts) -> Option<&CompareClass> {
        let (mtime, ctime, class) = self.verdicts.get(&(path.clone(), file.ino))?;
        (*mtime == file.mtime && *ctime == file.ctime).then_some(class)
    }

    /// Remembers a result.
    pub(crate) fn decide(&mut self, path: &Bytes, file: &FileFacts, class: CompareClass) {
        if self.verdicts.len() >= MAX_VERDICTS {
            self.verdicts.pop_first();
        }
        self.verdicts
            .insert((path.clone(), file.ino), (file.mtime, file.ctime, class));
    }

    /// Adds an execution that awaits its comparison. False when there are too many already.
    pub(crate) fn wait(&mut self, pending: PendingComparison) -> bool {
        if let Some(known) = self
            .pending
            .iter_mut()
            .find(|p| p.path == pending.path && p.file.ino == pending.file.ino)
        {
            known.executions.0 += 1;
            known.executions.1 = pending.first.ts;
            known.executions.2 = pending.first.seq;
            known.starting_up &= pending.starting_up;
            return true;
        }
        if self.pending.len() >= MAX_PENDING {
            return false;
        }
        self.pending.push(pending);
        true
    }
}

impl RuleMemory for DriftedFiles {
    fn heap_bytes(&self) -> usize {
        (self.pending.len() + self.verdicts.len()) * 192
    }
}
