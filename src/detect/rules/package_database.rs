//! Package records that something other than the package manager changed.

use crate::detect::alert::Alerts;
use bstr::ByteSlice as _;

use crate::catalog::paths::{self, PathClass};
use crate::detect::file_change::{Maker, by, changes, graded, in_root, maker, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{File, Origin};
use crate::state::ProcessEntry;

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.package-database",
        title: "Package records changed, not by a package manager",
        label: "package records",
        severity: Severity::Medium,
        attack: &["T1070", "T1036"],
        needs: &[Requirement::File],
        explain: "A program that is not a package manager, and was not started by one, changed the \
                  records of dpkg, rpm or apk (which packages are installed, which files they \
                  own, with which checksums) after start-up. This hides installed or altered \
                  files from scanners. Fetched lists, locks and caches do not count.",
        check: "Compare the records with the image's; then check the files they name.",
    },
    handlers: &[Handler::File(|ctx, _, file| examine(ctx, file))],
};

/// Records, in contrast to fetched lists, locks and caches.
fn is_record(path: &[u8]) -> bool {
    if paths::of(path) != Some(PathClass::PackageDatabase) {
        return false;
    }
    let leaf = program_roles::leaf(path);
    let passing = leaf.starts_with(b"lock")
        || leaf.ends_with(b"Lock")
        || leaf.starts_with(b".")
        || leaf.starts_with(b"__db.")
        || leaf.ends_with(b"-shm")
        || leaf.ends_with(b"-wal");
    !passing && !path.starts_with(b"/var/lib/apt/")
}

/// The image's small tools of the package manager: triggers, diversions, alternatives.
fn is_its_tool(process: &ProcessEntry) -> bool {
    let leaf = program_roles::leaf(process.exe.as_bytes());
    process.file.origin() == Origin::Image
        && (leaf.starts_with(b"dpkg-") || leaf == b"update-alternatives")
}

fn examine(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    let mut alerts = Alerts::none();
    for change in changes(file).into_iter().flatten() {
        if !is_record(change.path) || !in_root(file) {
            continue;
        }
        if matches!(maker(ctx), Maker::Installer | Maker::StartUp) {
            return alerts;
        }
        if ctx.process.is_some_and(is_its_tool) {
            return alerts;
        }
        // One finding for each database, whichever of its files.
        let subject = program_roles::directory(change.path);
        let subject = subject.strip_suffix(b"/info").unwrap_or(subject).to_vec();
        let severity = graded(Severity::Medium, change.errno);
        let line = format!(
            "{} {}{}",
            change.verb,
            change.path.escaped(),
            refused(change.errno)
        );
        let alert = ctx.alert(severity, &subject, |explanation| {
            explanation.title = format!("Package records changed: {}", change.path.escaped());
            explanation.why.push(by(ctx, &file.comm));
        });
        alerts.push(alert.part(change.path.clone()).reason(line));
    }
    alerts
}

#[cfg(test)]
mod tests {
    use crate::detect::testkit::World;
    use crate::event::FileOp;

    #[test]
    fn a_record_is_forged_in_any_way_and_is_one_finding() {
        let mut w = World::steady();
        let init = w.init();
        w.file(init, FileOp::Write, "/var/lib/dpkg/status");
        w.rename(init, "/tmp/x", "/var/lib/dpkg/info/bash.md5sums");
        w.file(init, FileOp::Unlink, "/var/lib/dpkg/info/cron.list");
        w.only(&["file.package-database"]);
        let all = w.all("file.package-database");
        assert_eq!((all.len(), all[0].count), (1, 3));
        assert_eq!(all[0].why.len(), 4);
    }

    #[test]
    fn package_managers_locks_lists_and_queries_are_not() {
        let mut w = World::steady();
        let init = w.init();
        w.file(init, FileOp::Write, "/var/lib/dpkg/lock-frontend");
        w.create(init, "/var/lib/apt/lists/x_InRelease");
        w.file(init, FileOp::Write, "/var/lib/rpm/__db.001");
        w.file(init, FileOp::Read, "/var/lib/dpkg/status");
        w.none("file.package-database");
        let apt = w.exec(init, "/usr/bin/apt-get", &["apt-get", "install", "x"]);
        let dpkg = w.exec(apt, "/usr/bin/dpkg", &["dpkg", "-i", "x.deb"]);
        w.rename(dpkg, "/var/lib/dpkg/status-new", "/var/lib/dpkg/status");
        w.none("file.package-database");
        let set = ["update-alternatives", "--set", "editor", "/usr/bin/vim"];
        let set = w.exec(init, "/usr/bin/update-alternatives", &set);
        w.create(set, "/var/lib/dpkg/alternatives/editor");
        w.none("file.package-database");
    }
}
