//! Sockets: connect, first datagram, accept, listen, and the end of TCP connections.
//!
//! Three hooks work together. The end of a system call ([`exit`]) knows process, descriptor and
//! result. State changes of TCP sockets ([`state`]) run in the task that handles the packet, so the
//! process that opened a socket is stored by the socket's address. Address hooks of the cgroup
//! ([`crate::datagram::send`], [`crate::dns::note_query`]) see datagrams and the peer address that the
//! process passed, before any translation.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_uid_gid, bpf_probe_read_kernel, bpf_probe_read_user,
        bpf_probe_read_user_buf,
    },
    macros::map,
    maps::{HashMap, PerCpuArray, PerCpuHashMap},
    programs::BtfTracePointContext,
};
use hullwatch_abi::{
    net::{NAME_MAX, NetRecord, family, flag, kind, op},
    offsets as o, uring,
};

use crate::{
    call::{self, Call},
    emit,
    kernel::field,
    scratch::clear,
    socket_facts::{
        EventProcess, Out, Scratch, TCP, UDP, comm, cookie, describe, error_of, is_inet, local,
        now, remote, sock_of, state_of, v4,
    },
};

const ESTABLISHED: i32 = 1;
const SYN_SENT: i32 = 2;
const FIN_WAIT2: i32 = 5;
const CLOSE: i32 = 7;
const LAST_ACK: i32 = 9;
const CLOSING: i32 = 11;

const EPERM: i64 = 1;
const EINTR: i64 = 4;
const EACCES: i64 = 13;
const EADDRNOTAVAIL: i64 = 99;
const ENETUNREACH: i64 = 101;
const EISCONN: i64 = 106;
const EALREADY: i64 = 114;
const EINPROGRESS: i64 = 115;
/// Internal results of the kernel that restart a call after a signal.
const RESTART: core::ops::RangeInclusive<i64> = 512..=516;

/// The connect call returned before the outcome was known.
const PENDING: u32 = 1;
/// The outcome was reported.
const REPORTED: u32 = 2;
/// The peer opened the connection.
const INBOUND: u32 = 4;
/// It was requested through io_uring.
const RING: u32 = 8;

// One slot for each program: a state change may interrupt a system call's end.
#[map]
static NET_EXIT_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);
#[map]
static NET_STATE_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);
/// The process that opened a TCP socket.
#[repr(C)]
#[derive(Clone, Copy)]
struct Owner {
    cgroup: u64,
    cookie: u64,
    /// When it was established, 0 before.
    since: u64,
    pid: u32,
    nspid: u32,
    fd: i32,
    flags: u32,
    comm: [u8; 16],
}

/// Owners of TCP sockets by the socket's address. An entry is removed when the socket closes.
/// Sockets that do not fit are counted: their outcome and end will not be reported.
#[map]
static NET_OWNERS: HashMap<u64, Owner> = HashMap::with_max_entries(65536, 0);

/// Connections that did not fit in [`NET_OWNERS`], by cgroup.
#[map]
static NET_UNFOLLOWED: PerCpuHashMap<u64, u64> = PerCpuHashMap::with_max_entries(4096, 0);

/// Operation by system call number, 0 if it is not a socket call; set by the loader.
#[unsafe(no_mangle)]
static NET_CALLS: [u8; 512] = [0; 512];

/// The operation of a call's number in the table.
#[inline(always)]
fn listed(nr: u32) -> u8 {
    // SAFETY: reads a static; volatile because the loader writes it after compilation.
    unsafe {
        core::ptr::read_volatile((&raw const NET_CALLS).cast::<u8>().add((nr & 511) as usize))
    }
}

/// The operation that a call may be reported as, by its number, arguments and result alone: most
/// calls return here, before the cost of looking up their process.
#[inline(always)]
fn operation(call: &Call) -> Option<u8> {
    let operation = listed(call.nr);
    let reported = match operation {
        // A repeated call for a connection that was reported.
        op::CONNECT => call.ret != -EISCONN && call.ret != -EALREADY,
        op::ACCEPT => call.ret >= 0,
        op::LISTEN | op::BIND => call.ret == 0,
        // Raw sockets of the internet families, and packet sockets, granted or not.
        op::SOCKET => {
            let (family, kind) = requested_kind(call);
            family == family::PACKET || is_inet(family) && kind == kind::RAW
        }
        _ => false,
    };
    reported.then_some(operation)
}

