//! Extended attributes, inode flags and times: which changes are recorded, and the values they set.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_probe_read_kernel_buf, bpf_probe_read_kernel_str_bytes,
    bpf_probe_read_user, bpf_probe_read_user_buf, bpf_probe_read_user_str_bytes,
};
use hullwatch_abi::{
    file::{FileRecord, NONE, Shape, VALUE_MAX, flag, ioctl, op, times},
    offsets as o,
};

use crate::{
    call::{self, Call},
    facts::{facts, key},
    file,
    kernel::{at, field, seconds_now},
    path::walk,
    path_start::path_start,
    scratch::{Scratch, clear, scratch},
};

/// Longest name of an attribute, bytes, with its NUL.
const NAME: usize = 256;
/// `user.`, which is shorter than a [`key`].
const USER_MASK: u64 = 0xff_ffff_ffff;

/// Whether a call of `ioctl` sets inode flags; nearly all do not.
#[inline(always)]
pub fn sets_flags(command: u64) -> bool {
    matches!(
        command as u32,
        ioctl::SET_FLAGS | ioctl::SET_FLAGS32 | ioctl::SET_XFLAGS
    )
}

/// Handles the end of a call that changes an attribute. To be sent: [`Scratch::record`] and the
/// returned number of bytes of [`Scratch::text`] after it.
#[inline(always)]
pub fn exit(call: &mut Call) -> Option<(*mut Scratch, usize)> {
    let shape = file::shaped(call)?;
    if call.ret != 0 && !file::refused(call.ret) {
        return None;
    }
    let pointer = scratch()?;
    // SAFETY: the slot is this CPU's and this program's alone; tracing programs do not nest here.
    let scratch = unsafe { &mut *pointer };
    clear(&mut scratch.record);
    scratch.record.count = 1;
    scratch.record.op = shape.op;
    scratch.record.errno = -call.ret as u16;
    begin(&mut scratch.record, call, shape)?;
    call::joined();
    let shape = call.shape();
    // `futimens` passes no path.
    if call.argument(shape.path).is_some_and(|path| path != 0) {
        file::first_named(scratch, pointer, call)?;
    } else {
        opened(
            scratch,
            pointer,
            call.opened(call.argument(shape.dir)? as i32)?,
        )?;
    }
    call::joined();
    let [base, name, ..] = scratch.record.lens;
    let end = usize::from(base) + usize::from(name);
    if matches!(scratch.record.op, op::CHATTR | op::SET_TIMES) {
        return Some((pointer, end));
    }
    Some((pointer, append(scratch, call, end)?))
}

/// The path of an open file.
#[inline(always)]
fn opened(scratch: &mut Scratch, pointer: *mut Scratch, opened: u64) -> Option<()> {
    let from = path_start(opened + at(o::FILE_PATH))?;
    let inode: u64 = field(opened, o::FILE_INODE)?;
    let sb: u64 = field(inode, o::INODE_SB)?;
    facts(inode, sb, from.dentry, &mut scratch.record.facts)?;
    scratch.record.comm = bpf_get_current_comm().unwrap_or_default();
    let (end, whole) = walk(pointer, from, 0);
    scratch.record.flags = flag::FACTS | flag::WHOLE;
    if !whole {
        scratch.record.flags |= flag::BASE_CUT;
    }
    scratch.record.lens[0] = end as u16;
    Some(())
}

/// Decides whether the change is recorded, and reads inode flags into the record. Attributes of
/// users and of security modules are; others are internal to file systems.
#[inline(always)]
fn begin(record: &mut FileRecord, call: &Call, shape: Shape) -> Option<()> {
    if shape.op == op::CHATTR {
        let from = call.argument(shape.mode)?;
        // SAFETY: the helper checks the address.
        record.mode = unsafe { bpf_probe_read_user(from as *const u32) }.ok()?;
        if shape.flags == NONE {
            record.call_flags = ioctl::SET_XFLAGS;
        }
        return Some(());
    }
    if shape.op == op::SET_TIMES {
        return set_times(record, call, shape);
    }
    let from = call.argument(shape.dir2)?;
    // Read as a string: a short name may end at the end of mapped memory.
    let mut name = [0_u8; 16];
    // SAFETY: the helpers check the address.
    unsafe {
        if call.ring {
            bpf_probe_read_kernel_str_bytes(from as *const u8, &mut name)
        } else {
            bpf_probe_read_user_str_bytes(from as *const u8, &mut name)
        }
    }
    .ok()?;
    let [a, b, c, d, e, f, g, h, ..] = name;
    let word = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    (word == key(b"security") || word & USER_MASK == key(b"user.")).then_some(())
}

