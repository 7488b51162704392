//! The kinds of executed drift, and what is said about them.

use crate::detect::alert::Alert;
use crate::detect::file_origin::{OrdinaryOrigin, history, made};
use crate::detect::finding_store::Explanation;
use crate::detect::rule_context::RuleContext;
use crate::detect::rules::programs_run::disguise;
use crate::detect::rules::startup_drift::{built_alert, startup_drift};
use crate::detect::{Requirement, RuleInfo, Severity, program_roles};
use crate::event::{Bytes, Origin, Timestamp};

/// Nothing at that path in the image.
pub(super) const NEW: RuleInfo = RuleInfo {
    id: "drift.exec-new",
    title: "Ran a program that is not in the image",
    severity: Severity::High,
    attack: &["T1105", "T1059"],
    needs: &[Requirement::Exec],
    explain: "A program ran whose file was created in the container after it was made: \
              nothing lies at that path in the image. Programs that start-up itself creates, \
              that a package manager of the image installed or that its compiler built are \
              told apart and not flagged here.",
    check: "Where the file came from (the lines on who wrote it), its hash, and what it did \
            next. If the image should bring it, rebuild the image.",
};

/// Other content than the image's.
pub(super) const MODIFIED: RuleInfo = RuleInfo {
    id: "drift.exec-modified",
    title: "Ran a program whose content differs from the image's",
    severity: Severity::High,
    attack: &["T1554", "T1036.005"],
    needs: &[Requirement::Exec, Requirement::Compare],
    explain: "The image has this file with other content. Size and hash are compared, so a \
              file that was only touched, linked or given the same mode again stays silent.",
    check: "Compare the file with the image's copy; who wrote it and when stands above.",
};

/// The same content as another file of the image.
pub(super) const RELOCATED: RuleInfo = RuleInfo {
    id: "drift.exec-relocated",
    title: "Ran a copy of an image program from another place",
    severity: Severity::Medium,
    attack: &["T1036.003", "T1036.005"],
    needs: &[Requirement::Exec, Requirement::Compare],
    explain: "The file has the content of an image file but lies elsewhere: copied, moved or \
              linked. Severity is high when it runs under another system program's name.",
    check: "Why a second copy was made; attackers do it to slip past rules on names.",
};

/// Run from memory-backed directories.
pub(super) const TMPFS: RuleInfo = RuleInfo {
    id: "drift.exec-tmpfs",
    title: "Ran a program from a tmpfs",
    severity: Severity::High,
    attack: &["T1105", "T1564"],
    needs: &[Requirement::Exec],
    explain: "The program's file lies on a tmpfs, which is empty when a container starts: it \
              was put there since and leaves no trace on disk.",
    check: "Who wrote it, and what it did next.",
};

/// Run from a volume.
pub(super) const VOLUME: RuleInfo = RuleInfo {
    id: "drift.exec-volume",
    title: "Ran a program from a volume",
    severity: Severity::High,
    attack: &["T1105"],
    needs: &[Requirement::Exec],
    explain: "The program's file lies on a volume or bind mount. High when it was made or \
              changed after the container started; information when it was there before.",
    check: "Who wrote it; other containers and the host may share the volume.",
};

/// What a file's execution comes to when the file came about in an ordinary way: nothing, or an
/// alert that folds it. `None`: the file did not.
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
            Origin::Upper => "the file lies in the writable layer, where the image has nothing",
            Origin::Tmpfs => "the file lies on a tmpfs, which was empty at the start",
            Origin::Volume => "the file lies on a volume or bind mount",
            _ => "the file lies in the writable layer, over a file of the image",
        }
        .to_owned(),
    );
    history(ctx, path, &mut explanation.why);
    if ctx.session().is_some() {
        explanation
            .why
            .push("run by a command from outside (exec session)".to_owned());
    }
}

/// The title of a finding of this kind about this file.
#[must_use]
pub(super) fn title(kind: &RuleInfo, path: &Bytes) -> String {
    format!("{}: {}", kind.title, path.escaped())
}

/// Severity of running a copy of the image's `from`.
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

/// The time lies after the container's start; an unknown time counts as such.
#[must_use]
pub(super) fn changed_since_start(ctx: &RuleContext<'_>, at: Timestamp) -> bool {
    at == Timestamp(0)
        || ctx
            .container
            .and_then(crate::state::Container::started)
            .is_some_and(|started| at > started)
}
