//! Executable mappings of a process that are not its image's.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::file_facts::facts;
use crate::event::{Bytes, FileFacts, Mapped, Origin, Process, Storage};

/// Maximum size of a process's table of mappings.
const MAX_MAPS: u64 = 4 << 20;
/// Maximum number of files examined per process.
const MAX_FILES: usize = 512;
/// Maximum number of files reported per process; more are counted.
const MAX_MAPPED: usize = 8;
/// Bytes read of a process's environment.
const MAX_ENVIRONMENT: u64 = 256 << 10;

/// Adds the files that the process has mapped as code and no lower layer holds.
pub(super) fn add(pid: u32, process: &mut Process, storage: Option<&Storage>) {
    let root = format!("/proc/{pid}/root");
    let maps = read(&format!("/proc/{pid}/maps"), MAX_MAPS);
    let mut preloads = None;
    for path in code(&maps, &process.exe) {
        let inside = path.strip_prefix(b"/").unwrap_or(path);
        let link = Path::new(&root).join(OsStr::from_bytes(inside));
        let (_, file) = facts(&link, path, storage);
        if !foreign(&file) {
            continue;
        }
        if process.mapped.len() >= MAX_MAPPED {
            process.mapped_more += 1;
            continue;
        }
        let preloads = preloads.get_or_insert_with(|| {
            preloaded(&read(&format!("/proc/{pid}/environ"), MAX_ENVIRONMENT))
        });
        process.mapped.push(Mapped {
            preloaded: preloads.contains(path),
            path: Bytes::new(path),
            file,
        });
    }
}

/// Written since the container was created, by the layers; a missing file is unknown.
fn foreign(file: &FileFacts) -> bool {
    file.ino != 0
        && matches!(
            file.origin(),
            Origin::Upper | Origin::Tmpfs | Origin::Volume
        )
}

fn read(path: &str, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // After an error the part read so far is used.
        let _ = file.take(limit).read_to_end(&mut bytes);
    }
    bytes
}

/// Files mapped as code, each once, without the executable, removed files, devices and memory.
fn code<'a>(maps: &'a [u8], exe: &[u8]) -> BTreeSet<&'a [u8]> {
    let paths = maps.split(|b| *b == b'\n').filter_map(|line| {
        let mut fields = line.splitn(2, |b| *b == b' ');
        let rights = fields.nth(1)?;
        let path = rights.get(rights.iter().position(|b| *b == b'/')?..)?;
        (rights.get(2) == Some(&b'x')).then_some(path)
    });
    let paths = paths.filter(|path| {
        *path != exe
            && !path.ends_with(b" (deleted)")
            && ![
                &b"/memfd:"[..],
                b"/dev/zero",
                b"/SYSV",
                b"/anon_hugepage",
                b"/[aio]",
            ]
            .iter()
            .any(|special| path.starts_with(special))
    });
    paths
        .take(MAX_FILES * 4)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .take(MAX_FILES)
        .collect()
}

/// The paths in `LD_PRELOAD` and `LD_AUDIT`.
fn preloaded(environment: &[u8]) -> BTreeSet<Vec<u8>> {
    let lists = environment.split(|b| *b == 0).filter_map(|entry| {
        entry
            .strip_prefix(b"LD_PRELOAD=")
            .or_else(|| entry.strip_prefix(b"LD_AUDIT="))
    });
    let paths = lists.flat_map(|list| list.split(|b| matches!(b, b':' | b' ')));
    paths.map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_files_is_distinguished_from_data_memory_and_deleted_files() {
        let maps = b"55d0-55d1 r-xp 00000000 fe:00 12 /usr/bin/nginx\n\
            7f00-7f01 r--p 00000000 fe:00 13 /usr/lib/libc.so.6\n\
            7f01-7f02 r-xp 00001000 fe:00 13 /usr/lib/libc.so.6\n\
            7f02-7f03 r-xp 00001000 fe:00 14 /tmp/a b.so\n\
            7f03-7f04 r-xp 00001000 fe:00 15 /tmp/gone.so (deleted)\n\
            7f04-7f05 r-xp 00000000 00:01 16 /memfd:jit (deleted)\n\
            7ffd-7ffe r-xp 00000000 00:00 0 [vdso]\n";
        let found: Vec<_> = code(maps, b"/usr/bin/nginx").into_iter().collect();
        assert_eq!(found, [&b"/tmp/a b.so"[..], b"/usr/lib/libc.so.6"]);
        let names = preloaded(b"A=1\0LD_PRELOAD=/tmp/x.so:/y.so\0LD_AUDIT=/z.so\0");
        assert_eq!(names.len(), 3);
    }
}
