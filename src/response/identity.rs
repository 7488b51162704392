//! Checks that a process is still the one that was seen: its pid may have been reused.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::subject::ProcessIdentity;
use super::suggest::START_TOLERANCE;
use crate::event::Timestamp;
use crate::system;

/// A checked process. While this is held, its pid cannot be reused for a process that would be
/// signalled instead.
pub(super) struct Checked {
    pub(super) pidfd: OwnedFd,
}

/// Opens the process and checks that it started when the one that was seen did, and that it is in
/// the cgroup of its container.
pub(super) fn check(process: &ProcessIdentity) -> Result<Checked, String> {
    let pid = process.pid;
    let ended = || format!("process {pid} has ended");
    let raw = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(ended)?;
    // First the handle, then the facts: they are those of the process that the handle is of, as
    // long as that one has not ended.
    let pidfd = match pidfd_open(raw, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(Errno::SRCH) => return Err(ended()),
        Err(error) => return Err(format!("process {pid}: {error}")),
    };
    let started = started(pid).ok_or_else(ended)?;
    let apart = (started.seconds() - process.started.seconds()).abs();
    if apart > START_TOLERANCE {
        return Err(format!(
            "pid {pid} is another process now: it started at {started}, not at {}",
            process.started
        ));
    }
    if !process.cgroup.is_empty() {
        let path = format!("/proc/{pid}/cgroup");
        let cgroups = fs::read_to_string(path).map_err(|_| ended())?;
        // Its last component names the container, wherever the hierarchy is mounted.
        let leaf = process.cgroup.rsplit('/').next().unwrap_or_default();
        if !cgroups.contains(leaf) {
            return Err(format!("process {pid} is not in this container any more"));
        }
    }
    Ok(Checked { pidfd })
}

/// When a process started, by today's wall clock.
fn started(pid: u32) -> Option<Timestamp> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last `)` may hold anything.
    let end = stat.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    let ticks: u64 = rest.split(' ').nth(19)?.parse().ok()?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(per_second);
    let since_boot = i64::try_from(nanos).ok()?;
    Some(Timestamp(system::boot_time().0.saturating_add(since_boot)))
}

/// Whether the network namespace of a process is this program's, and so the host's.
pub(super) fn shares_network(pid: u32) -> Result<bool, String> {
    let of = |who: &str| {
        let path = format!("/proc/{who}/ns/net");
        fs::read_link(&path).map_err(|error| format!("{path}: {error}"))
    };
    Ok(of(&pid.to_string())? == of("self")?)
}
