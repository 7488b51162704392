//! Creation and removal of cgroups, and processes that join a container's cgroup.

use aya_ebpf::{
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns,
        bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes,
    },
    macros::{btf_tracepoint, map},
    maps::PerCpuArray,
    programs::BtfTracePointContext,
};
use hullwatch_abi::{
    header::{Header, kind},
    offsets as o,
    task::{CgroupRecord, NAME_MAX},
};

use crate::{emit, gate, kernel::field, marks, syscall};

/// Hexadecimal digits of a container id.
const ID_DIGITS: usize = 64;
/// The suffix that systemd appends.
const SCOPE: &[u8] = b".scope";

#[repr(C)]
struct Sent {
    header: Header,
    record: CgroupRecord,
}

#[map]
static CGROUP_SCRATCH: PerCpuArray<Sent> = PerCpuArray::with_max_entries(1, 0);

/// Node of a cgroup in the v2 hierarchy; `None` for the others.
#[inline(always)]
fn node(cgroup: u64) -> Option<u64> {
    let root: u64 = field(cgroup, o::CGROUP_ROOT)?;
    if field::<u32>(root, o::ROOT_HIERARCHY)? != 0 {
        return None;
    }
    field(cgroup, o::CGROUP_KN)
}

/// True for a name of which the last characters may be a container's id, alone or after `-` or `:`,
/// with or without `.scope`. User space, which reads the whole name, removes the others and adds
/// those of other forms.
#[inline(always)]
fn may_name_container(name: &[u8; NAME_MAX], len: usize) -> bool {
    const LAST: usize = NAME_MAX - 1;
    let scope = len.wrapping_sub(SCOPE.len());
    let end = if scope < NAME_MAX
        && name[scope & LAST] == SCOPE[0]
        && name[(scope + 1) & LAST] == SCOPE[1]
    {
        scope
    } else {
        len
    };
    if end == ID_DIGITS {
        return true;
    }
    let before = end.wrapping_sub(ID_DIGITS + 1);
    before < NAME_MAX && matches!(name[before & LAST], b'-' | b':')
}

/// True for the directory of containerd's default namespace, whose containers have names chosen by
/// users.
#[inline(always)]
fn is_default(node: u64) -> bool {
    const DEFAULT: u64 = u64::from_le_bytes(*b"default\0");
    let name = || {
        let name: u64 = field(node, o::KERNFS_NAME)?;
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_kernel(name as *const u64) }.ok()
    };
    name() == Some(DEFAULT)
}

#[inline(always)]
fn changed(cgroup: u64, kind: u16) -> Option<()> {
    let node = node(cgroup)?;
    let scratch = CGROUP_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's and this program's alone.
    let sent = unsafe { &mut *scratch };
    let parent: u64 = field(node, o::KERNFS_PARENT)?;
    let name: u64 = field(node, o::KERNFS_NAME)?;
    sent.record.id = field(node, o::KERNFS_ID)?;
    sent.record.parent = field(parent, o::KERNFS_ID)?;
    // SAFETY: the helper checks the address.
    let len = unsafe { bpf_probe_read_kernel_str_bytes(name as *const u8, &mut sent.record.name) }
        .ok()?
        .len();
    if kind == kind::CGROUP_BORN {
        // Before any task can be in it, so that the first exec is not missed.
        if gate::member(sent.record.parent)
            || may_name_container(&sent.record.name, len)
            || is_default(parent)
        {
            gate::admit(sent.record.id);
        }
    } else {
        gate::dismiss(sent.record.id);
    }
    sent.header = Header {
        // SAFETY: no arguments.
        ts: unsafe { bpf_ktime_get_boot_ns() },
        cgroup: sent.record.id,
        pid: 0,
        nspid: 0,
        ppid: 0,
        flags: 0,
        kind,
        reserved: 0,
        len: size_of::<CgroupRecord>() as u32,
    };
    emit::send_fixed(sent, &sent.header, 0);
    Some(())
}

/// True when the task sees the mounts of the host, or of a parent that is in no container: a builder may
/// start the runtime in mounts of its own.
#[inline(always)]
pub fn in_outer_mounts(task: u64) -> bool {
    gate::in_host_mounts(task) || in_parents_mounts(task).unwrap_or(false)
}

#[inline(always)]
fn in_parents_mounts(task: u64) -> Option<bool> {
    let parent: u64 = field(task, o::TASK_PARENT)?;
    Some(!gate::member(of(parent)?) && gate::mounts(task)? == gate::mounts(parent)?)
}

/// A cgroup was created.
#[btf_tracepoint(function = "cgroup_mkdir")]
pub fn cgroup_born(ctx: BtfTracePointContext) -> i32 {
    let _ = changed(ctx.arg::<*const u8>(0) as u64, kind::CGROUP_BORN);
    0
}

/// A cgroup was removed.
#[btf_tracepoint(function = "cgroup_rmdir")]
pub fn cgroup_gone(ctx: BtfTracePointContext) -> i32 {
    let _ = changed(ctx.arg::<*const u8>(0) as u64, kind::CGROUP_GONE);
    0
}

/// A task was moved into a cgroup. Only a runtime moves a task from outside into a container's
/// cgroup; a process of the container that moves within it keeps its state.
#[btf_tracepoint(function = "cgroup_attach_task")]
pub fn cgroup_joined(ctx: BtfTracePointContext) -> i32 {
    let _ = attach(
        ctx.arg::<*const u8>(0) as u64,
        ctx.arg::<*const u8>(2) as u64,
    );
    0
}

#[inline(always)]
fn attach(cgroup: u64, task: u64) -> Option<()> {
    let node = node(cgroup)?;
    let to: u64 = field(node, o::KERNFS_ID)?;
    let tgid: u32 = field(task, o::TASK_TGID)?;
    if !gate::member(to) {
        // A process that leaves its container's cgroup still belongs to the container.
        let container = marks::by_mounts(task)?;
        if marks::mark_of(tgid).is_none() {
            marks::mark(tgid, container);
            if gate::member(marks::scope()) {
                syscall::left(to);
            }
        }
        return None;
    }
    marks::unmark(tgid);
    let from_outside = if tgid == (bpf_get_current_pid_tgid() >> 32) as u32 {
        // It moved itself and is already in the new cgroup: only its mounts show where it came
        // from.
        gate::in_host_mounts(task)
    } else {
        // SAFETY: no arguments.
        !gate::member(unsafe { bpf_get_current_cgroup_id() })
    };
    if from_outside {
        gate::joined(tgid);
    }
    Some(())
}

/// True when the current task is in its container's cgroup, not in one that it moved to.
#[inline(always)]
pub fn own() -> bool {
    // SAFETY: no arguments.
    gate::member(unsafe { bpf_get_current_cgroup_id() })
}

/// The cgroup of a task in the v2 hierarchy.
#[inline(always)]
pub fn of(task: u64) -> Option<u64> {
    let set: u64 = field(task, o::TASK_CGROUPS)?;
    let cgroup: u64 = field(set, o::CSET_DEFAULT)?;
    field(field(cgroup, o::CGROUP_KN)?, o::KERNFS_ID)
}
