//! Facts about this host: its clock, its users, its cgroup mounts.
//!
//! Below every other folder: reads `/proc` and `/etc`, knows nothing of containers.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs,
};

use crate::event::{Bytes, Timestamp};

mod clock;
mod confinement;
mod logged_calls;
mod namespaces;
mod own_calls;

pub(crate) use clock::{SessionClock, wall_now};
pub(crate) use confinement::{
    Protection, confine_calls, confine_calls_but_files, confine_files, protections,
};
pub(crate) use logged_calls::LoggedCalls;
pub(crate) use namespaces::{OwnProcess, join_host_cgroups, namespaces_of_host, unseen};

/// The current time on the stream's clock.
#[must_use]
pub(crate) fn now() -> Timestamp {
    SessionClock::of_this_program().now()
}

/// Boot time on the stream's clock, from which `/proc` counts.
#[must_use]
pub(crate) fn boot_time() -> Timestamp {
    SessionClock::of_this_program().start_of_proc()
}

/// A time as files carry it.
#[must_use]
pub(crate) fn timestamp(seconds: i64, nanoseconds: i64) -> Timestamp {
    Timestamp(
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(nanoseconds),
    )
}

/// Keeps only these of the calling thread's capabilities, for the threads and programs that it
/// starts from now on as well, and closes the way to get one back by running a program.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn keep_capabilities(wanted: CapabilitySet) -> rustix::io::Result<()> {
    let held = capabilities(None)?;
    let kept = CapabilitySets {
        effective: held.effective & wanted,
        permitted: held.permitted & wanted,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, kept)?;
    set_no_new_privs(true)
}

/// A line of the user database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// Login name.
    pub(crate) name: Bytes,
    /// Primary group id.
    pub(crate) gid: u32,
    /// Home directory.
    pub(crate) home: PathBuf,
}

/// The user with this id on this host, from `/etc/passwd`.
#[must_use]
pub(crate) fn user(uid: u32) -> Option<User> {
    user_in(&fs::read("/etc/passwd").ok()?, uid)
}

/// The ids of the supplementary groups of a user, from `/etc/group`.
#[must_use]
pub(crate) fn groups(uid: u32) -> Vec<u32> {
    let Some(user) = user(uid) else {
        return Vec::new();
    };
    groups_in(&fs::read("/etc/group").unwrap_or_default(), &user.name)
}

fn groups_in(database: &[u8], name: &[u8]) -> Vec<u32> {
    let lines = database.split(|b| *b == b'\n');
    lines
        .filter_map(|line| {
            let fields: Vec<&[u8]> = line.split(|b| *b == b':').collect();
            let mut members = fields.get(3)?.split(|b| *b == b',');
            members
                .any(|member| member == name)
                .then(|| number(fields.get(2)))?
        })
        .collect()
}

fn number(field: Option<&&[u8]>) -> Option<u32> {
    std::str::from_utf8(field?).ok()?.parse().ok()
}

fn user_in(database: &[u8], uid: u32) -> Option<User> {
    use std::os::unix::ffi::OsStrExt as _;
    let uid = uid.to_string();
    database.split(|b| *b == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|b| *b == b':').collect();
        let own = *fields.get(2)? == uid.as_bytes();
        own.then(|| User {
            name: Bytes::new(fields.first().copied().unwrap_or_default()),
            gid: number(fields.get(3)).unwrap_or(u32::MAX),
            home: PathBuf::from(std::ffi::OsStr::from_bytes(
                fields.get(5).copied().unwrap_or_default(),
            )),
        })
    })
}

/// Where the root of the cgroup v2 hierarchy is mounted: the whole of `/sys/fs/cgroup`, or a part
/// of it beside version 1 (hybrid).
///
/// # Errors
/// When the mount table cannot be read or has no cgroup2 file system.
pub(crate) fn cgroup2_mount() -> Result<PathBuf, String> {
    let table =
        fs::read("/proc/self/mountinfo").map_err(|e| format!("/proc/self/mountinfo: {e}"))?;
    cgroup2_in(&table).ok_or_else(|| {
        "no cgroup2 file system is mounted with its root; mount one, e.g. mount -t cgroup2 none \
         /sys/fs/cgroup/unified, in a container the host's: --volume \
         /sys/fs/cgroup:/sys/fs/cgroup:ro"
            .to_owned()
    })
}

/// Why containers that already run are not visible to this program, if so.
pub(crate) fn unseen_containers() -> Option<String> {
    if namespaces::has_own_cgroups() {
        let why = "hullwatch runs in a cgroup namespace of its own, so only containers that start \
                   from now on are seen: run it on the host, or with --cgroupns=host --pid=host \
                   and the host's /sys/fs/cgroup mounted";
        return Some(why.to_owned());
    }
    cgroup2_mount().err()
}

fn cgroup2_in(table: &[u8]) -> Option<PathBuf> {
    let table = String::from_utf8_lossy(table);
    let mut found: Vec<&str> = table
        .lines()
        .filter_map(|line| {
            let (front, back) = line.split_once(" - ")?;
            let mut fields = front.split(' ').skip(3);
            let (root, at) = (fields.next()?, fields.next()?);
            // Only a mount of the hierarchy's root shows every container.
            (back.split(' ').next() == Some("cgroup2") && root == "/").then_some(at)
        })
        .collect();
    // The system's own mount before mounts made elsewhere, e.g. by tests or in a chroot.
    found.sort_by_key(|at| (!Path::new(at).starts_with("/sys/fs/cgroup"), at.len()));
    found.first().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_cgroup2_mount_in_both_layouts() {
        let hybrid = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(
            cgroup2_in(hybrid).unwrap(),
            Path::new("/sys/fs/cgroup/unified")
        );
        let unified = b"90 1 0:38 /docker/x /mnt rw - cgroup2 none rw\n\
            91 1 0:38 / /tmp/c rw - cgroup2 none rw\n\
            41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(cgroup2_in(unified).unwrap(), Path::new("/sys/fs/cgroup"));
        assert_eq!(cgroup2_in(b"31 23 0:28 / / rw - ext4 d rw\n"), None);
    }

    #[test]
    fn finds_a_user_by_id() {
        let database = b"root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbad\n";
        let ann = user_in(database, 1000).unwrap();
        assert_eq!(ann.name, "ann");
        assert_eq!(ann.home, Path::new("/home/ann"));
        assert_eq!(user_in(database, 1), None);
        let groups = b"root:x:0:\nadm:x:4:syslog,ann\nann:x:1000:\ndocker:x:998:ann\nanna:x:9:anna";
        assert_eq!(groups_in(groups, b"ann"), [4, 998]);
    }
}
