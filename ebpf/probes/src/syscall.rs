//! The end of every system call: checks the number, then the process, then handles the call.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_tracepoint, fexit, map},
    maps::{LruHashMap, ProgramArray},
    programs::{BtfTracePointContext, FExitContext},
};
use hullwatch_abi::{
    capability::CapabilityRecord,
    class::{CLASS, ENTER, FIRST, IOCTL, PRIVILEGE, WATCHED32},
    file::FileRecord,
    header::{Header, kind},
    privilege::PrivilegeRecord,
    syscall::SyscallRecord,
};

use crate::{
    attribute, call, calls_seen, capability, emit, entry, file, gate, marks, privilege, scratch,
};

/// Numbers that the tables describe.
const NUMBERS: u32 = call::NUMBERS as u32;

/// One program per class of calls, at the index that [`CLASSES`] gives.
#[map]
static CLASS_PROGRAMS: ProgramArray = ProgramArray::with_max_entries(8, 0);

/// Class of each system call with its flags, 0 for one that is not watched; set by the loader.
#[unsafe(no_mangle)]
static CLASSES: [u8; 512] = [0; 512];

/// 1 for each call in which the kernel checks a capability only to reserve memory; set by the
/// loader.
#[unsafe(no_mangle)]
static MEMORY_CALLS: [u8; 512] = [0; 512];

/// Cgroups whose first 32-bit call was reported.
#[map]
static COMPAT_SEEN: LruHashMap<u64, u8> = LruHashMap::with_max_entries(4096, 0);

/// Class of a native number.
#[inline(always)]
pub fn class(nr: u32) -> u8 {
    // SAFETY: reads a static inside its bounds; volatile because the loader writes it.
    unsafe { core::ptr::read_volatile((&raw const CLASSES).cast::<u8>().add((nr & 511) as usize)) }
}

/// Decides by number and cgroup, and tail-calls the program of the class.
#[btf_tracepoint(function = "sys_exit")]
pub fn call_exit(ctx: BtfTracePointContext) -> i32 {
    if calls_seen::wanted() {
        let nr = call::native(call::number(&ctx));
        if nr < NUMBERS && !call::in_compat() && calls_seen::is_new(marks::scope(), nr) {
            // It continues with the dispatcher.
            // SAFETY: the loader gives the class its program; a failed call only returns here.
            let _ = unsafe { CLASS_PROGRAMS.tail_call(&ctx, u32::from(FIRST)) };
        }
    }
    dispatch(&ctx)
}

#[repr(C)]
struct SyscallSent {
    header: Header,
    record: SyscallRecord,
}

/// Class 5: a call that the container has not made before.
#[btf_tracepoint(function = "sys_exit")]
pub fn first_exit(ctx: BtfTracePointContext) -> i32 {
    let nr = call::native(call::number(&ctx));
    let cgroup = marks::scope();
    if let Some(record) = calls_seen::note(cgroup, nr, ctx.arg(1)) {
        let sent = SyscallSent {
            header: emit::current(kind::SYSCALL, size_of::<SyscallRecord>()),
            record,
        };
        emit::send_fixed(&sent, &sent.header, cgroup);
    }
    dispatch(&ctx)
}

#[inline(always)]
fn dispatch(ctx: &BtfTracePointContext) -> i32 {
    let number = call::number(ctx);
    // Nearly all calls return here: neither the 64-bit nor the 32-bit call of this number is
    // watched.
    if number < NUMBERS && class(number) == 0 {
        return 0;
    }
    let compat = call::in_compat();
    let nr = if compat {
        call::translated(ctx, number)
    } else {
        call::native(number)
    };
    // Looked up before the number is compared: the compiler would remove the mask that proves the
    // bounds to the verifier.
    let class = class(nr);
    if nr >= NUMBERS || class & !WATCHED32 == 0 {
        return 0;
    }
    // Terminals and devices cause thousands of these calls.
    if class & IOCTL != 0 && !attribute::sets_flags(call::argument(ctx, 1, compat)) {
        return 0;
    }
    let cgroup = marks::scope();
    let wanted = gate::wanted(cgroup);
    if !wanted && class & CLASS != ENTER {
        return 0;
    }
    if wanted && compat && COMPAT_SEEN.get_ptr(&cgroup).is_none() {
        first_compat(cgroup, number);
    }
    // SAFETY: every class has its program; a failed call only returns here.
    let _ = unsafe { CLASS_PROGRAMS.tail_call(ctx, u32::from(class & CLASS)) };
    0
}

