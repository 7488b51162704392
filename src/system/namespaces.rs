//! The namespaces of the host that this program is in: inside a container it may see only itself.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fd::AsFd as _;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The kernel's fixed inode numbers of the host's namespaces.
const HOST_CGROUP: &str = "cgroup:[4026531835]";
const HOST_PID: &str = "pid:[4026531836]";

/// Maximum number of processes examined to find one in the host's cgroup namespace.
const MAX_PROCESSES: usize = 1024;

/// Something that this program cannot see from inside its own container, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnseenFacts {
    /// The missing part.
    pub(crate) what: &'static str,
    /// The cause and the remedy.
    pub(crate) why: String,
}

fn is_in(process: &str, kind: &str, namespace: &str) -> Option<bool> {
    let link = fs::read_link(format!("/proc/{process}/ns/{kind}")).ok()?;
    Some(link.as_os_str() == namespace)
}

/// True when this program has a cgroup namespace of its own.
pub(super) fn has_own_cgroups() -> bool {
    is_in("self", "cgroup", HOST_CGROUP) == Some(false)
}

fn has_own_pids() -> bool {
    is_in("self", "pid", HOST_PID) == Some(false)
}

/// The namespaces of a process that are those of the host's init, of the kinds that an engine can
/// share; `None` where this program does not see the host's init, or the process is gone.
pub(crate) fn namespaces_of_host(pid: u32) -> Option<Vec<String>> {
    const KINDS: [&str; 5] = ["ipc", "net", "pid", "user", "uts"];
    if has_own_pids() {
        return None;
    }
    let namespace = |process: u32, kind| fs::read_link(format!("/proc/{process}/ns/{kind}")).ok();
    let mut shared = Vec::new();
    for kind in KINDS {
        if namespace(1, kind)? == namespace(pid, kind)? {
            shared.push(kind.to_owned());
        }
    }
    Some(shared)
}

/// This process, as the kernel programs report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnProcess {
    /// In the host's pid namespace: by its pid.
    Host(u32),
    /// In another one, where that is not visible: by its cgroup and its pid there.
    Inside(u64, u32),
    /// Its cgroup is not visible: nothing of its container is watched either.
    Unknown,
}

impl OwnProcess {
    /// Looks it up.
    pub(crate) fn find() -> Self {
        let pid = std::process::id();
        if !has_own_pids() {
            return Self::Host(pid);
        }
        let read =
            |file: &str| fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        let directory = own_cgroup(&read("cgroup"), &read("mountinfo"));
        let cgroup = directory.and_then(|directory| fs::metadata(directory).ok());
        cgroup.map_or(Self::Unknown, |cgroup| Self::Inside(cgroup.ino(), pid))
    }

    /// Whether a process is it.
    pub(crate) fn is(self, cgroup: u64, pid: u32, nspid: u32) -> bool {
        match self {
            Self::Host(own) => own == pid,
            Self::Inside(own, own_pid) => (own, own_pid) == (cgroup, nspid),
            Self::Unknown => false,
        }
    }
}

/// The directory of this process's version 2 cgroup.
fn own_cgroup(cgroups: &str, mounts: &str) -> Option<PathBuf> {
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut fields = front.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        let below = Path::new(own).strip_prefix(root).ok()?;
        (back.split(' ').next() == Some("cgroup2")).then(|| Path::new(at).join(below))
    })
}

/// Moves this thread, and those it starts, into the host's cgroup namespace where it is in another
/// one and may: an orchestrator gives each container its own, and offers no way to refuse it. The
/// container must be in the host's pid namespace and hold `CAP_SYS_ADMIN`; else nothing changes,
/// and [`unseen`] reports it.
pub(crate) fn join_host_cgroups() {
    if !has_own_cgroups() || has_own_pids() {
        return;
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes.take(MAX_PROCESSES) {
        let name = process.file_name();
        let Some(pid) = name.to_str().filter(|name| name.parse::<u32>().is_ok()) else {
            continue;
        };
        if is_in(pid, "cgroup", HOST_CGROUP) != Some(true) {
            continue;
        }
        if let Ok(file) = File::open(format!("/proc/{pid}/ns/cgroup")) {
            // When it is refused nothing has changed, and doctor reports it.
            let kind = Some(LinkNameSpaceType::ControlGroup);
            let _ = move_into_link_name_space(file.as_fd(), kind);
            return;
        }
    }
}

/// True when this program runs in a container of its own.
fn is_in_container() -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let overlay_root = table.lines().any(|line| {
        let mut fields = line.split(' ');
        fields.nth(4) == Some("/") && line.contains(" - overlay ")
    });
    overlay_root || has_own_cgroups() || has_own_pids()
}

/// Everything that this program cannot see from inside its own container.
pub(crate) fn unseen() -> Vec<UnseenFacts> {
    let mut unseen = Vec::new();
    if has_own_pids() {
        unseen.push(UnseenFacts {
            what: "processes that already run, and the /proc facts of new ones",
            why: "hullwatch runs in a pid namespace of its own: use --pid=host (Kubernetes: \
                  hostPID: true)"
                .to_owned(),
        });
    }
    // State directories of runtimes and engines.
    const STATE: [&str; 6] = [
        "/run/containerd",
        "/run/docker",
        "/run/crio",
        "/run/runc",
        "/run/libpod",
        "/run/crun",
    ];
    if is_in_container() && !STATE.iter().any(|path| Path::new(path).exists()) {
        unseen.push(UnseenFacts {
            what: "names, images and settings of containers",
            why: "no state directory of a runtime is visible here: mount the host's, e.g. \
                  --volume /run:/run:ro"
                .to_owned(),
        });
    }
    const LAYERS: [&str; 3] = [
        "/var/lib/docker",
        "/var/lib/containerd",
        "/var/lib/containers",
    ];
    if is_in_container() && !LAYERS.iter().any(|path| Path::new(path).exists()) {
        unseen.push(UnseenFacts {
            what: "which files differ from the image",
            why: "no image layers are visible here: mount the host's, e.g. --volume \
                  /var/lib/docker:/var/lib/docker:ro"
                .to_owned(),
        });
    }
    unseen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_below_the_mount_that_shows_it() {
        let cgroups = "12:pids:/docker/x\n0::/docker/x\n";
        let mounts = "31 23 0:28 / / rw - overlay overlay rw\n\
            41 31 0:38 /docker/y /mnt rw - cgroup2 cgroup rw\n\
            42 31 0:38 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n";
        let found = own_cgroup(cgroups, mounts).unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/unified/docker/x"));
        let alone = "41 31 0:38 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        let found = own_cgroup(cgroups, alone).unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup"));
        assert_eq!(
            own_cgroup(cgroups, "31 23 0:28 / / rw - overlay overlay rw\n"),
            None
        );
    }

    #[test]
    fn a_process_with_the_same_number_elsewhere_is_another() {
        let inside = OwnProcess::Inside(7, 12);
        assert!(inside.is(7, 4000, 12));
        assert!(!inside.is(8, 4001, 12) && !inside.is(7, 12, 13));
        assert!(OwnProcess::Host(12).is(7, 12, 1));
        assert!(!OwnProcess::Unknown.is(0, 0, 0));
    }
}
