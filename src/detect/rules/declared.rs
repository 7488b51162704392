//! Rights that a container was given, and its ordinary work with them.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;

use crate::catalog;
use crate::detect::alert::Alerts;
use crate::detect::file_change::by;
use crate::detect::file_origin::any_ancestor;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::seen_set::SeenSet;
use crate::detect::{Severity, attribution, inner_engine, program_roles};
use crate::event::{Bytes, Origin, Privilege};

/// Maximum number of calls and sandboxes remembered of one container.
const MAX_USED: usize = 256;

/// Whether the container was given the right to make such calls.
pub(super) fn entitled(ctx: &RuleContext<'_>, capability: &str) -> bool {
    ctx.container.is_some_and(|c| {
        let added = |name: &String| {
            let bare = name.strip_prefix("CAP_").unwrap_or(name);
            bare == capability || bare == "ALL"
        };
        c.info.security.privileged || c.info.security.cap_add.iter().any(added)
    })
}

/// The calling program, as the subject of a finding.
pub(super) fn caller(ctx: &RuleContext<'_>, p: &Privilege) -> Bytes {
    ctx.process
        .map(|x| &x.exe)
        .filter(|exe| !exe.as_bytes().is_empty())
        .unwrap_or(&p.comm)
        .clone()
}

/// Recognises ordinary privileged calls: those that a program of a container with the right to make
/// them made while starting, and sandboxes that such a program builds for its own children; both
/// are known from then on. Exec sessions, shells and drifted code do not count, and calls that
/// reach the host's disk or cgroups are never ordinary. A session may run a program of the image
/// that only makes sandboxes. `None`: the rule must decide.
pub(super) fn known_work(
    ctx: &RuleContext<'_>,
    memory: &mut KnownPrivileges,
    p: &Privilege,
) -> Option<Alerts> {
    let declared = entitled(ctx, "SYS_ADMIN") || unconfined(ctx);
    if !declared {
        return None;
    }
    if ctx.session().is_some() {
        return sandbox_of_session(ctx, memory, p);
    }
    if ctx.memory.is_marked(ctx.event.pid) {
        return None;
    }
    if inner_engine::works(ctx) && !reaches_disk(p) {
        return Some(engine_at_work(ctx, memory, p));
    }
    let key = format!("sandbox {}", caller(ctx, p).escaped());
    if memory.contains(&key) {
        let ordinary = !reaches_host(p) && !attribution::suspicious(ctx);
        return ordinary.then(Alerts::none);
    }
    // Its calls before watching began are not known: it may have made them all the time.
    if ctx.learning() && !ctx.starting_up() {
        let ordinary = p.errno == 0 && !reaches_host(p) && !attribution::suspicious(ctx);
        return ordinary.then(|| {
            memory.add(key);
            let alert = ctx.alert(Severity::Low, b"sandbox", |explanation| {
                let program = caller(ctx, p).escaped().to_string();
                explanation.title = format!("{program} creates sandboxes");
                explanation.why.push(by(ctx, &p.comm));
                explanation
                    .why
                    .push("the container was not watched from its start".to_owned());
            });
            alert.into()
        });
    }
    let starting = ctx.starting_up() && entitled(ctx, "SYS_ADMIN");
    let child = matches!(p.call.as_str(), "clone" | "clone3") && p.detail.contains_str("CLONE_NEW");
    let confines = child && p.errno == 0 && !attribution::suspicious(ctx);
    if starting || confines {
        memory.add(key);
    }
    if confines && !starting {
        let alert = ctx.alert(Severity::Info, b"sandbox", |explanation| {
            explanation.title = format!("{} sandboxes a child process", caller(ctx, p).escaped());
            explanation.why.push(by(ctx, &p.comm));
        });
        return Some(alert.into());
    }
    confines.then(Alerts::none)
}

/// A container engine of the image does its work: one line.
fn engine_at_work(ctx: &RuleContext<'_>, memory: &mut KnownPrivileges, p: &Privilege) -> Alerts {
    const KEY: &str = "container engine";
    if memory.contains(KEY) {
        return Alerts::none();
    }
    memory.add(KEY.to_owned());
    let alert = ctx.alert(Severity::Low, KEY.as_bytes(), |explanation| {
        let program = caller(ctx, p).escaped().to_string();
        explanation.title = format!("A container engine works inside the container: {program}");
        explanation.why.push(by(ctx, &p.comm));
    });
    alert.into()
}

