//! Executed drift: what is pending a comparison with the image, and what was decided.

use crate::catalog;
use std::collections::BTreeMap;
use std::sync::Arc;

use bstr::ByteSlice as _;

use super::Severity;
use super::finding::FindingIndex;
use super::finding_store::Occurrence;
use super::rule_context::RuleContext;
use super::{build, programs};
use crate::event::{Bytes, CompareClass, Endpoint, FileFacts, FileOp, Kind, Timestamp, escape};
use crate::state::{FileActivity, Lineage, ProcessEntry};

/// Executions that may await a comparison at once; more are decided without.
const MAX_PENDING: usize = 64;
/// Comparisons remembered.
const MAX_VERDICTS: usize = 512;
/// A comparison that has not come after this many seconds is not coming.
pub(crate) const PATIENCE: u64 = 5;

/// An executed file whose content is not yet compared.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
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
    pub(crate) again: (u64, Timestamp, u64),
    /// Whether the init tree executed it within the start-up grace.
    pub(crate) starting_up: bool,
}

/// What is known of executed drift in a container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drifts {
    /// Awaiting comparison.
    pub(crate) pending: Vec<Pending>,
    /// Compared: by path and inode, with the times the content had then.
    verdicts: BTreeMap<(Bytes, u64), (Timestamp, Timestamp, CompareClass)>,
}

impl Drifts {
    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.pending.len() + self.verdicts.len()
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

    /// Awaits a comparison. False when too many are awaited already.
    pub(crate) fn wait(&mut self, pending: Pending) -> bool {
        if let Some(known) = self
            .pending
            .iter_mut()
            .find(|p| p.path == pending.path && p.file.ino == pending.file.ino)
        {
            known.again.0 += 1;
            known.again.1 = pending.first.ts;
            known.again.2 = pending.first.seq;
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

/// The clock time of a point in time, UTC.
#[must_use]
pub(crate) fn clock(at: Timestamp) -> String {
    at.to_jiff().strftime("%H:%M:%S").to_string()
}

/// One that changed a file, when it is still known and was there then.
fn known<'a>(ctx: &RuleContext<'a>, activity: &FileActivity, pid: u32) -> Option<&'a ProcessEntry> {
    ctx.state
        .processes
        .get(&pid)
        .filter(|p| p.owner.as_ref() == Some(ctx.owner) && p.started <= activity.last)
        .map(Arc::as_ref)
}

/// The process or one of its ancestors is such.
pub(crate) fn any_ancestor(
    ctx: &RuleContext<'_>,
    process: &ProcessEntry,
    test: impl Fn(&ProcessEntry) -> bool,
) -> bool {
    let mut current = process;
    for _ in 0..12 {
        if test(current) {
            return true;
        }
        match ctx.state.processes.get(&current.ppid) {
            Some(next) if next.owner == current.owner && next.pid != current.pid => current = next,
            _ => return false,
        }
    }
    false
}

/// How a file that is not the image's came about, when that is ordinary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// By the container's own start-up.
    StartUp,
    /// By a package manager of the image.
    Package,
    /// By a compiler, linker or build tool of the image.
    Built,
}

/// Whether a file came about in an ordinary way.
#[must_use]
pub(crate) fn made(ctx: &RuleContext<'_>, path: &[u8]) -> Option<Made> {
    if ctx
        .memory
        .get(ctx.owner)
        .is_some_and(|own| own.packaged.contains(path))
    {
        return Some(Made::Package);
    }
    if ctx
        .memory
        .get(ctx.owner)
        .is_some_and(|own| own.built.contains(path))
    {
        return Some(Made::Built);
    }
    let activity = ctx.activity(path)?;
    let writer = known(ctx, activity, activity.writer);
    if let Some(writer) = writer {
        if any_ancestor(ctx, writer, |p| programs::is_packager(ctx.names(), p)) {
            return Some(Made::Package);
        }
        // A build's own steps write; what one of them fetches or decodes was made elsewhere.
        let brought = ctx.names().is_downloader(programs::of(writer)) || unpacks(writer);
        if !brought && any_ancestor(ctx, writer, |p| build::is_builder(ctx.names(), p)) {
            return Some(Made::Built);
        }
    }
    let by_session = writer.is_some_and(|w| matches!(w.lineage, Lineage::ExecSession(_)));
    (!by_session && ctx.in_grace(activity.last)).then_some(Made::StartUp)
}

