//! Answers to name queries, as they reach a container's socket.
//!
//! The packet is seen where it is delivered to the socket, with the address that the query was sent
//! to: an answer of Docker's resolver comes from 127.0.0.11 port 53, although it was sent from
//! another port. User space parses the message; this module decides which packets may be one.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{__sk_buff, bpf_sock_addr},
    helpers::{
        bpf_get_socket_cookie, bpf_ktime_get_boot_ns, bpf_skb_cgroup_id, bpf_skb_load_bytes,
    },
    macros::map,
    maps::{LruHashMap, PerCpuArray},
    programs::SkBuffContext,
};
use hullwatch_abi::dns::{DnsRecord, MESSAGE_MAX, STREAM_BYTES, flag};

use crate::socket_facts::EventProcess;

/// Space for the sender's header before the record.
pub const HEADROOM: usize = 64;

const PORT: u16 = 53;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Length up to the ports, for either IP version without options.
const FRONT: usize = 44;
const HEADER: u32 = 12;

/// A record under construction. Leading bytes are the sender's.
#[repr(C)]
pub struct Scratch {
    /// For the sender's header.
    pub head: [u8; HEADROOM],
    /// The record.
    pub record: DnsRecord,
    /// The message, and space for the coarser bounds of the function that sends it.
    pub message: [u8; 2 * MESSAGE_MAX],
}

/// A record ready to be sent: [`Scratch::record`] with `len` bytes of [`Scratch::message`] after
/// it.
pub struct Out {
    /// The record.
    pub scratch: *mut Scratch,
    /// Bytes of the message.
    pub len: usize,
    /// The process that sent the query; pid 0 if unknown.
    pub process: EventProcess,
}

#[map]
static DNS_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// The process that sends queries.
#[repr(C)]
#[derive(Clone, Copy)]
struct Asker {
    pid: u32,
    nspid: u32,
}

/// The process that sends queries through a socket, by the kernel's socket cookie.
#[map]
static DNS_ASKERS: LruHashMap<u64, Asker> = LruHashMap::with_max_entries(4096, 0);

/// Bytes of a connection in one second.
#[repr(C)]
#[derive(Clone, Copy)]
struct Received {
    second: u32,
    bytes: u32,
}

/// By the kernel's socket cookie.
#[map]
static DNS_RECEIVED: LruHashMap<u64, Received> = LruHashMap::with_max_entries(4096, 0);

/// True when the connection got at most [`STREAM_BYTES`] in this second, these `bytes` included.
#[inline(always)]
fn within(cookie: u64, bytes: u32) -> bool {
    // SAFETY: no arguments. The precision of a second does not matter.
    let second = (unsafe { bpf_ktime_get_boot_ns() } >> 30) as u32;
    let Some(received) = DNS_RECEIVED.get_ptr_mut(&cookie) else {
        let first = Received { second, bytes };
        let _ = DNS_RECEIVED.insert(&cookie, &first, 0);
        return true;
    };
    // SAFETY: a value of the map; another CPU may change it meanwhile, which only makes the count
    // inexact.
    let received = unsafe { &mut *received };
    if received.second != second {
        received.second = second;
        received.bytes = 0;
    }
    if received.bytes > STREAM_BYTES {
        return false;
    }
    received.bytes = received.bytes.saturating_add(bytes);
    true
}

/// Whether an answer seems to begin at `start`: its length, the bit of an answer, one question.
#[inline(always)]
fn begins(packet: &SkBuffContext, start: usize) -> bool {
    let Ok(begin) = packet.load::<[u8; 8]>(start) else {
        return false;
    };
    let length = u32::from(u16::from_be_bytes([begin[0], begin[1]]));
    length >= HEADER && begin[4] & 0x80 != 0 && begin[6] == 0 && begin[7] == 1
}

/// Whether this address has the port of a name server, so that [`note_query`] must be called.
#[inline(always)]
pub fn is_query(context: *mut bpf_sock_addr) -> bool {
    // SAFETY: the context of an address hook.
    unsafe { (*context).user_port == u32::from(PORT.to_be()) }
}

/// Stores the process that sends the query, for the answer. For the connect and sendmsg hooks.
#[inline(always)]
pub fn note_query(context: *mut bpf_sock_addr, process: EventProcess) {
    // SAFETY: the context of an address hook.
    let cookie = unsafe { bpf_get_socket_cookie(context.cast()) };
    let asker = Asker {
        pid: process.pid,
        nspid: process.nspid,
    };
    // An LRU map evicts old entries.
    let _ = DNS_ASKERS.insert(&cookie, &asker, 0);
}

