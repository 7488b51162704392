//! Origin of a file that is not in the image: the process that made it, and whether that is
//! ordinary.

use bstr::ByteSlice as _;

use super::finding::FindingIndex;
use super::program_roles;
use super::rule_context::RuleContext;
use crate::catalog;
use crate::event::{FileEffect, FileOp, Kind, Timestamp};
use crate::state::{FileActivity, Lineage, ProcessEntry};

/// Whether the process or one of its ancestors passes the test.
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
        match ctx.state.parent_of(current) {
            Some(next) => current = next,
            None => return false,
        }
    }
    false
}

/// The ordinary ways in which a file outside the image is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrdinaryOrigin {
    /// Written by the container's own start-up.
    StartUp,
    /// Written by a package manager of the image.
    Package,
    /// Written by a compiler, linker or build tool of the image.
    Built,
}

/// The ordinary origin of a file, if it has one.
#[must_use]
pub(crate) fn made(ctx: &RuleContext<'_>, path: &[u8]) -> Option<OrdinaryOrigin> {
    if ctx
        .memory
        .get(ctx.owner)
        .is_some_and(|own| own.packaged.contains(path))
    {
        return Some(OrdinaryOrigin::Package);
    }
    if ctx
        .memory
        .get(ctx.owner)
        .is_some_and(|own| own.built.contains(path))
    {
        return Some(OrdinaryOrigin::Built);
    }
    let Some(activity) = ctx.activity(path).filter(|activity| changed(activity)) else {
        return made_before(ctx, path);
    };
    let writer = ctx.writer(activity);
    if let Some(writer) = writer {
        if any_ancestor(ctx, writer, |p| program_roles::is_packager(ctx.names(), p)) {
            return Some(OrdinaryOrigin::Package);
        }
        // Steps of a build write files; a file that one of them fetches or decodes was made
        // elsewhere.
        let brought = ctx.names().is_downloader(program_roles::of(writer)) || unpacks(writer);
        if !brought && any_ancestor(ctx, writer, |p| program_roles::is_builder(ctx.names(), p)) {
            return Some(OrdinaryOrigin::Built);
        }
    }
    let by_session = writer.is_some_and(|w| matches!(w.lineage, Lineage::ExecSession(_)));
    (!by_session && ctx.in_grace(activity.last)).then_some(OrdinaryOrigin::StartUp)
}

/// Whether a process was seen changing the file, not only reading it.
fn changed(activity: &FileActivity) -> bool {
    activity.ops.keys().any(|op| op.effect() != FileEffect::Use)
}

/// For a file that no process was seen changing: whether the comparison with the image shows that a
/// package installed it before watching began, or that the container's start-up created it.
fn made_before(ctx: &RuleContext<'_>, path: &[u8]) -> Option<OrdinaryOrigin> {
    let (_, scan) = ctx.container?.scan()?;
    let mut entries = scan.entries.iter();
    let entry = entries.find(|entry| entry.path.as_bytes() == path)?;
    if !ctx.before_watching(entry.ctime) {
        return None;
    }
    if entry.package.is_some() {
        return Some(OrdinaryOrigin::Package);
    }
    ctx.made_at_start(entry.ctime)
        .then_some(OrdinaryOrigin::StartUp)
}

/// Programs that turn text into a binary file.
fn unpacks(process: &ProcessEntry) -> bool {
    catalog::decoders::of(program_roles::of(process)).is_some()
}

/// Lines about the file's origin: the processes that wrote it, renamed it or made it executable.
pub(crate) fn history(ctx: &RuleContext<'_>, path: &[u8], why: &mut Vec<String>) {
    let Some(activity) = ctx.activity(path) else {
        return;
    };
    let did = |op| activity.ops.contains_key(&op);
    let mut actions: Vec<&str> = Vec::new();
    if did(FileOp::Create) || did(FileOp::Write) || did(FileOp::Truncate) {
        actions.push("written");
    }
    if did(FileOp::Rename) {
        actions.push("moved there");
    }
    if did(FileOp::Link) || did(FileOp::Symlink) {
        actions.push("linked there");
    }
    if did(FileOp::Chmod) {
        actions.push("made executable or its mode changed");
    }
    if actions.is_empty() {
        return;
    }
    why.push(format!(
        "{} {}, last by {} (pid {})",
        actions.join(", "),
        period(activity.first, activity.last),
        activity.comm.escaped(),
        activity.pid
    ));
    // A writer that then became the program itself adds nothing.
    let last = || {
        let process = ctx.state.process_at(activity.pid, activity.last)?;
        (process.owner.as_ref() == Some(ctx.owner)).then_some(&**process)
    };
    let another = |process: &&ProcessEntry| process.exe.as_bytes() != path;
    let writer = ctx.writer(activity).filter(another);
    if let Some(writer) = writer.or_else(|| last().filter(another)) {
        why.push(format!(
            "written by: {}",
            program_roles::command_line(&writer.argv, &writer.exe, 160)
        ));
    }
    let writer = ctx.writer(activity);
    if let Some(out) = writer.and_then(|writer| ctx.memory.outbound_of(writer)) {
        why.push(format!("its writer had connected to {}", out.to));
    }
}

/// A period by its times, or the time where both are the same.
fn period(first: Timestamp, last: Timestamp) -> String {
    match (first.clock(), last.clock()) {
        (first, last) if first == last => format!("at {first}"),
        (first, last) => format!("between {first} and {last}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_within_a_second_is_one_time() {
        let at = |milliseconds: i64| Timestamp(milliseconds * 1_000_000);
        assert_eq!(period(at(1_100), at(1_900)), "at 00:00:01");
        assert_eq!(
            period(at(1_100), at(2_100)),
            "between 00:00:01 and 00:00:02"
        );
    }
}
