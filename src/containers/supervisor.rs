//! The process that a runtime runs to supervise a container: containerd's shim, or
//! conmon of Podman and CRI-O. Its command line and working directory name the container's bundle.
//!
//! Only processes that no container can imitate are trusted: a supervisor in the host's pid
//! namespace, of a program of that name, an ancestor of the container's process, that is root's in
//! the host's mount namespace. One of another user (rootless Podman) speaks for that user's
//! containers only. A service may have mounts of its own (`MountFlags=` of systemd): it is trusted if
//! its root is the host's and its cgroup is no container's.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::cgroup_name::{self, is_name};
use super::proc_files::{parent_of, pids, split_argv, status_field};
use bstr::ByteSlice as _;

use crate::event::Bytes;

/// Maximum number of ancestors examined: the container's process, the runtime, its supervisor and a
/// few between.
const MAX_ANCESTORS: usize = 6;

/// The kind of supervisor, with the facts in its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SupervisorKind {
    /// `containerd-shim*`.
    Shim(Shim),
    /// `conmon`: the container's name, its bundle directory, and the engine's storage where that
    /// is named.
    Conmon {
        id: String,
        name: Bytes,
        bundle: PathBuf,
        root: Option<PathBuf>,
    },
    /// LXC's monitor.
    Lxc { name: String },
    /// `systemd-nspawn`.
    Nspawn { name: String },
}

/// A supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Supervisor {
    pub(super) pid: u32,
    /// Its owner: 0 for root.
    pub(super) uid: u32,
    pub(super) kind: SupervisorKind,
}

/// The arguments of a shim of containerd.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shim {
    /// containerd's namespace.
    pub(super) namespace: String,
    /// Its container or pod sandbox.
    pub(super) id: String,
    /// containerd's socket.
    pub(super) address: Option<String>,
}

/// The nearest trusted supervisor among `pid` and its ancestors.
pub(super) fn of_process(pid: u32) -> Option<Supervisor> {
    let mut next = pid;
    for _ in 0..=MAX_ANCESTORS {
        if let Some(found) = read(next) {
            return (found.uid == 0 || owns(found.uid, pid)).then_some(found);
        }
        next = parent_of(next).filter(|parent| *parent > 1)?;
    }
    None
}

/// Root's shims on this host.
pub(super) fn shims() -> impl Iterator<Item = Shim> {
    pids().into_iter().filter_map(|pid| {
        let comm = fs::read(format!("/proc/{pid}/comm")).ok()?;
        if !comm.starts_with(b"containerd-shim") {
            return None;
        }
        match read(pid)?.kind {
            SupervisorKind::Shim(shim) => Some(shim),
            _ => None,
        }
    })
}

/// Parses a process as a supervisor; `None` when it is none or not to be trusted.
fn read(pid: u32) -> Option<Supervisor> {
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let exe = exe.file_name()?.to_str()?;
    // An upgrade replaces the program of a running supervisor.
    let program = exe.strip_suffix(" (deleted)").unwrap_or(exe);
    let known = matches!(program, "conmon" | "lxc-start" | "systemd-nspawn");
    if !program.starts_with("containerd-shim") && !known {
        return None;
    }
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    // One number: the process is in the pid namespace of this /proc, not further down.
    if status_field(&status, "NSpid")?
        .split_ascii_whitespace()
        .count()
        != 1
    {
        return None;
    }
    let uid = status_field(&status, "Uid")?;
    let uid: u32 = uid.split_ascii_whitespace().next()?.parse().ok()?;
    // A root process with mounts of its own may belong to a container that uses the host's pids.
    if uid == 0 && !in_host_mounts(pid) && !on_the_host_root(pid) {
        return None;
    }
    let argv = split_argv(&fs::read(format!("/proc/{pid}/cmdline")).ok()?);
    let kind = match program {
        "conmon" => conmon(&argv)?,
        "lxc-start" => lxc(&argv)?,
        "systemd-nspawn" if uid == 0 => nspawn(&argv)?,
        _ if uid == 0 => shim(&argv)?,
        _ => return None,
    };
    Some(Supervisor { pid, uid, kind })
}

fn argument<'a>(argv: &'a [Bytes], names: &[&str]) -> Option<&'a Bytes> {
    let at = argv
        .iter()
        .position(|arg| names.iter().any(|name| arg == name))?;
    argv.get(at + 1)
}

