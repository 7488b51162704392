//! File capabilities: every user who runs the file gets them.

use bstr::ByteSlice as _;

use crate::detect::alert::Alerts;
use crate::detect::file_change::{Maker, by, graded, is_refusal, maker, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::{File, FileOp};

/// Capabilities that lead to all others, or bypass file permissions.
const DANGEROUS: &[&[u8]] = &[
    b"cap_setuid",
    b"cap_setgid",
    b"cap_setpcap",
    b"cap_setfcap",
    b"cap_dac_override",
    b"cap_dac_read_search",
    b"cap_chown",
    b"cap_fowner",
    b"cap_sys_admin",
    b"cap_sys_ptrace",
    b"cap_sys_module",
    b"cap_sys_rawio",
    b"cap_sys_chroot",
    b"cap_mknod",
    b"cap_bpf",
];

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.capability",
        title: "A file was given capabilities",
        label: "capabilities",
        severity: Severity::High,
        attack: &["T1548"],
        needs: &[Requirement::Attribute],
        explain: "A process gave a program file capabilities after start-up, so that every user who runs it \
                  has them. High for those that lead to all others (setuid, sys_admin, \
                  dac_override, ...), low for the rest. Package managers, start-up and removing \
                  capabilities do not count.",
        check: "What is the program, and who may run it? `setcap -r` removes the capabilities.",
    },
    handlers: &[Handler::File(|ctx, _, file| examine(ctx, file))],
};

fn examine(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    let Some(attribute) = file.attribute.as_ref().filter(|attribute| {
        file.op == FileOp::SetXattr && attribute.name.as_bytes() == b"security.capability"
    }) else {
        return Alerts::none();
    };
    if matches!(maker(ctx), Maker::Installer | Maker::StartUp)
        || file.errno != 0 && !is_refusal(file.errno)
    {
        return Alerts::none();
    }
    let value = attribute.value.as_bytes();
    let list = value.split_once_str("=").map_or(value, |(list, _)| list);
    let dangerous = list.split_str(",").any(|name| DANGEROUS.contains(&name));
    // An empty set, as `setcap =` leaves behind.
    if list.is_empty() {
        return Alerts::none();
    }
    let weight = if dangerous {
        Severity::High
    } else {
        Severity::Low
    };
    let alert = ctx.alert(graded(weight, file.errno), &file.path, |explanation| {
        explanation.title = format!("File given capabilities: {}", file.path.escaped());
        explanation.why.push(format!(
            "{}{}",
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
    use crate::detect::testkit::World;
    use crate::event::{FileAttribute, FileOp};

    fn set(w: &mut World, pid: u32, op: FileOp, value: &str) {
        w.file_as(pid, op, "/usr/local/bin/x", |f| {
            f.attribute = Some(FileAttribute {
                name: "security.capability".into(),
                value: value.into(),
            });
        });
    }

    #[test]
    fn capabilities_given_at_run_time_are_found() {
        for (value, severity) in [
            ("cap_net_raw,cap_setuid=ep", Severity::High),
            ("cap_net_bind_service=ep", Severity::Low),
        ] {
            let mut w = World::steady();
            let init = w.init();
            set(&mut w, init, FileOp::SetXattr, value);
            assert_eq!(w.finding("file.capability").severity, severity, "{value}");
        }
    }

    #[test]
    fn start_up_removal_and_other_attributes_are_not() {
        let mut w = World::starting();
        let init = w.init();
        set(&mut w, init, FileOp::SetXattr, "cap_setuid=ep");
        assert!(w.all("file.capability").is_empty());
        let mut w = World::steady();
        let init = w.init();
        set(&mut w, init, FileOp::RemoveXattr, "");
        set(&mut w, init, FileOp::SetXattr, "=");
        w.file_as(init, FileOp::SetXattr, "/srv/x", |f| {
            f.attribute = Some(FileAttribute {
                name: "user.note".into(),
                value: "cap_setuid=ep".into(),
            });
        });
        w.only(&[]);
    }
}
