//! Changes to trust stores: CA certificates and the keys of package repositories.

use crate::catalog::paths;
use crate::detect::alert::Alerts;
use crate::detect::file_change::{Maker, by, changes, graded, in_root, maker};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::File;

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.trust-store",
        title: "Trusted certificates or package keys changed",
        label: "trust store",
        severity: Severity::Medium,
        attack: &["T1553.004"],
        needs: &[Requirement::File],
        explain: "A process wrote, replaced or removed a CA certificate or the key of a package \
                  repository after start-up: downloads and connections are checked against them. \
                  Package managers and start-up are not flagged.",
        check: "Which certificate or key was added, and who issued it?",
    },
    handlers: &[Handler::File(|ctx, _, file| examine(ctx, file))],
};

fn examine(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    let mut all = changes(file).into_iter().flatten();
    let Some(change) = all
        .find(|change| paths::is_trusted(change.path))
        .filter(|_| in_root(file))
    else {
        return Alerts::none();
    };
    if matches!(maker(ctx), Maker::Installer | Maker::StartUp) {
        return Alerts::none();
    }
    let severity = graded(Severity::Medium, change.errno);
    let alert = ctx.alert(severity, change.path, |explanation| {
        explanation.title = format!(
            "Trusted certificate or key {}: {}",
            change.verb,
            change.path.escaped()
        );
        explanation.why.push(by(ctx, &file.comm));
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

    #[test]
    fn a_key_or_certificate_that_is_added_is_found() {
        for path in [
            "/usr/share/keyrings/x.gpg",
            "/usr/local/share/ca-certificates/x.crt",
        ] {
            let mut w = World::steady();
            let init = w.init();
            w.create(init, path);
            assert_eq!(
                w.finding("file.trust-store").severity,
                Severity::Medium,
                "{path}"
            );
        }
    }

    #[test]
    fn start_up_and_other_files_are_not() {
        let mut w = World::starting();
        let init = w.init();
        w.create(init, "/usr/share/keyrings/x.gpg");
        assert!(w.all("file.trust-store").is_empty());
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/usr/share/doc/keyrings/x.gpg");
        assert!(w.all("file.trust-store").is_empty());
    }
}
