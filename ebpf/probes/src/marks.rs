//! Marks of processes that belong to a container without being in its cgroup: they left the cgroup, or
//! entered the container's namespaces from the host.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_tracepoint, map},
    maps::{Array, LruHashMap},
    programs::BtfTracePointContext,
};
use hullwatch_abi::{
    header::{ANY_MOUNT_NAMESPACE, ANY_PID_NAMESPACE, PID_NAMESPACE},
    offsets as o,
};

use crate::{
    gate,
    kernel::{field, has},
};

/// Bit of a mark: the process entered from the host.
pub const ENTERED: u64 = 1 << 62;
/// Bit of a mark: only this thread entered. The other threads of its process belong to the host.
pub const THREAD: u64 = 1 << 63;

/// The container's cgroup or pid namespace with the bits above, by process, or by thread with
/// [`THREAD`].
#[map]
static MARKS: LruHashMap<u32, u64> = LruHashMap::with_max_entries(4096, 0);

/// Processes of the host whose children are created in a container's pid namespace, and that
/// container.
#[map]
static PARENTS: LruHashMap<u32, u64> = LruHashMap::with_max_entries(1024, 0);

/// Number of entries: of [`MARKS`], of those for threads, of [`PARENTS`]. At 0 nothing is looked
/// up. Entries that the kernel evicted are still included.
#[map]
static MARKED: Array<u64> = Array::with_max_entries(3, 0);

const ALL: u32 = 0;
const THREADS: u32 = 1;
const PARENTS_COUNT: u32 = 2;

/// The container of a namespace.
#[repr(C)]
#[derive(Clone, Copy)]
struct NamespaceOwner {
    /// The container's cgroup or pid namespace.
    container: u64,
    /// Distinguishes a mount namespace from later ones with its number ([`mounts_id`]);
    /// [`ANY_MOUNT_NAMESPACE`], or [`ANY_PID_NAMESPACE`].
    id: u64,
}

/// Containers by the numbers of their mount and pid namespaces, which are unique across both kinds.
#[map]
static NAMESPACES: LruHashMap<u32, NamespaceOwner> = LruHashMap::with_max_entries(16384, 0);

#[inline(always)]
fn count(of: u32) -> u64 {
    MARKED.get(of).copied().unwrap_or(0)
}

#[inline(always)]
fn add(of: u32, more: i64) {
    if let Some(count) = MARKED.get_ptr_mut(of) {
        // The target's core library has no atomic addition.
        // SAFETY: eight aligned bytes of a map value that lives as long as the program runs.
        unsafe {
            core::arch::asm!(
                "lock *(u64 *)({at} + 0) += {more}",
                at = in(reg) count,
                more = in(reg) more,
            );
        }
    }
}

/// False while no process is marked.
#[inline(always)]
pub fn any() -> bool {
    count(ALL) != 0
}

/// The mark of a process, or of its first thread alone.
#[inline(always)]
pub fn mark_of(pid: u32) -> Option<u64> {
    // SAFETY: a copy of a map value.
    unsafe { MARKS.get(&pid) }.copied()
}

/// The bits of a mark, 0 without one. Not an `Option`: the compiler may read its undefined value, which
/// the verifier refuses.
#[inline(always)]
fn bits_of(pid: u32) -> u64 {
    match MARKS.get_ptr(&pid) {
        // SAFETY: an aligned map value, which lives as long as the program runs.
        Some(bits) => unsafe { core::ptr::read_volatile(bits) },
        None => 0,
    }
}

#[inline(always)]
fn mark_bits(tgid: u32, tid: u32) -> u64 {
    let bits = bits_of(tgid);
    if bits != 0 && (bits & THREAD == 0 || tid == tgid) {
        return bits;
    }
    if tid != tgid && count(THREADS) != 0 {
        return bits_of(tid);
    }
    0
}

/// The mark of the current task; 0 without one.
#[inline(always)]
fn own_bits() -> u64 {
    let ids = bpf_get_current_pid_tgid();
    mark_bits((ids >> 32) as u32, ids as u32)
}

/// The mark of the current task.
#[inline(always)]
pub fn own_mark() -> Option<u64> {
    match own_bits() {
        0 => None,
        bits => Some(bits),
    }
}

/// True when the current task entered from the host.
#[inline(always)]
pub fn is_entered() -> bool {
    any() && own_bits() & ENTERED != 0
}

