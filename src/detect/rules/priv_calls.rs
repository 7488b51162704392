//! System calls of escapes and take-overs; refused attempts count too.

use crate::catalog;
use crate::detect::alert::{Alert, Alerts};
use bstr::ByteSlice as _;

use super::declared::{KnownPrivileges, caller, debugs_own, entitled, known_work};
use crate::detect::file_change::{by, graded, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution, program_roles};
use crate::event::Privilege;
use crate::state::ProcessEntry;

/// Mounting inside.
pub(super) const MOUNT: Rule = Rule {
    info: RuleInfo {
        id: "priv.mount",
        title: "Mounted a file system inside",
        severity: Severity::High,
        attack: &["T1611"],
        needs: &[Requirement::Privilege],
        explain: "A process called mount or one of its successors, or tried to. Unprivileged \
                  containers cannot; in one that may (privileged or SYS_ADMIN added) it is how \
                  the host's disk or a cgroup is reached. Mounts at start-up of such a container \
                  are folded.",
        check: "What was mounted where, and what was done below that path.",
    },
    handlers: &[Handler::Privilege(|ctx, memory, p| {
        mount(ctx, memory.of(), p)
    })],
};

/// New or joined namespaces.
pub(super) const NAMESPACE: Rule = Rule {
    info: RuleInfo {
        id: "priv.namespace",
        title: "Made or joined a namespace",
        severity: Severity::High,
        attack: &["T1611", "T1068"],
        needs: &[Requirement::Privilege],
        explain: "unshare or setns from inside: a new user namespace gives capabilities over \
                  more of the kernel, and joining one leaves the container's. A new process made \
                  in its own namespace is medium: browsers sandbox themselves so.",
        check: "Which namespaces, and what ran in them.",
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
        severity: Severity::High,
        attack: &["T1611"],
        needs: &[Requirement::Privilege],
        explain: "pivot_root, or chroot into a path that leads to the host's or another \
                  process's root. Daemons that lock themselves into an empty directory are not \
                  flagged.",
        check: "Where the new root lies.",
    },
    handlers: &[Handler::Privilege(|ctx, memory, p| {
        root(ctx, memory.of(), p)
    })],
};

/// Reaching into other processes.
pub(super) const TRACE: Rule = Rule {
    info: RuleInfo {
        id: "priv.process-access",
        title: "Reached into another process's memory",
        severity: Severity::High,
        attack: &["T1055.008", "T1055.009"],
        needs: &[Requirement::Privilege],
        explain: "ptrace attach, a write through ptrace, process_vm_writev or process_vm_readv, \
                  or taking another process's files. Debuggers do it too: in a service it does \
                  not belong. Information where a container that may trace debugs what it \
                  started itself.",
        check: "Which process was the target, and whether somebody was debugging.",
    },
    handlers: &[Handler::Privilege(|ctx, memory, p| {
        trace(ctx, memory.of(), p)
    })],
};

/// The kernel itself.
pub(super) const KERNEL: Rule = Rule {
    info: RuleInfo {
        id: "priv.kernel",
        title: "Tried to change or load code into the kernel",
        severity: Severity::Critical,
        attack: &["T1547.006", "T1014"],
        needs: &[Requirement::Privilege],
        explain: "Module loading, kexec, eBPF programs, raw port access, reboot, or a file \
                  handle opened past the container's root. Refused attempts are one step lower.",
        check: "What was loaded; whether the container is privileged, and why.",
    },
    handlers: &[Handler::Privilege(|ctx, _, p| kernel(ctx, p))],
};

/// Unusual calls.
pub(super) const UNUSUAL: Rule = Rule {
    info: RuleInfo {
        id: "priv.unusual-call",
        title: "A system call that services rarely need",
        severity: Severity::Low,
        attack: &["T1068"],
        needs: &[Requirement::Privilege],
        explain: "userfaultfd, kernel keys, performance events, io_uring, the kernel log, clock \
                  changes, swap: parts of many kernel exploits. What the container's own init \
                  tree used while starting is known and not flagged.",
        check: "Which program called it, and whether that is new for this image.",
    },
    handlers: &[Handler::Privilege(|ctx, memory, p| {
        unusual(ctx, memory.of(), p)
    })],
};

