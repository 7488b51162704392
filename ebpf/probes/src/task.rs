//! Exec, fork and exit.

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_get_current_uid_gid, bpf_probe_read_kernel,
        bpf_probe_read_kernel_str_bytes, bpf_probe_read_user_buf,
    },
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use hullwatch_abi::{
    header::{ENTERED, Header, RUNTIME, kind},
    offsets as o,
    task::{ARGV_MAX, ExecRecord, ExitRecord, ForkRecord, flag},
};

use crate::{
    call, cgroup, emit, facts, file, gate,
    kernel::{at, field, file_of, has},
    marks, path,
    path_start::{AT_FDCWD, directory, path_start},
    scratch::{clear, forget, scratch},
    syscall,
};

#[inline(always)]
fn read_at<T: Copy>(address: u64) -> Option<T> {
    // SAFETY: as above.
    unsafe { bpf_probe_read_kernel(address as *const T) }.ok()
}

/// The first bytes of `/proc/self/exe` and `/proc/self/fd/`.
const PROC_SELF: u64 = u64::from_le_bytes(*b"/proc/se");
/// The kernel's name for a file executed by its descriptor alone.
const DESCRIPTOR: u64 = u64::from_le_bytes(*b"/dev/fd/");

/// A process replaced its image.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn process_exec(ctx: BtfTracePointContext) -> i32 {
    let task = ctx.arg::<*const u8>(0) as u64;
    let _ = started(task, ctx.arg::<*const u8>(2) as u64);
    0
}

#[inline(always)]
fn started(task: u64, binary: u64) -> Option<()> {
    let scratch = scratch()?;
    let mut scope = marks::scope();
    if !gate::member(scope) {
        // The namespace of a process that may be a container's is included before its first exec is
        // reported.
        match gate::admit_namespace(task) {
            Some(namespace) => scope = namespace,
            None if gate::wanted(scope) => {}
            None => return None,
        }
    }
    // SAFETY: the slot is this CPU's; tracing programs do not nest.
    let scratch = unsafe { &mut *scratch };
    let [scope] = forget(scratch, [scope]);
    // Computed before the record: the verifier of Linux 6.1 checks the rest once for each path
    // through it.
    let tgid: u32 = field(task, o::TASK_TGID)?;
    let [flags] = forget(scratch, [u64::from(emit::flags(tgid, task))]);
    exec(scope, flags as u32, task, binary)
}

#[inline(always)]
fn exec(scope: u64, mut flags: u32, task: u64, binary: u64) -> Option<()> {
    let scratch = scratch()?;
    // SAFETY: the slot is this CPU's; tracing programs do not nest.
    let text = unsafe { (&raw mut (*scratch).text).cast::<u8>() };
    // SAFETY: head and record of the scratch lie before the text and are larger than this record.
    let record = unsafe { &mut *text.sub(size_of::<ExecRecord>()).cast::<ExecRecord>() };
    let mm: u64 = field(task, o::TASK_MM)?;
    let exe: u64 = field(mm, o::MM_EXE)?;
    clear(record);
    record.flags = flag::EXE_CUT | flag::CWD_CUT;
    if let Some(from) = path_start(exe + at(o::FILE_PATH)) {
        let inode: u64 = field(exe, o::FILE_INODE)?;
        let sb: u64 = field(inode, o::INODE_SB)?;
        facts::facts(inode, sb, from.dentry, &mut record.facts)?;
        let (end, whole) = path::walk(scratch, from, 0);
        record.lens[0] = end as u16;
        if whole {
            record.flags &= !flag::EXE_CUT;
        }
    }
    call::joined();
    if let Some(from) = directory(AT_FDCWD) {
        let start = usize::from(record.lens[0]) & 0x1fff;
        let (end, whole) = path::walk(scratch, from, start);
        record.lens[1] = (end - start) as u16;
        if whole {
            record.flags &= !flag::CWD_CUT;
        }
    }
    call::joined();
    let [exe, cwd, ..] = record.lens;
    let mut end = usize::from(exe) + usize::from(cwd);
    let (filename, interp): (u64, u64) = (
        field(binary, o::BPRM_FILENAME)?,
        field(binary, o::BPRM_INTERP)?,
    );
    if filename != interp {
        let at = end & 0x3fff;
        // SAFETY: at is below 16384 and the string takes 512 bytes of a larger area.
        let dst = unsafe { core::slice::from_raw_parts_mut(text.add(at), 512) };
        // SAFETY: the helper checks the address.
        if let Ok(script) = unsafe { bpf_probe_read_kernel_str_bytes(filename as *const u8, dst) } {
            record.lens[2] = script.len() as u16;
            end = at + script.len();
        }
    }
    let (start, stop): (u64, u64) = (field(mm, o::MM_ARG_START)?, field(mm, o::MM_ARG_END)?);
    record.argv_bytes = stop.wrapping_sub(start);
    let take = if record.argv_bytes > ARGV_MAX as u64 {
        ARGV_MAX
    } else {
        record.argv_bytes as usize
    };
    let at = end & 0x3fff;
    // SAFETY: at is below 16384 and take below 4096, the area has 20480 bytes.
    let dst = unsafe { core::slice::from_raw_parts_mut(text.add(at), take & 0xfff) };
    // SAFETY: the helper checks the address.
    if unsafe { bpf_probe_read_user_buf(start as *const u8, dst) }.is_ok() {
        record.lens[3] = take as u16;
        end = at + take;
    }
    // SAFETY: the slot is this CPU's; tracing programs do not nest.
    let [end] = forget(unsafe { &mut *scratch }, [end as u64]);
    let end = end as usize;
    let signal: u64 = field(task, o::TASK_SIGNAL)?;
    if has(o::SIGNAL_TTY) && field::<u64>(signal, o::SIGNAL_TTY)? != 0 {
        record.flags |= flag::TTY;
    }
    let ids = bpf_get_current_uid_gid();
    record.uid = ids as u32;
    record.gid = (ids >> 32) as u32;
    record.comm = bpf_get_current_comm().unwrap_or_default();
    let tgid: u32 = field(task, o::TASK_TGID)?;
    // A runtime that executes a copy of itself is still setting up: from memory, or through an open
    // file while it still sees the mounts of whoever started it. The container's own program never does that.
    let copy = record.facts.flags & hullwatch_abi::file::fact::MEMFD != 0
        || (matches!(read_at::<u64>(filename)?, PROC_SELF | DESCRIPTOR)
            && cgroup::in_outer_mounts(task));
    if !copy || flags & ENTERED != 0 {
        gate::own(tgid);
        flags &= !RUNTIME;
    }
    // SAFETY: as above.
    let [flags] = forget(unsafe { &mut *scratch }, [u64::from(flags)]);
    let flags = flags as u32;
    let len = size_of::<ExecRecord>() + (end & 0x3fff);
    let header = emit::header_with(scope, flags, kind::EXEC, task, len);
    // SAFETY: the scratch has space for the header before the record.
    unsafe {
        emit::send(
            text.sub(size_of::<ExecRecord>() + size_of::<Header>()),
            header,
            size_of::<Header>() + size_of::<ExecRecord>() + (end & 0x3fff),
        );
    }
    Some(())
}