/// The scope of the current task: its cgroup, or the pid namespace of its container if that was
/// included by it; if it left its container's cgroup, or entered a container's namespaces without its
/// cgroup, that container.
#[inline(always)]
pub fn scope() -> u64 {
    let scope = gate::own_scope();
    if !any() || gate::member(scope) {
        return scope;
    }
    container_or(scope)
}

/// The container of the current task by its mark, while that container exists; else `scope`.
///
/// Not inlined: otherwise the verifier of Linux 6.1 checks the rest of the calling program once for each
/// of its branches.
#[inline(never)]
fn container_or(scope: u64) -> u64 {
    let container = own_bits() & !(ENTERED | THREAD);
    if container != 0 && gate::member(container) {
        return container;
    }
    scope
}

/// True when the task, of this process, entered from the host. Not inlined, for the reason given at
/// [`container_or`].
#[inline(never)]
pub fn entered(tgid: u32, task: u64) -> bool {
    if !any() {
        return false;
    }
    let tid = field(task, o::TASK_PID).unwrap_or(tgid);
    mark_bits(tgid, tid) & ENTERED != 0
}

/// Marks the process, or with [`THREAD`] the thread, as the container's from now on.
#[inline(always)]
pub fn mark(pid: u32, bits: u64) {
    if MARKS.insert(&pid, &bits, u64::from(BPF_NOEXIST)).is_ok() {
        add(ALL, 1);
        if bits & THREAD != 0 {
            add(THREADS, 1);
        }
    } else {
        let _ = MARKS.insert(&pid, &bits, 0);
    }
}

/// Removes a mark: the process ended, returned to its container's cgroup, or left the namespaces.
#[inline(always)]
pub fn unmark(pid: u32) {
    if !any() {
        return;
    }
    let Some(bits) = mark_of(pid) else {
        return;
    };
    if MARKS.remove(&pid).is_ok() {
        add(ALL, -1);
        if bits & THREAD != 0 {
            add(THREADS, -1);
        }
    }
}

/// Marks a task that a marked one created outside of the container's cgroup, or that one in the cgroup
/// `from` did.
#[inline(always)]
pub fn inherit(child: u64, from: u64) {
    let (Some(pid), Some(tgid)) = (
        field::<u32>(child, o::TASK_PID),
        field::<u32>(child, o::TASK_TGID),
    ) else {
        return;
    };
    let bits = own_mark().unwrap_or(from);
    if pid == tgid {
        mark(tgid, bits & !THREAD);
    } else if bits & THREAD != 0 {
        mark(pid, bits);
    }
}

/// Notes that the children of this process are created in that container. True if it was not noted
/// yet.
#[inline(always)]
pub fn children_inside(tgid: u32, container: u64) -> bool {
    let is_new = PARENTS
        .insert(&tgid, &container, u64::from(BPF_NOEXIST))
        .is_ok();
    if is_new {
        add(PARENTS_COUNT, 1);
    }
    is_new
}

/// Notes that they are created in no container.
#[inline(always)]
pub fn no_children_inside(tgid: u32) {
    if count(PARENTS_COUNT) != 0 && PARENTS.remove(&tgid).is_ok() {
        add(PARENTS_COUNT, -1);
    }
}

/// The container in which a child of the current task, a process of the host, was created.
#[inline(always)]
pub fn born(child: u64) -> Option<u64> {
    if count(PARENTS_COUNT) == 0 {
        return None;
    }
    let parent = (bpf_get_current_pid_tgid() >> 32) as u32;
    PARENTS.get_ptr(&parent)?;
    let container = inside(child)?;
    mark(field(child, o::TASK_TGID)?, container | ENTERED);
    Some(container)
}

/// Removes the marks of a thread that ended, and of its process if it was the last one.
#[inline(always)]
pub fn ended(task: u64) -> Option<()> {
    if !any() && count(PARENTS_COUNT) == 0 {
        return None;
    }
    let (pid, tgid): (u32, u32) = (field(task, o::TASK_PID)?, field(task, o::TASK_TGID)?);
    if pid != tgid && count(THREADS) != 0 {
        unmark(pid);
    }
    let signal: u64 = field(task, o::TASK_SIGNAL)?;
    if field::<u32>(signal, o::SIGNAL_LIVE)? == 0 {
        unmark(tgid);
        gate::own(tgid);
        no_children_inside(tgid);
    }
    Some(())
}

