//! Whether a password file that a container reads holds password hashes. Images ship it without
//! any; then a reader learns nothing.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use crate::catalog::secrets::is_password_file;
use crate::containers::open_on_root;
use crate::event::{Bytes, FileFacts, FileOp, Kind, Timestamp};

/// Larger files are not read: they count as holding hashes.
const MAX_BYTES: u64 = 256 << 10;

/// Notes whether a password file that is read holds hashes. `pid` is the container's init, or else
/// the reader.
pub(super) fn note(pid: u32, kind: &mut Kind) {
    let Kind::File(event) = kind else {
        return;
    };
    let reads = matches!(event.op, FileOp::Read | FileOp::Link) && event.errno == 0;
    // A mounted file of the host counts as the host's.
    if reads && event.source.is_none() && is_password_file(&event.path) {
        event.hashes = look(pid, &event.path, event.file.as_ref());
    }
}

/// `None` when that is unknown, also when the path has another file by now.
fn look(pid: u32, path: &Bytes, facts: Option<&FileFacts>) -> Option<bool> {
    let file = open_on_root(pid, path).ok()?;
    let now = file.metadata().ok()?;
    let same = facts.is_none_or(|facts| {
        let mtime = now.mtime().saturating_mul(1_000_000_000) + now.mtime_nsec();
        facts.size == now.size() && (facts.mtime == Timestamp(0) || facts.mtime.0 == mtime)
    });
    if !same || now.size() > MAX_BYTES {
        return None;
    }
    let mut text = Vec::new();
    File::take(file, MAX_BYTES).read_to_end(&mut text).ok()?;
    Some(text.split(|b| *b == b'\n').any(has_hash))
}

/// The second field is a hash, also of an account that is locked: `!` before it.
fn has_hash(line: &[u8]) -> bool {
    let field = line.split(|b| *b == b':').nth(1).unwrap_or_default();
    let unlocked = field.iter().position(|b| !matches!(b, b'!' | b'*'));
    let hash = unlocked.and_then(|at| field.get(at..)).unwrap_or_default();
    // DES gives 13 characters; all others are longer.
    hash.len() >= 13
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_distinguished_from_marks() {
        for (line, hash) in [
            ("root:*:19000:0:99999:7:::", false),
            ("root::19000:0:99999:7:::", false),
            ("daemon:!*:19000::::::", false),
            ("x:!:19000::::::", false),
            ("", false),
            ("root:$y$j9T$abcdefgh$ijklmnop:19000::::::", true),
            ("root:!$6$salt$abcdefghijkl:19000::::::", true),
            ("root:aaQSqAReePlq6:19000::::::", true),
        ] {
            assert_eq!(has_hash(line.as_bytes()), hash, "{line}");
        }
    }

    #[test]
    fn a_file_that_was_replaced_is_not_examined() {
        let facts = |size| FileFacts {
            size,
            ..FileFacts::default()
        };
        let size = std::fs::metadata("/etc/passwd").unwrap().len();
        let (pid, path) = (std::process::id(), Bytes::from("/etc/passwd"));
        assert_eq!(look(pid, &path, Some(&facts(size))), Some(false));
        assert_eq!(look(pid, &path, Some(&facts(size + 1))), None);
        assert_eq!(look(pid, &Bytes::from("/nowhere"), None), None);
    }
}
