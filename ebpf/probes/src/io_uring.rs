//! Requests of io_uring, reported as the equivalent system calls.
//!
//! The arguments of a request are read when it is submitted: the kernel has copied the names by
//! then, and frees them before the request ends. The request is reported when it ends, with its
//! result, by the code that reports the end of system calls.

use aya_ebpf::{
    helpers::{bpf_probe_read_kernel_buf, bpf_probe_read_kernel_str_bytes},
    macros::{btf_tracepoint, map},
    maps::{HashMap, PerCpuArray, PerCpuHashMap, ProgramArray},
    programs::BtfTracePointContext,
};
use hullwatch_abi::{
    class::{self, CLASS},
    file::{VALUE_MAX, flag},
    offsets as o,
    uring::{NAME_MAX, OPCODES, opcode},
};

use crate::{
    attribute,
    call::{self, Call},
    emit, file, gate,
    kernel::{field, file_of, has, load, read},
    marks, net, socket,
    syscall::{class, send_file},
};

/// The kernel chooses the slot for a request's file in the ring's own table.
const ANY_SLOT: u32 = u32::MAX;
/// Only failures post a completion (`IOSQE_CQE_SKIP_SUCCESS`).
const UNANSWERED: u32 = 1 << 6;
/// Flags of a file in the ring's own table.
const FILE_FLAGS: u64 = 7;

/// A request under way.
#[repr(C)]
#[derive(Clone, Copy)]
struct RingRequest {
    /// Arguments of the native call, except names, which are the fields below.
    args: [u64; 6],
    /// Its number.
    nr: u32,
    /// Slot of the ring's table for the opened file, plus one; 0 for a descriptor.
    slot: u32,
    opcode: u32,
    reserved: u32,
    name: [u8; NAME_MAX],
    /// Second path, or name of an attribute.
    other: [u8; NAME_MAX],
    /// Value of an attribute.
    value: [u8; VALUE_MAX],
}

/// Requests under way, by their address. An entry is removed when the request ends.
#[map]
static RING_REQUESTS: HashMap<u64, RingRequest> = HashMap::with_max_entries(2048, 0);

/// Requests that did not fit in [`RING_REQUESTS`], by cgroup.
#[map]
static RING_UNFOLLOWED: PerCpuHashMap<u64, u64> = PerCpuHashMap::with_max_entries(1024, 0);

#[map]
static RING_SCRATCH: PerCpuArray<RingRequest> = PerCpuArray::with_max_entries(1, 0);

/// One program per class of calls, as for system calls.
#[map]
static RING_PROGRAMS: ProgramArray = ProgramArray::with_max_entries(8, 0);

/// Number of the native call by opcode, 0 for a request that is not watched; set by the loader.
#[unsafe(no_mangle)]
static RING_CALLS: [u16; OPCODES] = [0; OPCODES];

/// A request is about to be executed.
#[btf_tracepoint(function = "io_uring_submit_req")]
pub fn ring_submitted(ctx: BtfTracePointContext) -> i32 {
    let _ = submitted(ctx.arg::<*const u8>(0) as u64);
    0
}

#[inline(always)]
fn submitted(request: u64) -> Option<()> {
    let opcode: u8 = field(request, o::RING_OPCODE)?;
    if opcode >= OPCODES as u8 {
        return None;
    }
    let nr = load!(RING_CALLS[(opcode & 63) as usize]);
    if nr == 0 {
        return None;
    }
    let cgroup = marks::scope();
    if !gate::wanted(cgroup) {
        return None;
    }
    let scratch = RING_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's and this program's alone.
    let kept = unsafe { &mut *scratch };
    kept.nr = u32::from(nr);
    kept.opcode = u32::from(opcode);
    kept.slot = 0;
    kept.args = [0; 6];
    kept.name[0] = 0;
    kept.other[0] = 0;
    read_request(kept, request, opcode)?;
    if field::<u32>(request, o::RING_FLAGS)? & UNANSWERED != 0
        && class(kept.nr) & CLASS == class::FILE
    {
        // Its completion is not posted: reported as if it succeeded.
        let call = call::store(Call {
            nr: kept.nr,
            args: named(kept),
            ret: 0,
            shape: 0,
            ring: true,
            file: 0,
        })?;
        if let Some(out) = file::exit(call) {
            // SAFETY: the record under construction is this CPU's.
            unsafe { (*out.0).record.flags |= flag::RING };
            send_file(out);
        }
        return Some(());
    }
    if RING_REQUESTS.insert(&request, kept, 0).is_err() {
        emit::count(&RING_UNFOLLOWED, cgroup);
    }
    Some(())
}