/// Family and type of the requested socket. Flags are in the bits above the type.
#[inline(always)]
fn requested_kind(call: &Call) -> (u16, u8) {
    (call.args[0] as u16, (call.args[1] & 15) as u8)
}

/// Handles the end of a socket call of the current process. `process` returns the process; it is called
/// only for calls that may be reported.
#[inline(always)]
pub fn exit(call: &Call, process: impl FnOnce() -> Option<EventProcess>) -> Option<Out> {
    operation(call)?;
    let process = process()?;
    // Looked up again: the verifier of 6.1 loses, across the function calls above and below, that
    // its knowledge of a register decided a branch. It considered the branch of listen and bind
    // dead and removed it.
    let operation = listed(call.nr);
    let scratch = NET_EXIT_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's and this program's alone; tracing programs do not nest here.
    let slot = unsafe { &mut *scratch };
    clear(&mut slot.record);
    slot.record.op = operation;
    slot.record.fd = -1;
    let name = match operation {
        op::CONNECT => connect(slot, call, process)?,
        op::ACCEPT => accept(&mut slot.record, call, process)?,
        op::LISTEN => listen(&mut slot.record, call)?,
        op::BIND => bind(&mut slot.record, call)?,
        op::SOCKET => socket(&mut slot.record, call),
        _ => return None,
    };
    slot.record.comm = comm();
    if call.ring {
        slot.record.flags |= flag::RING;
    }
    Some(Out {
        scratch,
        name,
        process,
    })
}

/// The peer address that the process passed. Returns the length of a Unix name.
#[inline(always)]
fn named_peer(slot: &mut Scratch, address: u64, len: u64) -> Option<usize> {
    // SAFETY: the helper checks the address.
    let named: u16 = unsafe { bpf_probe_read_user(address as *const u16) }.ok()?;
    let record = &mut slot.record;
    if record.family == family::UNIX {
        if named != family::UNIX || len < 2 {
            return None;
        }
        let mut len = (len - 2) as usize;
        if len > NAME_MAX {
            len = NAME_MAX;
        }
        // SAFETY: the mask keeps the length within the name's 128 bytes.
        let name = unsafe {
            core::slice::from_raw_parts_mut(
                (&raw mut slot.name).cast::<u8>(),
                emit::masked::<127>(len),
            )
        };
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_user_buf((address + 2) as *const u8, name) }.ok()?;
        record.name_len = len as u16;
        return Some(len);
    }
    // A connect without an address (AF_UNSPEC) removes the peer of a datagram socket.
    if !is_inet(named) {
        return None;
    }
    record.family = named;
    // SAFETY: the helper checks the address.
    let port: u16 = unsafe { bpf_probe_read_user((address + 2) as *const u16) }.ok()?;
    record.remote_port = u16::from_be(port);
    record.remote = if named == family::INET {
        // SAFETY: the helper checks the address.
        v4(unsafe { bpf_probe_read_user((address + 4) as *const u32) }.ok()?)
    } else {
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_user((address + 8) as *const [u8; 16]) }.ok()?
    };
    Some(0)
}

#[inline(always)]
fn connect(slot: &mut Scratch, call: &Call, process: EventProcess) -> Option<usize> {
    let failed = -call.ret;
    let fd = call.args[0] as i32;
    let sk = sock_of(call, fd)?;
    describe(&mut slot.record, sk)?;
    let own_family = slot.record.family;
    if !is_inet(own_family) && own_family != family::UNIX {
        return None;
    }
    let name = named_peer(slot, call.args[1], call.args[2])?;
    let record = &mut slot.record;
    record.fd = fd;
    record.errno = failed as u16;
    if own_family == family::UNIX {
        return Some(name);
    }
    // A request that got as far as sending was already reported by the socket's state change.
    let before = matches!(failed, 0 | EPERM | EACCES | EADDRNOTAVAIL | ENETUNREACH);
    if call.ring && record.protocol == TCP && !before {
        return None;
    }
    let restarts = failed == EINTR || RESTART.contains(&failed);
    // No later record is about other sockets, so they need no identity.
    if record.protocol == TCP {
        record.cookie = cookie(sk, now());
        if let Some(owner) = NET_OWNERS.get_ptr_mut(&sk) {
            // SAFETY: a map value that lives as long as the program runs.
            let owner = unsafe { &mut *owner };
            owner.fd = fd;
            record.cookie = owner.cookie;
            if call.ret == 0 {
                if owner.flags & REPORTED != 0 {
                    return None;
                }
                owner.flags |= REPORTED;
            } else if failed == EINPROGRESS || restarts {
                // Before the state is read: a later change reports the outcome itself.
                owner.flags |= PENDING;
            }
        } else if call.ret == 0 {
            // If it got no entry when it began, that was counted.
            let _ = NET_OWNERS.insert(&sk, &owner(process, fd, REPORTED, record.cookie), 0);
        }
        if restarts {
            return None;
        }
        if failed == EINPROGRESS {
            match state_of(sk) {
                SYN_SENT => {}
                // The answer arrived before the call returned, as over loopback.
                CLOSE => record.errno = error_of(sk),
                _ => {
                    record.errno = 0;
                    if let Some(owner) = NET_OWNERS.get_ptr_mut(&sk) {
                        // SAFETY: a map value that lives as long as the program runs.
                        unsafe { (*owner).flags |= REPORTED };
                    }
                }
            }
        }
    }
    if call.ret == 0 || failed == EINPROGRESS {
        // The socket is more reliable than the process's memory, which may have changed since.
        let named_family = record.family;
        record.family = own_family;
        if remote(record, sk).is_none() {
            record.family = named_family;
        } else {
            local(record, sk)?;
        }
    }
    Some(name)
}

