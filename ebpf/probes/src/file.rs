//! File operations, seen at the end of their system call, with the result.

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns,
        bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes, bpf_probe_read_user,
        bpf_probe_read_user_str_bytes,
    },
    macros::map,
    maps::LruHashMap,
};
use hullwatch_abi::{
    file::{Alike, NAME_MAX, NONE, Seen, Shape, WINDOW_NS, flag, op},
    offsets as o, uring,
};

use crate::{
    call::{self, Call},
    descriptor,
    facts::{facts, fresh, is_news},
    interpreter,
    kernel::{at, field},
    memory,
    path::{walk, walk_inside},
    path_start::{AT_FDCWD, ROOT, directory, path_start},
    scratch::{Scratch, clear, forget, scratch},
    secret::maybe_secret,
};

const PROT_EXEC: u64 = 4;
const O_ACCMODE: u64 = 3;
const O_CREAT: u64 = 0o100;
const O_TRUNC: u64 = 0o1000;
const O_PATH: u64 = 0o10_000_000;
const FMODE_WRITE: u32 = 2;
const FMODE_CREATED: u32 = 0x10_0000;
const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFCHR: u32 = 0o020_000;
const EPERM: i64 = 1;
const ENOENT: i64 = 2;
const ENOEXEC: i64 = 8;
const EACCES: i64 = 13;
const ETXTBSY: i64 = 26;
const EROFS: i64 = 30;

/// Operations that were reported. User space removes each when its window is over; the size leaves
/// room for those that it has not read yet.
#[map]
static FILE_SEEN: LruHashMap<Alike, Seen> = LruHashMap::with_max_entries(32768, 0);

/// Packed [`Shape`] by system call number, 0 if it is not a file call; set by the loader.
#[unsafe(no_mangle)]
static FILE_SHAPES: [u32; 512] = [0; 512];

/// Copies a string argument to `pos`. Returns the end, and whether all of it was read.
#[inline(always)]
fn string(scratch: &mut Scratch, call: &Call, from: u64, pos: usize) -> (usize, bool) {
    let pos = pos & 0x3fff;
    // SAFETY: `pos` is below 16384 and the string takes 4096 bytes of a larger area.
    let dst = unsafe {
        core::slice::from_raw_parts_mut((&raw mut scratch.text).cast::<u8>().add(pos), NAME_MAX)
    };
    // SAFETY: the helpers check the address.
    let (text, longest) = unsafe {
        if call.ring {
            let text = bpf_probe_read_kernel_str_bytes(from as *const u8, dst);
            (text, uring::NAME_MAX)
        } else {
            (
                bpf_probe_read_user_str_bytes(from as *const u8, dst),
                NAME_MAX,
            )
        }
    };
    match text {
        Ok(text) => (pos + text.len(), text.len() < longest - 1),
        Err(_) => (pos, false),
    }
}

/// The number of operations that this one represents: none when an equal one was just reported.
#[inline(always)]
fn alike(ino: u64, dev: u32, operation: u8) -> Option<u32> {
    let key = Alike {
        ino,
        dev,
        tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        op: u32::from(operation),
        reserved: 0,
    };
    // SAFETY: no arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    if let Some(seen) = FILE_SEEN.get_ptr_mut(&key) {
        // SAFETY: a map value that lives as long as the program runs.
        let seen = unsafe { &mut *seen };
        // Threads of a process may run this on several CPUs at the same time. The target's core
        // library has no atomic addition. SAFETY: eight aligned bytes of the map value.
        unsafe {
            core::arch::asm!(
                "lock *(u64 *)({at} + 0) += {one}",
                at = in(reg) &raw mut seen.since,
                one = in(reg) 1u64,
            );
        }
        if now.wrapping_sub(seen.reported) < WINDOW_NS {
            return None;
        }
        let count = seen.since as u32;
        seen.reported = now;
        seen.since = 0;
        return Some(count);
    }
    let fresh = Seen {
        reported: now,
        since: 0,
    };
    // A failure only means that the next equal operation is reported as well.
    let _ = FILE_SEEN.insert(&key, &fresh, 0);
    Some(1)
}

