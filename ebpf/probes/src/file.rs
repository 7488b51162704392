//! File operations, seen at the end of their system call, with the result.

use aya_ebpf::{
    cty::c_void,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_task,
        bpf_ktime_get_boot_ns, bpf_loop, bpf_probe_read_kernel, bpf_probe_read_kernel_buf,
        bpf_probe_read_kernel_str_bytes, bpf_probe_read_user, bpf_probe_read_user_str_bytes,
    },
    macros::map,
    maps::{LruHashMap, PerCpuArray},
};
use hullwatch_abi::{
    file::{Alike, FactsRecord, FileRecord, NONE, Seen, Shape, WINDOW_NS, fact, flag, op},
    offsets as o,
};

use crate::call::Call;

/// Room for the dispatcher's own header in front of the record.
pub const HEADROOM: usize = 64;
const TEXT: usize = 8192;
/// Longest text at which another component or string may still begin: four texts of up to 1 KiB.
const BASE_LIMIT: usize = 1024;
const COMPONENT: usize = 256;
const STRING: usize = 1024;
/// Directories a walk climbs at most.
const DEPTH: u32 = 64;

pub const AT_FDCWD: i32 = -100;
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
const EPERM: i64 = 1;
const ENOENT: i64 = 2;
const ENOEXEC: i64 = 8;
const EACCES: i64 = 13;
const ETXTBSY: i64 = 26;
const EROFS: i64 = 30;
const MEMFD_MASK: u64 = 0xffff_ffff_ffff;
const PRIVKEY_MASK: u64 = 0xff_ffff_ffff_ffff;
const TMPFS: u32 = 0x0102_1994;
const RAMFS: u32 = 0x8584_58f6;
const OVERLAY: u32 = 0x794c_7630;

/// A record under construction. Leading bytes are the dispatcher's.
#[repr(C)]
pub struct Scratch {
    /// The walk under way. It stands in memory the verifier does not track, so that it looks at
    /// one round of the loop once instead of once per possible length.
    walk: Walk,
    /// For the dispatcher's header.
    pub head: [u8; HEADROOM],
    /// The record.
    pub record: FileRecord,
    /// Its strings.
    pub text: [u8; TEXT],
}

#[map]
static FILE_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// This CPU's record under construction. Tracing programs run with preemption off and do not
/// nest, so the exec program shares it.
#[inline(always)]
pub fn scratch() -> Option<*mut Scratch> {
    FILE_SCRATCH.get_ptr_mut(0)
}

/// Operations that were told. The program takes out what has repeats that nothing came after.
#[map]
static FILE_SEEN: LruHashMap<Alike, Seen> = LruHashMap::with_max_entries(16384, 0);

/// Offsets of [`o::FIELDS`], set by the loader.
#[unsafe(no_mangle)]
static FILE_OFFSETS: [u32; o::COUNT] = [o::ABSENT; o::COUNT];

/// Packed [`Shape`] by system call number, 0 for no file call; set by the loader.
#[unsafe(no_mangle)]
static FILE_SHAPES: [u32; 512] = [0; 512];

/// Offset of a field of [`o::FIELDS`].
#[inline(always)]
pub fn offset(field: usize) -> u64 {
    at(field)
}

#[inline(always)]
pub(crate) fn at(field: usize) -> u64 {
    // SAFETY: reads a static; volatile because the loader writes it after compilation.
    u64::from(unsafe { core::ptr::read_volatile(&raw const FILE_OFFSETS[field]) })
}

#[inline(always)]
pub(crate) fn read<T: Copy>(base: u64, offset: u64) -> Option<T> {
    // SAFETY: the helper checks the address and fails instead of faulting.
    unsafe { bpf_probe_read_kernel((base.wrapping_add(offset)) as *const T) }.ok()
}

/// A place in the tree: mount and directory entry.
#[derive(Clone, Copy)]
pub struct Place {
    mnt: u64,
    /// Directory entry.
    pub dentry: u64,
}

#[inline(always)]
pub fn place(path: u64) -> Option<Place> {
    Some(Place {
        mnt: read(path, at(o::PATH_MNT))?,
        dentry: read(path, at(o::PATH_DENTRY))?,
    })
}

/// The open file behind a descriptor of the current task.
#[inline(always)]
pub(crate) fn file_of(fd: i32) -> Option<u64> {
    if fd < 0 {
        return None;
    }
    // SAFETY: no arguments.
    let task = unsafe { bpf_get_current_task() };
    let files: u64 = read(task, at(o::TASK_FILES))?;
    let table: u64 = read(files, at(o::FILES_FDT))?;
    let max: u32 = read(table, at(o::FDT_MAX))?;
    if fd as u32 >= max {
        return None;
    }
    let slots: u64 = read(table, at(o::FDT_FD))?;
    let file: u64 = read(slots, fd as u64 * 8)?;
    (file != 0).then_some(file)
}