/// The owner of an established connection.
#[inline(always)]
fn owner(process: EventProcess, fd: i32, flags: u32, cookie: u64) -> Owner {
    Owner {
        cgroup: process.cgroup,
        cookie,
        since: now(),
        pid: process.pid,
        nspid: process.nspid,
        fd,
        flags,
        comm: comm(),
    }
}

/// Stores an owner until its socket closes.
#[inline(always)]
fn follow(sk: u64, owner: &Owner) {
    if NET_OWNERS.insert(&sk, owner, 0).is_err() {
        emit::count(&NET_UNFOLLOWED, owner.cgroup);
    }
}

#[inline(always)]
fn accept(record: &mut NetRecord, call: &Call, process: EventProcess) -> Option<usize> {
    let fd = call.ret as i32;
    let sk = sock_of(call, fd)?;
    describe(record, sk)?;
    if !is_inet(record.family) {
        return None;
    }
    local(record, sk)?;
    remote(record, sk)?;
    record.fd = fd;
    record.flags |= flag::INBOUND;
    if record.protocol == TCP && state_of(sk) != CLOSE {
        record.cookie = cookie(sk, now());
        follow(sk, &owner(process, fd, INBOUND | REPORTED, record.cookie));
        // It may have closed in between, and nothing would ever remove it.
        if state_of(sk) == CLOSE {
            let _ = NET_OWNERS.remove(&sk);
        }
    }
    Some(0)
}

#[inline(always)]
fn listen(record: &mut NetRecord, call: &Call) -> Option<usize> {
    record.fd = call.args[0] as i32;
    let sk = sock_of(call, record.fd)?;
    describe(record, sk)?;
    if !is_inet(record.family) {
        return None;
    }
    local(record, sk)?;
    Some(0)
}

/// A datagram socket bound to a specific port receives from anyone: it listens.
#[inline(always)]
fn bind(record: &mut NetRecord, call: &Call) -> Option<usize> {
    // Port 0 leaves the choice to the kernel, as resolvers do.
    // SAFETY: the helper checks the address.
    let port = unsafe { bpf_probe_read_user((call.args[1] + 2) as *const u16) };
    // The address of a request is freed when it ends.
    if !call.ring && port.ok()? == 0 {
        return None;
    }
    record.fd = call.args[0] as i32;
    let sk = sock_of(call, record.fd)?;
    describe(record, sk)?;
    if !is_inet(record.family) || record.kind != kind::DGRAM || record.protocol != UDP {
        return None;
    }
    local(record, sk)?;
    record.op = op::LISTEN;
    Some(0)
}

/// A request for a socket that sends raw packets, granted or not.
#[inline(always)]
fn socket(record: &mut NetRecord, call: &Call) -> usize {
    (record.family, record.kind) = requested_kind(call);
    record.protocol = call.args[2] as u16;
    record.tx_bytes = call.args[0];
    record.rx_bytes = call.args[1];
    record.lasted_ns = call.args[2];
    record.uid = bpf_get_current_uid_gid() as u32;
    if call.ret < 0 {
        record.errno = -call.ret as u16;
    } else {
        record.fd = call.ret as i32;
    }
    0
}