/// Stores the meaning of a call's arguments in it; `None` if it is not a file call.
#[inline(always)]
pub fn shaped(call: &mut Call) -> Option<Shape> {
    // SAFETY: reads a static; volatile because the loader writes it after compilation.
    let word = unsafe {
        core::ptr::read_volatile(
            (&raw const FILE_SHAPES)
                .cast::<u32>()
                .add((call.nr & 511) as usize),
        )
    };
    if word == 0 {
        return None;
    }
    call.shape = word;
    call::joined();
    Some(call.shape())
}

/// Handles the end of a file call. What is to be sent is [`Scratch::record`] and the returned
/// number of bytes of [`Scratch::text`] behind it; `None` when there is nothing to send.
#[inline(always)]
pub fn exit(call: &mut Call) -> Option<(*mut Scratch, usize)> {
    let shape = shaped(call)?;
    // A started program has its own record; a missing one is part of a PATH search.
    if shape.op == op::EXEC && !matches!(-call.ret, EPERM | ENOEXEC | EACCES | ETXTBSY) {
        return None;
    }
    let pointer = scratch()?;
    // SAFETY: the slot is this CPU's and this program's alone; tracing programs do not nest here.
    let scratch = unsafe { &mut *pointer };
    clear(&mut scratch.record);
    scratch.record.count = 1;
    scratch.record.op = shape.op;
    scratch.record.mode = call.argument(shape.mode).unwrap_or(0) as u32;
    let mut flags = call.argument(shape.flags).unwrap_or(0);
    if shape.op == op::OPEN {
        if shape.mode == NONE && shape.flags != NONE {
            // openat2: flags and mode are in a structure.
            // SAFETY: the helper checks the address.
            let how = unsafe { bpf_probe_read_user(flags as *const [u64; 2]) }.ok()?;
            flags = how[0];
            scratch.record.mode = how[1] as u32;
        } else if shape.flags == NONE {
            // creat
            flags = 1 | O_CREAT | O_TRUNC;
        }
        if flags & O_PATH != 0 {
            return None;
        }
    }
    if shape.op == op::MAP_EXEC && (flags & PROT_EXEC == 0 || (-4095..0).contains(&call.ret)) {
        return None;
    }
    scratch.record.call_flags = flags as u32;
    if call.ret < 0 {
        if call.ret < -4095 {
            return None;
        }
        scratch.record.errno = -call.ret as u16;
    }
    let unanswered = call.ring && call.file == 0;
    let descriptor = if shape.op == op::OPEN && call.ret >= 0 && !unanswered {
        Some(call.ret as i32)
    } else if shape.path == NONE {
        Some(call.argument(shape.dir).unwrap_or(u64::MAX) as i32)
    } else {
        None
    };
    let file = if shape.op == op::MAP_EXEC && shape.dir == NONE {
        let mapped = memory::file_behind(call.args[0], call.args[1])?;
        scratch.record.mode = u32::from(mapped.shared);
        mapped.file
    } else if let Some(fd) = descriptor {
        if shape.op == op::MAP_EXEC {
            // MAP_SHARED, or MAP_SHARED_VALIDATE.
            scratch.record.mode = (call.args[3] & 1) as u32;
        }
        call.opened(fd)?
    } else {
        0
    };
    let [file] = forget(scratch, [file]);
    if file != 0 {
        return resolved(scratch, pointer, file);
    }
    let shape = call.shape();
    // Of the failures only refusals are of interest: `mkdir -p` and `rm -f` cause "exists" and "no
    // such file" in normal operation. Only an open for writing keeps "no such file".
    if call.ret < 0 && !refused(call.ret) && !(shape.op == op::OPEN && call.ret == -ENOENT) {
        return None;
    }
    if shape.op == op::OPEN {
        // Refused. Failed plain reads, of missing or forbidden files, are frequent and not of
        // interest.
        let meant = flags & O_ACCMODE != 0 || flags & (O_CREAT | O_TRUNC) != 0;
        if !meant && call.ret == -ENOENT {
            return None;
        }
        scratch.record.op = if !meant {
            op::READ
        } else if flags & O_CREAT != 0 {
            op::CREATE
        } else {
            writes(flags)
        };
    }
    named(scratch, pointer, call)
}