/// A directory argument: working directory or descriptor.
#[inline(always)]
pub fn directory(fd: i32) -> Option<Place> {
    if fd == AT_FDCWD {
        // SAFETY: no arguments.
        let task = unsafe { bpf_get_current_task() };
        let fs: u64 = read(task, at(o::TASK_FS))?;
        place(fs + at(o::FS_PWD))
    } else {
        place(file_of(fd)? + at(o::FILE_PATH))
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Walk {
    here: Place,
    root: Place,
    pos: u64,
    limit: u64,
    whole: u64,
}

unsafe extern "C" fn step(_index: u32, _context: *mut c_void) -> i64 {
    let Some(scratch) = FILE_SCRATCH.get_ptr_mut(0) else {
        return 1;
    };
    // SAFETY: the slot is this CPU's and this program's alone.
    let walk = unsafe { &mut (*scratch).walk };
    let Place { mnt, dentry } = walk.here;
    if dentry == walk.root.dentry && mnt == walk.root.mnt {
        walk.whole = 1;
        return 1;
    }
    let Some(top) = read::<u64>(mnt, at(o::MNT_ROOT)) else {
        return 1;
    };
    if dentry == top {
        let mount = mnt.wrapping_sub(at(o::MOUNT_MNT));
        let Some(parent) = read::<u64>(mount, at(o::MOUNT_PARENT)) else {
            return 1;
        };
        if parent == mount {
            // The top of the mount tree, above the process's root or detached.
            return 1;
        }
        let Some(point) = read::<u64>(mount, at(o::MOUNT_POINT)) else {
            return 1;
        };
        walk.here = Place {
            mnt: parent + at(o::MOUNT_MNT),
            dentry: point,
        };
        return 0;
    }
    let (Some(parent), Some(name)) = (
        read::<u64>(dentry, at(o::DENTRY_PARENT)),
        read::<u64>(dentry, at(o::DENTRY_NAME)),
    ) else {
        return 1;
    };
    if walk.pos >= walk.limit {
        return 1;
    }
    let pos = (walk.pos & 0xfff) as usize;
    // SAFETY: `pos` is below 4096 and a component takes 256 bytes of an 8192 byte area.
    let dst = unsafe {
        core::slice::from_raw_parts_mut((&raw mut (*scratch).text).cast::<u8>().add(pos), COMPONENT)
    };
    // SAFETY: the helper checks the address.
    match unsafe { bpf_probe_read_kernel_str_bytes(name as *const u8, dst) } {
        // The length leaves out the NUL, which stays as separator.
        Ok(text) => walk.pos += text.len() as u64 + 1,
        Err(_) => return 1,
    }
    if parent == dentry {
        // An entry in no tree, as of an anonymous memory file: its name is all there is.
        return 1;
    }
    walk.here.dentry = parent;
    0
}

/// Writes the components from `from` up to the process's root, leaf first, at `pos`. Returns
/// the end, and whether the root was reached.
#[inline(always)]
pub fn walk(scratch: *mut Scratch, from: Place, pos: usize) -> (usize, bool) {
    // SAFETY: no arguments.
    let task = unsafe { bpf_get_current_task() };
    let root = read::<u64>(task, at(o::TASK_FS)).and_then(|fs| place(fs + at(o::FS_ROOT)));
    let Some(root) = root else {
        return (pos, false);
    };
    let walk = Walk {
        here: from,
        root,
        pos: pos as u64,
        limit: (pos + BASE_LIMIT - COMPONENT) as u64,
        whole: 0,
    };
    // SAFETY: the slot is this CPU's; volatile because `step` reads it through the map.
    unsafe { core::ptr::write_volatile(&raw mut (*scratch).walk, walk) };
    // SAFETY: `step` has the signature bpf_loop asks for and uses no context.
    unsafe { bpf_loop(DEPTH, step as *mut c_void, core::ptr::null_mut(), 0) };
    // SAFETY: as above.
    let done = unsafe { core::ptr::read_volatile(&raw const (*scratch).walk) };
    (done.pos as usize & 0xfff, done.whole != 0)
}

/// Copies a string argument to `pos`. Returns the end, and whether all of it was read.
#[inline(always)]
fn string(scratch: &mut Scratch, from: u64, pos: usize) -> (usize, bool) {
    let pos = pos & 0xfff;
    // SAFETY: `pos` is below 4096 and the string takes 1024 bytes of an 8192 byte area.
    let dst = unsafe {
        core::slice::from_raw_parts_mut((&raw mut scratch.text).cast::<u8>().add(pos), STRING)
    };
    // SAFETY: the helper checks the address.
    match unsafe { bpf_probe_read_user_str_bytes(from as *const u8, dst) } {
        Ok(text) => (pos + text.len(), text.len() < STRING - 1),
        Err(_) => (pos, false),
    }
}

/// Fills the facts of an open file's inode.
#[inline(always)]
pub fn facts(inode: u64, sb: u64, dentry: u64, into: &mut FactsRecord) -> Option<()> {
    into.ino = read(inode, at(o::INODE_INO))?;
    into.size = read(inode, at(o::INODE_SIZE))?;
    into.mtime_s = read(inode, at(o::INODE_MTIME_S))?;
    into.ctime_s = read(inode, at(o::INODE_CTIME_S))?;
    into.mtime_ns = read(inode, at(o::INODE_MTIME_NS))?;
    into.ctime_ns = read(inode, at(o::INODE_CTIME_NS))?;
    into.dev = read(sb, at(o::SB_DEV))?;
    into.magic = read::<u64>(sb, at(o::SB_MAGIC))? as u32;
    into.mode = u32::from(read::<u16>(inode, at(o::INODE_MODE))?);
    into.flags = 0;
    if read::<u32>(inode, at(o::INODE_NLINK))? == 0 {
        into.flags |= fact::UNLINKED;
        // An anonymous memory file is an unlinked file of an inner tmpfs with this name.
        if into.magic == TMPFS && name_key(dentry)?.0 & MEMFD_MASK == key(b"memfd:") {
            into.flags |= fact::MEMFD;
        }
    }
    if into.magic == OVERLAY && at(o::OVL_INODE) == u64::from(o::ABSENT) {
        // Of which layer the file is this kernel does not tell: no guess that it is the image's.
        into.magic = 0;
    } else if into.magic == OVERLAY {
        let overlay = inode.wrapping_sub(at(o::OVL_INODE));
        if read::<u64>(overlay, at(o::OVL_UPPER))? != 0 {
            into.flags |= fact::UPPER;
        }
        if at(o::OVL_OE) != u64::from(o::ABSENT) && at(o::OE_LOWERS) != u64::from(o::ABSENT) {
            let entry: u64 = read(overlay, at(o::OVL_OE))?;
            if entry != 0 && read::<u32>(entry, at(o::OE_LOWERS))? != 0 {
                into.flags |= fact::LOWER;
            }
        } else if at(o::OVL_LOWER) != u64::from(o::ABSENT)
            && read::<u64>(overlay, at(o::OVL_LOWER))? != 0
        {
            into.flags |= fact::LOWER;
        }
    }
    Some(())
}

/// First eight bytes of a name as one number, shorter names padded with zeros.
const fn key(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let mut i = 0;
    while i < 8 && i < name.len() {
        bytes[i] = name[i];
        i += 1;
    }
    u64::from_le_bytes(bytes)
}

#[inline(always)]
fn name_key(dentry: u64) -> Option<(u64, u32)> {
    let len: u32 = read(dentry, at(o::DENTRY_LEN))?;
    let name: u64 = read(dentry, at(o::DENTRY_NAME))?;
    let mut bytes = [0u8; 8];
    // SAFETY: the helper checks the address; short names are padded by what follows, masked below.
    unsafe { bpf_probe_read_kernel_buf(name as *const u8, &mut bytes) }.ok()?;
    let word = u64::from_le_bytes(bytes);
    Some(if len < 8 {
        (word & ((1 << (len * 8)) - 1), len)
    } else {
        (word, len)
    })
}

/// Whether a read of this file may be of interest, by its last two names alone; the program
/// confirms by the whole path.
#[inline(always)]
fn maybe_sensitive(dentry: u64) -> bool {
    let Some((name, len)) = name_key(dentry) else {
        return false;
    };
    const NAMES: [(u64, u32); 28] = [
        (key(b"shadow"), 6),
        (key(b"shadow-"), 7),
        (key(b"gshadow"), 7),
        (key(b"gshadow-"), 8),
        (key(b"sudoers"), 7),
        (key(b"id_rsa"), 6),
        (key(b"id_dsa"), 6),
        (key(b"id_ecdsa"), 8),
        (key(b"id_ed255"), 10),
        (key(b"credenti"), 11),
        (key(b"config"), 6),
        (key(b"config.j"), 11),
        (key(b".git-cre"), 16),
        (key(b".netrc"), 6),
        (key(b".pgpass"), 7),
        (key(b"kcore"), 5),
        (key(b"kmem"), 4),
        (key(b"mem"), 3),
        (key(b"port"), 4),
        (key(b"environ"), 7),
        (key(b"token"), 5),
        (key(b"secrets"), 7),
        // Sign-ins of cloud and cluster tools.
        (key(b"applicat"), 36),
        (key(b"credenti"), 14),
        (key(b"msal_tok"), 21),
        (key(b"accessTo"), 17),
        (key(b"admin.co"), 10),
        (key(b".vault-t"), 12),
    ];
    let mut i = 0;
    while i < NAMES.len() {
        if name == NAMES[i].0 && len == NAMES[i].1 {
            return true;
        }
        i += 1;
    }
    // Keys of a host or a server, whatever follows in the name.
    if name == key(b"ssh_host") || name & PRIVKEY_MASK == key(b"privkey") {
        return true;
    }
    let parent = read::<u64>(dentry, at(o::DENTRY_PARENT)).and_then(name_key);
    parent == Some((key(b".ssh"), 4))
        || parent == Some((key(b"secrets"), 7))
        || parent == Some((key(b"private"), 7))
}

/// How many operations this one stands for: none when an alike one was just reported.
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
        // Threads of a process do this at once on several CPUs. The target's core library has no
        // atomic addition.
        // SAFETY: eight aligned bytes of the map value.
        unsafe {
            core::arch::asm!(
                "lock *(u64 *)({at} + 0) += {one}",
                at = in(reg) &raw mut seen.since,
                one = in(reg) 1u64,
            );
        }
        if now.wrapping_sub(seen.told) < WINDOW_NS {
            return None;
        }
        let count = seen.since as u32;
        seen.told = now;
        seen.since = 0;
        return Some(count);
    }
    let fresh = Seen {
        told: now,
        since: 0,
    };
    // Failure only means that the next alike one is reported as well.
    let _ = FILE_SEEN.insert(&key, &fresh, 0);
    Some(1)
}