/// Reads the new time of a file's content into the record, when it is in the past: archivers set
/// the times of all files they write, while services set the current or a future time.
#[inline(always)]
fn set_times(record: &mut FileRecord, call: &Call, shape: Shape) -> Option<()> {
    let from = call.argument(shape.mode)?;
    // A null pointer means the current time.
    if from == 0 {
        return None;
    }
    // SAFETY: the helper checks the address.
    let wide = |at: u64| unsafe { bpf_probe_read_user((from + at) as *const u64) }.ok();
    // SAFETY: as above.
    let narrow = |at: u64| unsafe { bpf_probe_read_user((from + at) as *const i32) }.ok();
    let (seconds, nanoseconds) = match shape.dir2 {
        times::SECONDS => (wide(8)? as i64, 0),
        times::PAIRS => (wide(16)? as i64, wide(24)?),
        times::SECONDS32 => (i64::from(narrow(4)?), 0),
        _ => (i64::from(narrow(8)?), narrow(12)? as u64),
    };
    if matches!(nanoseconds, times::NOW | times::OMIT) {
        return None;
    }
    if seconds > seconds_now() - times::PAST {
        return None;
    }
    record.mode = seconds as u32;
    record.call_flags = (seconds >> 32) as u32;
    Some(())
}

/// Writes an attribute's value and name at `pos`. Returns the end.
#[inline(always)]
fn append(scratch: &mut Scratch, call: &Call, pos: usize) -> Option<usize> {
    let shape = call.shape();
    let pos = pos & 0x3fff;
    let mut end = pos;
    if let Some(mut from) = call.argument(shape.mode) {
        let mut length = call.argument(shape.flags).unwrap_or(0);
        if shape.flags == NONE {
            // SAFETY: the helper checks the address.
            [from, length] = unsafe { bpf_probe_read_user(from as *const [u64; 2]) }.ok()?;
            // The upper half holds flags.
            length &= 0xffff_ffff;
        }
        let length = if length > VALUE_MAX as u64 {
            VALUE_MAX
        } else {
            length as usize
        };
        // SAFETY: `pos` is below 16384 and the value takes at most 127 bytes of a larger area.
        let value = unsafe {
            core::slice::from_raw_parts_mut(
                (&raw mut scratch.text).cast::<u8>().add(pos),
                length & 127,
            )
        };
        // SAFETY: the helpers check the address.
        let copied = unsafe {
            if call.ring {
                bpf_probe_read_kernel_buf(from as *const u8, value)
            } else {
                bpf_probe_read_user_buf(from as *const u8, value)
            }
        };
        if copied.is_ok() {
            end = pos + (length & 127);
        }
    }
    scratch.record.lens[2] = (end - pos) as u16;
    let at = end & 0x3fff;
    // SAFETY: as above; a name takes 256 bytes.
    let name = unsafe {
        core::slice::from_raw_parts_mut((&raw mut scratch.text).cast::<u8>().add(at), NAME)
    };
    let from = call.argument(shape.dir2)?;
    // SAFETY: the helpers check the address.
    let name = unsafe {
        if call.ring {
            bpf_probe_read_kernel_str_bytes(from as *const u8, name)
        } else {
            bpf_probe_read_user_str_bytes(from as *const u8, name)
        }
    }
    .ok()?;
    scratch.record.lens[3] = name.len() as u16;
    Some(at + name.len())
}