/// Handles a state change of a TCP socket. `process` returns the current process if its container is
/// watched; it is called only where the current process is the one that connects.
#[inline(always)]
pub fn state(
    context: &BtfTracePointContext,
    process: impl FnOnce() -> Option<EventProcess>,
) -> Option<Out> {
    // An integer can be loaded directly, which is cheap; most changes are of no interest.
    let new: i32 = context.arg(2);
    if !matches!(new, SYN_SENT | ESTABLISHED | CLOSE) {
        return None;
    }
    // Read, not loaded: a loaded socket is a pointer, with which the verifier allows no hashing.
    // SAFETY: socket and old state are the tracepoint's first arguments.
    let [sk, old] = unsafe { bpf_probe_read_kernel(context.as_ptr().cast::<[u64; 2]>()) }.ok()?;
    let old = old as i32;
    match new {
        SYN_SENT => {
            if field::<u16>(sk, o::SK_PROTOCOL)? != TCP {
                return None;
            }
            let process = process()?;
            // A send with fast open and an io_uring request connect as well: only the state change
            // reports their outcome.
            let owner = Owner {
                cgroup: process.cgroup,
                cookie: cookie(sk, now()),
                since: 0,
                pid: process.pid,
                nspid: process.nspid,
                fd: -1,
                flags: match call::under_way() {
                    number if listed(number) == op::CONNECT => 0,
                    // A kernel worker is not in a system call.
                    uring::ENTER | 0 => PENDING | RING,
                    _ => PENDING,
                },
                comm: comm(),
            };
            follow(sk, &owner);
            None
        }
        ESTABLISHED => {
            let owner = NET_OWNERS.get_ptr_mut(&sk)?;
            // SAFETY: a map value that lives as long as the program runs.
            let owner = unsafe { &mut *owner };
            if owner.since != 0 {
                return None;
            }
            owner.since = now();
            if owner.flags & (PENDING | REPORTED) != PENDING {
                // The end of the call reports it.
                return None;
            }
            owner.flags |= REPORTED;
            tell(sk, *owner, op::CONNECT, 0)
        }
        CLOSE => {
            // SAFETY: a copy of a map value.
            let owner = unsafe { NET_OWNERS.get(&sk) }.copied()?;
            let _ = NET_OWNERS.remove(&sk);
            if owner.since == 0 {
                if owner.flags & (PENDING | REPORTED) != PENDING {
                    return None;
                }
                return tell(sk, owner, op::CONNECT, error_of(sk));
            }
            let out = tell(sk, owner, op::CLOSE, 0)?;
            // SAFETY: the slot is this CPU's and this program's alone.
            let record = unsafe { &mut (*out.scratch).record };
            record.lasted_ns = now().saturating_sub(owner.since);
            record.tx_bytes = field(sk, o::TCP_ACKED)?;
            record.rx_bytes = field(sk, o::TCP_RECEIVED)?;
            // The kernel counts SYN and FIN, which carry no data.
            let opened = u64::from(owner.flags & INBOUND == 0);
            let finished = u64::from(matches!(old, FIN_WAIT2 | CLOSING | LAST_ACK));
            let peer_finished = u64::from(peer_finished(sk));
            record.tx_bytes = record.tx_bytes.saturating_sub(opened + finished);
            record.rx_bytes = record.rx_bytes.saturating_sub(peer_finished);
            Some(out)
        }
        _ => None,
    }
}

/// Whether the peer's FIN was received. Only then the kernel sets `SOCK_DONE`.
#[inline(always)]
fn peer_finished(sk: u64) -> bool {
    const SOCK_DONE: u64 = 1 << 1;
    field::<u64>(sk, o::SK_FLAGS).unwrap_or(0) & SOCK_DONE != 0
}

/// A record about a socket, attributed to its owner.
#[inline(always)]
fn tell(sk: u64, owner: Owner, operation: u8, errno: u16) -> Option<Out> {
    let scratch = NET_STATE_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's and this program's alone; the kernel skips a nested run.
    let record = unsafe { &mut (*scratch).record };
    clear(record);
    record.op = operation;
    record.errno = errno;
    record.fd = owner.fd;
    record.cookie = owner.cookie;
    record.comm = owner.comm;
    describe(record, sk)?;
    if owner.flags & INBOUND != 0 {
        record.flags |= flag::INBOUND;
    }
    if owner.flags & RING != 0 {
        record.flags |= flag::RING;
    }
    local(record, sk)?;
    remote(record, sk)?;
    Some(Out {
        scratch,
        name: 0,
        process: EventProcess {
            cgroup: owner.cgroup,
            pid: owner.pid,
            nspid: owner.nspid,
        },
    })
}
