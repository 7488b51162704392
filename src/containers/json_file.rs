//! Parses files of runtimes, most in JSON, field by field. Only files of root or the given owner
//! are read; a link, a fifo or an endless file is refused.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use serde_json::Value;

/// Reads a JSON file: regular, not a link, root's or `owner`'s, of bounded size.
pub(super) fn read_json(path: &Path, owner: u32, limit: u64) -> Option<Value> {
    serde_json::from_slice(&read(path, owner, limit)?).ok()
}

/// Reads a file of root's that is text, of bounded size.
pub(super) fn read_text(path: &Path, limit: u64) -> Option<String> {
    String::from_utf8(read(path, 0, limit)?).ok()
}

fn read(path: &Path, owner: u32, limit: u64) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > limit || (meta.uid() != 0 && meta.uid() != owner) {
        return None;
    }
    let mut text = Vec::new();
    // It may grow while it is read.
    file.take(limit).read_to_end(&mut text).ok()?;
    Some(text)
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str().filter(|t| !t.is_empty())
}

pub(super) fn number(value: &Value, pointer: &str) -> u32 {
    let number = value.pointer(pointer).and_then(Value::as_u64);
    number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 20;

    #[test]
    fn only_a_plain_file_of_bounded_size_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let good = dir.path().join("good");
        std::fs::write(&good, "{}").unwrap();
        assert!(read_json(&good, uid, LIMIT).is_some());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&good, &link).unwrap();
        assert!(read_json(&link, uid, LIMIT).is_none());
        let fifo = dir.path().join("fifo");
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, Mode::RUSR, 0).unwrap();
        assert!(read_json(&fifo, uid, LIMIT).is_none());
        let big = dir.path().join("big");
        File::create(&big).unwrap().set_len(LIMIT + 1).unwrap();
        assert!(read_json(&big, uid, LIMIT).is_none());
    }
}
