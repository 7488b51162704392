//! File operation records.

use hullwatch_abi::file::{FileRecord, flag, op};

use super::file_facts::facts;
use super::{ConvertError, file_attribute, fixed, path, take, until_nul};
use crate::catalog::secrets;
use crate::event::{Bytes, DeviceNumber, ExecRefused, File, FileFacts, FileOp, Filesystem, Via};

const KIND: &str = "file";
/// `AT_REMOVEDIR` of `unlinkat`.
const REMOVE_DIRECTORY: u32 = 0x200;

/// Decodes the bytes behind the record's header. `nspid` is the process as its own namespace
/// numbers it. `None` when the operation turns out not to be worth an event: a read the kernel
/// program took for sensitive by its last name alone, or a process writing to its own entry
/// under `/proc`.
///
/// # Errors
/// When the record is cut or carries an unknown operation.
pub fn decode(body: &[u8], nspid: u32) -> Result<Option<File>, ConvertError> {
    let (record, mut rest) = fixed::<FileRecord>(KIND, body)?;
    let [base, name, base2, name2] = [
        take(KIND, &mut rest, record.lens[0])?,
        take(KIND, &mut rest, record.lens[1])?,
        take(KIND, &mut rest, record.lens[2])?,
        take(KIND, &mut rest, record.lens[3])?,
    ];
    let op = operation(&record)?;
    let has = |bit| record.flags & bit != 0;
    let (first, first_exact) = if has(flag::WHOLE) {
        (
            path::anchored(base, !has(flag::BASE_CUT)),
            !has(flag::BASE_CUT),
        )
    } else {
        resolve(base, !has(flag::BASE_CUT), name, nspid)
    };
    let (target, target_exact) = match op {
        FileOp::Rename | FileOp::Link => {
            let (target, exact) = resolve(base2, !has(flag::BASE2_CUT), name2, nspid);
            (Some(target), exact)
        }
        // The content of a symbolic link is not a path of this process: it is not resolved.
        FileOp::Symlink => (Some(name2.to_vec()), true),
        _ => (None, true),
    };
    let facts = (record.flags & flag::FACTS != 0).then(|| facts(&record.facts));
    let filesystem = facts.map_or(Filesystem::Unknown, |f| f.fs);
    let mut source = None;
    if op == FileOp::Read && !sensitive(&first, facts.as_ref(), nspid) {
        // A secret of the host under another name, as a mount gives it.
        let inside = has(flag::INSIDE).then(|| path::from_leaf_first(base2));
        source = inside.filter(|inside| secrets::is_secret(inside));
        if source.is_none() {
            return Ok(None);
        }
    }
    if matches!(op, FileOp::Write | FileOp::Truncate)
        && filesystem == Filesystem::Proc
        && own_proc_entry(&first, nspid)
        && !secrets::is_process_memory(&first)
    {
        return Ok(None);
    }
    let mode = match op {
        FileOp::Chmod | FileOp::Mkdir | FileOp::Mknod => Some(record.mode),
        FileOp::Create => facts.map(|f| f.mode).or(Some(record.mode)),
        _ => None,
    };
    Ok(Some(File {
        op,
        path: Bytes::from(first),
        target: target.map(Bytes::from),
        source: source.map(Bytes::from),
        unresolved: has(flag::CUT) || !first_exact || !target_exact,
        errno: record.errno,
        mode,
        attribute: file_attribute::of(op, &record, name2, base2),
        device: device(op, record.mode, record.call_flags),
        hashes: None,
        file: facts,
        comm: until_nul(&record.comm),
        count: record.count.max(1),
        via: if has(flag::RING) {
            Some(Via::IoUring)
        } else {
            (op == FileOp::Load && record.mode != 0).then_some(Via::StandardInput)
        },
        shared: op == FileOp::MapExec && record.mode != 0,
    }))
}

/// The device of a new device node.
fn device(op: FileOp, mode: u32, number: u32) -> Option<DeviceNumber> {
    let is_device = matches!(mode & 0o170_000, 0o020_000 | 0o060_000);
    (op == FileOp::Mknod && is_device).then(|| DeviceNumber::from_user(number))
}

/// The record reports a refused program start; see [`exec_refused`].
#[must_use]
pub fn is_exec(body: &[u8]) -> bool {
    fixed::<FileRecord>(KIND, body).is_ok_and(|(record, _)| record.op == op::EXEC)
}

/// Decodes the record of a refused program start.
///
/// # Errors
/// When the record is cut.
pub fn exec_refused(body: &[u8], nspid: u32) -> Result<ExecRefused, ConvertError> {
    let (record, mut rest) = fixed::<FileRecord>(KIND, body)?;
    let base = take(KIND, &mut rest, record.lens[0])?;
    let name = take(KIND, &mut rest, record.lens[1])?;
    let known = record.flags & flag::BASE_CUT == 0;
    let (path, exact) = resolve(base, known, name, nspid);
    Ok(ExecRefused {
        path: Bytes::from(path),
        unresolved: !exact || record.flags & flag::CUT != 0,
        errno: record.errno,
        comm: until_nul(&record.comm),
    })
}