/// An exec session runs a program that only makes sandboxes: one line.
fn sandbox_of_session(
    ctx: &RuleContext<'_>,
    memory: &mut KnownPrivileges,
    p: &Privilege,
) -> Option<Alerts> {
    let process = ctx.process?;
    let known = catalog::programs::SANDBOXES.contains(&program_roles::of(process));
    if !known || process.file.origin() != Origin::Image || reaches_host(p) || p.errno != 0 {
        return None;
    }
    let key = format!("session's sandbox {}", process.exe.escaped());
    if memory.contains(&key) {
        return Some(Alerts::none());
    }
    memory.add(key);
    let alert = ctx.alert(Severity::Low, b"sandbox", |explanation| {
        let command = program_roles::command_line(&process.argv, &process.exe, 160);
        explanation.title = format!("An exec session creates a sandbox: {command}");
    });
    Some(alert.into())
}

/// Privileged calls, sandboxes and debugged processes of the container's ordinary work.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownPrivileges {
    used: BTreeSet<String>,
    debugged: SeenSet,
}

impl KnownPrivileges {
    /// Stores a call or a sandbox, up to the bound.
    pub(super) fn add(&mut self, name: String) {
        if self.used.len() < MAX_USED {
            self.used.insert(name);
        }
    }

    /// Whether the call or sandbox is known.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.used.contains(name)
    }
}

impl RuleMemory for KnownPrivileges {
    fn heap_bytes(&self) -> usize {
        self.used.len() * 96 + self.debugged.len() * 32
    }
}

fn reaches_disk(p: &Privilege) -> bool {
    p.detail.starts_with(b"/dev/")
}

fn reaches_host(p: &Privilege) -> bool {
    let detail = p.detail.as_bytes();
    let cgroups = |word: &[u8]| matches!(word, b"cgroup" | b"cgroup2");
    reaches_disk(p) || detail.split(|b| *b == b' ').any(cgroups) || p.call == "setns"
}

/// Whether the container was started without the filter that refuses such calls.
fn unconfined(ctx: &RuleContext<'_>) -> bool {
    let security = ctx.container.map(|c| &c.info.security);
    security.is_some_and(|s| s.privileged || s.seccomp == "unconfined")
}

