//! The kinds of executed drift, and their texts.

use crate::detect::alert::Alert;
use crate::detect::file_origin::{OrdinaryOrigin, history, made};
use crate::detect::finding_store::Explanation;
use crate::detect::rule_context::RuleContext;
use crate::detect::rules::programs_run::disguise;
use crate::detect::rules::startup_drift::{built_alert, startup_drift};
use crate::detect::{Requirement, RuleInfo, Severity, program_roles};
use crate::event::{Bytes, Origin, Timestamp};

/// The image has nothing at that path.
pub(super) const NEW: RuleInfo = RuleInfo {
    id: "drift.exec-new",
    title: "Ran a program that is not in the image",
    label: "new program",
    severity: Severity::High,
    attack: &["T1105", "T1059"],
    needs: &[Requirement::Exec],
    explain: "A program ran whose file was created in the container: the image has nothing at \
              that path. Programs that start-up creates, a package manager of the image installs \
              or its compiler builds are recognised and not flagged here.",
    check: "Where did the file come from (see above who wrote it), and what did it do next? If it \
            belongs there, rebuild the image with it.",
};

/// The content differs from the image's.
pub(super) const MODIFIED: RuleInfo = RuleInfo {
    id: "drift.exec-modified",
    title: "Ran a program that differs from the image's",
    label: "changed program",
    severity: Severity::High,
    attack: &["T1554", "T1036.005"],
    needs: &[Requirement::Exec, Requirement::Compare],
    explain: "The file's content differs from that of the image. Size and hash are compared, so a \
              file that was only touched, linked or given the same mode again is not flagged.",
    check: "Compare the file with the image's; see above who wrote it and when.",
};

/// The content of another file of the image.
pub(super) const RELOCATED: RuleInfo = RuleInfo {
    id: "drift.exec-relocated",
    title: "Ran a copy of an image program from another path",
    label: "moved program",
    severity: Severity::Medium,
    attack: &["T1036.003", "T1036.005"],
    needs: &[Requirement::Exec, Requirement::Compare],
    explain: "The file has the content of an image file but another path: copied, moved or \
              linked. High when it runs under another system program's name.",
    check: "Why does a second copy exist? Attackers copy programs to evade rules on names.",
};

/// Run from memory-backed directories.
pub(super) const TMPFS: RuleInfo = RuleInfo {
    id: "drift.exec-tmpfs",
    title: "Ran a program from a tmpfs",
    label: "tmpfs program",
    severity: Severity::High,
    attack: &["T1105", "T1564"],
    needs: &[Requirement::Exec],
    explain: "The program's file is on a tmpfs, which is empty when a container starts: the file \
              was put there since and leaves no trace on disk.",
    check: "Which process wrote it, and what did it do next?",
};

/// Run from a volume.
pub(super) const VOLUME: RuleInfo = RuleInfo {
    id: "drift.exec-volume",
    title: "Ran a program from a volume",
    label: "volume program",
    severity: Severity::High,
    attack: &["T1105"],
    needs: &[Requirement::Exec],
    explain: "The program's file is on a volume or bind mount. High when it was created or \
              changed after the container started; info when it existed before.",
    check: "Which process wrote it? Other containers and the host may share the volume.",
};

/// For a file of ordinary origin: no alert, or the alert that includes it. `None`: the origin is
/// not ordinary.
#[must_use]
pub(super) fn ordinary(ctx: &RuleContext<'_>, path: &Bytes) -> Option<Option<Alert>> {
    let line = || format!("ran {}", path.escaped());
    match made(ctx, path)? {
        OrdinaryOrigin::Package => Some(None),
        OrdinaryOrigin::Built => Some(Some(built_alert(ctx, line()))),
        OrdinaryOrigin::StartUp => Some(Some(startup_drift(ctx, line()))),
    }
}

/// An alert about an executed file.
#[must_use]
pub(super) fn alert(
    ctx: &RuleContext<'_>,
    kind: &'static RuleInfo,
    severity: Severity,
    path: &Bytes,
    command: &str,
    origin: Origin,
) -> Alert {
    ctx.alert_as(kind, severity, path, |explanation| {
        describe(ctx, explanation, kind, path, command, origin);
    })
    .succeeds(path, "file.")
}

fn describe(
    ctx: &RuleContext<'_>,
    explanation: &mut Explanation,
    kind: &RuleInfo,
    path: &Bytes,
    command: &str,
    origin: Origin,
) {
    explanation.title = title(kind, path);
    explanation.why.push(format!("ran: {command}"));
    explanation.why.push(
        match origin {
            Origin::Upper => "the file is in the writable layer; the image has nothing at its path",
            Origin::Tmpfs => "the file is on a tmpfs, which was empty at the start",
            Origin::Volume => "the file is on a volume or bind mount",
            Origin::Unknown => {
                "the file is younger than the container, whose root has no image layers known"
            }
            _ => "the file is in the writable layer, over a file of the image",
        }
        .to_owned(),
    );
    history(ctx, path, &mut explanation.why);
    if ctx.session().is_some() {
        explanation.why.push("run in an exec session".to_owned());
    }
}

/// The title of a finding of this kind about this file.
#[must_use]
pub(super) fn title(kind: &RuleInfo, path: &Bytes) -> String {
    format!("{}: {}", kind.title, path.escaped())
}

/// Severity of running a copy of the image's file `from`.
#[must_use]
pub(super) fn relocated_severity(path: &[u8], from: &[u8]) -> Severity {
    let (name, original) = (program_roles::leaf(path), program_roles::leaf(from));
    let misnamed = name != original && program_roles::is_system_name(name);
    if misnamed || disguise(path).is_some() {
        Severity::High
    } else {
        Severity::Medium
    }
}

/// Whether the time is after the container's start; an unknown time counts as later.
#[must_use]
pub(super) fn changed_since_start(ctx: &RuleContext<'_>, at: Timestamp) -> bool {
    at == Timestamp(0) || ctx.container_began().is_some_and(|began| at > began)
}