/// A result that means the call was refused.
#[inline(always)]
pub fn refused(ret: i64) -> bool {
    matches!(-ret, EPERM | ENOEXEC | EACCES | ETXTBSY | EROFS)
}

/// The operation of an open for writing: O_TRUNC counts as a truncation.
#[inline(always)]
fn writes(flags: u64) -> u8 {
    if flags & O_TRUNC != 0 {
        op::TRUNCATE
    } else {
        op::WRITE
    }
}

/// Whether an interpreter may run the file that it reads, and the file is not the image's.
#[inline(always)]
fn is_code(inode: u64, dentry: u64) -> bool {
    fresh(inode) && interpreter::runs(dentry)
}

/// The file behind an interpreter's standard input as it starts: reported as one that it loads.
#[inline(always)]
pub fn input(file: u64) -> Option<(*mut Scratch, usize)> {
    let inode: u64 = field(file, o::FILE_INODE)?;
    let kind = u32::from(field::<u16>(inode, o::INODE_MODE)?) & S_IFMT;
    let pointer = scratch()?;
    // SAFETY: the slot is this CPU's and this program's alone; tracing programs do not nest here.
    let scratch = unsafe { &mut *pointer };
    let reported = u64::from(kind == S_IFREG && fresh(inode) && interpreter::is_one());
    if forget(scratch, [reported]) == [0] {
        return None;
    }
    clear(&mut scratch.record);
    scratch.record.count = 1;
    scratch.record.op = op::LOAD;
    scratch.record.mode = 1;
    resolved(scratch, pointer, file)
}

/// The file is open: everything comes from the kernel's own structures.
#[inline(always)]
fn resolved(
    scratch: &mut Scratch,
    pointer: *mut Scratch,
    file: u64,
) -> Option<(*mut Scratch, usize)> {
    let from = path_start(file + at(o::FILE_PATH))?;
    let inode: u64 = field(file, o::FILE_INODE)?;
    let kind = u32::from(field::<u16>(inode, o::INODE_MODE)?) & S_IFMT;
    if scratch.record.op == op::OPEN {
        // The requested path is used only if nothing was opened.
        scratch.record.mode = 0;
        let mode: u32 = field(file, o::FILE_MODE)?;
        let reads = mode & (FMODE_CREATED | FMODE_WRITE) == 0;
        // Of the other kinds only memory devices of the host are of interest.
        let secret = (kind == S_IFCHR || reads && kind == S_IFREG) && maybe_secret(from);
        // Devices, pipes and sockets hold no content; block devices hold the host's disks.
        if kind != S_IFREG && kind != S_IFBLK && !secret {
            return None;
        }
        let code = reads && !secret && kind == S_IFREG && is_code(inode, from.dentry);
        let code = forget(scratch, [u64::from(code)]) != [0];
        scratch.record.op = if mode & FMODE_CREATED != 0 {
            op::CREATE
        } else if mode & FMODE_WRITE != 0 {
            writes(u64::from(scratch.record.call_flags))
        } else if kind == S_IFBLK || secret {
            op::READ
        } else if code {
            op::LOAD
        } else {
            return None;
        };
    }
    // Libraries of the image, or old ones on a volume, are not reported. Checked before the table
    // of repeats, since each program maps some.
    if scratch.record.op == op::MAP_EXEC {
        let news = u64::from(is_news(inode));
        if forget(scratch, [news]) == [0] {
            return None;
        }
    }
    let sb: u64 = field(inode, o::INODE_SB)?;
    let ino: u64 = field(inode, o::INODE_INO)?;
    let dev: u32 = field(sb, o::SB_DEV)?;
    // Each refusal and each created file is reported; repeats of others within a second are
    // counted.
    if scratch.record.errno == 0
        && matches!(
            scratch.record.op,
            op::WRITE | op::READ | op::TRUNCATE | op::MAP_EXEC | op::LOAD
        )
    {
        scratch.record.count = alike(ino, dev, scratch.record.op)?;
    }
    facts(inode, sb, from.dentry, &mut scratch.record.facts)?;
    if scratch.record.op == op::CREATE {
        scratch.record.mode = scratch.record.facts.mode;
    }
    scratch.record.comm = bpf_get_current_comm().unwrap_or_default();
    let (mut end, whole) = walk(pointer, from, 0);
    scratch.record.flags = flag::FACTS | flag::WHOLE;
    if !whole {
        scratch.record.flags |= flag::BASE_CUT;
    }
    scratch.record.lens[0] = end as u16;
    if scratch.record.op == op::READ {
        let (to, whole) = walk_inside(pointer, from, end);
        if whole {
            scratch.record.flags |= flag::INSIDE;
        }
        scratch.record.lens[2] = (to - end) as u16;
        end = to;
    }
    Some((pointer, end))
}

