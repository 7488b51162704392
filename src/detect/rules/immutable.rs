//! Files that were made immutable, so that even root cannot change or remove them.

use bstr::ByteSlice as _;

use crate::catalog::paths::PathClass;
use crate::detect::alert::Alerts;
use crate::detect::file_change::{Maker, by, graded, is_refusal, maker, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::{File, FileOp};

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.immutable",
        title: "A file was made immutable",
        label: "immutable",
        severity: Severity::High,
        attack: &["T1222.002"],
        needs: &[Requirement::Attribute],
        explain: "chattr set the immutable or append-only flag, which keeps root from changing \
                  or removing the file: intruders protect their cron tables, SSH keys and programs in this way. High for such files, medium for others. Clearing a flag, other \
                  flags, append-only logs, start-up and package managers do not count.",
        check: "Which process wrote the file, and what does it do? After `chattr -ia` it can be \
                removed.",
    },
    handlers: &[Handler::File(|ctx, _, file| examine(ctx, file))],
};

fn examine(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    let Some(attribute) = file
        .attribute
        .as_ref()
        .filter(|_| file.op == FileOp::Chattr)
    else {
        return Alerts::none();
    };
    let flag = |flag: &[u8]| attribute.value.as_bytes().split_str("|").any(|f| f == flag);
    let class = ctx.path_class(&file.path);
    // Append-only logs are hardening.
    let locked = flag(b"immutable") || flag(b"append-only") && class != Some(PathClass::Log);
    if !locked
        || matches!(maker(ctx), Maker::Installer | Maker::StartUp)
        || file.errno != 0 && !is_refusal(file.errno)
    {
        return Alerts::none();
    }
    let executable = file.file.is_some_and(|f| f.mode & 0o170_111 > 0o100_000);
    let weight = if class.is_some() || executable {
        Severity::High
    } else {
        Severity::Medium
    };
    let alert = ctx.alert(graded(weight, file.errno), &file.path, |explanation| {
        explanation.title = format!("File made immutable: {}", file.path.escaped());
        explanation.why.push(format!(
            "flags: {}{}",
            attribute.value.escaped(),
            refused(file.errno)
        ));
        explanation.why.push(by(ctx, &file.comm));
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, upper};
    use crate::event::{FileAttribute, FileFacts, FileOp};

    fn flags(w: &mut World, path: &str, value: &str, mode: u32) {
        let init = w.init();
        w.file_as(init, FileOp::Chattr, path, |f| {
            f.file = Some(FileFacts { mode, ..upper(77) });
            f.attribute = Some(FileAttribute {
                name: "flags".into(),
                value: value.into(),
            });
        });
    }

    #[test]
    fn immutable_files_are_found() {
        for (path, mode, severity) in [
            ("/etc/cron.d/x", 0o100_644, Severity::High),
            ("/root/.ssh/authorized_keys", 0o100_600, Severity::High),
            ("/tmp/x", 0o100_755, Severity::High),
            ("/srv/notes", 0o100_644, Severity::Medium),
        ] {
            let mut w = World::steady();
            flags(&mut w, path, "immutable|extents", mode);
            assert_eq!(w.finding("file.immutable").severity, severity, "{path}");
        }
    }

    #[test]
    fn cleared_and_other_flags_are_not() {
        let mut w = World::steady();
        flags(&mut w, "/etc/cron.d/x", "extents", 0o100_644);
        flags(&mut w, "/srv/db", "no-copy-on-write|no-dump", 0o100_644);
        flags(&mut w, "/var/log/auth.log", "append-only", 0o100_644);
        w.only(&[]);
        let mut w = World::starting();
        flags(&mut w, "/etc/resolv.conf", "immutable", 0o100_644);
        assert!(w.all("file.immutable").is_empty());
    }
}
