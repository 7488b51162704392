//! Files that start-up and builds create and use: one finding of each for a container.

use crate::detect::alert::Alert;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Requirement, Rule, RuleInfo, Severity, build_artifacts};

/// Start-up's own drift, folded.
pub(super) const STARTUP: Rule = Rule {
    info: RuleInfo {
        id: "drift.startup",
        title: "Made changes while starting",
        label: "start-up drift",
        severity: Severity::Info,
        attack: &[],
        needs: &[Requirement::Exec],
        explain: "During the start-up grace the container's own init tree created programs, \
                  scripts or configuration and used them. Low when it fetched such a file by \
                  https. One finding per container; changes of exec sessions are never included.",
        check: "Nothing, unless the list has a change that the image's entrypoint would not make.",
    },
    handlers: &[],
};

/// Built inside.
pub(super) const BUILT: Rule = Rule {
    info: RuleInfo {
        id: "drift.exec-built",
        title: "Ran programs built inside the container",
        label: "built inside",
        severity: Severity::Info,
        attack: &["T1027.004"],
        needs: &[Requirement::Exec],
        explain: "A compiler, linker or build tool of the image created the programs that ran. \
                  This is ordinary in a development or build container; a service should not \
                  compile.",
        check: "Is this container meant to build?",
    },
    handlers: &[],
};

fn title(count: u64) -> String {
    match count {
        1 => "Made a change while starting".to_owned(),
        _ => format!("Made {count} changes while starting"),
    }
}

/// An alert about drift of the container's start-up, which is one finding.
pub(crate) fn startup_drift(ctx: &RuleContext<'_>, line: String) -> Alert {
    let alert = ctx.alert_as(&STARTUP.info, Severity::Info, b"start-up", |_| {});
    alert.reason(line).title_by_count(title)
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
