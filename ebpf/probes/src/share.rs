//! Shares the ring buffer among containers: while it fills up, the container with most records gets
//! no more space.
//!
//! The rule is that of dynamic thresholds in switches with shared memory (Choudhury and Hahne,
//! 1998): no producer may use more than a factor times the free space. So a single noisy container
//! leaves space for others, without a fixed share for each.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_CONS_POS},
    macros::map,
    maps::{LruHashMap, RingBuf},
};
use hullwatch_abi::header::kind;

/// While at most this part of the buffer is used (as a power of one half), every record is
/// accepted.
const RELAXED: u64 = 3;
/// Counts restart each time the reader has consumed this many bytes (as a power of two).
const ROUND: u64 = 20;

/// Bytes that a producer sent in one round.
#[repr(C)]
#[derive(Clone, Copy)]
struct Sent {
    round: u32,
    bytes: u32,
}

/// By producer: a cgroup or a process in it, and the sort of record. The kernel evicts the least
/// recently used entry, whose count then restarts.
#[map]
static SHARES: LruHashMap<u64, Sent> = LruHashMap::with_max_entries(16384, 0);

/// Sorts of records, in bits of a producer's number that no cgroup or process id uses.
const FORKS: u64 = 0;
const CHANGES: u64 = 1 << 62;
const CHANGES_OF_PROCESS: u64 = 2 << 62;
const PROGRAMS: u64 = 3 << 62;

/// True when a record of `bytes` bytes may be written to a ring of `size` bytes. `pid` is the
/// process that it is about. The helper that queries the ring exists since Linux 5.8.
#[inline(always)]
pub fn has_room(ring: &RingBuf, size: u64, kind: u16, cgroup: u64, pid: u32, bytes: u64) -> bool {
    let waiting = ring.query(BPF_RB_AVAIL_DATA.into());
    if waiting <= size >> RELAXED {
        return true;
    }
    let free = size.saturating_sub(waiting);
    let round = (ring.query(BPF_RB_CONS_POS.into()) >> ROUND) as u32;
    match kind {
        // They are rare, and needed to understand everything else in a container.
        kind::CGROUP_BORN | kind::CGROUP_GONE => true,
        // Each is about another process, so they are counted by container.
        kind::FORK | kind::EXIT => within(FORKS | cgroup, round, bytes, free >> 2),
        kind::FILE | kind::NET | kind::DNS => {
            let process = CHANGES_OF_PROCESS | (cgroup ^ u64::from(pid) << 32);
            within(process, round, bytes, free >> 3)
                && within(CHANGES | cgroup, round, bytes, free >> 1)
        }
        // Execs, privileged calls, capabilities.
        _ => within(PROGRAMS | cgroup, round, bytes, free),
    }
}

/// True when the producer sent at most `limit` bytes in this round, this record included.
#[inline(always)]
fn within(producer: u64, round: u32, bytes: u64, limit: u64) -> bool {
    let Some(sent) = SHARES.get_ptr_mut(&producer) else {
        let first = Sent {
            round,
            bytes: bytes as u32,
        };
        let _ = SHARES.insert(&producer, &first, 0);
        return true;
    };
    // SAFETY: a value of the map; another CPU may change it meanwhile, which only makes the count
    // inexact.
    let sent = unsafe { &mut *sent };
    if sent.round != round {
        sent.round = round;
        sent.bytes = 0;
    }
    let total = u64::from(sent.bytes) + bytes;
    if total > limit {
        return false;
    }
    sent.bytes = total as u32;
    true
}