/// The path of a string argument, and whether no symbolic link can be in it. `base` is the
/// directory it is relative to, `known` that all of that was read.
fn resolve(base: &[u8], known: bool, name: &[u8], nspid: u32) -> (Vec<u8>, bool) {
    let absolute = name.first() == Some(&b'/');
    if base.is_empty() && !known {
        // The directory is not known: only the argument.
        return (name.to_vec(), false);
    }
    let own_root = absolute
        .then(|| path::through_own_root(&path::join(b"/", name), nspid))
        .flatten();
    let named = own_root.as_deref().unwrap_or(name);
    let mut joined = path::join(&path::from_leaf_first(base), named);
    if !known {
        path::mark_cut(&mut joined);
        return (joined, false);
    }
    let exact = !absolute && path::single_step(name);
    match path::through_own_root(&joined, nspid) {
        Some(seen_through) => (seen_through, false),
        None => (joined, exact),
    }
}

fn operation(record: &FileRecord) -> Result<FileOp, ConvertError> {
    if record.op == op::UNLINK && record.call_flags & REMOVE_DIRECTORY != 0 {
        return Ok(FileOp::Rmdir);
    }
    FileOp::of_number(record.op).ok_or(ConvertError::Unknown {
        kind: KIND,
        field: "operation",
        value: record.op.into(),
    })
}

/// The part below `/proc/PID/` when PID is the process itself.
fn own_proc_entry(path: &[u8], nspid: u32) -> bool {
    let Some(rest) = path.strip_prefix(b"/proc/") else {
        return false;
    };
    let who = rest.split(|b| *b == b'/').next().unwrap_or_default();
    who == b"self" || who == b"thread-self" || (nspid != 0 && who == nspid.to_string().as_bytes())
}

/// Confirms a read the kernel program took for sensitive.
#[must_use]
pub fn sensitive(path: &[u8], facts: Option<&FileFacts>, nspid: u32) -> bool {
    // Reading a block device gives access to the host's disks.
    if facts.is_some_and(|f| f.mode & 0o170_000 == 0o060_000) {
        return true;
    }
    let filesystem = facts.map_or(Filesystem::Unknown, |f| f.fs);
    if secrets::is_process_memory(path) {
        return matches!(filesystem, Filesystem::Proc | Filesystem::Unknown)
            && !own_proc_entry(path, nspid);
    }
    secrets::is_host_memory(path) || secrets::is_secret(path)
}

#[cfg(test)]
mod tests {
    use hullwatch_abi::file::{FactsRecord, fact, ioctl};

    use super::*;
    use crate::event::Timestamp;

    fn bytes(mut record: FileRecord, strings: [&[u8]; 4]) -> Vec<u8> {
        for (len, text) in record.lens.iter_mut().zip(strings) {
            *len = u16::try_from(text.len()).unwrap();
        }
        let mut all = bytemuck::bytes_of(&record).to_vec();
        for text in strings {
            all.extend_from_slice(text);
        }
        all
    }

    fn record(op: u8) -> FileRecord {
        FileRecord {
            op,
            count: 1,
            ..Default::default()
        }
    }

    fn one(record: FileRecord, strings: [&[u8]; 4]) -> File {
        decode(&bytes(record, strings), 7).unwrap().unwrap()
    }

    #[test]
    fn a_request_of_a_ring_is_marked() {
        let record = |flags| FileRecord {
            op: op::MKDIR,
            flags,
            ..FileRecord::default()
        };
        let strings: [&[u8]; 4] = [b"srv\0", b"x", b"", b""];
        assert_eq!(one(record(flag::RING), strings).via, Some(Via::IoUring));
        assert_eq!(one(record(0), strings).via, None);
    }

    #[test]
    fn rename_resolves_both_names_against_their_own_directory() {
        let file = one(
            record(op::RENAME),
            [b"tmp\0", b"evil \xff\n", b"etc\0", b"crontab"],
        );
        assert_eq!(&**file.path, b"/tmp/evil \xff\n");
        assert_eq!(file.target.unwrap(), "/etc/crontab");
        assert!(!file.unresolved);
    }

    #[test]
    fn strings_with_more_than_one_step_say_they_are_unresolved() {
        let file = one(record(op::UNLINK), [b"b\0a\0", b"../c/\x1b[2J", b"", b""]);
        assert_eq!(&**file.path, b"/a/c/\x1b[2J");
        assert!(file.unresolved);
        let mut r = record(op::UNLINK);
        r.flags = flag::BASE_CUT;
        let file = one(r, [b"", b"name", b"", b""]);
        assert_eq!(file.path, "name");
        assert!(file.unresolved);
    }

