//! Processes that are a container's without being in its cgroup: those that left it, and those of the
//! host that entered its namespaces.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_tracepoint, map},
    maps::{Array, LruHashMap},
    programs::BtfTracePointContext,
};
use hullwatch_abi::header::PID_NAMESPACE;
use hullwatch_abi::offsets as o;

use crate::{
    gate,
    kernel::{field, has},
};

/// In a mark: it entered from the host.
pub const ENTERED: u64 = 1 << 62;
/// In a mark: only this thread did. The others of its process are the host's.
pub const THREAD: u64 = 1 << 63;

/// The container's cgroup or pid namespace, and how the process came to be elsewhere, by process, or by
/// thread with [`THREAD`].
#[map]
static MARKS: LruHashMap<u32, u64> = LruHashMap::with_max_entries(4096, 0);

/// Processes of the host whose children will be in a container's pid namespace.
#[map]
static BEARERS: LruHashMap<u32, u64> = LruHashMap::with_max_entries(1024, 0);

/// How many entries there are: of [`MARKS`], of those for threads, of [`BEARERS`]. While there is none
/// nobody is looked up. What the kernel removed to make room still counts.
#[map]
static MARKED: Array<u64> = Array::with_max_entries(3, 0);

const ALL: u32 = 0;
const THREADS: u32 = 1;
const BEARING: u32 = 2;

/// Whose a namespace is.
#[repr(C)]
#[derive(Clone, Copy)]
struct Home {
    /// The container's cgroup, or its pid namespace.
    place: u64,
    /// What tells a mount namespace from a later one of the same number; 0 unknown.
    id: u64,
}

/// Mount and pid namespaces of containers by their numbers, which are one sequence for both.
#[map]
static NAMESPACES: LruHashMap<u32, Home> = LruHashMap::with_max_entries(16384, 0);

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

/// True while a process may be marked.
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

/// The bits of a mark, 0 without one: never an undefined value, which the compiler may read.
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

/// What the current task belongs to: its cgroup, or the pid namespace of its container if that was
/// included by it; if it left its container's cgroup, or entered a container's namespaces without its
/// cgroup, that container.
#[inline(always)]
pub fn scope() -> u64 {
    let scope = gate::own_scope();
    if !any() || gate::member(scope) {
        return scope;
    }
    home_or(scope)
}

/// Where the current task belongs by its mark, while that container lives; else `scope`.
///
/// A function of its own, since each of its ways would double what the verifier of Linux 6.1 checks in
/// the program that asks.
#[inline(never)]
fn home_or(scope: u64) -> u64 {
    let home = own_bits() & !(ENTERED | THREAD);
    if home != 0 && gate::member(home) {
        return home;
    }
    scope
}

/// True when the task, of this process, entered from the host. A function of its own, as
/// [`home_or`] is.
#[inline(never)]
pub fn entered(tgid: u32, task: u64) -> bool {
    if !any() {
        return false;
    }
    let tid = field(task, o::TASK_PID).unwrap_or(tgid);
    mark_bits(tgid, tid) & ENTERED != 0
}

/// The process, or with [`THREAD`] the thread, is that container's from now on, wherever it goes.
#[inline(always)]
pub fn keep(pid: u32, mark: u64) {
    if MARKS.insert(&pid, &mark, u64::from(BPF_NOEXIST)).is_ok() {
        add(ALL, 1);
        if mark & THREAD != 0 {
            add(THREADS, 1);
        }
    } else {
        let _ = MARKS.insert(&pid, &mark, 0);
    }
}

/// The process ended, or is in its container's cgroup again, or entered and went back.
#[inline(always)]
pub fn let_go(pid: u32) {
    if !any() {
        return;
    }
    let Some(mark) = mark_of(pid) else {
        return;
    };
    if MARKS.remove(&pid).is_ok() {
        add(ALL, -1);
        if mark & THREAD != 0 {
            add(THREADS, -1);
        }
    }
}

/// A marked task created this one outside of the container's cgroup, or one in the cgroup `from` did.
#[inline(always)]
pub fn inherit(child: u64, from: u64) {
    let (Some(pid), Some(tgid)) = (
        field::<u32>(child, o::TASK_PID),
        field::<u32>(child, o::TASK_TGID),
    ) else {
        return;
    };
    let mark = own_mark().unwrap_or(from);
    if pid == tgid {
        keep(tgid, mark & !THREAD);
    } else if mark & THREAD != 0 {
        keep(pid, mark);
    }
}

/// The children of this process will be that container's.
#[inline(always)]
pub fn bear(tgid: u32, place: u64) -> bool {
    let is_new = BEARERS
        .insert(&tgid, &place, u64::from(BPF_NOEXIST))
        .is_ok();
    if is_new {
        add(BEARING, 1);
    }
    is_new
}

