//! Privileged system calls, seen at their end, with the result.

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        bpf_ktime_get_boot_ns, bpf_probe_read_user, bpf_probe_read_user_str_bytes,
    },
    macros::map,
    maps::{LruHashMap, PerCpuArray},
};
use hullwatch_abi::privilege::{PrivilegeRecord, TEXT_MAX, flag, id};

use crate::{
    call::{self, Call},
    scratch::clear,
};

/// Space for the dispatcher's header before the record.
pub const HEADROOM: usize = 64;
const TEXTS: usize = 1024;
/// Equal calls of a process are reported once in this time.
const WINDOW_NS: u64 = 1_000_000_000;

/// Flags of clone that create a namespace; 0x80 is part of the exit signal there.
const NEW_NAMESPACE: u64 = 0x7e02_0000;
const UNSHARE_NAMESPACE: u64 = NEW_NAMESPACE | 0x80;
const ADDR_NO_RANDOMIZE: u64 = 0x4_0000;

/// A record under construction. Leading bytes are the dispatcher's.
#[repr(C)]
pub struct Scratch {
    /// For the dispatcher's header.
    pub head: [u8; HEADROOM],
    /// The record.
    pub record: PrivilegeRecord,
    /// Its strings.
    pub text: [u8; TEXTS],
    /// Where the process has them, 0 for none.
    from: [u64; 3],
}

#[map]
static PRIVILEGE_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// What counts as the same call.
#[repr(C)]
#[derive(Clone, Copy)]
struct Alike {
    tgid: u32,
    call: u32,
    first: u64,
    second: u64,
    ret: u64,
}

#[map]
static PRIVILEGE_SEEN: LruHashMap<Alike, u64> = LruHashMap::with_max_entries(4096, 0);

/// User and group id a process had at its last call of the setuid family.
#[map]
static PRIVILEGE_IDS: LruHashMap<u32, u64> = LruHashMap::with_max_entries(8192, 0);

/// Index in the table of calls plus one, by system call number; 0 for none; set by the loader.
#[unsafe(no_mangle)]
static PRIVILEGE_CALLS: [u8; 512] = [0; 512];

/// Appends the string argument with this index, if there is one.
#[inline(always)]
fn string(scratch: &mut Scratch, index: usize) {
    call::joined();
    let from = scratch.from[index];
    if from == 0 {
        return;
    }
    let pos = length(scratch) & 0x1ff;
    // SAFETY: `pos` is below 512 and the string takes 256 bytes of a 1024 byte area.
    let dst = unsafe {
        core::slice::from_raw_parts_mut((&raw mut scratch.text).cast::<u8>().add(pos), TEXT_MAX)
    };
    // SAFETY: the helper checks the address.
    match unsafe { bpf_probe_read_user_str_bytes(from as *const u8, dst) } {
        Ok(text) if text.len() < TEXT_MAX - 1 => scratch.record.lens[index] = text.len() as u16,
        text => {
            scratch.record.lens[index] = text.map_or(0, <[u8]>::len) as u16;
            scratch.record.flags |= flag::CUT;
        }
    }
}

/// Bytes of all strings.
#[inline(always)]
fn length(scratch: &Scratch) -> usize {
    let [first, second, third] = scratch.record.lens;
    usize::from(first) + usize::from(second) + usize::from(third)
}

/// Whether this call is of interest.
#[inline(always)]
fn telling(scratch: &PrivilegeRecord, refused: bool) -> bool {
    let args = &scratch.args;
    match scratch.call {
        id::CLONE | id::CLONE3 => args[0] & NEW_NAMESPACE != 0,
        // unshare(CLONE_FS) and the like change nothing outside the process.
        id::UNSHARE => args[0] & UNSHARE_NAMESPACE != 0,
        id::PERSONALITY => args[0] != 0xffff_ffff && args[0] & ADDR_NO_RANDOMIZE != 0,
        // PTRACE_TRACEME, attaching and writing; a debugger's thousands of reads and steps follow
        // an attach that was reported.
        id::PTRACE => matches!(args[0], 0 | 4..=6 | 13 | 16 | 0x4205 | 0x4206),
        // Read-only operations: size of the log, get id, describe, read.
        id::SYSLOG => !matches!(args[0], 9 | 10),
        id::SETUID..=id::SETGROUPS => {
            if refused {
                return true;
            }
            let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
            let now = bpf_get_current_uid_gid();
            // SAFETY: a copy of a map value.
            let same = unsafe { PRIVILEGE_IDS.get(&tgid) }.copied() == Some(now);
            if !same {
                // After a failure the next call is reported as well.
                let _ = PRIVILEGE_IDS.insert(&tgid, &now, 0);
            }
            !same
        }
        _ => true,
    }
}

