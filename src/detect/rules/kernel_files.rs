//! Files that give access to the kernel, its devices and the runtime.

use crate::catalog;
use crate::detect::alert::{Alert, Alerts};
use bstr::ByteSlice as _;

use crate::detect::file_change::{by, graded, is_refusal, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, inner_engine, program_roles};
use crate::event::{DeviceNumber, File, FileOp, Filesystem};

/// Kernel settings.
pub(super) const SETTING: Rule = Rule {
    info: RuleInfo {
        id: "priv.kernel-setting",
        title: "Wrote a kernel setting",
        label: "kernel setting",
        severity: Severity::Critical,
        attack: &["T1611", "T1562"],
        needs: &[Requirement::File],
        explain: "core_pattern, modprobe, uevent_helper, binfmt_misc, release_agent, the device \
                  list of a cgroup and sysrq make the kernel run a program or open a device \
                  outside the container: critical. Other settings in /proc/sys are medium. Only \
                  files on the kernel's own file systems count, not files of the same name \
                  elsewhere.",
        check: "What was written? The setting is the host's: check it there.",
    },
    handlers: &[Handler::File(|ctx, _, file| setting(ctx, file))],
};

/// Devices.
pub(super) const DEVICE: Rule = Rule {
    info: RuleInfo {
        id: "priv.device",
        title: "Opened a raw disk or kernel memory",
        label: "device",
        severity: Severity::High,
        attack: &["T1611", "T1006"],
        needs: &[Requirement::File],
        explain: "A process opened a block device, /dev/mem, /proc/kcore or a similar file, or \
                  created a device node: it reaches the host's disk or memory, bypassing every \
                  file permission.",
        check: "Which device? Does the container need it?",
    },
    handlers: &[Handler::File(|ctx, _, file| device(ctx, file))],
};

/// The runtime's own binary.
pub(super) const OWN_EXE: Rule = Rule {
    info: RuleInfo {
        id: "priv.runtime-overwrite",
        title: "Tried to overwrite a running program through /proc",
        label: "runtime overwrite",
        severity: Severity::Critical,
        attack: &["T1611"],
        needs: &[Requirement::File],
        explain: "A process opened /proc/PID/exe for writing: an escape replaced the container \
                  runtime itself that way (CVE-2019-5736).",
        check: "What are the runtime's version and its hash on the host?",
    },
    handlers: &[Handler::File(|ctx, _, file| own_exe(ctx, file))],
};

pub(super) fn writes(op: FileOp) -> bool {
    matches!(op, FileOp::Write | FileOp::Create | FileOp::Truncate)
}

/// Whether the file is on this kind of file system; where the call was refused before that was
/// known, whether its path is below the usual mount point.
pub(super) fn on(file: &File, fs: Filesystem, usual: &[u8]) -> bool {
    match file.file {
        Some(facts) if facts.fs != Filesystem::Unknown => facts.fs == fs,
        _ => file.path.starts_with(usual),
    }
}