    #[test]
    fn own_root_is_seen_through() {
        let file = one(
            record(op::CHMOD),
            [b"", b"/proc/self/root/etc/shadow", b"", b""],
        );
        assert_eq!(file.path, "/etc/shadow");
        assert!(file.unresolved);
        assert_eq!(file.mode, Some(0));
    }

    #[test]
    fn cut_paths_are_marked_and_never_absolute() {
        let mut r = record(op::CREATE);
        r.flags = flag::FACTS | flag::WHOLE | flag::BASE_CUT;
        let file = one(r, [b"j\0cron.d\0etc\0", b"", b"", b""]);
        assert_eq!(file.path, "…/etc/cron.d/j");
        assert!(file.unresolved);
        let mut r = record(op::RENAME);
        r.flags = flag::BASE2_CUT;
        let file = one(r, [b"tmp\0", b"a", b"cron.d\0etc\0", b"b"]);
        assert_eq!(
            (file.path, file.target),
            ("/tmp/a".into(), Some("…/etc/cron.d/b".into()))
        );
    }

    #[test]
    fn absolute_names_begin_at_the_root_of_the_process() {
        let file = one(record(op::UNLINK), [b"jail\0srv\0", b"/etc/x", b"", b""]);
        assert_eq!(file.path, "/srv/jail/etc/x");
        let own = one(
            record(op::UNLINK),
            [b"jail\0srv\0", b"/proc/self/root/etc/x", b"", b""],
        );
        assert_eq!(own.path, "/srv/jail/etc/x");
        let file = one(record(op::UNLINK), [b"", b"x", b"", b""]);
        assert_eq!(file.path, "/x");
    }

    #[test]
    fn a_mounted_secret_keeps_its_own_name() {
        let mut r = record(op::READ);
        r.flags = flag::WHOLE | flag::INSIDE;
        let mounted = one(r, [b"config.txt\0data\0", b"", b"shadow\0etc\0", b""]);
        assert_eq!(mounted.path, "/data/config.txt");
        assert_eq!(mounted.source, Some("/etc/shadow".into()));
        let plain = one(r, [b"shadow\0etc\0", b"", b"shadow\0etc\0", b""]);
        assert_eq!(plain.source, None);
    }

