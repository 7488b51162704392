//! Facts about a file's inode, and the first bytes of its name.

use aya_ebpf::helpers::bpf_probe_read_kernel_buf;
use hullwatch_abi::{
    file::{FactsRecord, fact},
    offsets as o,
};

use crate::kernel::{at, field, has, load};

const MEMFD_MASK: u64 = 0xffff_ffff_ffff;
/// `s_magic` of tmpfs.
pub const TMPFS: u32 = 0x0102_1994;
/// `s_magic` of ramfs.
pub const RAMFS: u32 = 0x8584_58f6;
const OVERLAY: u32 = 0x794c_7630;
const PROC: u32 = 0x9fa0;
const SYSFS: u32 = 0x6265_6572;
const CGROUP: u32 = 0x0027_e0eb;
const CGROUP2: u32 = 0x6367_7270;

/// Seconds since 1970: files on volumes that changed later than this are reported; set by the
/// loader.
#[unsafe(no_mangle)]
static FRESH_SINCE: i64 = 0;

/// Whether a file's content may have been written since the container started, by its file system:
/// the writable layer, memory, or a volume on which it changed recently.
#[inline(always)]
pub fn fresh(inode: u64) -> bool {
    maybe_fresh(inode).unwrap_or(false)
}

#[inline(always)]
fn maybe_fresh(inode: u64) -> Option<bool> {
    let sb: u64 = field(inode, o::INODE_SB)?;
    let magic = field::<u64>(sb, o::SB_MAGIC)? as u32;
    Some(match magic {
        OVERLAY if has(o::OVL_INODE) => {
            field::<u64>(inode.wrapping_sub(at(o::OVL_INODE)), o::OVL_UPPER)? != 0
        }
        TMPFS | RAMFS => true,
        OVERLAY | PROC | SYSFS | CGROUP | CGROUP2 => false,
        _ => field::<i64>(inode, o::INODE_CTIME_S)? >= load!(FRESH_SINCE),
    })
}

/// The same, or the file was removed while it is open.
#[inline(always)]
pub fn is_news(inode: u64) -> bool {
    field::<u32>(inode, o::INODE_NLINK) == Some(0) || fresh(inode)
}

/// Fills the facts of an open file's inode.
#[inline(always)]
pub fn facts(inode: u64, sb: u64, dentry: u64, into: &mut FactsRecord) -> Option<()> {
    into.ino = field(inode, o::INODE_INO)?;
    into.size = field(inode, o::INODE_SIZE)?;
    into.mtime_s = field(inode, o::INODE_MTIME_S)?;
    into.ctime_s = field(inode, o::INODE_CTIME_S)?;
    into.mtime_ns = field(inode, o::INODE_MTIME_NS)?;
    into.ctime_ns = field(inode, o::INODE_CTIME_NS)?;
    into.dev = field(sb, o::SB_DEV)?;
    into.magic = field::<u64>(sb, o::SB_MAGIC)? as u32;
    into.mode = u32::from(field::<u16>(inode, o::INODE_MODE)?);
    into.flags = 0;
    if field::<u32>(inode, o::INODE_NLINK)? == 0 {
        into.flags |= fact::UNLINKED;
        // An anonymous memory file is an unlinked file of an inner tmpfs with this name.
        if into.magic == TMPFS && name_key(dentry)?.0 & MEMFD_MASK == key(b"memfd:") {
            into.flags |= fact::MEMFD;
        }
    }
    if into.magic == OVERLAY && !has(o::OVL_INODE) {
        // This kernel does not report the file's layer: do not assume that it is the image's.
        into.magic = 0;
    } else if into.magic == OVERLAY {
        let overlay = inode.wrapping_sub(at(o::OVL_INODE));
        if field::<u64>(overlay, o::OVL_UPPER)? != 0 {
            into.flags |= fact::UPPER;
        }
        if has(o::OVL_OE) && has(o::OE_LOWERS) {
            let entry: u64 = field(overlay, o::OVL_OE)?;
            if entry != 0 && field::<u32>(entry, o::OE_LOWERS)? != 0 {
                into.flags |= fact::LOWER;
            }
        } else if has(o::OVL_LOWER) && field::<u64>(overlay, o::OVL_LOWER)? != 0 {
            into.flags |= fact::LOWER;
        }
    }
    Some(())
}

/// First eight bytes of a name as one number, shorter names padded with zeros.
pub const fn key(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let mut i = 0;
    while i < 8 && i < name.len() {
        bytes[i] = name[i];
        i += 1;
    }
    u64::from_le_bytes(bytes)
}

/// [`key`] of an entry's name, and the length of the name.
#[inline(always)]
pub fn name_key(dentry: u64) -> Option<(u64, u32)> {
    let len: u32 = field(dentry, o::DENTRY_LEN)?;
    let name: u64 = field(dentry, o::DENTRY_NAME)?;
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