fn setting(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    // An attempt on a kernel without the setting counts as well.
    let counts = file.errno == 0 || file.errno == 2 || is_refusal(file.errno);
    if !writes(file.op) || !counts {
        return Alerts::none();
    }
    let path = file.path.as_bytes();
    let ends = |list: &[&[u8]]| list.iter().any(|e| path.ends_with(e));
    let weight = if on(file, Filesystem::Proc, b"/proc/") {
        // By name: the directory may be mounted anywhere.
        if ends(&[
            b"/core_pattern",
            b"/modprobe",
            b"/hotplug",
            b"/sysrq-trigger",
            b"/poweroff_cmd",
            b"/usermodehelper/bset",
        ]) || path.find(b"/binfmt_misc/").is_some()
        {
            Severity::Critical
        } else if path.find(b"/sys/").is_some() || !path.starts_with(b"/proc/") {
            if of_process(path) {
                return Alerts::none();
            }
            Severity::Medium
        } else {
            return Alerts::none();
        }
    } else if on(file, Filesystem::Cgroup, b"/sys/fs/cgroup/") {
        if !ends(&[
            b"/release_agent",
            b"/notify_on_release",
            b"/devices.allow",
            b".release_agent",
        ]) {
            return Alerts::none();
        }
        let runs_nothing = !path.ends_with(b"release_agent");
        if runs_nothing && (below_own_cgroup(ctx, path) || inner_engine::works(ctx)) {
            return Alerts::none();
        }
        Severity::Critical
    } else if on(file, Filesystem::Sysfs, b"/sys/") {
        if ends(&[b"/uevent_helper"]) {
            Severity::Critical
        } else if path.find(b"/kernel/").is_some() || path.find(b"/module/").is_some() {
            Severity::Medium
        } else {
            return Alerts::none();
        }
    } else if path.find(b"/binfmt_misc/").is_some() && file.file.is_none() {
        Severity::Critical
    } else {
        return Alerts::none();
    };
    if weight == Severity::Medium && file.errno == 2 {
        return Alerts::none();
    }
    if weight == Severity::Medium && inner_engine::works(ctx) {
        return Alerts::none();
    }
    if weight == Severity::Medium && ctx.starting_up() {
        let line = format!("wrote {}{}", file.path.escaped(), refused(file.errno));
        return super::startup_drift(ctx, line).into();
    }
    alert(ctx, file, graded(weight, file.errno), "wrote").into()
}

/// An entry of a process, wherever its procfs is mounted.
fn of_process(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').any(|part| {
        part == b"self"
            || part == b"thread-self"
            || (!part.is_empty() && part.iter().all(u8::is_ascii_digit))
    })
}

fn alert(ctx: &RuleContext<'_>, file: &File, severity: Severity, verb: &str) -> Alert {
    ctx.alert(severity, &file.path, |explanation| {
        let line = format!("{verb} {}{}", file.path.escaped(), refused(file.errno));
        explanation.title = format!("{}: {}", ctx.rule.title, file.path.escaped());
        explanation.why.push(line);
        explanation.why.push(by(ctx, &file.comm));
    })
}

fn device(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    let kind = |mode: u32| mode & 0o170_000;
    const BLOCK: u32 = 0o060_000;
    const CHAR: u32 = 0o020_000;
    if file.errno != 0 && !is_refusal(file.errno) {
        return Alerts::none();
    }
    let (weight, verb) = match file.op {
        FileOp::Mknod => match kind(file.mode.unwrap_or(0)) {
            BLOCK => (Severity::High, "created block device"),
            CHAR if file.device.is_some_and(gives_nothing) => return Alerts::none(),
            CHAR => (Severity::Medium, "created device"),
            _ => return Alerts::none(),
        },
        FileOp::Read | FileOp::Write | FileOp::Create | FileOp::Truncate => {
            let block = file.file.is_some_and(|f| kind(f.mode) == BLOCK);
            let path = file.path.as_bytes();
            let memory = matches!(
                path,
                b"/proc/kcore" | b"/dev/mem" | b"/dev/kmem" | b"/dev/port" | b"/proc/kmem"
            );
            if !block && !memory {
                return Alerts::none();
            }
            let verb = if file.op == FileOp::Read {
                "opened for reading"
            } else {
                "opened for writing"
            };
            (Severity::High, verb)
        }
        _ => return Alerts::none(),
    };
    // Docker compares this node with the disk of its storage; it is never opened.
    let compared = file.op == FileOp::Mknod && file.path.ends_with(b"/backingFsBlockDev");
    if compared && inner_engine::works(ctx) {
        return Alerts::none();
    }
    if ctx.starting_up() && weight == Severity::Medium {
        let line = format!("{verb} {}", file.path.escaped());
        return super::startup_drift(ctx, line).into();
    }
    alert(ctx, file, graded(weight, file.errno), verb).into()
}

/// Devices of every container: null, zero, full, random, urandom, tty, ptmx.
fn gives_nothing(device: DeviceNumber) -> bool {
    matches!(
        (device.major, device.minor),
        (1, 3 | 5 | 7 | 8 | 9) | (5, 0 | 2)
    )
}

