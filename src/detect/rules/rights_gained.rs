//! Rights that a process gains: root, and capabilities that it had not used.

use bstr::ByteSlice as _;

use super::declared::{KnownPrivileges, caller};
use super::priv_calls::alert;
use crate::catalog;
use crate::detect::alert::Alerts;
use crate::detect::file_change::by;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution, program_roles};
use crate::event::{Exec, Privilege};
use crate::state::ProcessEntry;

/// Root gained.
pub(super) const BECAME_ROOT: Rule = Rule {
    info: RuleInfo {
        id: "priv.became-root",
        title: "Another user's process became root",
        label: "became root",
        severity: Severity::High,
        attack: &["T1548.001", "T1068"],
        needs: &[Requirement::Privilege, Requirement::Exec],
        explain: "A process that ran as another user set its user id to 0. Medium through the \
                  image's own su or sudo, low in a login over SSH; low through a setuid program of the image that a \
                  service calls for its work; else high. High as well when a setuid program is \
                  started without even its own name as an argument, which only exploits do.",
        check: "How did it get root: a setuid program, sudoers, or an exploit?",
    },
    handlers: &[
        Handler::Privilege(|ctx, _, p| became_root(ctx, p)),
        Handler::Exec(|ctx, _, exec| without_name(ctx, exec)),
    ],
};

/// First use of a capability after start-up.
pub(super) const CAPABILITY: Rule = Rule {
    info: RuleInfo {
        id: "priv.capability-new",
        title: "Used a capability for the first time",
        label: "capability",
        severity: Severity::Low,
        attack: &["T1548"],
        needs: &[Requirement::Capability],
        explain: "After start-up the container used a capability for the first time. Medium for \
                  those that reach the host (modules, raw I/O, boot, reading without permission \
                  checks) or give files capabilities.",
        check: "Can the capability be dropped from the container?",
    },
    handlers: &[Handler::Capability(|ctx, memory, c| {
        capability(ctx, memory.of(), c)
    })],
};

/// A setuid program that was given no arguments at all takes its environment for them. The kernel
/// passes an empty one then.
fn without_name(ctx: &RuleContext<'_>, exec: &Exec) -> Alerts {
    let nameless = exec.argv.first().is_some_and(|name| name.is_empty());
    if !nameless || exec.file.mode & 0o4000 == 0 {
        return Alerts::none();
    }
    let alert = ctx.alert(Severity::High, &exec.exe, |explanation| {
        let program = exec.exe.escaped();
        explanation.title = format!("Started a setuid program without its name: {program}");
        explanation.why.push(by(ctx, &exec.comm));
    });
    alert.into()
}

fn became_root(ctx: &RuleContext<'_>, p: &Privilege) -> Alerts {
    let first = p.detail.as_bytes().split(|b| *b == b' ').next();
    let wants = matches!(
        p.call.as_str(),
        "setuid" | "setreuid" | "setresuid" | "setfsuid"
    ) && first == Some(b"0");
    let Some(process) = ctx.process.filter(|_| wants) else {
        return Alerts::none();
    };
    let own = ctx
        .container
        .map_or(process.uid, |c| c.info.inside_uid(process.uid));
    if own == 0 || p.errno != 0 || in_user_namespace(process, p) {
        return Alerts::none();
    }
    let tool = catalog::programs::SETUID_TOOLS.contains(&program_roles::of(process))
        && process.file.origin() == crate::event::Origin::Image;
    // A mail delivery program or similar: the image gave it root for its work, and it does not run
    // arbitrary commands.
    let name = program_roles::of(process);
    let given = process.file.origin() == crate::event::Origin::Image
        && process.file.mode & 0o4000 != 0
        && !ctx.names().is_interpreter(name)
        && !ctx.names().is_shell(name)
        && !attribution::suspicious(ctx);
    // Who logged in over SSH does it with the image's own tools.
    let login =
        ctx.ancestors().any(attribution::lets_people_in) && !ctx.memory.is_marked(ctx.event.pid);
    let severity = match (tool, given) {
        (true, _) if login => Severity::Low,
        (true, _) => Severity::Medium,
        (_, true) => Severity::Low,
        _ => Severity::High,
    };
    let subject = caller(ctx, p);
    alert(ctx, p, severity, &subject).into()
}

/// The call succeeded, and on the host the user did not change: id 0 is one of a user namespace,
/// where it was root already. A setuid program may keep its real user id.
fn in_user_namespace(process: &ProcessEntry, p: &Privilege) -> bool {
    p.uid != 0 && p.uid == process.uid && process.file.mode & 0o4000 == 0
}

