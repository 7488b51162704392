//! One entry of a layer: its kind and facts, in the form of a difference.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{FileType, Stat};

use super::class::HEAD;
use super::layer_tree;
use crate::event::{Bytes, Difference, Differing, FileClass, NodeKind};
use crate::system::timestamp;

pub(super) fn node_kind(stat: &Stat) -> NodeKind {
    match layer_tree::kind(stat) {
        FileType::Directory => NodeKind::Directory,
        FileType::Symlink => NodeKind::Symlink,
        FileType::CharacterDevice | FileType::BlockDevice => NodeKind::Device,
        FileType::Fifo => NodeKind::Fifo,
        FileType::Socket => NodeKind::Socket,
        _ => NodeKind::File,
    }
}

pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

pub(super) fn same_rights(a: &Stat, b: &Stat) -> bool {
    (a.st_mode & 0o7777, a.st_uid, a.st_gid) == (b.st_mode & 0o7777, b.st_uid, b.st_gid)
}

pub(super) fn head_of(file: &File) -> Vec<u8> {
    let mut head = vec![0; HEAD];
    let read = file.read_at(&mut head, 0).unwrap_or(0);
    head.truncate(read);
    head
}

pub(super) fn differing(path: Bytes, difference: Difference, stat: &Stat) -> Differing {
    let at =
        |seconds: i64, nanoseconds| timestamp(seconds, i64::try_from(nanoseconds).unwrap_or(0));
    let kind = node_kind(stat);
    Differing {
        path,
        difference,
        class: FileClass::Data,
        kind,
        metadata_only: false,
        size: if kind == NodeKind::File {
            size(stat)
        } else {
            0
        },
        size_before: None,
        mode: stat.st_mode,
        mode_before: None,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: at(stat.st_mtime, stat.st_mtime_nsec),
        ctime: at(stat.st_ctime, stat.st_ctime_nsec),
        target: None,
        sha256: None,
        package: None,
        below: None,
        note: None,
    }
}

pub(super) fn absolute(path: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(path.len() + 1);
    out.push(b'/');
    out.extend_from_slice(path);
    out.into()
}
