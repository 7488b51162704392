//! Facts about a container from `/proc`: its init, how that is confined, its root's layers.

use std::fs;

use super::cgroup_directory::FoundContainer;
use super::proc_files::{split_argv, started, status_field};
use super::{build_step, overlay};
use crate::event::{Bytes, CAPABILITIES, Confinement, ContainerInfo, IdRange, Role, Security};
use crate::system::{self, boot_time};

/// Capabilities that Docker, Podman and containerd give a container by default, as bits.
const DEFAULT_CAPABILITIES: u64 = 0xa804_25fb;

/// The facts about a container that need no engine: its init, its confinement, and the layers of
/// its root. `None` when no process runs in it.
#[must_use]
pub fn facts(found: &FoundContainer) -> Option<ContainerInfo> {
    let boot = boot_time();
    // The init is the oldest; pids alone may have wrapped around.
    let (started, init) = found
        .members()
        .into_iter()
        .filter_map(|pid| Some((started(pid, boot)?, pid)))
        .min()?;
    let at = |name: &str| format!("/proc/{init}/{name}");
    let status = fs::read(at("status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let mounts = fs::read(at("mountinfo")).unwrap_or_default();
    let uid = status_field(&status, "Uid").and_then(|l| l.split_ascii_whitespace().next());
    let mut info = ContainerInfo {
        runtime: found.runtime,
        name: found.name().into(),
        command: split_argv(&fs::read(at("cmdline")).unwrap_or_default()),
        started: Some(started),
        init_pid: init,
        user: uid.map(Bytes::from).unwrap_or_default(),
        security: Security {
            readonly_root: overlay::root_is_read_only(&mounts),
            apparmor: apparmor(init),
            ..security(&status)
        },
        storage: overlay::of_process(init).unwrap_or_default(),
        cgroup: found.path.clone(),
        ..ContainerInfo::default()
    };
    build_step::mark(&mut info, found.name());
    Some(info)
}

/// The facts that the container's cgroup gives.
#[must_use]
pub fn of_cgroup(found: &FoundContainer) -> ContainerInfo {
    let mut info = ContainerInfo {
        runtime: found.runtime,
        name: found.id.name().map(Bytes::from).unwrap_or_default(),
        cgroup: found.path.clone(),
        ..ContainerInfo::default()
    };
    build_step::mark(&mut info, found.name());
    // A step ends before /proc is read: its layers tell its build.
    if info.role == Role::Build
        && let Some(storage) = overlay::mounted_for_step(found.id.as_str())
    {
        info.storage = storage;
    }
    info
}

/// Security facts that follow from the capabilities a container was given, as bits.
pub(super) fn capabilities(given: u64) -> Security {
    let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap")
        .ok()
        .and_then(|t| t.trim().parse::<u32>().ok())
        .unwrap_or(40)
        .min(63);
    let all = u64::MAX >> (63 - last);
    let privileged = given & all == all;
    Security {
        privileged,
        cap_add: if privileged {
            Vec::new()
        } else {
            names(given & !DEFAULT_CAPABILITIES)
        },
        cap_drop: names(DEFAULT_CAPABILITIES & !given),
        ..Security::default()
    }
}

/// The confinement of a process, by its status.
fn security(status: &str) -> Security {
    // The bounding set holds the container's capabilities; the effective one is empty for a process
    // that is not root.
    let given = status_field(status, "CapBnd")
        .and_then(|t| u64::from_str_radix(t, 16).ok())
        .unwrap_or(DEFAULT_CAPABILITIES);
    Security {
        seccomp: match status_field(status, "Seccomp") {
            Some("0") => "unconfined",
            Some("1") => "strict",
            // The filter's content cannot be read from outside.
            Some("2") => "filter",
            _ => "",
        }
        .to_owned(),
        no_new_privileges: status_field(status, "NoNewPrivs") == Some("1"),
        ..capabilities(given)
    }
}

/// The confinement of a process; `None` when it has ended.
#[must_use]
pub fn confinement(pid: u32) -> Option<Confinement> {
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let apparmor = apparmor_label(pid);
    Some(Confinement {
        apparmor,
        ids: ids(pid),
        host_namespaces: system::namespaces_of_host(pid),
        pid,
        ..confined(&String::from_utf8_lossy(&status))
    })
}

fn ids(pid: u32) -> Vec<IdRange> {
    id_ranges(&fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap_or_default())
}

/// Whether the user ids of a process are others than the host's.
#[must_use]
pub fn maps_ids(pid: u32) -> bool {
    !ids(pid).is_empty()
}

/// Ranges of a `uid_map`; none if it is the host's own. The kernel allows 340 lines.
fn id_ranges(map: &str) -> Vec<IdRange> {
    let ranges = map.lines().take(340).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().map(str::parse);
        let mut next = || fields.next()?.ok();
        Some(IdRange {
            inside: next()?,
            outside: next()?,
            count: next()?,
        })
    });
    let ranges: Vec<IdRange> = ranges.collect();
    let of_host = |range: &IdRange| range.inside == range.outside;
    if ranges.iter().all(of_host) {
        return Vec::new();
    }
    ranges
}

