//! Calls that leave the container's isolation: mounts, namespaces, another root directory.

use bstr::ByteSlice as _;

use super::declared::{KnownPrivileges, caller, entitled, known_work};
use super::priv_calls::{alert, meaningless};
use crate::detect::alert::Alerts;
use crate::detect::file_change::graded;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::Privilege;

/// Mounting inside.
pub(super) const MOUNT: Rule = Rule {
    info: RuleInfo {
        id: "priv.mount",
        title: "Mounted a file system",
        label: "mount",
        severity: Severity::High,
        attack: &["T1611"],
        needs: &[Requirement::Privilege],
        explain: "A process called mount or one of its successors, or tried to. Unprivileged \
                  containers cannot; a container that may (privileged, or with SYS_ADMIN) reaches \
                  the host's disk or a cgroup with it. Mounts at start-up of such a container are \
                  folded, and those of a container engine that its image brings.",
        check: "What was mounted where, and what was done with it?",
    },
    handlers: &[Handler::Privilege(|ctx, memory, p| {
        mount(ctx, memory.of(), p)
    })],
};

/// New or joined namespaces.
pub(super) const NAMESPACE: Rule = Rule {
    info: RuleInfo {
        id: "priv.namespace",
        title: "Created or joined a namespace",
        label: "namespace",
        severity: Severity::High,
        attack: &["T1611", "T1068"],
        needs: &[Requirement::Privilege],
        explain: "A process called unshare or setns: a new user namespace gives capabilities \
                  over more of the kernel, and a process that joins another namespace leaves the \
                  container's. A new process in a namespace of its own is medium: browsers build \
                  sandboxes that way. A process that leaves the container's cgroup escapes its \
                  limits; hullwatch still watches it as the container's.",
        check: "Which namespaces, and what ran in them?",
    },
    handlers: &[Handler::Privilege(|ctx, memory, p| {
        namespace(ctx, memory.of(), p)
    })],
};

/// Another root directory.
pub(super) const ROOT: Rule = Rule {
    info: RuleInfo {
        id: "priv.root-changed",
        title: "Changed the root directory",
        label: "root changed",
        severity: Severity::High,
        attack: &["T1611"],
        needs: &[Requirement::Privilege],
        explain: "A process called pivot_root, or chroot into a path that leads to the host's or \
                  another process's root. Daemons that lock themselves into an empty directory \
                  are not flagged.",
        check: "Where does the new root lead?",
    },
    handlers: &[Handler::Privilege(|ctx, memory, p| {
        root(ctx, memory.of(), p)
    })],
};

fn mount(ctx: &RuleContext<'_>, memory: &mut KnownPrivileges, p: &Privilege) -> Alerts {
    let weight = match p.call.as_str() {
        // Changes only how mounts propagate: nothing is mounted.
        "mount" if spreads(&p.detail) => return Alerts::none(),
        "mount" | "move_mount" | "fsmount" | "mount_setattr" | "fsopen" | "fspick" => {
            Severity::High
        }
        // A copy of a mount tree; a plain path handle is not one.
        "open_tree" if p.args.get(2).is_some_and(|flags| flags & 1 != 0) => Severity::High,
        "umount2" => Severity::Low,
        _ => return Alerts::none(),
    };
    if meaningless(p.errno) {
        return Alerts::none();
    }
    if let Some(alerts) = known_work(ctx, memory, p) {
        return alerts;
    }
    if ctx.starting_up() && entitled(ctx, "SYS_ADMIN") {
        return super::startup_drift(ctx, format!("{} {}", p.call, p.detail.escaped())).into();
    }
    let subject = caller(ctx, p);
    alert(ctx, p, graded(weight, p.errno), &subject).into()
}

/// The call only sets how later mounts propagate, as `unshare` does first.
fn spreads(detail: &[u8]) -> bool {
    let flags = detail.rsplit(|b| *b == b' ').next().unwrap_or(detail);
    let ways = [
        &b"MS_PRIVATE"[..],
        b"MS_SLAVE",
        b"MS_SHARED",
        b"MS_UNBINDABLE",
    ];
    let words = || flags.split(|b| *b == b'|');
    words().any(|f| ways.contains(&f))
        && words().all(|f| ways.contains(&f) || matches!(f, b"MS_REC" | b"MS_SILENT"))
}

