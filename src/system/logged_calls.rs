//! Counts this program's own system calls that the kernel logged since no filter lists them.
//!
//! The kernel sends its audit records to the members of a netlink group, in addition to the kernel log or
//! the audit daemon.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{AUDIT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use syscalls::Sysno;

/// The group that gets every record: `AUDIT_NLGRP_READLOG` of linux/audit.h.
const EVERY_RECORD: u32 = 1;
/// A record of seccomp: `AUDIT_SECCOMP`.
const SECCOMP: u16 = 1326;
/// Length of the header of a netlink message.
const HEADER: usize = 16;
/// Largest record of the kernel: `MAX_AUDIT_MESSAGE_LENGTH`.
const LARGEST: usize = 8970;
/// Maximum number of records read at once.
const AT_ONCE: usize = 1024;

/// The counts. Needs CAP_AUDIT_READ when it is opened, and the host's network namespace.
#[derive(Debug)]
pub(crate) struct LoggedCalls {
    socket: Option<OwnedFd>,
    own: String,
    counts: BTreeMap<&'static str, u64>,
}

impl LoggedCalls {
    /// Joins the group; if that is refused, nothing is counted.
    #[must_use]
    pub(crate) fn open() -> Self {
        Self {
            socket: join().ok(),
            own: format!(" pid={} ", std::process::id()),
            counts: BTreeMap::new(),
        }
    }

    /// How often each call was logged so far. Does not block.
    pub(crate) fn counts(&mut self) -> &BTreeMap<&'static str, u64> {
        let mut record = [0; HEADER + LARGEST];
        for _ in 0..AT_ONCE {
            let Some(socket) = &self.socket else { break };
            match recv(socket, &mut record[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    let call = record.get(..length).and_then(|r| logged(r, &self.own));
                    if let Some(call) = call {
                        *self.counts.entry(call).or_default() += 1;
                    }
                }
                // Too many records at once: the kernel log has them.
                Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(_) => break,
            }
        }
        &self.counts
    }
}

fn join() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(AUDIT))?;
    bind(&socket, &SocketAddrNetlink::new(0, EVERY_RECORD))?;
    Ok(socket)
}

/// The call in a message, if it is this program's.
fn logged(message: &[u8], own: &str) -> Option<&'static str> {
    let kind = message.get(4..6)?;
    if u16::from_ne_bytes(kind.try_into().ok()?) != SECCOMP {
        return None;
    }
    let text = String::from_utf8_lossy(message.get(HEADER..)?);
    if !text.contains(own) {
        return None;
    }
    let number = text
        .split(' ')
        .find_map(|word| word.strip_prefix("syscall="))?;
    let call = number.parse().ok().and_then(Sysno::new);
    Some(call.map_or("a call without a name", |call| call.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, text: &str) -> Vec<u8> {
        let mut message = vec![0; HEADER];
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(text.as_bytes());
        message
    }

    #[test]
    fn only_own_calls_are_counted() {
        let number = Sysno::nfsservctl.id();
        let text = format!(
            "audit(1:2): auid=0 uid=0 gid=0 ses=1 pid=42 comm=\"core\" exe=\"/x\" sig=0 \
             arch=c000003e syscall={number} compat=0 ip=0x1 code=0x7ffc0000"
        );
        let of = |kind, pid: u32| logged(&message(kind, &text), &format!(" pid={pid} "));
        assert_eq!(of(SECCOMP, 42), Some("nfsservctl"));
        assert_eq!(of(SECCOMP, 4), None);
        assert_eq!(of(1300, 42), None);
        assert_eq!(logged(&[0; 3], " pid=42 "), None);
    }

    /// Needs CAP_AUDIT_READ.
    #[test]
    fn the_kernel_logs_a_call_that_is_not_on_a_list() {
        let mut logged = LoggedCalls::open();
        if logged.socket.is_none() {
            eprintln!("DID NOT RUN: needs CAP_AUDIT_READ; use tests/run");
            return;
        }
        let made = std::thread::spawn(|| {
            super::super::confine_calls().unwrap();
            // The call is made all the same.
            rustix::thread::sched_setaffinity(None, &rustix::thread::sched_getaffinity(None)?)
        });
        made.join().unwrap().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !logged.counts().contains_key("sched_setaffinity") {
            assert!(std::time::Instant::now() < until, "{logged:?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
