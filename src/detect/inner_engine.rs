//! A container engine inside a container: Docker in Docker, or a builder of images.
//!
//! It unpacks images, mounts their layers and joins the namespaces of its containers. What runs in
//! those is judged as a container of its own.

use super::program_roles::leaf;
use super::rule_context::RuleContext;
use crate::catalog::engines::{ENGINES, RUNTIMES};
use crate::event::Origin;
use crate::state::ProcessEntry;

/// The path or name of an engine's program, or of a runtime that it starts.
fn is_engine_name(path: &[u8]) -> bool {
    let name = leaf(path);
    ENGINES.contains(&name) || RUNTIMES.contains(&name) || path == b"/kaniko/executor"
}

/// An engine's program that the image brought.
fn is_engine(process: &ProcessEntry) -> bool {
    process.file.origin() == Origin::Image && is_engine_name(&process.exe)
}

/// Whether the event is the work of such an engine: of its program, or of the copy of itself that the
/// program runs from memory, as runc does to protect itself.
#[must_use]
pub(crate) fn works(ctx: &RuleContext<'_>) -> bool {
    let Some(process) = ctx.process else {
        return false;
    };
    if is_engine(process) {
        return !ctx.memory.is_marked(ctx.event.pid);
    }
    process.file.origin() == Origin::Memfd
        && process
            .argv
            .first()
            .is_some_and(|name| is_engine_name(name))
        && ctx
            .state
            .parent_of(process)
            .is_some_and(|parent| is_engine(parent))
}

/// Whether such an engine runs in the container of the event.
#[must_use]
pub(crate) fn runs(ctx: &RuleContext<'_>) -> bool {
    let mut processes = ctx.state.processes.values();
    processes.any(|process| {
        process.owner.as_ref() == Some(ctx.owner) && process.exited.is_none() && is_engine(process)
    })
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image, upper};
    use crate::event::{FileFacts, FileOp};

    /// What the program at `exe` does in a container that may mount, and its pid.
    fn work(exe: &str, file: FileFacts) -> (World, u32) {
        let mut w = World::steady();
        w.info(|i| i.security.cap_add = vec!["SYS_ADMIN".into()]);
        let init = w.init();
        let engine = w.exec_file(init, exe, &[exe], file);
        w.privilege(engine, "mount", "overlay /var/lib/docker/m overlay", 0);
        w.privilege(engine, "setns", "CLONE_NEWNET", 0);
        w.file_as(engine, FileOp::Chmod, "/usr/bin/chfn", |f| {
            f.mode = Some(0o4755)
        });
        w.connect_unix(engine, "/run/d/containerd.sock");
        (w, engine)
    }

    #[test]
    fn an_engine_of_the_image_is_one_line_and_a_dropped_one_is_not() {
        let (mut w, dockerd) = work("/usr/bin/dockerd", image(2));
        w.only(&["priv.mount"]);
        assert_eq!(w.highest(), Severity::Low);
        // The host's disk is no layer.
        w.privilege(dockerd, "mount", "/dev/sda1 /mnt ext4", 0);
        assert_eq!(w.highest(), Severity::High);
        let (w, _) = work("/usr/bin/app", image(2));
        assert_eq!(w.finding("file.setuid").severity, Severity::High);
        assert_eq!(w.finding("priv.mount").severity, Severity::High);
        let (w, _) = work("/usr/bin/dockerd", upper(9));
        let dropped = w.finding("drift.exec-new");
        assert_eq!(dropped.severity, Severity::High);
        assert!(dropped.chain.len() >= 3, "{:?}", dropped.chain);
    }

    #[test]
    fn a_client_of_an_engine_in_the_container_does_not_reach_the_hosts() {
        let client = |engine: Option<FileFacts>| {
            let mut w = World::steady();
            let init = w.init();
            if let Some(file) = engine {
                w.exec_file(init, "/usr/bin/dockerd", &["dockerd"], file);
            }
            let shell = w.session(&["sh"]);
            let docker = w.exec(shell, "/usr/bin/docker", &["docker", "ps"]);
            w.connect_unix(docker, "/var/run/docker.sock");
            w.finding("net.runtime-api").severity
        };
        assert_eq!(client(Some(image(2))), Severity::Info);
        assert_eq!(client(Some(upper(9))), Severity::High);
        assert_eq!(client(None), Severity::High);
    }
}