/// Whether the file is in a cgroup below the container's own, where its init (systemd) puts its
/// services: such a limit applies only to processes of the container.
fn below_own_cgroup(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    let directory = program_roles::directory(path);
    // Seen from the host's hierarchy, the container's own directory is named by its id.
    let parts = || directory.split(|b| *b == b'/').filter(|p| !p.is_empty());
    let own = |part: &[u8]| part.find(ctx.owner.as_str()).is_some();
    if let Some(at) = parts().position(own) {
        return parts().count() > at + 1;
    }
    // Where the runtime mounts the container's own cgroups: hierarchy, then directories.
    let mounts = ctx.container.map(|c| c.info.mounts.as_slice());
    let shows_more = mounts.unwrap_or_default().iter().any(|mount| {
        mount.kind == "bind" && mount.source.starts_with(b"/sys") || mount.source.as_bytes() == b"/"
    });
    directory.starts_with(b"/sys/fs/cgroup/")
        && parts().count() > 4
        && !shows_more
        && !super::isolation::mounted_by_hand(ctx)
}

/// The PID of `/proc/PID/LEAF`, as written there.
pub(super) fn process_file<'a>(path: &'a [u8], leaf: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(b"/proc/")?;
    let who = rest.strip_suffix(leaf)?.strip_suffix(b"/")?;
    // /proc/PID/task/TID/mem is the same file.
    let who = who.split(|b| *b == b'/').next()?;
    (who == b"self" || who.iter().all(u8::is_ascii_digit)).then_some(who)
}

/// Refused because the file is a program that runs.
const ETXTBSY: u16 = 26;

/// `/proc/PID/fd/N`.
fn of_descriptor(path: &[u8]) -> bool {
    let parent = program_roles::directory(path);
    process_file(parent, b"fd").is_some()
}