/// Whether a program of the image, in a container with the right to trace, accesses a process that
/// it started itself: it debugs the process. The same holds for a debugger of the image in an exec
/// session. `target` is its pid within the container.
pub(super) fn debugs_own(
    ctx: &RuleContext<'_>,
    memory: &mut KnownPrivileges,
    target: &[u8],
) -> bool {
    let Some(tracer) = ctx.process else {
        return false;
    };
    let target = std::str::from_utf8(target)
        .ok()
        .and_then(|t| t.parse().ok());
    let Some(target) = target.filter(|t: &u32| *t != 0) else {
        return false;
    };
    let may = match ctx.session() {
        None => entitled(ctx, "SYS_PTRACE"),
        Some(_) => catalog::programs::DEBUGGERS.contains(&program_roles::of(tracer)),
    };
    if tracer.file.origin() != Origin::Image || !may {
        return false;
    }
    let pair = (tracer.pid, tracer.started, target);
    if memory.debugged.contains(pair) {
        return true;
    }
    let own = ctx.state.processes.values().any(|p| {
        p.nspid == target
            && p.pid != tracer.pid
            && p.owner.as_ref() == Some(ctx.owner)
            && p.exited.is_none()
            && any_ancestor(ctx, p, |above| above.pid == tracer.pid)
    });
    if own {
        memory.debugged.insert(pair);
    }
    own
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::FileOp;

    #[test]
    fn a_debugger_may_watch_what_it_started_where_tracing_is_allowed() {
        let trace = |allowed: bool, own: bool| {
            let mut w = World::steady();
            if allowed {
                w.info(|i| i.security.cap_add = vec!["SYS_PTRACE".into()]);
            }
            let init = w.init();
            let gdb = w.exec(init, "/usr/bin/gdb", &["gdb", "./t"]);
            let parent = if own { gdb } else { init };
            let child = w.exec(parent, "/usr/bin/sleep", &["sleep", "9"]);
            let nspid = w.state.processes[&child].nspid;
            w.privilege(gdb, "ptrace", &format!("PTRACE_SEIZE pid {nspid}"), 0);
            w.file(gdb, FileOp::Write, &format!("/proc/{nspid}/mem"));
            w.highest()
        };
        assert_eq!(trace(true, true), Severity::Info);
        assert_eq!(trace(true, false), Severity::High);
        assert_eq!(trace(false, true), Severity::High);
    }

    #[test]
    fn a_debugger_of_an_exec_session_may_watch_what_it_started() {
        let trace = |exe: &str, own: bool| {
            let mut w = World::steady();
            let s = w.session(&["sh"]);
            let tracer = w.exec(s, exe, &[exe, "./t"]);
            let parent = if own { tracer } else { w.init() };
            let child = w.exec(parent, "/usr/bin/sleep", &["sleep", "9"]);
            let nspid = w.state.processes[&child].nspid;
            w.privilege(tracer, "ptrace", &format!("PTRACE_SEIZE pid {nspid}"), 0);
            w.finding("priv.process-access").severity
        };
        assert_eq!(trace("/usr/bin/strace", true), Severity::Info);
        assert_eq!(trace("/usr/bin/strace", false), Severity::High);
        assert_eq!(trace("/usr/bin/python3", true), Severity::High);
    }

    #[test]
    fn sandboxes_of_a_container_that_may_are_one_line_and_the_host_is_not() {
        let world = |unconfined: bool| {
            let mut w = World::steady();
            if unconfined {
                w.info(|i| i.security.seccomp = "unconfined".into());
            }
            w
        };
        let sandbox = |w: &mut World, parent: u32| {
            let bwrap = w.exec(parent, "/usr/bin/bwrap", &["bwrap", "true"]);
            w.privilege(bwrap, "clone", "CLONE_NEWNS|CLONE_NEWPID", 0);
            let child = w.exec(bwrap, "/usr/bin/bwrap", &["bwrap", "true"]);
            w.capability(child, "SYS_ADMIN", true);
            w.privilege(child, "mount", "/oldroot/usr /newroot/usr MS_BIND", 0);
            w.privilege(child, "mount", "none /newroot/sys/fs/cgroup MS_BIND", 0);
            w.privilege(child, "pivot_root", "/tmp oldroot", 0);
            child
        };
        let mut w = world(true);
        let init = w.init();
        let child = sandbox(&mut w, init);
        w.only(&["priv.namespace"]);
        assert_eq!(w.highest(), Severity::Info);
        w.privilege(child, "mount", "/dev/sda1 /mnt ext4", 0);
        w.privilege(child, "mount", "none /tmp/c cgroup", 0);
        let f = w.finding("priv.mount");
        assert_eq!((f.severity, f.count), (Severity::High, 2));
        w.privilege(child, "setns", "CLONE_NEWNS", 0);
        assert_eq!(w.finding("priv.namespace").severity, Severity::Info);
        assert_eq!(w.all("priv.namespace")[1].severity, Severity::High);
        // From outside, by a user, or without the right declared.
        let mut w = world(true);
        let s = w.session(&["sh"]);
        sandbox(&mut w, s);
        w.none("priv.mount");
        w.none("priv.root-changed");
        assert_eq!(w.finding("priv.namespace").severity, Severity::Low);
        let app = w.exec(s, "/usr/bin/app", &["app"]);
        w.privilege(app, "mount", "none /m tmpfs", 0);
        assert_eq!(w.finding("priv.mount").severity, Severity::High);
        let mut w = world(false);
        let init = w.init();
        sandbox(&mut w, init);
        assert_eq!(w.finding("priv.mount").severity, Severity::High);
        let mut w = world(true);
        let init = w.init();
        let unshare = w.exec(init, "/usr/bin/unshare", &["unshare", "-Ur", "sh"]);
        w.privilege(unshare, "unshare", "CLONE_NEWUSER", 0);
        assert_eq!(w.highest(), Severity::High);
    }

    #[test]
    fn a_privileged_builder_mounts_as_it_did_when_it_started() {
        let mut w = World::starting();
        w.info(|i| i.security.privileged = true);
        let init = w.init();
        let build = |w: &mut World, what: &str| {
            let p = w.exec(init, "/usr/bin/builder", &["builder"]);
            w.privilege(p, "mount", what, 0);
        };
        build(&mut w, "overlay /m overlay");
        w.ticks(60);
        build(&mut w, "overlay /m overlay");
        w.only(&["drift.startup"]);
        build(&mut w, "/dev/sda1 /m ext4");
        assert_eq!(w.finding("priv.mount").severity, Severity::High);
        let other = w.exec(init, "/usr/bin/mount", &["mount"]);
        w.privilege(other, "mount", "none /m tmpfs", 0);
        assert_eq!(w.all("priv.mount").len(), 2);
    }
}