fn shim(argv: &[Bytes]) -> Option<SupervisorKind> {
    let text = |names: &[&str]| Some(argument(argv, names)?.to_str().ok()?.to_owned());
    Some(SupervisorKind::Shim(Shim {
        namespace: text(&["-namespace", "--namespace"])?,
        id: text(&["-id", "--id"])?,
        address: text(&["-address", "--address"]),
    }))
}

fn conmon(argv: &[Bytes]) -> Option<SupervisorKind> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = |bytes: &Bytes| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
    let bundle = argument(argv, &["-b", "--bundle"])?;
    let id = argument(argv, &["-c", "--cid"]).and_then(|id| id.to_str().ok());
    Some(SupervisorKind::Conmon {
        id: id.unwrap_or_default().to_owned(),
        name: argument(argv, &["-n", "--name"])
            .cloned()
            .unwrap_or_default(),
        bundle: path(bundle),
        root: storage_root(argv).map(path),
    })
}

/// The monitor shows its path and the container's name instead of its arguments.
fn lxc(argv: &[Bytes]) -> Option<SupervisorKind> {
    let title = argv.first()?.to_str().ok()?;
    let name = match title.strip_prefix("[lxc monitor] ") {
        Some(shown) => shown.rsplit(' ').next()?,
        None => argument(argv, &["-n", "--name"])?.to_str().ok()?,
    };
    let name = name.to_owned();
    is_name(&name).then_some(SupervisorKind::Lxc { name })
}

/// The machine is named by an argument, else as its directory or image.
fn nspawn(argv: &[Bytes]) -> Option<SupervisorKind> {
    let text = |short: &str, long: &str| {
        let glued = argv.iter().find_map(|arg| {
            let arg = arg.to_str().ok()?;
            let value = arg.strip_prefix(long)?.strip_prefix('=')?;
            Some(value.to_owned())
        });
        let apart = || Some(argument(argv, &[short, long])?.to_str().ok()?.to_owned());
        glued.or_else(apart)
    };
    let directory = || {
        let path = text("-D", "--directory").or_else(|| text("-i", "--image"))?;
        let name = PathBuf::from(path).file_name()?.to_str()?.to_owned();
        Some(name.strip_suffix(".raw").unwrap_or(&name).to_owned())
    };
    let name = text("-M", "--machine").or_else(directory)?;
    is_name(&name).then_some(SupervisorKind::Nspawn { name })
}

/// The `--root` that conmon passes to the engine when the container ends; each word of that command
/// is an argument of `--exit-command-arg`.
fn storage_root(argv: &[Bytes]) -> Option<&Bytes> {
    let words: Vec<&Bytes> = argv
        .iter()
        .zip(argv.iter().skip(1))
        .filter(|(flag, _)| **flag == "--exit-command-arg")
        .map(|(_, word)| word)
        .collect();
    let at = words.iter().position(|word| **word == "--root")?;
    words.get(at + 1).copied()
}

/// Whether the process sees this program's or pid 1's mounts; false for an unreadable namespace.
fn in_host_mounts(pid: u32) -> bool {
    let number = |of: &str| {
        fs::metadata(format!("/proc/{of}/ns/mnt"))
            .map(|m| m.ino())
            .ok()
    };
    let Some(own) = number(&pid.to_string()) else {
        return false;
    };
    ["1", "self"].iter().any(|of| number(of) == Some(own))
}

/// Whether the process's root directory is this program's or pid 1's, and no container's cgroup holds it: a
/// container can mount and enter the host's root, but it does not leave its cgroup by that.
fn on_the_host_root(pid: u32) -> bool {
    let root = |of: &str| {
        let root = fs::metadata(format!("/proc/{of}/root")).ok()?;
        Some((root.dev(), root.ino()))
    };
    let Some(own) = root(&pid.to_string()) else {
        return false;
    };
    let groups = fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    ["1", "self"].iter().any(|of| root(of) == Some(own)) && in_no_container(&groups)
}

/// Whether none of these lines of `/proc/PID/cgroup` names a container; false without lines.
fn in_no_container(groups: &[u8]) -> bool {
    let mut paths = groups
        .lines()
        .filter_map(|line| line.splitn_str(3, ":").nth(2))
        .peekable();
    paths.peek().is_some() && paths.all(|path| cgroup_name::recognise(path).is_none())
}

