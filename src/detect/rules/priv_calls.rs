//! Calls that access other processes or the kernel; refused attempts count too.

use crate::detect::alert::{Alert, Alerts};
use bstr::ByteSlice as _;

use super::declared::{KnownPrivileges, caller, debugs_own, entitled};
use crate::detect::file_change::{by, graded, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution, program_roles};
use crate::event::Privilege;
use crate::state::ProcessEntry;

/// Access to other processes.
pub(super) const TRACE: Rule = Rule {
    info: RuleInfo {
        id: "priv.process-access",
        title: "Accessed another process's memory",
        label: "process access",
        severity: Severity::High,
        attack: &["T1055.008", "T1055.009"],
        needs: &[Requirement::Privilege],
        explain: "A process attached with ptrace, wrote through it, called process_vm_writev or \
                  process_vm_readv, or took another process's files. Debuggers do it too; a \
                  service should not. Info where a container that may trace, or a debugger \
                  in an exec session, debugs its own children.",
        check: "Which process was the target? Was somebody debugging?",
    },
    handlers: &[Handler::Privilege(|ctx, memory, p| {
        trace(ctx, memory.of(), p)
    })],
};

/// The kernel itself.
pub(super) const KERNEL: Rule = Rule {
    info: RuleInfo {
        id: "priv.kernel",
        title: "Tried to change or load kernel code",
        label: "kernel",
        severity: Severity::Critical,
        attack: &["T1547.006", "T1014"],
        needs: &[Requirement::Privilege],
        explain: "A process loaded a module, used kexec, loaded an eBPF program, accessed ports \
                  directly, rebooted, or opened a file handle outside the container's root. \
                  Refused attempts are one severity lower.",
        check: "What was loaded? Why is the container privileged?",
    },
    handlers: &[Handler::Privilege(|ctx, _, p| kernel(ctx, p))],
};

/// Unusual calls.
pub(super) const UNUSUAL: Rule = Rule {
    info: RuleInfo {
        id: "priv.unusual-call",
        title: "Made a system call that services rarely need",
        label: "unusual call",
        severity: Severity::Low,
        attack: &["T1068"],
        needs: &[Requirement::Privilege],
        explain: "userfaultfd, kernel keys, performance events, io_uring, the kernel log, clock \
                  changes, swap: many kernel exploits use them. Calls that the container's own \
                  init tree made at start-up are not flagged.",
        check: "Which program called it? Is that new for this image?",
    },
    handlers: &[Handler::Privilege(|ctx, memory, p| {
        unusual(ctx, memory.of(), p)
    })],
};

/// Errors that show no intent: an interrupted, unknown or malformed call.
pub(super) fn meaningless(errno: u16) -> bool {
    // ENOENT, EINTR, EAGAIN, EFAULT, EEXIST, ENOTDIR, EINVAL, ENOSYS.
    matches!(errno, 2 | 4 | 11 | 14 | 17 | 20 | 22)
}

/// The words for a call in a title: done, and tried.
fn action(p: &Privilege) -> (&'static str, &'static str) {
    match p.call.as_str() {
        "umount2" => ("Unmounted a file system", "unmount a file system"),
        "mount" | "move_mount" | "fsmount" | "mount_setattr" | "fsopen" | "fspick"
        | "open_tree" => ("Mounted a file system", "mount a file system"),
        "setns" => ("Joined", "join"),
        "unshare" | "clone" | "clone3" => ("Created", "create"),
        "pivot_root" | "chroot" => ("Changed the root directory", "change the root directory"),
        "ptrace" => ("Attached to another process", "attach to another process"),
        "process_vm_writev" => (
            "Wrote another process's memory",
            "write another process's memory",
        ),
        "process_vm_readv" => (
            "Read another process's memory",
            "read another process's memory",
        ),
        "pidfd_getfd" => (
            "Took a file from another process",
            "take a file from another process",
        ),
        "init_module" | "finit_module" => ("Loaded a kernel module", "load a kernel module"),
        "delete_module" => ("Removed a kernel module", "remove a kernel module"),
        "kexec_load" | "kexec_file_load" => ("Loaded another kernel", "load another kernel"),
        "bpf" => ("Used eBPF", "use eBPF"),
        "open_by_handle_at" => ("Opened a file by handle", "open a file by handle"),
        "iopl" | "ioperm" => ("Got access to I/O ports", "access I/O ports"),
        "reboot" => ("Called reboot", "reboot"),
        "userfaultfd" => ("Created a userfaultfd", "create a userfaultfd"),
        "perf_event_open" => ("Opened a performance event", "open a performance event"),
        "keyctl" | "add_key" | "request_key" => ("Used kernel keys", "use kernel keys"),
        "syslog" => ("Read the kernel log", "read the kernel log"),
        "swapon" | "swapoff" => ("Changed swap", "change swap"),
        "settimeofday" | "clock_settime" => ("Set the clock", "set the clock"),
        "io_uring_setup" => ("Created an io_uring", "create an io_uring"),
        _ => ("Made a privileged call", "make a privileged call"),
    }
}