/// Reports the standard input of a started program. A separate program: for older verifiers both
/// together are too large.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn exec_input(_ctx: BtfTracePointContext) -> i32 {
    if gate::wanted(marks::scope())
        && let Some(file) = file_of(0)
        && let Some(out) = file::input(file)
    {
        syscall::send_file(out);
    }
    0
}

#[repr(C)]
struct Sent<T> {
    header: Header,
    record: T,
}

/// A process was created.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn process_fork(ctx: BtfTracePointContext) -> i32 {
    let from = marks::scope();
    let parent = ctx.arg::<*const u8>(0) as u64;
    let child = ctx.arg::<*const u8>(1) as u64;
    // A runtime may create the process directly inside the container (CLONE_INTO_CGROUP), and a
    // container's process may create one outside.
    let to = cgroup::of(child).map_or(from, |cgroup| gate::within(child, cgroup));
    let to = if gate::member(to) {
        to
    } else if gate::member(from) {
        marks::inherit(child, from);
        if cgroup::own() {
            syscall::left(to);
        }
        from
    } else {
        marks::born(child).unwrap_or(to)
    };
    if gate::wanted(from) || gate::wanted(to) {
        let _ = fork(from, to, parent, child);
    }
    0
}

#[inline(always)]
fn fork(from: u64, to: u64, parent: u64, child: u64) -> Option<()> {
    let (pid, tgid): (u32, u32) = (field(child, o::TASK_PID)?, field(child, o::TASK_TGID)?);
    if pid != tgid {
        return None;
    }
    let outside = to != from && gate::member(to) && !gate::member(from);
    if outside || gate::runtime(field(parent, o::TASK_TGID)?) {
        gate::joined(tgid);
    }
    let sent = Sent {
        header: Header {
            cgroup: to,
            ..emit::header(kind::FORK, child, size_of::<ForkRecord>())
        },
        record: ForkRecord {
            uid: bpf_get_current_uid_gid() as u32,
            creator: field(parent, o::TASK_TGID)?,
            comm: bpf_get_current_comm().unwrap_or_default(),
        },
    };
    emit::send_fixed(&sent, &sent.header, to);
    Some(())
}

/// A thread ended.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn process_exit(ctx: BtfTracePointContext) -> i32 {
    let task = ctx.arg::<*const u8>(0) as u64;
    let cgroup = marks::scope();
    if gate::wanted(cgroup) {
        let _ = exit(cgroup, task);
    }
    if let Some(number) = gate::ended(task) {
        marks::forget_number(number);
    }
    let _ = marks::ended(task);
    0
}

#[inline(always)]
fn exit(cgroup: u64, task: u64) -> Option<()> {
    let signal: u64 = field(task, o::TASK_SIGNAL)?;
    if field::<u32>(signal, o::SIGNAL_LIVE)? != 0 {
        return None;
    }
    let leader: u64 = field(task, o::TASK_LEADER)?;
    let header = emit::header(kind::EXIT, task, size_of::<ExitRecord>());
    let began: u64 = field(leader, o::TASK_START)?;
    let sent = Sent {
        record: ExitRecord {
            status: field(task, o::TASK_EXIT_CODE)?,
            reserved: 0,
            lived_ns: header.ts.wrapping_sub(began),
        },
        header,
    };
    emit::send_fixed(&sent, &sent.header, cgroup);
    gate::own(header.pid);
    Some(())
}
