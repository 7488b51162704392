//! Files that are named like secrets but are not: in another tree, or created by the reader.

use crate::catalog::path::parent_and_leaf;
use crate::catalog::secrets;
use crate::detect::rule_context::RuleContext;
use crate::event::{File, FileOp, Origin};
use crate::state::{FileActivity, Lineage};

/// The meaning of a file that is named like a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretOf {
    /// A secret of the container, its users or the host.
    Somebody,
    /// A file of a tree inside the container with an `etc` of its own, such as a root file system
    /// for a chroot.
    OtherTree,
    /// No secret: it was made here, by its reader or as part of another tree.
    Nobody,
}

/// Classifies the secret that `file` is about.
pub(super) fn of(ctx: &RuleContext<'_>, file: &File) -> SecretOf {
    let path: &[u8] = &file.path;
    if file.source.is_some() {
        return SecretOf::Somebody;
    }
    let made = ctx.activity(path).filter(|activity| made_here(activity));
    // Also on a volume, as certificates are renewed.
    if made.is_some_and(|activity| by_reader(ctx, activity)) {
        return SecretOf::Nobody;
    }
    if below_mount(ctx, path) {
        return SecretOf::Somebody;
    }
    let inside = file.file.is_some_and(|facts| {
        matches!(
            facts.origin(),
            Origin::Image | Origin::Upper | Origin::CopiedUp | Origin::Tmpfs
        )
    });
    if of_another_tree(path) && inside {
        return match made {
            Some(_) => SecretOf::Nobody,
            None if moved_here(ctx, path) => SecretOf::Somebody,
            None => SecretOf::OtherTree,
        };
    }
    SecretOf::Somebody
}

/// The name of a system's own file, below another directory: `/srv/root/etc/shadow`.
fn of_another_tree(path: &[u8]) -> bool {
    let (parent, leaf) = parent_and_leaf(path);
    let system = secrets::is_secret(&[b"/etc/", leaf].concat());
    parent == b"etc" && system && path.starts_with(b"/") && !path.starts_with(b"/etc/")
}

/// Any mount but a tmpfs contains files from outside the container.
fn below_mount(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    ctx.container.is_some_and(|c| {
        c.info.mounts.iter().any(|mount| {
            let rest = path.strip_prefix::<[u8]>(&mount.destination);
            mount.kind != "tmpfs" && rest.is_some_and(|rest| rest.starts_with(b"/"))
        })
    })
}

/// A process of the container created the file, not only another name for one.
fn made_here(activity: &FileActivity) -> bool {
    activity.ops.contains_key(&FileOp::Create) && !renamed(activity)
}

fn moved_here(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    ctx.activity(path).is_some_and(renamed)
}

fn renamed(activity: &FileActivity) -> bool {
    [FileOp::Rename, FileOp::Link, FileOp::Symlink]
        .iter()
        .any(|op| activity.ops.contains_key(op))
}

/// Whether the same exec session wrote it, or the same shell through the programs it runs. A file
/// that a service keeps for itself is a secret to a shell below that service.
fn by_reader(ctx: &RuleContext<'_>, activity: &FileActivity) -> bool {
    let Some(writer) = ctx.writer(activity) else {
        return false;
    };
    if let Some(session) = ctx.session() {
        return writer.lineage == Lineage::ExecSession(session);
    }
    let is_shell = |pid: u32| {
        let process = ctx.state.processes.get(&pid);
        process.is_some_and(|p| {
            ctx.names().is_shell(crate::detect::program_roles::of(p))
                && p.owner.as_ref() == Some(ctx.owner)
        })
    };
    let reader = [Some(ctx.event.pid), ctx.process.map(|process| process.ppid)];
    let mut common = reader
        .into_iter()
        .flatten()
        .filter(|pid| *pid == writer.pid || *pid == writer.ppid);
    !ctx.in_grace(activity.first) && common.any(is_shell)
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image, upper};
    use crate::event::FileOp;

    fn read(w: &mut World, parent: u32, path: &str) -> Option<Severity> {
        let cat = w.exec(parent, "/bin/cat", &["cat", path]);
        w.file(cat, FileOp::Read, path);
        w.all("file.credential-read").first().map(|f| f.severity)
    }

    #[test]
    fn a_system_file_of_another_tree_is_not_the_containers() {
        for path in [
            "/tmp/etc/shadow",
            "/srv/root/etc/sudoers",
            "/x/etc/gshadow-",
        ] {
            let mut w = World::steady();
            let s = w.session(&["sh"]);
            w.create(s, path);
            assert_eq!(read(&mut w, s, path), None, "{path}");
            // Any other reader learns no more.
            let init = w.init();
            assert_eq!(read(&mut w, init, path), None, "{path}");
            // It existed before.
            let mut w = World::steady();
            let s = w.session(&["sh"]);
            assert_eq!(read(&mut w, s, path), Some(Severity::Low), "{path}");
        }
    }

    #[test]
    fn another_name_or_a_mount_of_the_real_one_is_a_secret() {
        let path = "/tmp/etc/shadow";
        for op in [FileOp::Rename, FileOp::Link] {
            let mut w = World::steady();
            let s = w.session(&["sh"]);
            w.link(s, op, "/etc/shadow", path);
            assert_eq!(read(&mut w, s, path), Some(Severity::High), "{op:?}");
        }
        let mut w = World::steady();
        w.mount("/host");
        let s = w.session(&["sh"]);
        let cat = w.exec(s, "/bin/cat", &["cat"]);
        for file in [image(8), upper(8)] {
            w.file_as(cat, FileOp::Read, "/host/etc/shadow", |f| {
                f.file = Some(file)
            });
        }
        let severity = w.finding("file.credential-read").severity;
        assert_eq!(severity, Severity::High);
    }

    #[test]
    fn the_maker_of_a_key_may_read_it() {
        for path in [
            "/tmp/k/id_rsa",
            "/root/.aws/credentials",
            "/srv/.ssh/deploy",
        ] {
            let mut w = World::steady();
            let s = w.session(&["sh"]);
            let keygen = w.exec(s, "/usr/bin/ssh-keygen", &["ssh-keygen"]);
            w.create(keygen, path);
            assert_eq!(read(&mut w, s, path), None, "{path}");
            let other = w.session(&["sh"]);
            assert_eq!(read(&mut w, other, path), Some(Severity::High), "{path}");
            // A shell below the service that keeps it.
            let mut w = World::steady();
            let init = w.init();
            w.create(init, path);
            assert_eq!(read(&mut w, init, path), Some(Severity::High), "{path}");
            // A file of the job itself.
            let mut w = World::steady();
            let init = w.init();
            let job = w.exec(init, "/bin/sh", &["sh", "/job.sh"]);
            w.create(job, path);
            assert_eq!(read(&mut w, job, path), None, "{path}");
        }
    }
}