/// True when an equal call of this process was just reported.
#[inline(always)]
fn repeated(record: &PrivilegeRecord) -> bool {
    let key = Alike {
        tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        call: u32::from(record.call),
        first: record.args[0],
        second: record.args[1],
        // Descriptors differ from call to call; refusals are distinguished.
        ret: if record.ret < 0 { record.ret as u64 } else { 0 },
    };
    // SAFETY: no arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    // SAFETY: a copy of a map value.
    if let Some(last) = unsafe { PRIVILEGE_SEEN.get(&key) }.copied() {
        if now.wrapping_sub(last) < WINDOW_NS {
            return true;
        }
    }
    let _ = PRIVILEGE_SEEN.insert(&key, &now, 0);
    false
}

/// A record that the current task made a 32-bit call with this number, the first of its cgroup.
#[inline(always)]
pub fn compat(number: u32) -> Option<*mut Scratch> {
    event(id::COMPAT, u64::from(number))
}

/// A record that the current task left its container's cgroup for this one.
#[inline(always)]
pub fn left(to: u64) -> Option<*mut Scratch> {
    event(id::LEAVE_CGROUP, to)
}

/// A record that is not about a system call.
#[inline(always)]
fn event(what: u8, argument: u64) -> Option<*mut Scratch> {
    let pointer = PRIVILEGE_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's and this program's alone; tracing programs do not nest here.
    let record = unsafe { &mut (*pointer).record };
    clear(record);
    record.args[0] = argument;
    record.call = what;
    finish(record);
    Some(pointer)
}

/// Fills in the fields of the caller.
#[inline(always)]
fn finish(record: &mut PrivilegeRecord) {
    let ids = bpf_get_current_uid_gid();
    record.uid = ids as u32;
    record.gid = (ids >> 32) as u32;
    record.comm = bpf_get_current_comm().unwrap_or_default();
}

/// Handles the end of a privileged call. What is to be sent is [`Scratch::record`] and the
/// returned number of bytes of [`Scratch::text`] behind it; `None` when there is nothing to send.
#[inline(always)]
pub fn exit(call: &Call, runtime: bool) -> Option<(*mut Scratch, usize)> {
    // SAFETY: reads a static; volatile because the loader writes it after compilation.
    let index = unsafe {
        core::ptr::read_volatile(
            (&raw const PRIVILEGE_CALLS)
                .cast::<u8>()
                .add((call.nr & 511) as usize),
        )
    };
    if index == 0 {
        return None;
    }
    let pointer = PRIVILEGE_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's and this program's alone; tracing programs do not nest here.
    let scratch = unsafe { &mut *pointer };
    clear(&mut scratch.record);
    scratch.record.call = index - 1;
    scratch.record.ret = call.ret;
    scratch.record.args = [call.args[0], call.args[1], call.args[2], call.args[3]];
    if scratch.record.call == id::CLONE3 {
        // The flags are the first word of the structure.
        // SAFETY: the helper checks the address.
        scratch.record.args[0] = unsafe { bpf_probe_read_user(call.args[0] as *const u64) }.ok()?;
    }
    // The child of a clone returns from it too.
    if matches!(scratch.record.call, id::CLONE | id::CLONE3) && call.ret == 0 {
        return None;
    }
    let refused = (-4095..0).contains(&call.ret);
    if !telling(&scratch.record, refused) {
        return None;
    }
    call::joined();
    // Pointers differ between equal calls, so calls with strings are reported each time.
    scratch.from = match scratch.record.call {
        id::MOUNT => [call.args[0], call.args[1], call.args[2]],
        id::PIVOT_ROOT | id::ADD_KEY | id::REQUEST_KEY => [call.args[0], call.args[1], 0],
        id::MOVE_MOUNT => [call.args[1], call.args[3], 0],
        id::FSPICK | id::OPEN_TREE | id::MOUNT_SETATTR | id::FINIT_MODULE => [call.args[1], 0, 0],
        id::INIT_MODULE => [call.args[2], 0, 0],
        id::UMOUNT2
        | id::CHROOT
        | id::FSOPEN
        | id::DELETE_MODULE
        | id::MEMFD_CREATE
        | id::SWAPON
        | id::SWAPOFF => [call.args[0], 0, 0],
        _ => [0, 0, 0],
    };
    call::joined();
    if scratch.from[0] == 0 && scratch.from[1] == 0 && repeated(&scratch.record) {
        return None;
    }
    string(scratch, 0);
    string(scratch, 1);
    string(scratch, 2);
    call::joined();
    finish(&mut scratch.record);
    if runtime {
        scratch.record.flags |= flag::RUNTIME;
    }
    Some((pointer, length(scratch)))
}
