//! Datagrams with an explicit peer address, from the address hooks of the cgroup.

use aya_ebpf::{
    bindings::bpf_sock_addr,
    macros::map,
    maps::{LruHashMap, PerCpuArray},
};
use hullwatch_abi::net::{NetRecord, family, kind, op};

use crate::socket_facts::{EventProcess, Out, Scratch, UDP, comm};

#[map]
static NET_SEND_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// A peer a process sent datagrams to.
#[repr(C)]
#[derive(Clone, Copy)]
struct Peer {
    cgroup: u64,
    address: [u32; 4],
    pid: u32,
    port: u32,
}

#[map]
static NET_PEERS: LruHashMap<Peer, u8> = LruHashMap::with_max_entries(16384, 0);

/// Handles a datagram with an explicit peer address: reported once for each process and peer. For
/// `sendmsg4` and `sendmsg6` hooks, which must always let it pass.
#[inline(always)]
pub fn send(context: *mut bpf_sock_addr, six: bool, process: EventProcess) -> Option<Out> {
    // SAFETY: the context of an address hook; every field is read whole.
    let (protocol, port) = unsafe { ((*context).protocol, (*context).user_port) };
    if protocol != u32::from(UDP) {
        return None;
    }
    let address = if six {
        // SAFETY: as above.
        unsafe {
            [
                (&raw const (*context).user_ip6[0]).read_volatile(),
                (&raw const (*context).user_ip6[1]).read_volatile(),
                (&raw const (*context).user_ip6[2]).read_volatile(),
                (&raw const (*context).user_ip6[3]).read_volatile(),
            ]
        }
    } else {
        // SAFETY: as above.
        [
            unsafe { (&raw const (*context).user_ip4).read_volatile() },
            0,
            0,
            0,
        ]
    };
    let peer = Peer {
        cgroup: process.cgroup,
        address,
        pid: process.pid,
        port,
    };
    // SAFETY: only whether it is there.
    if unsafe { NET_PEERS.get(&peer) }.is_some() {
        return None;
    }
    let _ = NET_PEERS.insert(&peer, &1, 0);
    let scratch = NET_SEND_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's; the hooks run in the sender's context and do not nest.
    let record = unsafe { &mut (*scratch).record };
    *record = NetRecord::default();
    record.op = op::SEND;
    record.fd = -1;
    record.family = if six { family::INET6 } else { family::INET };
    record.kind = kind::DGRAM;
    record.protocol = UDP;
    record.remote_port = u16::from_be(port as u16);
    let words = address;
    record.remote = bytes(words);
    record.comm = comm();
    Some(Out {
        scratch,
        name: 0,
        process,
    })
}

#[inline(always)]
fn bytes(words: [u32; 4]) -> [u8; 16] {
    let [a, b, c, d] = words;
    let (a, b, c, d) = (
        a.to_ne_bytes(),
        b.to_ne_bytes(),
        c.to_ne_bytes(),
        d.to_ne_bytes(),
    );
    [
        a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2],
        d[3],
    ]
}