/// Reads the arguments of a request, in the order of the native call.
#[inline(always)]
fn read_request(kept: &mut RingRequest, request: u64, opcode: u8) -> Option<()> {
    let word = |at| field::<u32>(request, at).map(u64::from);
    match opcode {
        opcode::OPENAT | opcode::OPENAT2 => {
            path(&mut kept.name, request, o::RING_OPEN_NAME)?;
            kept.args[0] = word(o::RING_OPEN_DIR)?;
            kept.args[2] = field(request, o::RING_OPEN_FLAGS)?;
            kept.args[3] = field(request, o::RING_OPEN_MODE)?;
            kept.slot = field(request, o::RING_OPEN_SLOT)?;
        }
        opcode::UNLINKAT => {
            path(&mut kept.name, request, o::RING_UNLINK_NAME)?;
            kept.args[0] = word(o::RING_UNLINK_DIR)?;
            kept.args[2] = word(o::RING_UNLINK_FLAGS)?;
        }
        opcode::RENAMEAT => {
            path(&mut kept.name, request, o::RING_RENAME_NAME)?;
            path(&mut kept.other, request, o::RING_RENAME_NAME2)?;
            kept.args[0] = word(o::RING_RENAME_DIR)?;
            kept.args[2] = word(o::RING_RENAME_DIR2)?;
        }
        opcode::MKDIRAT => {
            path(&mut kept.name, request, o::RING_MKDIR_NAME)?;
            kept.args[0] = word(o::RING_MKDIR_DIR)?;
            kept.args[2] = u64::from(field::<u16>(request, o::RING_MKDIR_MODE)?);
        }
        opcode::SYMLINKAT => {
            // The content first, then the new name.
            path(&mut kept.other, request, o::RING_LINK_NAME)?;
            path(&mut kept.name, request, o::RING_LINK_NAME2)?;
            kept.args[1] = word(o::RING_LINK_DIR2)?;
        }
        opcode::LINKAT => {
            path(&mut kept.name, request, o::RING_LINK_NAME)?;
            path(&mut kept.other, request, o::RING_LINK_NAME2)?;
            kept.args[0] = word(o::RING_LINK_DIR)?;
            kept.args[2] = word(o::RING_LINK_DIR2)?;
        }
        opcode::SETXATTR | opcode::FSETXATTR => {
            if opcode == opcode::SETXATTR {
                path(&mut kept.name, request, o::RING_XATTR_FILE)?;
            }
            let name: u64 = field(request, o::RING_XATTR_NAME)?;
            let value: u64 = field(request, o::RING_XATTR_VALUE)?;
            let size: u64 = field(request, o::RING_XATTR_SIZE)?;
            copy(&mut kept.other, name)?;
            let size = size.min(VALUE_MAX as u64) as usize;
            kept.args[3] = size as u64;
            // SAFETY: the helper checks the address.
            let read = unsafe { bpf_probe_read_kernel_buf(value as *const u8, &mut kept.value) };
            if read.is_err() {
                kept.args[3] = 0;
            }
        }
        opcode::SOCKET => {
            kept.args[0] = word(o::RING_SOCKET_FAMILY)?;
            kept.args[1] = word(o::RING_SOCKET_TYPE)?;
            kept.args[2] = word(o::RING_SOCKET_PROTOCOL)?;
        }
        opcode::CONNECT => {
            kept.args[0] = u64::MAX;
            kept.args[1] = field(request, o::RING_CONNECT_ADDRESS)?;
            kept.args[2] = word(o::RING_CONNECT_LENGTH)?;
        }
        opcode::ACCEPT => kept.slot = field(request, o::RING_ACCEPT_SLOT)?,
        opcode::FTRUNCATE | opcode::BIND | opcode::LISTEN => kept.args[0] = u64::MAX,
        _ => return None,
    }
    Some(())
}

/// Copies a path that the kernel has copied from the process.
#[inline(always)]
fn path(to: &mut [u8; NAME_MAX], request: u64, at: usize) -> Option<()> {
    let filename: u64 = field(request, at)?;
    copy(to, field(filename, o::FILENAME_NAME)?)
}

#[inline(always)]
fn copy(to: &mut [u8; NAME_MAX], from: u64) -> Option<()> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel_str_bytes(from as *const u8, to) }.ok()?;
    Some(())
}

/// A request ended: tail-calls the program of its class.
#[btf_tracepoint(function = "io_uring_complete")]
pub fn ring_done(ctx: BtfTracePointContext) -> i32 {
    let request = ctx.arg::<*const u8>(1) as u64;
    let Some(kept) = RING_REQUESTS.get_ptr(&request) else {
        return 0;
    };
    // SAFETY: a map value that lives as long as the program runs.
    let class = class(unsafe { (*kept).nr });
    // SAFETY: every class has its program; a failed call only returns here.
    let _ = unsafe { RING_PROGRAMS.tail_call(&ctx, u32::from(class & CLASS)) };
    0
}

