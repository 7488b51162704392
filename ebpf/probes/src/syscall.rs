//! The end of every system call: first whether the call matters, then whose it is, then the work.

use aya_ebpf::{
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_task_btf,
        bpf_probe_read_kernel, bpf_task_pt_regs,
    },
    macros::{btf_tracepoint, fexit, map},
    maps::ProgramArray,
    programs::{BtfTracePointContext, FExitContext},
};
use hullwatch_abi::{
    capability::CapabilityRecord,
    file::{FileRecord, IOCTL},
    header::{Header, kind},
    privilege::PrivilegeRecord,
};

use crate::{attribute, call::Call, capability, emit, file, gate, privilege};

/// One program per class of calls, at the place [`CLASSES`] gives.
#[map]
static CLASS_PROGRAMS: ProgramArray = ProgramArray::with_max_entries(8, 0);

/// Class of each system call, 0 for one that is not watched; set by the loader.
#[unsafe(no_mangle)]
static CLASSES: [u8; 512] = [0; 512];

/// Where in `struct pt_regs` the number of a call and its six arguments lie, in bytes; set by the
/// loader, because it differs between machines.
#[unsafe(no_mangle)]
static REGS: [u32; 7] = [0; 7];

/// Calls in which the kernel asks for a capability only to reserve memory: 1 for each; set by the
/// loader.
#[unsafe(no_mangle)]
static MEMORY_CALLS: [u8; 512] = [0; 512];

/// Place of a register: 0 the number, 1 to 6 the arguments.
#[inline(always)]
fn place_of(place: usize) -> usize {
    // SAFETY: reads a static; volatile because the loader writes it after compilation.
    unsafe { core::ptr::read_volatile(&raw const REGS[place]) as usize }
}

/// A register of the finished call. A direct load through the typed pointer: a helper call here
/// would be paid by every system call on the host.
#[inline(always)]
fn register(ctx: &BtfTracePointContext, place: usize) -> u64 {
    let regs = ctx.arg::<*const u8>(0);
    // SAFETY: the kernel hands over a valid `struct pt_regs`; the verifier checks the bounds.
    unsafe { core::ptr::read_volatile(regs.add(place_of(place)).cast::<u64>()) }
}

/// Number, arguments and result of the call that ends.
#[inline(always)]
pub fn call_of(ctx: &BtfTracePointContext) -> Call {
    Call {
        nr: register(ctx, 0) as u32,
        args: [
            register(ctx, 1),
            register(ctx, 2),
            register(ctx, 3),
            register(ctx, 4),
            register(ctx, 5),
            register(ctx, 6),
        ],
        ret: ctx.arg(1),
    }
}

/// Decides by number and cgroup, and hands on to the program of the class.
#[btf_tracepoint(function = "sys_exit")]
pub fn call_exit(ctx: BtfTracePointContext) -> i32 {
    let nr = register(&ctx, 0);
    // SAFETY: reads a static inside its bounds; volatile because the loader writes it.
    let class = unsafe {
        core::ptr::read_volatile((&raw const CLASSES).cast::<u8>().add((nr & 511) as usize))
    };
    if class == 0 || nr > 511 {
        return 0;
    }
    // Terminals and devices make these calls by the thousand.
    if class & IOCTL != 0 && !attribute::sets_flags(register(&ctx, 2)) {
        return 0;
    }
    // SAFETY: no arguments.
    if !gate::wanted(unsafe { bpf_get_current_cgroup_id() }) {
        return 0;
    }
    // SAFETY: every class has its program; a failed call only returns here.
    let _ = unsafe { CLASS_PROGRAMS.tail_call(&ctx, u32::from(class & !IOCTL)) };
    0
}