fn namespace(ctx: &RuleContext<'_>, memory: &mut KnownPrivileges, p: &Privilege) -> Alerts {
    let makes = p.detail.contains_str("CLONE_NEW");
    let weight = match p.call.as_str() {
        "unshare" if makes => Severity::High,
        "setns" | "leave-cgroup" => Severity::High,
        "clone" | "clone3" if makes => Severity::Medium,
        _ => return Alerts::none(),
    };
    if meaningless(p.errno) {
        return Alerts::none();
    }
    if let Some(alerts) = known_work(ctx, memory, p) {
        return alerts;
    }
    if ctx.starting_up() && entitled(ctx, "SYS_ADMIN") {
        return super::startup_drift(ctx, format!("{} {}", p.call, p.detail.escaped())).into();
    }
    let subject = caller(ctx, p);
    alert(ctx, p, graded(weight, p.errno), &subject).into()
}

fn root(ctx: &RuleContext<'_>, memory: &mut KnownPrivileges, p: &Privilege) -> Alerts {
    let path = p.detail.as_bytes();
    let foreign = path.starts_with(b"/proc/") && !leads_nowhere(path)
        || ctx.container.is_some_and(|c| {
            c.info.mounts.iter().any(|m| {
                let host_root = m.kind == "bind" && m.source.as_bytes() == b"/";
                host_root && path.starts_with(m.destination.as_bytes())
            })
        });
    let severity = match p.call.as_str() {
        "pivot_root" => Severity::High,
        "chroot" if foreign => Severity::High,
        // Mounted from outside, or into a file system that a process mounted.
        "chroot" if path != b"/" && (ctx.session().is_some() || mounted_by_hand(ctx)) => {
            Severity::Medium
        }
        _ => return Alerts::none(),
    };
    if meaningless(p.errno) {
        return Alerts::none();
    }
    if !foreign && let Some(alerts) = known_work(ctx, memory, p) {
        return alerts;
    }
    let subject = caller(ctx, p);
    alert(ctx, p, graded(severity, p.errno), &subject).into()
}

/// `/proc/PID/fdinfo`: a browser uses it as root of its sandbox, since nothing can be opened there.
fn leads_nowhere(path: &[u8]) -> bool {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let process = path
        .strip_prefix(b"/proc/")
        .and_then(|rest| rest.strip_suffix(b"/fdinfo"));
    process.is_some_and(|process| !process.contains(&b'/'))
}

/// Whether a process of the container mounted a file system.
pub(super) fn mounted_by_hand(ctx: &RuleContext<'_>) -> bool {
    ctx.findings
        .all()
        .iter()
        .any(|f| f.rule == MOUNT.info.id && f.container.as_ref() == Some(ctx.owner))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

    fn call(call: &str, detail: &str, errno: u16) -> World {
        let mut w = World::steady();
        let init = w.init();
        let p = w.exec(init, "/bin/x", &["x"]);
        w.privilege(p, call, detail, errno);
        w
    }

    #[test]
    fn how_mounts_spread_is_no_mount() {
        for (detail, quiet) in [
            ("none / MS_REC|MS_PRIVATE", true),
            ("none /mnt tmpfs MS_SILENT", false),
            ("none /mnt tmpfs", false),
            ("/dev/vda /mnt ext4 MS_BIND|MS_REC", false),
        ] {
            let w = call("mount", detail, 0);
            assert_eq!(w.all("priv.mount").is_empty(), quiet, "{detail}");
        }
    }

    #[test]
    fn mounts_of_a_starting_privileged_container_are_folded() {
        let mut w = World::starting();
        w.info(|i| i.security.privileged = true);
        let init = w.init();
        w.privilege(init, "mount", "cgroup /sys/fs/cgroup", 0);
        w.privilege(init, "io_uring_setup", "", 0);
        w.ticks(60);
        w.privilege(init, "io_uring_setup", "", 0);
        w.only(&["drift.startup"]);
        w.privilege(init, "mount", "/dev/sda1 /mnt ext4", 0);
        assert_eq!(w.highest(), Severity::High);
    }
}