/// Whether this user owns the container: created its user namespace, which no other user but root
/// may map. In the host's namespace, which maps all ids, there is none.
pub(super) fn owns(uid: u32, pid: u32) -> bool {
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap_or_default();
    maps(&map, uid)
}

fn maps(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let fields: Vec<u64> = line
            .split_ascii_whitespace()
            .filter_map(|field| field.parse().ok())
            .collect();
        // Inside, outside, how many.
        matches!(fields[..], [_, first, count] if count < u64::from(u32::MAX)
            && (first..first.saturating_add(count)).contains(&u64::from(uid)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> Vec<Bytes> {
        line.split(' ').map(Bytes::from).collect()
    }

    #[test]
    fn command_lines_name_the_container() {
        let line = "/usr/bin/containerd-shim-runc-v2 -namespace k8s.io -id ab -address /run/c.sock";
        assert_eq!(
            shim(&argv(line)).unwrap(),
            SupervisorKind::Shim(Shim {
                namespace: "k8s.io".to_owned(),
                id: "ab".to_owned(),
                address: Some("/run/c.sock".to_owned()),
            })
        );
        assert_eq!(shim(&argv("containerd-shim -namespace")), None);
        let line = "/usr/bin/conmon --api-version 1 -c ab -u ab -r /usr/bin/runc -b /var/b -n web";
        assert_eq!(
            conmon(&argv(line)).unwrap(),
            SupervisorKind::Conmon {
                id: "ab".to_owned(),
                name: "web".into(),
                bundle: "/var/b".into(),
                root: None,
            }
        );
        let line = "conmon -b /b -n a --exit-command podman --exit-command-arg --root \
            --exit-command-arg /srv/s --exit-command-arg --runroot";
        let SupervisorKind::Conmon { root, .. } = conmon(&argv(line)).unwrap() else {
            unreachable!()
        };
        assert_eq!(root, Some("/srv/s".into()));
        let name = |kind| match kind {
            Some(SupervisorKind::Lxc { name } | SupervisorKind::Nspawn { name }) => name,
            other => panic!("{other:?}"),
        };
        let monitor = [Bytes::from("[lxc monitor] /var/lib/lxc web")];
        assert_eq!(name(lxc(&monitor)), "web");
        assert_eq!(name(lxc(&argv("lxc-start -F -n box"))), "box");
        assert_eq!(name(nspawn(&argv("systemd-nspawn -D /srv/box sh"))), "box");
        assert_eq!(
            name(nspawn(&argv("systemd-nspawn --machine=a -D /srv/box"))),
            "a"
        );
        assert_eq!(nspawn(&argv("systemd-nspawn -D /srv/a..\u{1b}")), None);
    }

    #[test]
    fn a_cgroup_of_a_container_supervises_nothing() {
        assert!(in_no_container(
            b"12:cpu:/\n0::/system.slice/docker.service\n"
        ));
        let id = "ab".repeat(32);
        for inside in [format!("/docker/{id}"), format!("/docker/{id}/more")] {
            let groups = format!("12:cpu:/\n1:name=systemd:{inside}\n0::/\n");
            assert!(!in_no_container(groups.as_bytes()), "{groups}");
        }
        assert!(!in_no_container(b""), "unreadable");
    }

    #[test]
    fn a_user_made_the_namespace_that_maps_it() {
        assert!(maps(
            "         0       1001          1\n 1 100000 65536\n",
            1001
        ));
        // podman --userns=keep-id
        assert!(maps(
            "0 100000 1000\n1000 1001 1\n1001 101000 64536\n",
            1001
        ));
        assert!(!maps("0 100000 65536\n", 1001));
        assert!(
            !maps("         0          0 4294967295\n", 1001),
            "the host's"
        );
    }

    #[test]
    fn a_process_is_no_supervisor_by_its_arguments_alone() {
        use std::os::unix::process::CommandExt as _;
        let mut child = std::process::Command::new("/bin/sleep");
        let mut child = child
            .arg0("containerd-shim-runc-v2")
            .arg("9")
            .spawn()
            .unwrap();
        assert_eq!(read(child.id()), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
