//! The kernel's facts about a file: its inode, its file system, its layer.

use hullwatch_abi::file::{FactsRecord, fact};

use crate::event::{FileFacts, Filesystem};
use crate::system::timestamp;

/// Converts the kernel's facts.
#[must_use]
pub fn facts(record: &FactsRecord) -> FileFacts {
    let has = |bit| record.flags & bit != 0;
    FileFacts {
        ino: record.ino,
        dev: record.dev,
        fs: filesystem(record.magic),
        upper: has(fact::UPPER),
        lower: has(fact::LOWER),
        memfd: has(fact::MEMFD),
        unlinked: has(fact::UNLINKED),
        size: record.size,
        mtime: timestamp(record.mtime_s, record.mtime_ns.into()),
        ctime: timestamp(record.ctime_s, record.ctime_ns.into()),
        mode: record.mode,
    }
}

/// File system kind of an `s_magic`.
#[must_use]
pub fn filesystem(magic: u32) -> Filesystem {
    match magic {
        0x794c_7630 => Filesystem::Overlay,
        // tmpfs (devtmpfs too), ramfs.
        0x0102_1994 | 0x8584_58f6 => Filesystem::Tmpfs,
        0x9fa0 => Filesystem::Proc,
        0x6265_6572 => Filesystem::Sysfs,
        0x0027_e0eb | 0x6367_7270 => Filesystem::Cgroup,
        // devpts, mqueue.
        0x1cd1 | 0x1980_0202 => Filesystem::Dev,
        // ext2–4, xfs, btrfs, f2fs, nfs, fuse, 9p, zfs, squashfs, vfat, exfat, cifs, smb2, ceph.
        0xef53 | 0x5846_5342 | 0x9123_683e | 0xf2f5_2010 | 0x6969 | 0x6573_5546 | 0x0102_1997
        | 0x2fc1_2fc1 | 0x7371_7368 | 0x4d44 | 0x2011_bab0 | 0xff53_4d42 | 0xfe53_4d42
        | 0x00c3_6400 => Filesystem::Disk,
        _ => Filesystem::Unknown,
    }
}