/// "Tried to create a mount namespace: refused".
fn title(ctx: &RuleContext<'_>, p: &Privilege) -> String {
    if let Some(process) = ctx.process.filter(|_| p.call.contains("uid")) {
        return format!(
            "User {} became root: {}",
            ctx.container
                .map_or(process.uid, |c| c.info.inside_uid(process.uid)),
            process.exe.escaped()
        );
    }
    let (done, tried) = action(p);
    let namespaces = match p.call.as_str() {
        "setns" | "unshare" | "clone" | "clone3" => namespaces(&p.detail),
        _ => String::new(),
    };
    let mut title = match (p.errno, namespaces.is_empty()) {
        (0, true) => done.to_owned(),
        (0, false) => format!("{done} a {namespaces}"),
        (_, true) => format!("Tried to {tried}"),
        (_, false) => format!("Tried to {tried} a {namespaces}"),
    };
    // The name of a namespace call contains its flags.
    if namespaces.is_empty() && !p.detail.is_empty() {
        title.push_str(": ");
        title.push_str(&p.detail.escaped().to_string());
    }
    title.push_str(match p.errno {
        0 => "",
        1 | 13 => ": refused",
        _ => ": failed",
    });
    title
}

/// "mount and user namespace" of `CLONE_NEWNS|CLONE_NEWUSER`.
fn namespaces(detail: &[u8]) -> String {
    const KINDS: &[(&str, &str)] = &[
        ("CLONE_NEWNS", "mount"),
        ("CLONE_NEWUSER", "user"),
        ("CLONE_NEWPID", "process"),
        ("CLONE_NEWNET", "network"),
        ("CLONE_NEWIPC", "IPC"),
        ("CLONE_NEWUTS", "host name"),
        ("CLONE_NEWCGROUP", "cgroup"),
        ("CLONE_NEWTIME", "time"),
    ];
    let made = KINDS.iter().filter(|(flag, _)| detail.contains_str(flag));
    let names: Vec<&str> = made.map(|(_, name)| *name).collect();
    match names.split_last() {
        Some((last, [])) => format!("{last} namespace"),
        Some((last, rest)) => format!("{} and {last} namespace", rest.join(", ")),
        None => "namespace".to_owned(),
    }
}

/// An alert about a call.
pub(super) fn alert(
    ctx: &RuleContext<'_>,
    p: &Privilege,
    severity: Severity,
    subject: &[u8],
) -> Alert {
    let line = format!("{} {}{}", p.call, p.detail.escaped(), refused(p.errno));
    let alert = ctx.alert(severity, subject, |explanation| {
        explanation.title = title(ctx, p);
        explanation.why.push(by(ctx, &p.comm));
    });
    alert.reason(line)
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
    // ESRCH: no such process.
    if meaningless(p.errno) || p.errno == 3 {
        return Alerts::none();
    }
    let target = detail.rsplit(|b| *b == b' ').next().unwrap_or_default();
    if debugs_own(ctx, memory, target) {
        let alert = ctx.alert(Severity::Info, b"own children", |explanation| {
            explanation.title = "Debugged its own child process".to_owned();
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
        // Pid 1 of some images disables Ctrl-Alt-Del, which has no effect.
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
    // The system calls that load a module count as one attempt.
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
    // PAM creates a keyring for each login.
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

#[cfg(test)]
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
}
