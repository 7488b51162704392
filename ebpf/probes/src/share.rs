//! Shares the ring buffer among containers: while it fills up, the container that has most in it gets no more.
//!
//! The rule is that of dynamic thresholds in switches with shared memory (Choudhury and Hahne,
//! 1998): nobody may hold more than a factor times the room that is free. A single noisy container
//! thus leaves room for others, without a fixed share for each.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_CONS_POS},
    macros::map,
    maps::{LruHashMap, RingBuf},
};
use hullwatch_abi::header::kind;

/// While at most this part of the buffer waits (as a power of one half), everybody gets room.
const RELAXED: u64 = 3;
/// Counts begin anew each time the reader took this many bytes (as a power of two).
const ROUND: u64 = 20;

/// Bytes that a producer sent in one round.
#[repr(C)]
#[derive(Clone, Copy)]
struct Sent {
    round: u32,
    bytes: u32,
}

/// By producer: a cgroup or a process in it, and the sort of record. The kernel removes the entry
/// that was not used for longest, which then counts anew.
#[map]
static SHARES: LruHashMap<u64, Sent> = LruHashMap::with_max_entries(16384, 0);

/// Sorts of records, in bits of a producer's number that no id of a cgroup or process reaches.
const FORKS: u64 = 0;
const CHANGES: u64 = 1 << 62;
const CHANGES_OF_PROCESS: u64 = 2 << 62;
const PROGRAMS: u64 = 3 << 62;

/// True when a record of `bytes` bytes has room in a ring of `size` bytes. `pid` is the process that
/// it is about. The helper that asks the ring exists since Linux 5.8.
#[inline(always)]
pub fn has_room(ring: &RingBuf, size: u64, kind: u16, cgroup: u64, pid: u32, bytes: u64) -> bool {
    let waiting = ring.query(BPF_RB_AVAIL_DATA.into());
    if waiting <= size >> RELAXED {
        return true;
    }
    let free = size.saturating_sub(waiting);
    let round = (ring.query(BPF_RB_CONS_POS.into()) >> ROUND) as u32;
    match kind {
        // They are rare, and what happens in a container depends on them.
        kind::CGROUP_BORN | kind::CGROUP_GONE => true,
        // Each is about another process, so the container counts as a whole.
        kind::FORK | kind::EXIT => within(FORKS | cgroup, round, bytes, free >> 2),
        kind::FILE | kind::NET | kind::DNS => {
            let process = CHANGES_OF_PROCESS | (cgroup ^ u64::from(pid) << 32);
            within(process, round, bytes, free >> 3)
                && within(CHANGES | cgroup, round, bytes, free >> 1)
        }
        // Programs run, privileged calls, capabilities.
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
    // SAFETY: a value of the map; another CPU may change it meanwhile, which only blurs the count.
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