/// Writes the directory to which a string argument is relative, and the string. Returns the end,
/// and whether directory and string are complete.
#[inline(always)]
fn name(
    scratch: &mut Scratch,
    pointer: *mut Scratch,
    call: &Call,
    (dir, text): (u8, u64),
    pos: usize,
) -> (usize, usize, bool, bool) {
    // SAFETY: the helpers check the address.
    let first = unsafe {
        if call.ring {
            bpf_probe_read_kernel(text as *const u8)
        } else {
            bpf_probe_read_user(text as *const u8)
        }
    };
    let through = if first == Ok(b'/') {
        descriptor::named(call, text)
    } else {
        None
    };
    let (from, text) = match through {
        Some((fd, rest)) => (fd, text + rest),
        None if first == Ok(b'/') => (ROOT, text),
        None => (call.argument(dir).map_or(AT_FDCWD, |fd| fd as i32), text),
    };
    let [from, text] = forget(scratch, [from as u64, text]);
    let (base, known) = match directory(from as i32) {
        Some(from) => walk(pointer, from, pos),
        None => (pos, false),
    };
    let [base, known] = forget(scratch, [base as u64, u64::from(known)]);
    let (end, all) = string(scratch, call, text, base as usize);
    let [base, end, known, all] = forget(scratch, [base, end as u64, known, u64::from(all)]);
    (base as usize, end as usize, known != 0, all != 0)
}

/// Writes the first name of a file that is not known: directory and string. Returns the end.
#[inline(always)]
pub fn first_named(scratch: &mut Scratch, pointer: *mut Scratch, call: &Call) -> Option<usize> {
    scratch.record.comm = bpf_get_current_comm().unwrap_or_default();
    let shape = call.shape();
    let first = call.argument(shape.path)?;
    let (base, end, known, all) = name(scratch, pointer, call, (shape.dir, first), 0);
    scratch.record.lens[0] = base as u16;
    scratch.record.lens[1] = (end - base) as u16;
    if !known {
        scratch.record.flags |= flag::BASE_CUT;
    }
    if !all {
        scratch.record.flags |= flag::CUT;
    }
    Some(end)
}

/// Writes the names if no file is known: directory and string, once or twice.
#[inline(always)]
fn named(
    scratch: &mut Scratch,
    pointer: *mut Scratch,
    call: &Call,
) -> Option<(*mut Scratch, usize)> {
    let mut end = first_named(scratch, pointer, call)?;
    let shape = call.shape();
    if let Some(second) = call.argument(shape.path2) {
        let from = end;
        let mut base = end;
        let whole;
        if shape.op == op::SYMLINK {
            // The link's content, which is not resolved.
            (end, whole) = string(scratch, call, second, end);
        } else {
            let known;
            (base, end, known, whole) = name(scratch, pointer, call, (shape.dir2, second), end);
            if !known {
                scratch.record.flags |= flag::BASE2_CUT;
            }
        }
        scratch.record.lens[2] = (base - from) as u16;
        scratch.record.lens[3] = (end - base) as u16;
        if !whole {
            scratch.record.flags |= flag::CUT;
        }
    }
    Some((pointer, end))
}
