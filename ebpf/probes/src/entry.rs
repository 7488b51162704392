//! Entries into a container from the host: a process joins the container's namespaces and stays in its own
//! cgroup, as `nsenter` does.
//!
//! Two namespaces count: the mount namespace, since a process in it can change the container's
//! files, and the pid namespace, which only children of the caller are in. A runtime also joins
//! them before it joins the cgroup; its events until then are set-up.

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        bpf_probe_read_kernel_str_bytes, bpf_probe_read_user_buf,
    },
    macros::map,
    maps::PerCpuArray,
};
use hullwatch_abi::{
    entry::{ARGV_MAX, EntryRecord, flag},
    header::{Header, kind},
    offsets as o,
};

use crate::{
    emit, gate,
    kernel::{at, field, has, task},
    marks::{self, ENTERED, THREAD},
};

#[repr(C)]
struct Sent {
    header: Header,
    record: EntryRecord,
    argv: [u8; ARGV_MAX + 1],
}

#[map]
static ENTRY_SCRATCH: PerCpuArray<Sent> = PerCpuArray::with_max_entries(1, 0);

/// The current task joined a namespace.
#[inline(always)]
pub fn joined() -> Option<()> {
    let task = task();
    let ids = bpf_get_current_pid_tgid();
    let (tgid, tid) = ((ids >> 32) as u32, ids as u32);
    if gate::is_own(tgid) || gate::member(gate::own_scope()) {
        return None;
    }
    let mark = marks::own_mark();
    if mark.is_some_and(|mark| mark & ENTERED == 0) {
        // A container's process belongs to that container whatever it joins.
        return None;
    }
    let children: u64 = field(field(task, o::TASK_NSPROXY)?, o::NSPROXY_CHILDREN)?;
    let children = marks::by_pids(field(children, o::PID_NS_NUMBER)?);
    let parent_of_inside = match children {
        Some(place) => marks::children_inside(tgid, place),
        None => {
            marks::no_children_inside(tgid);
            false
        }
    };
    let inside = marks::inside(task);
    match (inside, mark) {
        (Some(place), None) => {
            let signal: u64 = field(task, o::TASK_SIGNAL)?;
            if field::<u32>(signal, o::SIGNAL_LIVE)? == 1 {
                marks::mark(tgid, place | ENTERED);
                gate::joined(tgid);
            } else {
                marks::mark(tid, place | ENTERED | THREAD);
            }
            report(task, place, flag::INSIDE)
        }
        (None, Some(mark)) => {
            marks::unmark(if mark & THREAD == 0 { tgid } else { tid });
            gate::own(tgid);
            None
        }
        (None, None) if parent_of_inside => report(task, children?, 0),
        _ => None,
    }
}

/// Reports the current task as having entered.
#[inline(always)]
fn report(task: u64, place: u64, flags: u16) -> Option<()> {
    let scratch = ENTRY_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's and this program's alone; tracing programs do not nest here.
    let sent = unsafe { &mut *scratch };
    sent.record = EntryRecord {
        uid: bpf_get_current_uid_gid() as u32,
        login_uid: u32::MAX,
        flags,
        comm: bpf_get_current_comm().unwrap_or_default(),
        ..EntryRecord::default()
    };
    if has(o::TASK_LOGIN) {
        sent.record.login_uid = field(task, o::TASK_LOGIN)?;
    } else {
        sent.record.flags |= flag::NO_LOGIN;
    }
    let parent: u64 = field(task, o::TASK_PARENT)?;
    sent.record.parent_comm = field(parent, o::TASK_COMM)?;
    let signal: u64 = field(task, o::TASK_SIGNAL)?;
    if has(o::SIGNAL_TTY) && has(o::TTY_NAME) {
        let tty: u64 = field(signal, o::SIGNAL_TTY)?;
        if tty != 0 {
            let name = (tty + at(o::TTY_NAME)) as *const u8;
            // SAFETY: the helper checks the address.
            let _ = unsafe { bpf_probe_read_kernel_str_bytes(name, &mut sent.record.tty) };
        }
    }
    let mm: u64 = field(task, o::TASK_MM)?;
    let (start, end): (u64, u64) = (field(mm, o::MM_ARG_START)?, field(mm, o::MM_ARG_END)?);
    let length = end.wrapping_sub(start).min(ARGV_MAX as u64) as usize;
    let length = emit::masked::<{ ARGV_MAX as i32 }>(length);
    let argv = sent.argv.get_mut(..length)?;
    // SAFETY: the helper checks the address.
    let length = match unsafe { bpf_probe_read_user_buf(start as *const u8, argv) } {
        Ok(()) => length,
        Err(_) => 0,
    };
    sent.record.argv_len = length as u16;
    let body = size_of::<EntryRecord>() + emit::masked::<{ ARGV_MAX as i32 }>(length);
    let header = emit::header_in(place, kind::ENTRY, task, body);
    // SAFETY: the scratch begins with the header, and record and arguments follow it.
    unsafe {
        emit::send(
            (&raw mut *sent).cast::<u8>(),
            header,
            size_of::<Header>() + body,
        );
    }
    Some(())
}