/// They will not.
#[inline(always)]
pub fn bear_no_more(tgid: u32) {
    if count(BEARING) != 0 && BEARERS.remove(&tgid).is_ok() {
        add(BEARING, -1);
    }
}

/// The current task of the host created this one: the container that it was born in.
#[inline(always)]
pub fn born(child: u64) -> Option<u64> {
    if count(BEARING) == 0 {
        return None;
    }
    let parent = (bpf_get_current_pid_tgid() >> 32) as u32;
    BEARERS.get_ptr(&parent)?;
    let home = inside(child)?;
    keep(field(child, o::TASK_TGID)?, home | ENTERED);
    Some(home)
}

/// A thread ended, perhaps the last one of its process.
#[inline(always)]
pub fn ended(task: u64) -> Option<()> {
    if !any() && count(BEARING) == 0 {
        return None;
    }
    let (pid, tgid): (u32, u32) = (field(task, o::TASK_PID)?, field(task, o::TASK_TGID)?);
    if pid != tgid && count(THREADS) != 0 {
        let_go(pid);
    }
    let signal: u64 = field(task, o::TASK_SIGNAL)?;
    if field::<u32>(signal, o::SIGNAL_LIVE)? == 0 {
        let_go(tgid);
        gate::own(tgid);
        bear_no_more(tgid);
    }
    Some(())
}

/// The container whose mount namespace the task is in, or else its pid namespace.
#[inline(always)]
pub fn inside(task: u64) -> Option<u64> {
    match by_mounts(task) {
        Some(place) => Some(place),
        None => by_number(gate::namespace(task, 0)? as u32, 0),
    }
}

/// The container whose mount namespace the task is in.
#[inline(always)]
pub fn by_mounts(task: u64) -> Option<u64> {
    let namespace = gate::mount_namespace(task)?;
    let number: u32 = field(namespace, o::MNT_NS_NUMBER)?;
    if number == gate::host_mounts() {
        return None;
    }
    by_number(number, mounts_id(namespace))
}

/// The container of a namespace with this number, and id where it has one.
#[inline(always)]
pub fn by_number(number: u32, id: u64) -> Option<u64> {
    // SAFETY: a copy of a map value.
    let home = unsafe { NAMESPACES.get(&number) }.copied()?;
    let another = home.id != 0 && id != 0 && home.id != id;
    // A container without a cgroup of its own is known by its pid namespace; the kernel gives that
    // number, and perhaps the mount namespace's, to a stranger when it ended.
    let by_cgroup = home.place & PID_NAMESPACE == 0;
    (!another && by_cgroup && gate::member(home.place)).then_some(home.place)
}

#[inline(always)]
fn mounts_id(namespace: u64) -> u64 {
    if !has(o::MNT_NS_ID) {
        return 0;
    }
    field(namespace, o::MNT_NS_ID).unwrap_or(0)
}

/// The pid namespace of this number ended.
#[inline(always)]
pub fn forget_number(number: u32) {
    let _ = NAMESPACES.remove(&number);
}

/// Before the program is reported that a task starts: notes the namespaces of a container's task, and
/// finds the container of one of the host that is in its namespaces.
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
    // The other threads are gone, and the number that this one had.
    let tgid: u32 = field(task, o::TASK_TGID)?;
    if before != tgid {
        let_go(before);
    }
    if !gate::is_own(tgid) {
        keep(tgid, inside(task)? | ENTERED);
    }
    Some(())
}

/// A namespace that the parent is in as well was noted when that began there; or it is a runtime's, which
/// need not be the host's.
#[inline(always)]
fn note_mounts(task: u64, parent: u64, place: u64) -> Option<()> {
    let namespace = gate::mount_namespace(task)?;
    if gate::mount_namespace(parent) == Some(namespace) {
        return None;
    }
    let number: u32 = field(namespace, o::MNT_NS_NUMBER)?;
    if number == gate::host_mounts() {
        return None;
    }
    let home = Home {
        place,
        id: mounts_id(namespace),
    };
    NAMESPACES.insert(&number, &home, 0).ok()
}

/// The first container that is in a pid namespace made it: others join it.
#[inline(always)]
fn note_pids(task: u64, parent: u64, place: u64) -> Option<()> {
    let key = gate::namespace(task, 0)?;
    if gate::namespace(parent, 0) == Some(key) || by_number(key as u32, 0).is_some() {
        return None;
    }
    let home = Home { place, id: 0 };
    NAMESPACES.insert(&(key as u32), &home, 0).ok()
}
