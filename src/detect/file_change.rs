//! Changes to files: which operations count, and which kind of process made them.

use bstr::ByteSlice as _;

use super::rule_context::RuleContext;
use super::{Severity, inner_engine, program_roles};
use crate::catalog::path::{absolute, directory};
use crate::event::{Bytes, File, FileEffect, FileOp, Filesystem};
use crate::state::FileKey;

/// A change to the name or content of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    /// The path that has other content or refers to another file afterwards.
    pub(crate) path: &'a Bytes,
    /// The change, as text.
    pub(crate) verb: &'static str,
    /// The errno if it was refused; 0: done.
    pub(crate) errno: u16,
}

/// The words for a rename, about the name that it creates.
pub(crate) const RENAMED: &str = "replaced by a rename";

/// Errors that show an intent: a permission, a read-only mount, a busy program. A missing or an
/// existing file shows none.
#[must_use]
pub(crate) fn is_refusal(errno: u16) -> bool {
    // EPERM, EACCES, EBUSY, ETXTBSY, EROFS.
    matches!(errno, 1 | 13 | 16 | 26 | 30)
}

/// The changes of content or name that an operation makes: for a rename the new name, and the old.
#[must_use]
pub(crate) fn changes(file: &File) -> [Option<Change<'_>>; 2] {
    if file.errno != 0 && !is_refusal(file.errno) {
        return [None, None];
    }
    let change = |path, verb| {
        Some(Change {
            path,
            verb,
            errno: file.errno,
        })
    };
    match (file.op, &file.target) {
        (FileOp::Create, _) => [change(&file.path, "created"), None],
        (FileOp::Write | FileOp::Truncate, _) => [change(&file.path, "written"), None],
        (FileOp::Rename, Some(target)) => {
            [change(target, RENAMED), change(&file.path, "moved away")]
        }
        (FileOp::Link, Some(target)) => [change(target, "hard-linked"), None],
        (FileOp::Symlink, _) => [change(&file.path, "symlinked"), None],
        (FileOp::Unlink, _) => [change(&file.path, "removed"), None],
        _ => [None, None],
    }
}

/// Maximum number of files examined below a renamed directory.
const MAX_BROUGHT: usize = 64;

/// New paths of the changed files below a directory that has another name now: it was moved, or a
/// symbolic link points to it.
#[must_use]
pub(crate) fn brought(ctx: &RuleContext<'_>, file: &File) -> Vec<Bytes> {
    let Some(target) = file.target.as_ref().filter(|_| file.errno == 0) else {
        return Vec::new();
    };
    let (old, new) = match file.op {
        FileOp::Rename => (file.path.to_vec(), target),
        FileOp::Symlink => (absolute(directory(&file.path), target), &file.path),
        _ => return Vec::new(),
    };
    let below = FileKey {
        owner: Some(ctx.owner.clone()),
        path: Bytes::from([old.as_slice(), b"/"].concat()),
    };
    let known = ctx.state.files.range(&below..);
    known
        .take_while(|(key, _)| key.owner == below.owner && key.path.starts_with(&below.path))
        .take(MAX_BROUGHT)
        .filter(|(_, activity)| activity.ops.keys().any(|op| op.effect() != FileEffect::Use))
        .filter_map(|(key, _)| {
            let rest = key.path.get(old.len()..)?;
            Some(Bytes::from([new.as_bytes(), rest].concat()))
        })
        .collect()
}

/// Whether the file is in the container's root, as far as known: not on a volume, not on a tmpfs.
#[must_use]
pub(crate) fn in_root(file: &File) -> bool {
    file.file
        .is_none_or(|f| matches!(f.fs, Filesystem::Overlay | Filesystem::Unknown))
}

/// The kind of process that made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    /// The init tree within the start-up grace.
    StartUp,
    /// A package manager of the image or a process it started, or a container engine of the image, which
    /// unpacks images.
    Installer,
    /// A command of an exec session.
    Session,
    /// The init tree in its steady state.
    Service,
}

/// The kind of process that made the change.
#[must_use]
pub(crate) fn maker(ctx: &RuleContext<'_>) -> Maker {
    if ctx.installing() || inner_engine::works(ctx) {
        return Maker::Installer;
    }
    if ctx.session().is_some() {
        return Maker::Session;
    }
    if ctx.in_grace(ctx.now()) {
        return Maker::StartUp;
    }
    Maker::Service
}

/// The severity of an attempt that may have been refused.
#[must_use]
pub(crate) fn graded(severity: Severity, errno: u16) -> Severity {
    if errno == 0 {
        severity
    } else {
        severity.lowered().max(Severity::Low)
    }
}

/// "changed by …" as text.
#[must_use]
pub(crate) fn by(ctx: &RuleContext<'_>, comm: &Bytes) -> String {
    match ctx.process {
        Some(p) => format!(
            "by: {} (pid {})",
            program_roles::command_line(&p.argv, &p.exe, 160),
            p.pid
        ),
        None if comm.as_bytes().is_empty() => format!("by pid {}", ctx.event.pid),
        None => format!("by {} (pid {})", comm.escaped(), ctx.event.pid),
    }
}

/// ": refused (EROFS)" or nothing.
#[must_use]
pub(crate) fn refused(errno: u16) -> &'static str {
    match errno {
        0 => "",
        1 => ": refused (EPERM)",
        13 => ": refused (EACCES)",
        16 => ": refused (EBUSY)",
        26 => ": refused (ETXTBSY)",
        30 => ": refused (EROFS)",
        38 => ": refused (ENOSYS)",
        _ => ": failed",
    }
}