/// Root gained.
pub(super) const BECAME_ROOT: Rule = Rule {
    info: RuleInfo {
        id: "priv.became-root",
        title: "A process of another user became root",
        severity: Severity::High,
        attack: &["T1548.001", "T1068"],
        needs: &[Requirement::Privilege],
        explain: "A process that ran as another user set its user id to 0. Medium through the \
                  image's own su or sudo, low by a setuid program of the image that a service \
                  calls for its work, high otherwise.",
        check: "How it got the right to: a setuid program, sudoers, or a weakness.",
    },
    handlers: &[Handler::Privilege(|ctx, _, p| became_root(ctx, p))],
};

/// First use of a capability after start-up.
pub(super) const CAPABILITY: Rule = Rule {
    info: RuleInfo {
        id: "priv.capability-new",
        title: "Used a capability it had not used before",
        severity: Severity::Low,
        attack: &["T1548"],
        needs: &[Requirement::Capability],
        explain: "After start-up the container used a capability for the first time. Medium for \
                  those that reach the host (modules, raw input and output, boot, reading past \
                  permissions) or give files capabilities.",
        check: "Whether the capability can be dropped from the container.",
    },
    handlers: &[Handler::Capability(|ctx, memory, c| {
        capability(ctx, memory.of(), c)
    })],
};

/// Errors that say nothing about intent: an interrupted, unknown or malformed call.
fn meaningless(errno: u16) -> bool {
    // ENOENT, EINTR, EAGAIN, EFAULT, EEXIST, ENOTDIR, EINVAL, ENOSYS.
    matches!(errno, 2 | 4 | 11 | 14 | 17 | 20 | 22)
}

fn alert(ctx: &RuleContext<'_>, p: &Privilege, severity: Severity, subject: &[u8]) -> Alert {
    let line = format!("{} {}{}", p.call, p.detail.escaped(), refused(p.errno));
    let alert = ctx.alert(severity, subject, |explanation| {
        explanation.title = format!("{}: {line}", ctx.rule.title);
        explanation.why.push(by(ctx, &p.comm));
    });
    alert.reason(line)
}