fn confined(status: &str) -> Confinement {
    let bits = |name| {
        let field = status_field(status, name)?;
        u64::from_str_radix(field, 16).ok()
    };
    let number = |name, place| {
        let mut words = status_field(status, name)?.split_ascii_whitespace();
        words.nth(place)?.parse::<u32>().ok()
    };
    Confinement {
        uid: number("Uid", 1).unwrap_or(0),
        effective: bits("CapEff").unwrap_or(0),
        bounding: bits("CapBnd").unwrap_or(0),
        no_new_privileges: number("NoNewPrivs", 0) == Some(1),
        seccomp: number("Seccomp", 0)
            .and_then(|n| u8::try_from(n).ok())
            .unwrap_or(0),
        ..Confinement::default()
    }
}

fn names(bits: u64) -> Vec<String> {
    let mut names: Vec<String> = CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(bit, _)| bits >> bit & 1 == 1)
        .map(|(_, name)| (*name).to_owned())
        .collect();
    names.sort();
    names
}

/// The AppArmor profile without its mode; empty where AppArmor is off.
fn apparmor(pid: u32) -> String {
    let text = apparmor_label(pid);
    match text.rsplit_once(" (") {
        Some((name, _)) => name.to_owned(),
        None => text,
    }
}

/// The AppArmor label with its mode; empty where AppArmor is off.
fn apparmor_label(pid: u32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/attr/apparmor/current")).unwrap_or_default();
    text.trim_end_matches(['\n', '\0']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_in_force_is_read_from_the_status() {
        let status = "Name:\tx\nUid:\t0\t1000\t1000\t1000\nCapEff:\t0000000000000000\n\
                      CapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        let read = confined(status);
        assert_eq!((read.uid, read.effective, read.seccomp), (1000, 0, 2));
        assert_eq!(read.bounding, DEFAULT_CAPABILITIES);
        assert!(read.no_new_privileges);
        let own = confinement(std::process::id()).unwrap();
        assert!(
            own.host_namespaces
                .is_none_or(|shared| shared.contains(&"user".to_owned()))
        );
        assert_eq!(confinement(u32::MAX), None);
    }

    #[test]
    fn reads_a_map_of_user_ids() {
        assert_eq!(id_ranges("         0          0 4294967295\n"), []);
        let rootless = id_ranges("0 1000 1\n1 100000 65536\n");
        let info = ContainerInfo {
            confinement: Some(Confinement {
                ids: rootless,
                ..Confinement::default()
            }),
            ..ContainerInfo::default()
        };
        let inside = [1000, 100_000, 165_535, 7].map(|uid| info.inside_uid(uid));
        assert_eq!(inside, [0, 1, 65_536, 7]);
    }

    #[test]
    fn reads_confinement() {
        let status = "Name:\tsh\nNoNewPrivs:\t1\nSeccomp:\t2\nCapBnd:\t00000000a80435fb\n";
        let read = security(status);
        assert_eq!(read.cap_add, ["NET_ADMIN"]);
        assert!(read.cap_drop.is_empty() && !read.privileged && read.no_new_privileges);
        assert_eq!(read.seccomp, "filter");
        let status = "Name:\tsh\nSeccomp:\t0\nCapBnd:\tffffffffffffffff\n";
        let read = security(status);
        assert!(read.privileged && read.cap_add.is_empty());
        assert_eq!(read.seccomp, "unconfined");
    }
}