/// The container of the task's mount namespace, else of its pid namespace.
#[inline(always)]
pub fn inside(task: u64) -> Option<u64> {
    match by_mounts(task) {
        Some(container) => Some(container),
        None => by_pids(gate::namespace(task, 0)? as u32),
    }
}

/// The container of the task's mount namespace.
#[inline(always)]
pub fn by_mounts(task: u64) -> Option<u64> {
    let namespace = gate::mount_namespace(task)?;
    let number: u32 = field(namespace, o::MNT_NS_NUMBER)?;
    if number == gate::host_mounts() {
        return None;
    }
    by_number(number, mounts_id(namespace))
}

/// The container of the pid namespace with this number.
#[inline(always)]
pub fn by_pids(number: u32) -> Option<u64> {
    by_number(number, ANY_PID_NAMESPACE)
}

#[inline(always)]
fn by_number(number: u32, id: u64) -> Option<u64> {
    // SAFETY: a copy of a map value.
    let owner = unsafe { NAMESPACES.get(&number) }.copied()?;
    let any_mounts = owner.id == ANY_MOUNT_NAMESPACE && id != ANY_PID_NAMESPACE;
    // The kernel reuses the number of a namespace that ended, also for one of another kind.
    let another = owner.id != id && !any_mounts;
    // A container without a cgroup of its own is recognised by its pid namespace and needs no mark;
    // after its end the kernel reuses the numbers of its namespaces.
    let by_cgroup = owner.container & PID_NAMESPACE == 0;
    (!another && by_cgroup && gate::member(owner.container)).then_some(owner.container)
}

/// The number of a mount namespace that the kernel does not reuse: `seq`, since 6.18 `ns.ns_id`.
#[inline(always)]
fn mounts_id(namespace: u64) -> u64 {
    if !has(o::MNT_NS_ID) {
        return ANY_MOUNT_NAMESPACE;
    }
    field(namespace, o::MNT_NS_ID).unwrap_or(ANY_MOUNT_NAMESPACE)
}

/// Removes the pid namespace of this number, which ended.
#[inline(always)]
pub fn forget_number(number: u32) {
    let _ = NAMESPACES.remove(&number);
}

/// Runs before the program that reports the exec: notes the namespaces of a container's task, and marks a
/// task of the host that is in the namespaces of a container.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn exec_namespaces(ctx: BtfTracePointContext) -> i32 {
    let _ = look(ctx.arg::<*const u8>(0) as u64, ctx.arg::<i32>(1) as u32);
    0
}

#[inline(always)]
fn look(task: u64, before: u32) -> Option<()> {
    let scope = gate::own_scope();
    if gate::member(scope) {
        let parent: u64 = field(task, o::TASK_PARENT)?;
        let _ = note_mounts(task, parent, scope);
        return note_pids(task, parent, scope);
    }
    if own_mark().is_some_and(|mark| mark & THREAD == 0) {
        return None;
    }
    // An exec ends the other threads, and this one takes the number of the first.
    let tgid: u32 = field(task, o::TASK_TGID)?;
    if before != tgid {
        unmark(before);
    }
    if !gate::is_own(tgid) {
        mark(tgid, inside(task)? | ENTERED);
    }
    Some(())
}

/// Skips a namespace that the parent is in, too: it was noted at the parent's exec, or it is a runtime's,
/// which may have one of its own.
#[inline(always)]
fn note_mounts(task: u64, parent: u64, container: u64) -> Option<()> {
    let namespace = gate::mount_namespace(task)?;
    if gate::mount_namespace(parent) == Some(namespace) {
        return None;
    }
    let number: u32 = field(namespace, o::MNT_NS_NUMBER)?;
    if number == gate::host_mounts() {
        return None;
    }
    let owner = NamespaceOwner {
        container,
        id: mounts_id(namespace),
    };
    NAMESPACES.insert(&number, &owner, 0).ok()
}

/// The first container in a pid namespace created it: others join it.
#[inline(always)]
fn note_pids(task: u64, parent: u64, container: u64) -> Option<()> {
    let key = gate::namespace(task, 0)?;
    if gate::namespace(parent, 0) == Some(key) || by_pids(key as u32).is_some() {
        return None;
    }
    let owner = NamespaceOwner {
        container,
        id: ANY_PID_NAMESPACE,
    };
    NAMESPACES.insert(&(key as u32), &owner, 0).ok()
}
