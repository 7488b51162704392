//! Paths that the policy lists as sensitive.

use crate::detect::alert::Alerts;
use crate::detect::file_change::{by, changes, graded, is_refusal, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::{File, FileOp};

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.watched",
        title: "Sensitive path of the policy touched",
        label: "watched path",
        severity: Severity::Medium,
        attack: &["T1565.001"],
        needs: &[Requirement::File],
        explain: "The policy file lists path patterns (`sensitive = […]`). Changes of matching \
                  files count, and reads that the probes report. Without such a list this rule \
                  reports nothing.",
        check: "Should this process access the file?",
    },
    handlers: &[Handler::File(|ctx, _, file| examine(ctx, file))],
};

fn examine(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    let mut alerts = Alerts::none();
    let policy = &ctx.settings.policy;
    if policy.sensitive.is_empty() || ctx.starting_up() {
        return alerts;
    }
    if file.op == FileOp::Read
        && (file.errno == 0 || is_refusal(file.errno))
        && policy.is_sensitive(&file.path)
    {
        let severity = graded(Severity::Medium, file.errno);
        alerts.push(ctx.alert(severity, &file.path, |explanation| {
            explanation.title = format!("Read a watched path: {}", file.path.escaped());
            explanation.why.push(by(ctx, &file.comm));
        }));
    }
    for change in changes(file).into_iter().flatten() {
        if !policy.is_sensitive(change.path) {
            continue;
        }
        let severity = graded(Severity::Medium, change.errno);
        let alert = ctx.alert(severity, change.path, |explanation| {
            explanation.title = format!("Changed a watched path: {}", change.path.escaped());
            explanation.why.push(by(ctx, &file.comm));
        });
        alerts.push(alert.reason(format!("{}{}", change.verb, refused(change.errno))));
    }
    alerts
}

#[cfg(test)]
mod tests {
    use crate::detect::testkit::World;
    use crate::detect::{Policy, Settings};
    use crate::event::FileOp;

    #[test]
    fn only_listed_paths_count() {
        let policy = Policy::parse("sensitive = [\"/srv/keys/*\"]")
            .unwrap()
            .policy;
        let mut w = World::with(Settings {
            policy,
            ..Settings::default()
        });
        let init = w.init();
        w.create(init, "/srv/data/x");
        w.file(init, FileOp::Chmod, "/srv/keys/a");
        w.only(&[]);
        w.rename(init, "/tmp/a", "/srv/keys/a");
        w.only(&["file.watched"]);
    }
}