fn capability(
    ctx: &RuleContext<'_>,
    memory: &KnownPrivileges,
    c: &crate::event::Capability,
) -> Alerts {
    if !c.granted || ctx.starting_up() {
        return Alerts::none();
    }
    // A container that was found running has used its capabilities before watching began.
    let weight = match c.name.as_str() {
        // With it a process can give a file capabilities, which equals a setuid bit.
        "SETFCAP" if ctx.installing() => return Alerts::none(),
        "SETFCAP" | "SYS_MODULE" | "SYS_RAWIO" | "SYS_BOOT" | "DAC_READ_SEARCH" | "SYS_PTRACE"
        | "MAC_ADMIN" | "BPF" => Severity::Medium,
        "SYS_ADMIN" | "NET_ADMIN" | "NET_RAW" | "SYS_TIME" | "MKNOD" | "SYSLOG" => Severity::Low,
        _ => Severity::Info,
    };
    let quiet = weight == Severity::Info
        || (weight == Severity::Medium
            && ctx.container.is_some_and(|x| x.existing)
            && ctx.session().is_none());
    let severity = if quiet { Severity::Info } else { weight };
    // A process has every capability within a sandbox that it made.
    let exe = ctx.process.map(|x| x.exe.escaped().to_string());
    let known = match ctx.session() {
        Some(_) => "session's sandbox",
        None => "sandbox",
    };
    let sandbox = exe.is_some_and(|exe| memory.contains(&format!("{known} {exe}")));
    if severity == Severity::Info || sandbox {
        return Alerts::none();
    }
    let alert = ctx.alert(severity, c.name.as_bytes(), |explanation| {
        explanation.title = format!("Used CAP_{} for the first time", c.name);
        explanation.why.push(by(ctx, &c.comm));
    });
    alert.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::{Confinement, IdRange};

    #[test]
    fn root_of_a_user_namespace_does_not_become_root() {
        let judged = |mapped: bool, uid: u32, after: u32| {
            let mut w = World::steady();
            if mapped {
                w.info(|i| {
                    i.confinement = Some(Confinement {
                        ids: vec![IdRange {
                            inside: 0,
                            outside: 165_536,
                            count: 65_536,
                        }],
                        ..Confinement::default()
                    });
                });
            }
            let init = w.init();
            let p = w.fork(init);
            w.exec_as(p, init, "/usr/sbin/sshd", &["sshd"], |e| e.uid = uid);
            w.privilege_as(p, "setreuid", |call| {
                call.uid = after;
                call.detail = "0 0".into();
            });
            w.all("priv.became-root").first().map(|f| f.severity)
        };
        assert_eq!(judged(true, 165_536, 165_536), None);
        // The container's facts are not known yet.
        assert_eq!(judged(false, 165_536, 165_536), None);
        assert_eq!(judged(true, 166_536, 165_536), Some(Severity::High));
        assert_eq!(judged(false, 1000, 0), Some(Severity::High));
    }

    #[test]
    fn becoming_root_is_distinguished_from_being_root() {
        let mut w = World::steady();
        let init = w.init();
        let p = w.fork(init);
        w.exec_as(p, init, "/app/x", &["x"], |e| e.uid = 1000);
        w.privilege(p, "setresuid", "0 0 0", 1);
        w.privilege(p, "setuid", "1000", 0);
        w.only(&[]);
        w.privilege(p, "setresuid", "0 0 0", 0);
        assert_eq!(w.finding("priv.became-root").severity, Severity::High);
        // Programs to which the image gave root for their work, unless they run arbitrary commands.
        let by = |exe: &str, session: bool, mode: u32| {
            let mut w = World::steady();
            let parent = if session {
                w.session(&["sh"])
            } else {
                w.init()
            };
            let p = w.fork(parent);
            w.exec_as(p, parent, exe, &[exe], |e| {
                e.uid = 33;
                e.file.mode = mode;
            });
            w.privilege(p, "setuid", "0", 0);
            w.finding("priv.became-root").severity
        };
        assert_eq!(by("/usr/sbin/exim4", false, 0o104_755), Severity::Low);
        assert_eq!(by("/usr/bin/sudo", false, 0o104_755), Severity::Medium);
        assert_eq!(by("/usr/sbin/exim4", false, 0o100_755), Severity::High);
        assert_eq!(by("/usr/sbin/exim4", true, 0o104_755), Severity::High);
        assert_eq!(by("/usr/bin/python3", false, 0o104_755), Severity::High);
    }

    #[test]
    fn a_setuid_program_without_its_name() {
        for (argv, mode, found) in [
            (&[""][..], 0o104_755, true),
            (&[""], 0o100_755, false),
            (&["sudo"], 0o104_755, false),
        ] {
            let mut w = World::steady();
            let init = w.init();
            let p = w.fork(init);
            w.exec_as(p, init, "/usr/bin/sudo", argv, |e| e.file.mode = mode);
            assert_eq!(!w.all("priv.became-root").is_empty(), found, "{argv:?}");
        }
    }

    #[test]
    fn capabilities_used_while_starting_are_known() {
        let mut w = World::starting();
        let init = w.init();
        w.capability(init, "SYS_PTRACE", true);
        w.ticks(60);
        w.capability(init, "NET_BIND_SERVICE", true);
        w.capability(init, "SYS_ADMIN", false);
        w.only(&[]);
        w.capability(init, "DAC_READ_SEARCH", true);
        assert_eq!(w.finding("priv.capability-new").severity, Severity::Medium);
    }
}