/// Handles a packet on its way into a socket. `watched` returns whether a cgroup is watched; it is
/// called only for packets from port 53. The packet must always pass.
#[inline(always)]
pub fn ingress(packet: &SkBuffContext, watched: impl FnOnce(u64) -> bool) -> Option<Out> {
    // The port that the socket is connected to, 0 if none: packets of another port return here,
    // before anything is copied from them.
    let context = packet.as_ptr().cast::<__sk_buff>();
    // SAFETY: the context of a packet hook; volatile so that the field is read whole.
    let peer = unsafe { (&raw const (*context).remote_port).read_volatile() };
    if peer != 0 && peer != u32::from(PORT).to_be() {
        return None;
    }
    let front: [u8; FRONT] = packet.load(0).ok()?;
    let version = front[0] >> 4;
    let (protocol, transport) = match version {
        // Later fragments have no ports.
        4 if front[6] & 0x1f == 0 && front[7] == 0 => (front[9], usize::from(front[0] & 15) * 4),
        6 => (front[6], 40),
        _ => return None,
    };
    if protocol != UDP && protocol != TCP {
        return None;
    }
    let source = match transport {
        20 => u16::from_be_bytes([front[20], front[21]]),
        40 => u16::from_be_bytes([front[40], front[41]]),
        other => u16::from_be(packet.load(other).ok()?),
    };
    if source != PORT {
        return None;
    }
    // SAFETY: the context of a packet hook.
    let cgroup = unsafe { bpf_skb_cgroup_id(packet.as_ptr().cast()) };
    if !watched(cgroup) {
        return None;
    }
    // SAFETY: the context of a packet hook.
    let cookie = unsafe { bpf_get_socket_cookie(packet.as_ptr()) };
    let (start, seq, flags) = if protocol == UDP {
        (transport + 8, 0, 0)
    } else {
        // Sequence number, acknowledgement number, header length and flags.
        let tcp: [u8; 12] = packet.load(transport + 4).ok()?;
        let seq = u32::from_be_bytes([tcp[0], tcp[1], tcp[2], tcp[3]]);
        let start = transport + usize::from(tcp[8] >> 4) * 4;
        (start, seq, tcp[9] & (flag::FIN | flag::SYN | flag::RST))
    };
    let total = packet.len().checked_sub(start as u32)?;
    if protocol == UDP && total < HEADER || total == 0 && flags == 0 {
        return None;
    }
    if protocol == TCP && total != 0 && !within(cookie, total) && !begins(packet, start) {
        return None;
    }
    let scratch = DNS_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's; a CPU delivers packets one at a time.
    let slot = unsafe { &mut *scratch };
    slot.record = DnsRecord::default();
    slot.record.cookie = cookie;
    slot.record.total = total;
    slot.record.seq = seq;
    slot.record.version = version;
    slot.record.protocol = protocol;
    slot.record.flags = flags;
    if version == 4 {
        slot.record.server[..4].copy_from_slice(&front[12..16]);
    } else {
        slot.record.server.copy_from_slice(&front[8..24]);
    }
    slot.record.len = if total > MESSAGE_MAX as u32 {
        MESSAGE_MAX as u16
    } else {
        total as u16
    };
    // The compiler knows that the length is below 8193 and would remove the bounds check that the
    // verifier needs; about a value read from memory it knows nothing. SAFETY: reads what was just
    // written.
    let len = u32::from(unsafe { (&raw const slot.record.len).read_volatile() });
    if len != 0 {
        let len = (len.wrapping_sub(1) & (MESSAGE_MAX as u32 - 1)) + 1;
        // SAFETY: the length is 1 to 8192 and the area holds 16384 bytes.
        let read = unsafe {
            bpf_skb_load_bytes(
                packet.as_ptr().cast(),
                start as u32,
                (&raw mut slot.message).cast(),
                len,
            )
        };
        if read != 0 {
            return None;
        }
    }
    // SAFETY: a copy of a map value.
    let asker = unsafe { DNS_ASKERS.get(&cookie) }.copied();
    let asker = asker.unwrap_or(Asker { pid: 0, nspid: 0 });
    Some(Out {
        scratch,
        len: len as usize,
        process: EventProcess {
            cgroup,
            pid: asker.pid,
            nspid: asker.nspid,
        },
    })
}