fn mount(ctx: &RuleContext<'_>, memory: &mut KnownPrivileges, p: &Privilege) -> Alerts {
    let weight = match p.call.as_str() {
        // How mounts spread from here on: nothing is mounted.
        "mount" if spreads(&p.detail) => return Alerts::none(),
        "mount" | "move_mount" | "fsmount" | "mount_setattr" | "fsopen" | "fspick" => {
            Severity::High
        }
        // A copy of a mount tree; a plain path handle is no copy.
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

/// The call only sets how later mounts spread, as `unshare` does before anything else.
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
        "setns" => Severity::High,
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
        // From outside, or into a file system somebody has mounted by hand.
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

/// `/proc/PID/fdinfo`: a browser locks itself in there, since nothing can be opened from it.
fn leads_nowhere(path: &[u8]) -> bool {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let process = path
        .strip_prefix(b"/proc/")
        .and_then(|rest| rest.strip_suffix(b"/fdinfo"));
    process.is_some_and(|process| !process.contains(&b'/'))
}

fn mounted_by_hand(ctx: &RuleContext<'_>) -> bool {
    ctx.findings
        .all()
        .iter()
        .any(|f| f.rule == MOUNT.info.id && f.container.as_ref() == Some(ctx.owner))
}

fn trace(ctx: &RuleContext<'_>, memory: &mut KnownPrivileges, p: &Privilege) -> Alerts {
    let detail = p.detail.as_bytes();
    let word = detail.split(|b| *b == b' ').next().unwrap_or(detail);
    let weight = match (p.call.as_str(), word) {
        ("ptrace", b"PTRACE_ATTACH" | b"PTRACE_SEIZE") => Severity::High,
        ("ptrace", b"PTRACE_POKETEXT" | b"PTRACE_POKEDATA" | b"PTRACE_POKEUSER") => Severity::High,
        ("process_vm_writev" | "process_vm_readv" | "pidfd_getfd", _) => Severity::High,
        _ => return Alerts::none(),
    };
    // ESRCH: nobody there.
    if meaningless(p.errno) || p.errno == 3 {
        return Alerts::none();
    }
    let target = detail.rsplit(|b| *b == b' ').next().unwrap_or_default();
    if debugs_own(ctx, memory, target) {
        let alert = ctx.alert(Severity::Info, b"own children", |explanation| {
            explanation.title = "A debugger watches what it started itself".to_owned();
            explanation.why.push(by(ctx, &p.comm));
        });
        return alert.into();
    }
    let subject = caller(ctx, p);
    alert(ctx, p, graded(weight, p.errno), &subject).into()
}

fn kernel(ctx: &RuleContext<'_>, p: &Privilege) -> Alerts {
    let weight = match p.call.as_str() {
        "init_module" | "finit_module" | "delete_module" => Severity::Critical,
        "kexec_load" | "kexec_file_load" => Severity::Critical,
        "bpf" => Severity::High,
        "open_by_handle_at" | "iopl" | "ioperm" => Severity::High,
        // Pid 1 of some images switches Ctrl-Alt-Del off: nothing happens.
        "reboot" if p.args.get(2).is_some_and(|c| *c & 0xffff_ffff == 0) => return Alerts::none(),
        "reboot" => Severity::High,
        _ => return Alerts::none(),
    };
    if meaningless(p.errno) {
        return Alerts::none();
    }
    let entitled = entitled(ctx, "SYS_ADMIN") || entitled(ctx, "BPF");
    if entitled && ctx.starting_up() {
        return super::startup_drift(ctx, format!("{} {}", p.call, p.detail.escaped())).into();
    }
    let weight = if p.call == "bpf" && entitled {
        Severity::Medium
    } else {
        weight
    };
    // The ways to load a module are one attempt.
    let subject = match p.call.as_str() {
        "init_module" | "finit_module" => "load",
        "kexec_load" | "kexec_file_load" => "kexec",
        call => call,
    };
    alert(ctx, p, graded(weight, p.errno), subject.as_bytes()).into()
}

fn unusual(ctx: &RuleContext<'_>, memory: &mut KnownPrivileges, p: &Privilege) -> Alerts {
    let weight = match p.call.as_str() {
        "userfaultfd" => Severity::Medium,
        "perf_event_open" | "keyctl" | "add_key" | "request_key" | "syslog" | "swapon"
        | "swapoff" | "settimeofday" | "clock_settime" => Severity::Low,
        "io_uring_setup" => Severity::Info,
        _ => return Alerts::none(),
    };
    if meaningless(p.errno) {
        return Alerts::none();
    }
    // PAM gives each login a keyring of its own.
    let login = |x: &ProcessEntry| {
        x.file.origin() == crate::event::Origin::Image
            && attribution::checks_logins(program_roles::of(x))
    };
    if p.call == "keyctl" && ctx.process.is_some_and(login) {
        return Alerts::none();
    }
    let starting = ctx.starting_up();
    if starting {
        memory.add(p.call.clone());
        return Alerts::none();
    }
    if memory.contains(&p.call) {
        return Alerts::none();
    }
    let severity = graded(weight, p.errno).min(weight);
    alert(ctx, p, severity, p.call.as_bytes()).into()
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
    if process.uid == 0 || p.errno != 0 {
        return Alerts::none();
    }
    let tool = catalog::programs::SETUID_TOOLS.contains(&program_roles::of(process))
        && process.file.origin() == crate::event::Origin::Image;
    // A mail server's delivery and its like: the image gave the program root for its work, and it
    // is none that runs what it is told.
    let name = program_roles::of(process);
    let given = process.file.origin() == crate::event::Origin::Image
        && process.file.mode & 0o4000 != 0
        && !ctx.names().is_interpreter(name)
        && !ctx.names().is_shell(name)
        && !attribution::suspicious(ctx);
    let severity = match (tool, given) {
        (true, _) => Severity::Medium,
        (_, true) => Severity::Low,
        _ => Severity::High,
    };
    let subject = caller(ctx, p);
    alert(ctx, p, severity, &subject).into()
}

fn capability(
    ctx: &RuleContext<'_>,
    memory: &KnownPrivileges,
    c: &crate::event::Capability,
) -> Alerts {
    if !c.granted || ctx.starting_up() {
        return Alerts::none();
    }
    // A container found running has used what it needs before anybody looked.
    let weight = match c.name.as_str() {
        // With it a file is given capabilities, which is as good as a setuid bit.
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
    // Within the sandbox it made it has every capability.
    let exe = ctx.process.map(|x| x.exe.escaped().to_string());
    let sandbox = exe.is_some_and(|exe| memory.contains(&format!("sandbox {exe}")));
    if severity == Severity::Info || (sandbox && ctx.session().is_none()) {
        return Alerts::none();
    }
    let alert = ctx.alert(severity, c.name.as_bytes(), |explanation| {
        explanation.title = format!("Used CAP_{} for the first time since start-up", c.name);
        explanation.why.push(by(ctx, &c.comm));
    });
    alert.into()
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
    fn each_call_raises_its_rule_done_and_refused() {
        use Severity::{Critical, High, Low, Medium};
        for (name, detail, rule, done, refused) in [
            ("mount", "/dev/vda /mnt ext4", "priv.mount", High, Medium),
            ("move_mount", "", "priv.mount", High, Medium),
            ("umount2", "/proc", "priv.mount", Low, Low),
            ("unshare", "CLONE_NEWUSER", "priv.namespace", High, Medium),
            ("setns", "", "priv.namespace", High, Medium),
            ("clone3", "CLONE_NEWUSER", "priv.namespace", Medium, Low),
            ("pivot_root", "/a /b", "priv.root-changed", High, Medium),
            ("chroot", "/proc/1/root", "priv.root-changed", High, Medium),
            (
                "ptrace",
                "PTRACE_ATTACH pid 1",
                "priv.process-access",
                High,
                Medium,
            ),
            (
                "process_vm_writev",
                "pid 1",
                "priv.process-access",
                High,
                Medium,
            ),
            ("finit_module", "", "priv.kernel", Critical, High),
            ("kexec_load", "", "priv.kernel", Critical, High),
            ("bpf", "BPF_PROG_LOAD", "priv.kernel", High, Medium),
            ("open_by_handle_at", "", "priv.kernel", High, Medium),
            ("userfaultfd", "", "priv.unusual-call", Medium, Low),
            ("keyctl", "KEYCTL_READ", "priv.unusual-call", Low, Low),
        ] {
            let w = call(name, detail, 0);
            w.only(&[rule]);
            assert_eq!(w.highest(), done, "{name}");
            let w = call(name, detail, 1);
            w.only(&[rule]);
            assert_eq!(w.highest(), refused, "{name} refused");
        }
    }

    #[test]
    fn ordinary_calls_are_silent() {
        for (name, detail, errno) in [
            ("clone", "", 0),
            ("unshare", " CLONE_FS", 0),
            ("chroot", "/var/empty", 0),
            ("chroot", "/proc/self/fdinfo/", 0),
            ("ptrace", "PTRACE_TRACEME", 0),
            ("ptrace", "PTRACE_PEEKDATA pid 4", 0),
            ("memfd_create", "jit MFD_CLOEXEC", 0),
            ("reboot", "", 1),
            ("mount", "none /x tmpfs", 22),
            ("setuid", "0", 0),
            ("setgroups", "", 0),
            ("capset", "", 0),
        ] {
            call(name, detail, errno).only(&[]);
        }
    }

    #[test]
    fn what_a_privileged_container_mounts_while_starting_is_folded() {
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

    #[test]
    fn becoming_root_is_told_apart_from_being_root() {
        let mut w = World::steady();
        let init = w.init();
        let p = w.fork(init);
        w.exec_as(p, init, "/app/x", &["x"], |e| e.uid = 1000);
        w.privilege(p, "setresuid", "0 0 0", 1);
        w.privilege(p, "setuid", "1000", 0);
        w.only(&[]);
        w.privilege(p, "setresuid", "0 0 0", 0);
        assert_eq!(w.finding("priv.became-root").severity, Severity::High);
        // What the image gave root for its work; not what runs anything it is told.
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