fn own_exe(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    if !writes(file.op) {
        return Alerts::none();
    }
    let path = file.path.as_bytes();
    // A descriptor of the runtime that was kept: only a running program is refused in this way.
    let descriptor = file.errno == ETXTBSY && of_descriptor(path);
    let through = process_file(path, b"exe").is_some() || descriptor;
    // When resolved, the target is the runtime's binary, which is not a path of the container.
    let runtime = catalog::engines::RUNTIMES.contains(&program_roles::leaf(path))
        && file.file.is_some_and(|f| f.fs == Filesystem::Disk);
    if !(through || runtime) {
        return Alerts::none();
    }
    let severity = graded(Severity::Critical, file.errno);
    alert(ctx, file, severity, "opened for writing").into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, upper};
    use crate::event::{FileFacts, FileOp, Filesystem};

    fn at(fs: Filesystem, mode: u32) -> Option<FileFacts> {
        Some(FileFacts {
            fs,
            mode,
            ..FileFacts::default()
        })
    }

    fn wrote(path: &str, fs: Filesystem, errno: u16) -> World {
        let mut w = World::steady();
        let init = w.init();
        w.file_as(init, FileOp::Write, path, |f| {
            f.file = at(fs, 0o100_644);
            f.errno = errno;
        });
        w
    }

    #[test]
    fn kernel_settings_count_by_their_file_system() {
        for (path, fs) in [
            ("/proc/sys/kernel/core_pattern", Filesystem::Proc),
            ("/host/proc/sys/kernel/core_pattern", Filesystem::Proc),
            ("/proc/sysrq-trigger", Filesystem::Proc),
            ("/tmp/k/core_pattern", Filesystem::Proc),
            ("/tmp/cgrp/release_agent", Filesystem::Cgroup),
            ("/sys/kernel/uevent_helper", Filesystem::Sysfs),
        ] {
            let w = wrote(path, fs, 0);
            w.only(&["priv.kernel-setting"]);
            assert_eq!(w.highest(), Severity::Critical, "{path}");
            assert_eq!(wrote(path, fs, 30).highest(), Severity::High, "{path}");
        }
        assert_eq!(
            wrote("/proc/sys/net/ipv4/ip_forward", Filesystem::Proc, 0).highest(),
            Severity::Medium
        );
        for (path, fs) in [
            ("/tmp/release_agent", Filesystem::Overlay),
            ("/srv/proc/sys/kernel/core_pattern", Filesystem::Overlay),
            ("/sys/fs/cgroup/x/cgroup.procs", Filesystem::Cgroup),
            ("/proc/77/oom_score_adj", Filesystem::Proc),
            ("/tmp/p/77/oom_score_adj", Filesystem::Proc),
        ] {
            wrote(path, fs, 0).only(&[]);
        }
    }

    #[test]
    fn an_init_keeps_its_own_cgroups() {
        let own = "/sys/fs/cgroup/systemd/docker/ID/system.slice/a.service/notify_on_release";
        for (path, quiet) in [
            (own, true),
            ("/run/cg/docker/ID/x/devices.allow", true),
            ("/sys/fs/cgroup/devices/system.slice/devices.allow", true),
            ("/sys/fs/cgroup/devices/devices.allow", false),
            ("/run/cg/docker/ID/devices.allow", false),
            ("/run/cg/docker/ID/x/release_agent", false),
            ("/tmp/cg/x/notify_on_release", false),
        ] {
            let mut w = World::steady();
            let id = w.state.containers.keys().next().unwrap().clone();
            let id = id.as_str().to_owned();
            let init = w.init();
            w.file_as(init, FileOp::Write, &path.replace("ID", &id), |f| {
                f.file = at(Filesystem::Cgroup, 0o100_644);
            });
            assert_eq!(w.all("priv.kernel-setting").is_empty(), quiet, "{path}");
        }
    }

    #[test]
    fn devices_that_every_container_has_give_nothing() {
        for (mode, major, minor, flagged) in [
            (0o020_666, 1, 3, false),
            (0o020_666, 5, 0, false),
            (0o020_600, 1, 1, true),
            (0o020_600, 1, 11, true),
            (0o060_600, 1, 3, true),
        ] {
            let mut w = World::steady();
            let init = w.init();
            w.file_as(init, FileOp::Mknod, "/tmp/null", |f| {
                f.mode = Some(mode);
                f.device = Some(crate::event::DeviceNumber { major, minor });
            });
            assert_eq!(!w.all("priv.device").is_empty(), flagged, "{major}:{minor}");
        }
    }

    #[test]
    fn devices_and_memory() {
        let mut w = World::steady();
        let init = w.init();
        w.file_as(init, FileOp::Read, "/tmp/disk", |f| {
            f.file = at(Filesystem::Tmpfs, 0o060_660)
        });
        assert_eq!(w.finding("priv.device").severity, Severity::High);
        let mut w = World::steady();
        let init = w.init();
        w.file_as(init, FileOp::Mknod, "/tmp/sda", |f| {
            f.mode = Some(0o060_600);
            f.errno = 1;
        });
        assert_eq!(w.finding("priv.device").severity, Severity::Medium);
        let mut w = World::steady();
        let init = w.init();
        w.file_as(init, FileOp::Write, "/proc/77/mem", |f| {
            f.file = at(Filesystem::Proc, 0o100_600)
        });
        w.only(&["priv.memory-file"]);
        let mut w = World::steady();
        let init = w.init();
        w.file_as(init, FileOp::Mknod, "/tmp/fifo", |f| {
            f.mode = Some(0o010_600)
        });
        w.file_as(init, FileOp::Write, "/srv/mem", |f| f.file = Some(upper(4)));
        w.file_as(init, FileOp::Write, "/dev/null", |f| {
            f.file = at(Filesystem::Tmpfs, 0o020_666)
        });
        w.only(&[]);
    }

    #[test]
    fn the_runtimes_binary_through_proc() {
        let mut w = World::steady();
        let init = w.init();
        w.refused(init, FileOp::Write, "/proc/self/exe", 26);
        assert_eq!(w.finding("priv.runtime-overwrite").severity, Severity::High);
        w.none("file.program-changed");
        let mut w = World::steady();
        let init = w.init();
        w.refused(init, FileOp::Write, "/proc/self/fd/3", 26);
        assert_eq!(w.finding("priv.runtime-overwrite").severity, Severity::High);
        let mut w = World::steady();
        let init = w.init();
        w.refused(init, FileOp::Write, "/proc/self/fd/3", 13);
        w.refused(init, FileOp::Write, "/srv/program", 26);
        w.only(&[]);
    }
}