/// Sends a file record with `text` bytes of strings.
#[inline(always)]
fn send_file((scratch, text): (*mut file::Scratch, usize)) {
    let body = size_of::<FileRecord>() + (text & 0x3fff);
    // SAFETY: the head has room for the header right before the record.
    unsafe {
        let data = (&raw mut (*scratch).head)
            .cast::<u8>()
            .add(file::HEADROOM - size_of::<Header>());
        emit::send(
            data,
            emit::current(kind::FILE, body),
            size_of::<Header>() + size_of::<FileRecord>() + (text & 0x3fff),
        );
    }
}

/// Class 1: file calls.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_exit(ctx: BtfTracePointContext) -> i32 {
    let call = call_of(&ctx);
    if let Some(out) = file::exit(&call) {
        send_file(out);
    }
    0
}

/// Class 4: calls that change a file's attributes.
#[btf_tracepoint(function = "sys_exit")]
pub fn attribute_exit(ctx: BtfTracePointContext) -> i32 {
    let call = call_of(&ctx);
    if let Some(out) = attribute::exit(&call) {
        send_file(out);
    }
    0
}

/// Class 2: privileged calls.
#[btf_tracepoint(function = "sys_exit")]
pub fn privilege_exit(ctx: BtfTracePointContext) -> i32 {
    let call = call_of(&ctx);
    let runtime = gate::runtime((bpf_get_current_pid_tgid() >> 32) as u32);
    if let Some((scratch, text)) = privilege::exit(&call, runtime) {
        let body = size_of::<PrivilegeRecord>() + (text & 0x3ff);
        // SAFETY: the head has room for the header right before the record.
        unsafe {
            let data = (&raw mut (*scratch).head)
                .cast::<u8>()
                .add(privilege::HEADROOM - size_of::<Header>());
            emit::send(
                data,
                emit::current(kind::PRIVILEGE, body),
                size_of::<Header>() + size_of::<PrivilegeRecord>() + (text & 0x3ff),
            );
        }
    }
    0
}

#[repr(C)]
struct CapabilitySent {
    header: Header,
    record: CapabilityRecord,
}

/// True in a call of [`MEMORY_CALLS`], and outside of calls.
#[inline(always)]
fn reserves_memory(nr: u32) -> bool {
    // SAFETY: reads a static inside its bounds; volatile because the loader writes it.
    nr > 511
        || unsafe {
            core::ptr::read_volatile(
                (&raw const MEMORY_CALLS)
                    .cast::<u8>()
                    .add((nr & 511) as usize),
            )
        } != 0
}

/// A capability was checked (a tracepoint since 6.13).
#[btf_tracepoint(function = "cap_capable")]
pub fn capability_check(ctx: BtfTracePointContext) -> i32 {
    capability_checked(ctx.arg::<*const u8>(0) as u64, ctx.arg(3), ctx.arg(4))
}

/// The same on older kernels, where it is only a function: credentials, user namespace,
/// capability, options; its result stands behind them.
#[fexit(function = "cap_capable")]
pub fn capability_return(ctx: FExitContext) -> i32 {
    capability_checked(ctx.arg::<*const u8>(0) as u64, ctx.arg(2), ctx.arg(4))
}

#[inline(always)]
fn capability_checked(cred: u64, cap: i32, ret: i32) -> i32 {
    // SAFETY: no arguments.
    let cgroup = unsafe { bpf_get_current_cgroup_id() };
    if !gate::wanted(cgroup) || gate::runtime((bpf_get_current_pid_tgid() >> 32) as u32) {
        return 0;
    }
    // SAFETY: the helpers check what they are given.
    let nr = unsafe {
        let regs = bpf_task_pt_regs(bpf_get_current_task_btf().cast()) as u64;
        bpf_probe_read_kernel((regs + place_of(0) as u64) as *const u32).unwrap_or(u32::MAX)
    };
    if let Some(record) = capability::check(cgroup, cred, cap as u32, ret, reserves_memory(nr)) {
        let sent = CapabilitySent {
            header: emit::current(kind::CAPABILITY, size_of::<CapabilityRecord>()),
            record,
        };
        emit::send_fixed(&sent, &sent.header, cgroup);
    }
    0
}
