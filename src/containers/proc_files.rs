//! Reads the files of `/proc` that describe a process.

use std::fs;
use std::time::Duration;

use crate::event::{Bytes, Timestamp};

/// All process ids, ascending.
pub(super) fn pids() -> Vec<u32> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// Host pid of a process's parent; `None` when the process is gone.
pub(crate) fn parent_of(pid: u32) -> Option<u32> {
    read_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?).map(|(parent, _)| parent)
}

/// The process of this `/proc/PID/stat` has a controlling terminal.
pub(super) fn has_terminal(stat: &[u8]) -> bool {
    let after_name = stat.iter().rposition(|b| *b == b')');
    let rest = after_name.and_then(|close| stat.get(close + 2..));
    let mut fields = rest.unwrap_or_default().split(|b| *b == b' ');
    fields.nth(4).is_some_and(|device| device != b"0")
}

/// Fields of `/proc/PID/stat` after the name, which may itself hold spaces and parentheses:
/// parent's pid and start time in ticks.
pub(super) fn read_stat(stat: &[u8]) -> Option<(u32, u64)> {
    let close = stat.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(stat.get(close + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let ppid = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some((ppid, start))
}

/// When a process that runs now started.
pub(crate) fn started_at(pid: u32) -> Option<Timestamp> {
    started(pid, crate::system::boot_time())
}

/// When a process started.
pub(super) fn started(pid: u32, boot: Timestamp) -> Option<Timestamp> {
    let (_, ticks) = read_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)?;
    Some(since_boot(boot, ticks, procfs::ticks_per_second().max(1)))
}

pub(super) fn since_boot(boot: Timestamp, ticks: u64, per_second: u64) -> Timestamp {
    boot.plus(Duration::from_millis(
        ticks.saturating_mul(1000) / per_second,
    ))
}

/// A line of `/proc/PID/status`, without its key; never the name, which is not trusted.
pub(super) fn status_field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status
        .lines()
        .skip(1)
        .find_map(|l| l.strip_prefix(key)?.strip_prefix(':'))
        .map(str::trim)
}

/// The arguments of a `cmdline`, which ends each with a zero byte.
pub(crate) fn split_argv(cmdline: &[u8]) -> Vec<Bytes> {
    let cmdline = cmdline.strip_suffix(b"\0").unwrap_or(cmdline);
    if cmdline.is_empty() {
        return Vec::new();
    }
    cmdline.split(|b| *b == 0).map(Bytes::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_mislead_the_reading_of_stat() {
        let stat = b"42 (a) S 1 (\xff) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 1";
        assert_eq!(read_stat(stat), Some((7, 12345)));
        let status = "Name:\tx\nUid:\t5\t5\t5\t5\nNSpid:\t40\t2\n";
        assert_eq!(status_field(status, "NSpid"), Some("40\t2"));
    }

    #[test]
    fn empty_arguments_are_kept() {
        assert_eq!(
            split_argv(b"sh\0-c\0\0"),
            ["sh".into(), "-c".into(), Bytes::default()]
        );
        assert!(split_argv(b"").is_empty());
    }
}