/// Turns text into a file.
fn unpacks(process: &ProcessEntry) -> bool {
    catalog::programs::DECODERS.contains(&programs::of(process))
}

/// Lines that tell how a file came about: written, renamed, made executable, by whom.
pub(crate) fn history(ctx: &RuleContext<'_>, path: &[u8], why: &mut Vec<String>) {
    let Some(activity) = ctx.activity(path) else {
        return;
    };
    let did = |op| activity.ops.contains_key(&op);
    let mut deeds: Vec<&str> = Vec::new();
    if did(FileOp::Create) || did(FileOp::Write) || did(FileOp::Truncate) {
        deeds.push("written");
    }
    if did(FileOp::Rename) {
        deeds.push("moved there");
    }
    if did(FileOp::Link) || did(FileOp::Symlink) {
        deeds.push("linked there");
    }
    if did(FileOp::Chmod) {
        deeds.push("made executable or its mode changed");
    }
    if deeds.is_empty() {
        return;
    }
    why.push(format!(
        "{} between {} and {}, last by {} (pid {})",
        deeds.join(", "),
        clock(activity.first),
        clock(activity.last),
        activity.comm.escaped(),
        activity.pid
    ));
    // A writer that became the program itself says nothing about how it came.
    let another = |pid| known(ctx, activity, pid).filter(|w| w.exe.as_bytes() != path);
    if let Some(writer) = another(activity.writer).or_else(|| another(activity.pid)) {
        why.push(format!(
            "written by: {}",
            programs::command_line(&writer.argv, &writer.exe, 160)
        ));
    }
    if let Some(out) = ctx.memory.outbound.get(&activity.writer) {
        why.push(format!("its writer had connected to {}", out.to));
    }
}

/// Sequence numbers of the latest events that made a file, oldest first; at most four.
#[must_use]
pub(crate) fn history_events(ctx: &RuleContext<'_>, path: &[u8]) -> Vec<u64> {
    let mut found: Vec<u64> = ctx
        .state
        .recent
        .events
        .iter()
        .rev()
        .take(20_000)
        .filter(|e| e.container.as_ref() == Some(ctx.owner) && e.seq < ctx.event.seq)
        .filter_map(|e| match &e.kind {
            Kind::File(f)
                if f.path.as_bytes() == path
                    || f.target.as_ref().is_some_and(|t| t.as_bytes() == path) =>
            {
                Some(e.seq)
            }
            _ => None,
        })
        .take(4)
        .collect();
    found.reverse();
    found
}

/// Puts the events that made the file before the execution into the evidence.
pub(crate) fn attach_history(ctx: &mut RuleContext<'_>, index: FindingIndex, path: &[u8]) {
    let seqs = history_events(ctx, path);
    ctx.findings.edit(index, |f| {
        if f.count == 1 && f.evidence.len() == 1 {
            f.evidence.splice(0..0, seqs);
        }
    });
}

/// One severity lower.
#[must_use]
pub(crate) fn lower(severity: Severity) -> Severity {
    match severity {
        Severity::Critical => Severity::High,
        Severity::High => Severity::Medium,
        Severity::Medium => Severity::Low,
        Severity::Low | Severity::Info => Severity::Info,
    }
}

/// A peer for people.
#[must_use]
pub(crate) fn peer(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Inet(a) => a.to_string(),
        Endpoint::Unix(p) => escape(p).to_string(),
    }
}
