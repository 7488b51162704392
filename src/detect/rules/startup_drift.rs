//! What start-up and builds make and use: one finding of each for a container.

use crate::detect::alert::Alert;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Requirement, Rule, RuleInfo, Severity, build_artifacts};

/// Start-up's own drift, folded.
pub(super) const STARTUP: Rule = Rule {
    info: RuleInfo {
        id: "drift.startup",
        title: "Start-up made files of its own",
        severity: Severity::Info,
        attack: &[],
        needs: &[Requirement::Exec],
        explain: "During the start-up grace the container's own init tree created programs, \
                  scripts or configuration and used them. One line a container; the same done by \
                  a command from outside is never folded here.",
        check: "Nothing, unless the list names something the image's entrypoint would not do.",
    },
    handlers: &[],
};

/// Built inside.
pub(super) const BUILT: Rule = Rule {
    info: RuleInfo {
        id: "drift.exec-built",
        title: "Ran programs built inside the container",
        severity: Severity::Info,
        attack: &["T1027.004"],
        needs: &[Requirement::Exec],
        explain: "A compiler, linker or build tool of the image made the programs that ran. \
                  Ordinary in a development or build container; a service should not compile.",
        check: "Whether this container is meant to build things.",
    },
    handlers: &[],
};

/// An alert about drift of the container's start-up, which is one finding.
pub(crate) fn startup_drift(ctx: &RuleContext<'_>, line: String) -> Alert {
    let alert = ctx.alert_as(&STARTUP.info, Severity::Info, b"start-up", |_| {});
    alert
        .reason(line)
        .title_by_count(|count| format!("Start-up drift, {count} in all"))
}

/// An alert about a result of a build inside the container, which is one finding.
pub(crate) fn built_alert(ctx: &RuleContext<'_>, line: String) -> Alert {
    let alert = ctx.alert_as(
        &BUILT.info,
        Severity::Info,
        build_artifacts::SUBJECT,
        |_| {},
    );
    alert.reason(line)
}