/// The completed request as its equivalent call.
#[inline(always)]
fn finished(request: u64) -> Option<&'static mut Call> {
    let kept = RING_REQUESTS.get_ptr(&request)?;
    let scratch = RING_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's, and no other program uses it meanwhile.
    let copy = unsafe {
        let bytes = core::slice::from_raw_parts_mut(scratch.cast::<u8>(), size_of::<RingRequest>());
        bpf_probe_read_kernel_buf(kept.cast::<u8>(), bytes).ok()?;
        &mut *scratch
    };
    let _ = RING_REQUESTS.remove(&request);
    let ret = i64::from(field::<i32>(request, o::RING_RESULT)?);
    let opcode = copy.opcode as u8;
    let file = match opcode {
        opcode::OPENAT | opcode::OPENAT2 | opcode::ACCEPT => came_of(request, copy.slot, ret),
        // A request's arguments are at its beginning.
        _ => read(request, 0),
    };
    let args = named(copy);
    call::store(Call {
        nr: copy.nr,
        args,
        ret,
        shape: 0,
        ring: true,
        file: file.unwrap_or(0),
    })
}

/// The arguments, names included.
#[inline(always)]
fn named(copy: &mut RingRequest) -> [u64; 6] {
    // The addresses of the names pass through memory, so that the verifier treats them as plain
    // numbers.
    let opcode = copy.opcode as u8;
    let (name, other, value) = (
        (&raw const copy.name) as u64,
        (&raw const copy.other) as u64,
        (&raw const copy.value) as u64,
    );
    match opcode {
        opcode::OPENAT | opcode::OPENAT2 | opcode::UNLINKAT | opcode::MKDIRAT => {
            copy.args[1] = name;
        }
        opcode::RENAMEAT | opcode::LINKAT => {
            copy.args[1] = name;
            copy.args[3] = other;
        }
        opcode::SYMLINKAT => {
            copy.args[0] = other;
            copy.args[2] = name;
        }
        opcode::SETXATTR | opcode::FSETXATTR => {
            copy.args[0] = name;
            copy.args[1] = other;
            copy.args[2] = value;
        }
        _ => {}
    }
    // SAFETY: a part of the borrowed value; volatile so that the written value is read again.
    unsafe { core::ptr::read_volatile(&raw const copy.args) }
}

/// The file that a request opened: of a descriptor, or in the ring's own table.
#[inline(always)]
fn came_of(request: u64, slot: u32, ret: i64) -> Option<u64> {
    if ret < 0 {
        return None;
    }
    if slot == 0 {
        return file_of(ret as i32);
    }
    let index = if slot == ANY_SLOT {
        ret as u64
    } else {
        u64::from(slot - 1)
    };
    let context: u64 = field(request, o::RING_CONTEXT)?;
    let files: u64 = field(context, o::RING_FILES)?;
    let entry: u64 = read(files, index * 8)?;
    let file = if has(o::RING_NODE_FILE) {
        field(entry, o::RING_NODE_FILE)?
    } else {
        entry
    };
    Some(file & !FILE_FLAGS)
}

/// Class 1: file calls.
#[btf_tracepoint(function = "io_uring_complete")]
pub fn ring_file(ctx: BtfTracePointContext) -> i32 {
    if let Some(call) = finished(ctx.arg::<*const u8>(1) as u64)
        && let Some(out) = file::exit(call)
    {
        // SAFETY: the record under construction is this CPU's.
        unsafe { (*out.0).record.flags |= flag::RING };
        send_file(out);
    }
    0
}

/// Class 3: socket calls.
#[btf_tracepoint(function = "io_uring_complete")]
pub fn ring_net(ctx: BtfTracePointContext) -> i32 {
    if let Some(call) = finished(ctx.arg::<*const u8>(1) as u64)
        && let Some(out) = net::exit(call, socket::watched_process)
    {
        socket::send(out);
    }
    0
}

/// Class 4: calls that change a file's attributes.
#[btf_tracepoint(function = "io_uring_complete")]
pub fn ring_attribute(ctx: BtfTracePointContext) -> i32 {
    if let Some(call) = finished(ctx.arg::<*const u8>(1) as u64)
        && let Some(out) = attribute::exit(call)
    {
        // SAFETY: the record under construction is this CPU's.
        unsafe { (*out.0).record.flags |= flag::RING };
        send_file(out);
    }
    0
}
