//! Paths the policy calls sensitive.

use crate::detect::case::Case;
use crate::detect::change::{by, changes, graded, is_refusal, refused};
use crate::detect::{Look, Requirement, Rule, RuleInfo, Severity};
use crate::event::{File, FileOp};

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.watched",
        title: "A path the policy calls sensitive was touched",
        severity: Severity::Medium,
        attack: &["T1565.001"],
        needs: &[Requirement::File],
        explain: "The policy file lists patterns of paths (`sensitive = […]`). Changes to them \
                  count, and reads where the probes report them. Without such a list this rule \
                  is silent.",
        check: "Whether the process that did it is meant to.",
    },
    looks: &[Look::File(file)],
};

fn file(case: &mut Case<'_>, file: &File) {
    let policy = &case.settings.policy;
    if policy.sensitive.is_empty() || case.starting_up() {
        return;
    }
    if file.op == FileOp::Read
        && (file.errno == 0 || is_refusal(file.errno))
        && policy.is_sensitive(&file.path)
    {
        case.raise(
            graded(Severity::Medium, file.errno),
            &file.path,
            |case, told| {
                told.title = format!("Read a watched path: {}", file.path.escaped());
                told.why.push(by(case, &file.comm));
            },
        );
    }
    for change in changes(file).into_iter().flatten() {
        if !policy.is_sensitive(change.path) {
            continue;
        }
        let line = format!("{}{}", change.verb, refused(change.errno));
        let severity = graded(Severity::Medium, change.errno);
        let place = case.raise(severity, change.path, |case, told| {
            told.title = format!("Changed a watched path: {}", change.path.escaped());
            told.why.push(by(case, &file.comm));
        });
        if let Some(place) = place {
            case.stories.explain(place, line);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
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