/// An argument by its place; [`NONE`] gives none.
#[inline(always)]
fn argument(call: &Call, place: u8) -> Option<u64> {
    match place {
        0 => Some(call.args[0]),
        1 => Some(call.args[1]),
        2 => Some(call.args[2]),
        3 => Some(call.args[3]),
        4 => Some(call.args[4]),
        5 => Some(call.args[5]),
        _ => None,
    }
}

/// Handles the end of a file call. What is to be sent is [`Scratch::record`] and the returned
/// number of bytes of [`Scratch::text`] behind it; `None` when there is nothing to send.
#[inline(always)]
pub fn exit(call: &Call) -> Option<(*mut Scratch, usize)> {
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
    let shape = Shape::unpack(word);
    // A program that started has its own record; one that is not there is how PATH is searched.
    if shape.op == op::EXEC && !matches!(-call.ret, EPERM | ENOEXEC | EACCES | ETXTBSY) {
        return None;
    }
    let pointer = FILE_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's and this program's alone; tracing programs do not nest here.
    let scratch = unsafe { &mut *pointer };
    scratch.record = FileRecord::default();
    scratch.record.count = 1;
    scratch.record.op = shape.op;
    scratch.record.mode = argument(call, shape.mode).unwrap_or(0) as u32;
    let mut flags = argument(call, shape.flags).unwrap_or(0);
    if shape.op == op::OPEN {
        if shape.mode == NONE && shape.flags != NONE {
            // openat2: flags and mode stand in a structure.
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
    let descriptor = if shape.op == op::OPEN && call.ret >= 0 {
        Some(call.ret as i32)
    } else if shape.path == NONE {
        Some(argument(call, shape.dir).unwrap_or(u64::MAX) as i32)
    } else {
        None
    };
    if let Some(fd) = descriptor {
        return resolved(scratch, pointer, fd);
    }
    // Of the failures only refusals tell something: "exists" and "no such file" are how
    // `mkdir -p` and `rm -f` work. Only an open that meant to write keeps "no such file".
    if call.ret < 0
        && !matches!(-call.ret, EPERM | ENOEXEC | EACCES | ETXTBSY | EROFS)
        && !(shape.op == op::OPEN && call.ret == -ENOENT)
    {
        return None;
    }
    if shape.op == op::OPEN {
        // Refused. Plain reads of what is not there, or not for this user, are everyday noise.
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
    named(scratch, pointer, call, shape)
}

/// What an open for writing does: one that empties the file is as good as a call that cuts it.
#[inline(always)]
fn writes(flags: u64) -> u8 {
    if flags & O_TRUNC != 0 {
        op::TRUNCATE
    } else {
        op::WRITE
    }
}

/// The file is open: everything comes from the kernel's own structures.
#[inline(always)]
fn resolved(
    scratch: &mut Scratch,
    pointer: *mut Scratch,
    fd: i32,
) -> Option<(*mut Scratch, usize)> {
    let file = file_of(fd)?;
    let from = place(file + at(o::FILE_PATH))?;
    let inode: u64 = read(file, at(o::FILE_INODE))?;
    let kind = u32::from(read::<u16>(inode, at(o::INODE_MODE))?) & S_IFMT;
    if scratch.record.op == op::OPEN {
        // Devices, pipes and sockets hold no content; block devices hold the host's disks.
        if kind != S_IFREG
            && kind != S_IFBLK
            && !(kind == 0o020_000 && maybe_sensitive(from.dentry))
        {
            return None;
        }
        let mode: u32 = read(file, at(o::FILE_MODE))?;
        scratch.record.op = if mode & FMODE_CREATED != 0 {
            op::CREATE
        } else if mode & FMODE_WRITE != 0 {
            writes(u64::from(scratch.record.call_flags))
        } else if kind == S_IFBLK || maybe_sensitive(from.dentry) {
            op::READ
        } else {
            return None;
        };
    }
    let sb: u64 = read(inode, at(o::INODE_SB))?;
    let ino: u64 = read(inode, at(o::INODE_INO))?;
    let dev: u32 = read(sb, at(o::SB_DEV))?;
    // Each refusal and each created file is told; the rest is counted within a second.
    if scratch.record.errno == 0
        && matches!(
            scratch.record.op,
            op::WRITE | op::READ | op::TRUNCATE | op::MAP_EXEC
        )
    {
        scratch.record.count = alike(ino, dev, scratch.record.op)?;
    }
    facts(inode, sb, from.dentry, &mut scratch.record.facts)?;
    if scratch.record.op == op::CREATE {
        scratch.record.mode = scratch.record.facts.mode;
    }
    // A library of the image or of a volume is no news.
    if scratch.record.op == op::MAP_EXEC
        && scratch.record.facts.flags & (fact::UPPER | fact::MEMFD | fact::UNLINKED) == 0
        && !matches!(scratch.record.facts.magic, TMPFS | RAMFS)
    {
        return None;
    }
    scratch.record.comm = bpf_get_current_comm().unwrap_or_default();
    let (end, whole) = walk(pointer, from, 0);
    scratch.record.flags = flag::FACTS | flag::WHOLE;
    if !whole {
        scratch.record.flags |= flag::CUT;
    }
    scratch.record.lens[0] = end as u16;
    Some((pointer, end))
}

/// Only names are known: directory and string, once or twice.
#[inline(always)]
fn named(
    scratch: &mut Scratch,
    pointer: *mut Scratch,
    call: &Call,
    shape: Shape,
) -> Option<(*mut Scratch, usize)> {
    scratch.record.comm = bpf_get_current_comm().unwrap_or_default();
    let mut end = 0;
    let mut cut = false;
    if let Some(from) = directory(argument(call, shape.dir).map_or(AT_FDCWD, |fd| fd as i32)) {
        let (to, whole) = walk(pointer, from, end);
        scratch.record.lens[0] = (to - end) as u16;
        cut |= !whole;
        end = to;
    } else {
        cut = true;
    }
    let (to, all) = string(scratch, argument(call, shape.path)?, end);
    scratch.record.lens[1] = (to - end) as u16;
    cut |= !all;
    end = to;
    if let Some(second) = argument(call, shape.path2) {
        if shape.op != op::SYMLINK {
            if let Some(from) =
                directory(argument(call, shape.dir2).map_or(AT_FDCWD, |fd| fd as i32))
            {
                let (to, whole) = walk(pointer, from, end);
                scratch.record.lens[2] = (to - end) as u16;
                cut |= !whole;
                end = to;
            } else {
                cut = true;
            }
        }
        let (to, all) = string(scratch, second, end);
        scratch.record.lens[3] = (to - end) as u16;
        cut |= !all;
        end = to;
    }
    if cut {
        scratch.record.flags |= flag::CUT;
    }
    Some((pointer, end))
}
