//! Where a path leads in a container through symbolic links that were there before a moment.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use bstr::ByteSlice as _;
use rustix::fs::{FileType, fstat, readlinkat};

use super::mounted::MountedTree;
use crate::event::{Bytes, Timestamp};

/// Maximum number of components and links examined in one path.
const MAX_STEPS: usize = 64;

/// The path to which the links in `path` lead that were made or changed last before `moment`; `None`
/// when it has none. A link on a file system that a program or another host implements is not followed,
/// and neither is what comes after a later link.
pub(crate) fn lead_older(pid: u32, path: &[u8], moment: Timestamp) -> Option<Bytes> {
    let root = Bytes::from(format!("/proc/{pid}/root").as_str());
    lead_below(MountedTree::new(pid, &root).ok()?, path, moment)
}

fn lead_below(mut tree: MountedTree, path: &[u8], moment: Timestamp) -> Option<Bytes> {
    // The next component is the last one.
    let mut rest: Vec<Vec<u8>> = components(path);
    let mut real = Vec::new();
    let mut led = false;
    for _ in 0..MAX_STEPS {
        let Some(part) = rest.pop() else {
            break;
        };
        if part == b".." {
            real.truncate(real.rfind_byte(b'/').unwrap_or(0));
            continue;
        }
        let parent = real.len();
        real.push(b'/');
        real.extend_from_slice(&part);
        let Ok(entry) = tree.entry(&real) else {
            break;
        };
        if let Some(target) = target_before(&entry, moment) {
            led = true;
            real.truncate(if target.starts_with(b"/") { 0 } else { parent });
            rest.extend(components(&target));
        }
    }
    for part in rest.iter().rev() {
        real.push(b'/');
        real.extend_from_slice(part);
    }
    if real.is_empty() {
        real.push(b'/');
    }
    led.then(|| Bytes::from(real))
}

/// The components of a path, the last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').rev();
    let named = parts.filter(|part| !part.is_empty() && *part != b".");
    named.map(<[u8]>::to_vec).collect()
}

/// The target of a symbolic link that last changed before the moment.
fn target_before(entry: &OwnedFd, moment: Timestamp) -> Option<Vec<u8>> {
    let facts = fstat(entry).ok()?;
    let link = FileType::from_raw_mode(facts.st_mode) == FileType::Symlink;
    if !link || facts.st_ctime >= moment.seconds() {
        return None;
    }
    let target = readlinkat(entry, Path::new(""), Vec::new()).ok()?;
    Some(CStr::to_bytes(&target).to_vec())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_before_the_moment_lead_and_later_ones_do_not() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        std::fs::create_dir_all(at("etc/cron.d")).unwrap();
        std::fs::create_dir(at("tmp")).unwrap();
        symlink("/etc", at("tmp/absolute")).unwrap();
        symlink("../etc/cron.d", at("tmp/relative")).unwrap();
        symlink("absolute/cron.d", at("tmp/both")).unwrap();
        symlink("loop", at("tmp/loop")).unwrap();
        // It leads out of the root on this host, and stays inside for the container.
        symlink("../../../../../etc", at("tmp/out")).unwrap();
        let folder = Bytes::from(root.path().to_str().unwrap());
        let soon = Timestamp(i64::MAX);
        let lead = |path: &str, moment| {
            let tree = MountedTree::new(std::process::id(), &folder).unwrap();
            let led = lead_below(tree, path.as_bytes(), moment);
            led.map(|path| path.escaped().to_string())
        };
        for (path, real) in [
            ("/tmp/absolute/cron.d/x", Some("/etc/cron.d/x")),
            ("/tmp/relative/x", Some("/etc/cron.d/x")),
            ("/tmp/both/x/y", Some("/etc/cron.d/x/y")),
            ("/tmp/out/cron.d", Some("/etc/cron.d")),
            ("/tmp//./absolute/..", Some("/")),
            ("/etc/cron.d/x", None),
            ("/tmp/missing/x", None),
        ] {
            assert_eq!(lead(path, soon).as_deref(), real, "{path}");
            assert_eq!(lead(path, Timestamp(0)), None, "{path}");
        }
        // It ends.
        assert!(lead("/tmp/loop/x", soon).is_some());
    }
}