    #[test]
    fn attributes_are_reported_by_name() {
        let setuid = [
            1, 0, 0, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let set = |value: &[u8]| {
            let file = one(
                record(op::SET_XATTR),
                [b"bin\0", b"x", value, b"security.capability"],
            );
            assert_eq!((file.path, file.target), ("/bin/x".into(), None));
            file.attribute.unwrap()
        };
        assert_eq!(set(&setuid).value, "cap_setuid=ep");
        assert_eq!(set(b"\x01\0").value, "\u{1}\0");
        let mut r = record(op::REMOVE_XATTR);
        r.flags = flag::WHOLE;
        let file = one(r, [b"x\0", b"", b"", b"user.note"]);
        assert_eq!(file.attribute.unwrap().name, "user.note");
        let mut r = record(op::CHATTR);
        r.flags = flag::WHOLE;
        r.mode = 0x10;
        let flags = |r| one(r, [b"x\0", b"", b"", b""]).attribute.unwrap().value;
        assert_eq!(flags(r), "immutable");
        r.call_flags = ioctl::SET_XFLAGS;
        assert_eq!(flags(r), "append-only");
    }

    #[test]
    fn a_refused_start_names_its_path() {
        let mut r = record(op::EXEC);
        r.errno = 13;
        let whole = bytes(r, [b"shm\0dev\0", b"./x", b"", b""]);
        assert!(is_exec(&whole) && !is_exec(&bytes(record(op::OPEN), [b""; 4])));
        let refused = exec_refused(&whole, 7).unwrap();
        assert_eq!((refused.path, refused.errno), ("/dev/shm/x".into(), 13));
        assert!(exec_refused(&whole[..whole.len() - 1], 7).is_err());
    }

    #[test]
    fn every_number_of_the_kernel_programs_is_the_operation_of_that_name() {
        for (number, name) in [
            (op::CREATE, "create"),
            (op::WRITE, "write"),
            (op::TRUNCATE, "truncate"),
            (op::READ, "read"),
            (op::RENAME, "rename"),
            (op::UNLINK, "unlink"),
            (op::LINK, "link"),
            (op::SYMLINK, "symlink"),
            (op::MKDIR, "mkdir"),
            (op::RMDIR, "rmdir"),
            (op::CHMOD, "chmod"),
            (op::CHOWN, "chown"),
            (op::MKNOD, "mknod"),
            (op::MAP_EXEC, "map_exec"),
            (op::SET_XATTR, "set_xattr"),
            (op::REMOVE_XATTR, "remove_xattr"),
            (op::CHATTR, "chattr"),
        ] {
            let json = serde_json::to_string(&FileOp::of_number(number)).unwrap();
            assert_eq!(json, format!("\"{name}\""));
        }
        assert_eq!(FileOp::of_number(op::EXEC), None);
        assert_eq!(FileOp::of_number(op::OPEN), None);
    }

    #[test]
    fn a_symlinks_content_is_left_alone() {
        let file = one(record(op::SYMLINK), [b"tmp\0", b"l", b"", b"../../x/."]);
        assert_eq!(file.path, "/tmp/l");
        assert_eq!(file.target.unwrap(), "../../x/.");
    }

    #[test]
    fn unlinkat_with_removedir_is_rmdir_and_refusals_keep_errno() {
        let mut r = record(op::UNLINK);
        r.call_flags = REMOVE_DIRECTORY;
        r.errno = 30;
        let file = one(r, [b"a\0", b"d", b"", b""]);
        assert_eq!((file.op, file.errno), (FileOp::Rmdir, 30));
    }

    #[test]
    fn facts_come_through() {
        let mut r = record(op::CREATE);
        r.flags = flag::FACTS | flag::WHOLE;
        r.count = 9;
        r.facts = FactsRecord {
            ino: 5,
            magic: 0x794c_7630,
            flags: fact::UPPER | fact::LOWER,
            mtime_s: 2,
            mtime_ns: 3,
            mode: 0o100_755,
            ..Default::default()
        };
        let file = one(r, [b"x\0bin\0", b"", b"", b""]);
        let facts = file.file.unwrap();
        assert_eq!(file.path, "/bin/x");
        assert_eq!(file.count, 9);
        assert_eq!(file.mode, Some(0o100_755));
        assert!(facts.upper && facts.lower && !facts.memfd);
        assert_eq!(facts.fs, Filesystem::Overlay);
        assert_eq!(facts.mtime, Timestamp(2_000_000_003));
    }

    #[test]
    fn reads_are_confirmed_by_the_whole_path() {
        let read = |path: &[u8]| sensitive(path, None, 7);
        for path in [
            &b"/etc/shadow"[..],
            b"/root/.ssh/id_rsa",
            b"/home/u/.aws/credentials",
            b"/proc/1/environ",
            b"/proc/kcore",
            b"/run/secrets/kubernetes.io/serviceaccount/..2026/token",
        ] {
            assert!(read(path), "{}", crate::event::escape(path));
        }
        for path in [
            &b"/usr/share/shadow"[..],
            b"/proc/7/environ",
            b"/proc/self/mem",
            b"/root/.ssh/id_rsa.pub",
            b"/srv/credentials",
            b"/srv/mem",
            b"/app/config",
        ] {
            assert!(!read(path), "{}", crate::event::escape(path));
        }
        let mut r = record(op::READ);
        r.flags = flag::WHOLE;
        let harmless = bytes(r, [b"token\0app\0", b"", b"", b""]);
        assert_eq!(decode(&harmless, 7).unwrap(), None);
    }

    #[test]
    fn own_proc_writes_are_dropped_and_kernel_settings_are_not() {
        let mut r = record(op::WRITE);
        r.flags = flag::FACTS | flag::WHOLE;
        r.facts.magic = 0x9fa0;
        let own = bytes(r, [b"oom_score_adj\x007\0proc\0", b"", b"", b""]);
        assert_eq!(decode(&own, 7).unwrap(), None);
        let memory = one(r, [b"mem\x007\0proc\0", b"", b"", b""]);
        assert_eq!(memory.path, "/proc/7/mem");
        let core = one(r, [b"core_pattern\0kernel\0sys\0proc\0", b"", b"", b""]);
        assert_eq!(core.path, "/proc/sys/kernel/core_pattern");
    }

    #[test]
    fn cut_and_unknown_records_are_errors() {
        let whole = bytes(record(op::UNLINK), [b"a\0", b"b", b"", b""]);
        for len in 0..whole.len() {
            assert!(decode(&whole[..len], 7).is_err(), "{len}");
        }
        assert!(matches!(
            decode(&bytes(record(31), [b"", b"/x", b"", b""]), 7),
            Err(ConvertError::Unknown { value: 31, .. })
        ));
    }

    #[test]
    fn shapes_survive_packing_and_are_never_zero() {
        use hullwatch_abi::file::{AARCH64, Shape, X86_64};
        for (number, shape) in X86_64.iter().chain(AARCH64) {
            assert!(*number < 512);
            assert_ne!(shape.pack(), 0);
            assert_eq!(Shape::unpack(shape.pack()), *shape);
        }
    }
}
