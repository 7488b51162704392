//! Writes that reach the host through a bind mount.

use bstr::ByteSlice as _;

use super::credentials::by_hand;
use crate::catalog::paths::PathClass;
use crate::detect::alert::Alerts;
use crate::detect::file_change::{by, changes, graded, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{File, Filesystem};

/// The host through a mount.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.host-write",
        title: "Wrote to a system directory of the host",
        label: "host write",
        severity: Severity::High,
        attack: &["T1611", "T1543"],
        needs: &[Requirement::File, Requirement::Engine],
        explain: "Through a bind mount the container changed a file in a system directory of the \
                  host. Critical where the file lets code run on the host or grants access to it: \
                  cron, units, accounts, SSH keys, the loader. Mounts of ordinary directories are \
                  not flagged.",
        check: "What does the file contain on the host? Mount fewer directories, or mount them read-only.",
    },
    handlers: &[Handler::File(|ctx, _, file| host(ctx, file))],
};

const HOST_DIRS: &[&[u8]] = &[
    b"/bin/",
    b"/sbin/",
    b"/lib",
    b"/usr/",
    b"/etc/",
    b"/boot/",
    b"/root/",
    b"/opt/",
    b"/dev/",
    b"/var/lib/docker/",
    b"/var/lib/containerd/",
    b"/var/lib/kubelet/",
    b"/var/spool/cron/",
    b"/run/systemd/",
];

fn host(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    // Only writes through a bind mount, where an inode is never on the overlay.
    if file.file.is_some_and(|f| {
        matches!(
            f.fs,
            Filesystem::Overlay | Filesystem::Proc | Filesystem::Cgroup
        )
    }) {
        return Alerts::none();
    }
    let Some(container) = ctx.container else {
        return Alerts::none();
    };
    if container.info.mounts.is_empty() {
        return Alerts::none();
    }
    let mut alerts = Alerts::none();
    for change in changes(file).into_iter().flatten() {
        let path = change.path.as_bytes();
        let mount = container
            .info
            .mounts
            .iter()
            .filter(|m| {
                let at = m.destination.as_bytes();
                path.strip_prefix(at.strip_suffix(b"/").unwrap_or(at))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            })
            .max_by_key(|m| m.destination.len());
        let Some(mount) = mount.filter(|m| m.kind == "bind" && m.source.starts_with(b"/")) else {
            continue;
        };
        let at = mount.destination.as_bytes();
        let source = mount.source.as_bytes();
        let rest = path
            .get(at.strip_suffix(b"/").unwrap_or(at).len()..)
            .unwrap_or(b"");
        let on_host = [source.strip_suffix(b"/").unwrap_or(source), rest].concat();
        // A single file or a project directory that was mounted on purpose is ordinary.
        let entry = ctx
            .path_class(&on_host)
            .is_some_and(PathClass::gives_access)
            // The kubelet starts what it finds there.
            || on_host.starts_with(b"/etc/kubernetes/manifests/");
        let system = HOST_DIRS.iter().any(|d| on_host.starts_with(d));
        let whole = source == b"/";
        let weight = match (entry, system, whole) {
            (true, ..) => Severity::Critical,
            (_, true, true) => Severity::High,
            // A system directory was mounted writable on purpose: the service may write to it.
            (_, true, false) if by_hand(ctx) => Severity::High,
            (_, true, false) => Severity::Low,
            _ => continue,
        };
        let line = format!(
            "{} on the host {}{}",
            crate::event::escape(&on_host),
            change.verb,
            refused(change.errno)
        );
        let subject = program_roles::directory(&on_host).to_vec();
        let severity = graded(weight, change.errno);
        let alert = ctx.alert(severity, &subject, |explanation| {
            let action = match change.errno {
                0 => "Wrote to the host",
                _ => "Tried to write to the host",
            };
            explanation.title = format!("{action}: {}", crate::event::escape(&on_host));
            explanation.why.push(by(ctx, &file.comm));
        });
        alerts.push(alert.part(on_host.as_slice()).reason(line));
    }
    alerts
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::{FileFacts, FileOp, Filesystem, Mount};

    #[test]
    fn the_host_through_a_bind_mount() {
        let bind = |source: &str, at: &str| {
            let mut w = World::steady();
            let (source, at) = (source.to_owned(), at.to_owned());
            w.info(|i| {
                i.mounts.push(Mount {
                    kind: "bind".into(),
                    source: source.as_str().into(),
                    destination: at.as_str().into(),
                    writable: true,
                });
            });
            w
        };
        let disk = FileFacts {
            fs: Filesystem::Disk,
            ..FileFacts::default()
        };
        let mut w = bind("/", "/host");
        let init = w.init();
        w.file_as(init, FileOp::Create, "/host/etc/cron.d/x", |f| {
            f.file = Some(disk)
        });
        w.only(&["file.host-write"]);
        assert_eq!(w.highest(), Severity::Critical);
        let mut w = bind("/", "/host");
        let init = w.init();
        w.link(init, FileOp::Rename, "/host/tmp/x", "/host/usr/bin/ls");
        assert_eq!(w.finding("file.host-write").severity, Severity::High);
        for (source, path) in [
            ("/srv/data", "/data/etc/passwd"),
            ("/home/u/app", "/data/x"),
        ] {
            let mut w = bind(source, "/data");
            let init = w.init();
            w.file_as(init, FileOp::Create, path, |f| f.file = Some(disk));
            w.only(&[]);
        }
    }
}