/// Reports that the current task left its container's cgroup for this one, or moved another task
/// there.
#[inline(always)]
pub fn left(to: u64) {
    if let Some(scratch) = privilege::left(to) {
        send_privilege((scratch, 0));
    }
}

/// Reports the first 32-bit call of a cgroup.
#[inline(always)]
fn first_compat(cgroup: u64, number: u32) {
    // A failure only means that the next call is reported as well.
    let _ = COMPAT_SEEN.insert(&cgroup, &1, 0);
    if let Some(scratch) = privilege::compat(number) {
        send_privilege((scratch, 0));
    }
}

/// Sends a privilege record with `text` bytes of strings.
#[inline(always)]
fn send_privilege((scratch, text): (*mut privilege::Scratch, usize)) {
    let body = size_of::<PrivilegeRecord>() + (text & 0x3ff);
    // SAFETY: the head has space for the header right before the record.
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

/// Sends a file record with `text` bytes of strings.
#[inline(always)]
pub fn send_file((scratch, text): (*mut scratch::Scratch, usize)) {
    let body = size_of::<FileRecord>() + (text & 0x3fff);
    // SAFETY: the head has space for the header right before the record.
    unsafe {
        let data = (&raw mut (*scratch).head)
            .cast::<u8>()
            .add(scratch::HEADROOM - size_of::<Header>());
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
    let Some(call) = call::finished(&ctx) else {
        return 0;
    };
    if let Some(out) = file::exit(call) {
        send_file(out);
    }
    0
}

/// Class 4: calls that change a file's attributes.
#[btf_tracepoint(function = "sys_exit")]
pub fn attribute_exit(ctx: BtfTracePointContext) -> i32 {
    let Some(call) = call::finished(&ctx) else {
        return 0;
    };
    if let Some(out) = attribute::exit(call) {
        send_file(out);
    }
    0
}

/// Class 2: privileged calls.
#[btf_tracepoint(function = "sys_exit")]
pub fn privilege_exit(ctx: BtfTracePointContext) -> i32 {
    let Some(call) = call::finished(&ctx) else {
        return 0;
    };
    let runtime = gate::runtime((bpf_get_current_pid_tgid() >> 32) as u32);
    if let Some(out) = privilege::exit(call, runtime) {
        send_privilege(out);
    }
    0
}

/// Class 6: a namespace was joined. For a container's process that is a privileged call; a host
/// process may enter a container by it.
#[btf_tracepoint(function = "sys_exit")]
pub fn enter_exit(ctx: BtfTracePointContext) -> i32 {
    let Some(call) = call::finished(&ctx) else {
        return 0;
    };
    if call.ret == 0 {
        let _ = entry::joined();
    }
    // For a process that entered, this is the entry itself.
    if !marks::is_entered() && gate::wanted(marks::scope()) {
        // SAFETY: the loader gives the class its program; a failed call only returns here.
        let _ = unsafe { CLASS_PROGRAMS.tail_call(&ctx, u32::from(PRIVILEGE)) };
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
    // Before the number is compared, as in the dispatcher.
    // SAFETY: reads a static inside its bounds; volatile because the loader writes it.
    let memory = unsafe {
        core::ptr::read_volatile(
            (&raw const MEMORY_CALLS)
                .cast::<u8>()
                .add((nr & 511) as usize),
        )
    };
    nr >= NUMBERS || memory != 0
}

/// A capability was checked (a tracepoint since 6.13).
#[btf_tracepoint(function = "cap_capable")]
pub fn capability_check(ctx: BtfTracePointContext) -> i32 {
    capability_checked(ctx.arg::<*const u8>(0) as u64, ctx.arg(3), ctx.arg(4))
}

/// The same on older kernels, by the function's return: credentials, user namespace, capability,
/// options, then its result.
#[fexit(function = "cap_capable")]
pub fn capability_return(ctx: FExitContext) -> i32 {
    capability_checked(ctx.arg::<*const u8>(0) as u64, ctx.arg(2), ctx.arg(4))
}

#[inline(always)]
fn capability_checked(cred: u64, cap: i32, ret: i32) -> i32 {
    let cgroup = marks::scope();
    if !gate::wanted(cgroup) || gate::runtime((bpf_get_current_pid_tgid() >> 32) as u32) {
        return 0;
    }
    let nr = call::under_way();
    if let Some(record) = capability::check(cgroup, cred, cap as u32, ret, reserves_memory(nr)) {
        let sent = CapabilitySent {
            header: emit::current(kind::CAPABILITY, size_of::<CapabilityRecord>()),
            record,
        };
        emit::send_fixed(&sent, &sent.header, cgroup);
    }
    0
}
