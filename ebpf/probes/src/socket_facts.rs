//! Facts of a socket from the kernel's structures, and the record they are written into.

use aya_ebpf::helpers::{bpf_get_current_comm, bpf_ktime_get_boot_ns};
use hullwatch_abi::{
    net::{NetRecord, family, flag},
    offsets as o,
};

use crate::{
    call::Call,
    kernel::{field, has},
};

/// Space for the sender's header before the record.
pub const HEADROOM: usize = 64;

const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;
/// Protocol number of TCP.
pub const TCP: u16 = 6;
/// Protocol number of UDP.
pub const UDP: u16 = 17;
const ECANCELED: u16 = 125;

/// The owner of a socket.
#[derive(Clone, Copy)]
pub struct EventProcess {
    /// Id of the cgroup.
    pub cgroup: u64,
    /// Process, as the host numbers it.
    pub pid: u32,
    /// Process id in its own pid namespace.
    pub nspid: u32,
}

/// A record under construction. Leading bytes are the sender's.
#[repr(C)]
pub struct Scratch {
    /// For the sender's header.
    pub head: [u8; HEADROOM],
    /// The record.
    pub record: NetRecord,
    /// Name of a Unix peer.
    pub name: [u8; 128],
}

/// A record ready to be sent: [`Scratch::record`] with `name` bytes of [`Scratch::name`] after it.
pub struct Out {
    /// The record.
    pub scratch: *mut Scratch,
    /// Bytes of the name.
    pub name: usize,
    /// The socket's owner, not always the current process.
    pub process: EventProcess,
}

/// Random number that prevents deriving socket addresses from their cookies; set by the loader.
#[unsafe(no_mangle)]
static NET_KEY: u64 = 0;

/// A socket's identity: its address and the time it was first seen, hashed with a secret.
#[inline(always)]
pub fn cookie(sk: u64, since: u64) -> u64 {
    // SAFETY: reads a static; volatile because the loader writes it after compilation.
    let key = unsafe { core::ptr::read_volatile(&raw const NET_KEY) };
    let mut x = sk ^ key;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= (x >> 31) ^ since ^ key.rotate_left(32);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) | 1
}

#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

#[inline(always)]
pub fn comm() -> [u8; 16] {
    bpf_get_current_comm().unwrap_or([0; 16])
}

/// The `struct sock` of a descriptor of the call.
#[inline(always)]
pub fn sock_of(call: &Call, fd: i32) -> Option<u64> {
    let file = call.opened(fd)?;
    let inode: u64 = field(file, o::FILE_INODE)?;
    if field::<u16>(inode, o::INODE_MODE)? & S_IFMT != S_IFSOCK {
        return None;
    }
    let socket: u64 = field(file, o::FILE_PRIVATE)?;
    let sk: u64 = field(socket, o::SOCKET_SK)?;
    (sk != 0).then_some(sk)
}

#[inline(always)]
pub fn state_of(sk: u64) -> i32 {
    i32::from(field::<u8>(sk, o::SK_STATE).unwrap_or(0))
}

/// The four bytes of an IPv4 address, followed by zeros.
#[inline(always)]
pub fn v4(address: u32) -> [u8; 16] {
    let b = address.to_ne_bytes();
    [b[0], b[1], b[2], b[3], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// Family, type and protocol of the socket.
#[inline(always)]
pub fn describe(record: &mut NetRecord, sk: u64) -> Option<()> {
    record.family = field(sk, o::SK_FAMILY)?;
    record.kind = field::<u16>(sk, o::SK_TYPE)? as u8;
    record.protocol = field(sk, o::SK_PROTOCOL)?;
    Some(())
}

/// The socket's own address.
#[inline(always)]
pub fn local(record: &mut NetRecord, sk: u64) -> Option<()> {
    let port: u16 = field(sk, o::INET_SPORT)?;
    record.local_port = u16::from_be(port);
    if record.family == family::INET {
        record.local = v4(field(sk, o::SK_SADDR)?);
    } else if has(o::SK_SADDR6) {
        record.local = field(sk, o::SK_SADDR6)?;
    }
    record.flags |= flag::LOCAL;
    Some(())
}

/// The peer address of the socket. `None` without one.
#[inline(always)]
pub fn remote(record: &mut NetRecord, sk: u64) -> Option<()> {
    let port: u16 = field(sk, o::SK_DPORT)?;
    if port == 0 {
        return None;
    }
    record.remote_port = u16::from_be(port);
    if record.family == family::INET {
        record.remote = v4(field(sk, o::SK_DADDR)?);
    } else if has(o::SK_DADDR6) {
        record.remote = field(sk, o::SK_DADDR6)?;
    }
    Some(())
}

#[inline(always)]
pub fn is_inet(family: u16) -> bool {
    family == family::INET || family == family::INET6
}

/// The error of a socket; a socket closed by its own process has none.
#[inline(always)]
pub fn error_of(sk: u64) -> u16 {
    match field::<i32>(sk, o::SK_ERR) {
        Some(errno) if errno > 0 => errno as u16,
        _ => ECANCELED,
    }
}
