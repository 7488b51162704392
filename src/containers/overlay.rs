//! The overlay layers of a container's root, read from its mount table.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::file_facts::kernel_dev;
use crate::event::{Bytes, Storage};

/// Maximum number of mount points of one table.
pub const MAX_MOUNTS: usize = 4096;
/// Maximum number of layers of one root; engines make fewer (Docker 127). A false engine may report any
/// number.
pub(super) const MAX_LAYERS: usize = 256;

/// The layers of the root file system of process `pid`, as the host can open them; `None` when its
/// root is not an overlay or its mount table cannot be read.
#[must_use]
pub fn of_process(pid: u32) -> Option<Storage> {
    let table = fs::read(format!("/proc/{pid}/mountinfo")).ok()?;
    let host = fs::read("/proc/self/mountinfo").unwrap_or_default();
    storage(&table, &host)
}

/// The layers of the overlay mounted at the directory `root`, in the mount table of this program or
/// of one of the processes `others`: for a container whose first process has not changed its root
/// yet.
pub(super) fn mounted_at(root: &Path, others: &[u32]) -> Option<Storage> {
    let host = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let at = |table: &[u8]| {
        let mount = lines(table)
            .filter(|m| m.at == root.as_os_str().as_bytes())
            .last()?;
        layers(&mount, &host)
    };
    at(&host).or_else(|| {
        let mut tables = others
            .iter()
            .filter_map(|pid| fs::read(format!("/proc/{pid}/mountinfo")).ok());
        tables.find_map(|table| at(&table))
    })
}

/// The layers of the overlay that BuildKit mounted for its step `name`, at `…/NAME/rootfs`.
pub(super) fn mounted_for_step(name: &str) -> Option<Storage> {
    let host = fs::read("/proc/self/mountinfo").unwrap_or_default();
    storage_of_step(&host, name)
}

fn storage_of_step(host: &[u8], name: &str) -> Option<Storage> {
    let end = format!("/{name}/rootfs");
    let mount = lines(host)
        .filter(|m| m.at.ends_with(end.as_bytes()))
        .last()?;
    layers(&mount, host)
}

/// The mount points of a process; at most [`MAX_MOUNTS`].
#[must_use]
pub fn mount_points(pid: u32) -> Vec<Bytes> {
    let table = fs::read(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    let points = lines(&table).take(MAX_MOUNTS);
    points.map(|mount| mount.at.into()).collect()
}

/// What is mounted as the root of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootMount {
    /// The device, as the kernel numbers it.
    pub device: u32,
    /// A directory of that file system, not the whole. A container inside of a container can have its
    /// root in a directory of the outer one's overlay, whose layers are not its own.
    pub is_directory: bool,
}

/// The root of a process. The mount table also names the device of a file system that a user mounted
/// (FUSE), which does not answer other users.
#[must_use]
pub fn root_mount(pid: u32) -> Option<RootMount> {
    mounted_root(&fs::read(format!("/proc/{pid}/mountinfo")).ok()?)
}

fn mounted_root(table: &[u8]) -> Option<RootMount> {
    let root = lines(table).filter(|m| m.at == b"/").last()?;
    let (major, minor) = std::str::from_utf8(root.device).ok()?.split_once(':')?;
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    Some(RootMount {
        device: kernel_dev(rustix::fs::makedev(major, minor)),
        is_directory: root.part != b"/",
    })
}

/// The file system of the mount with this number in the table of a process.
pub(super) fn kind_of_mount(pid: u32, number: &[u8]) -> Option<Vec<u8>> {
    let table = fs::read(format!("/proc/{pid}/mountinfo")).ok()?;
    let mount = lines(&table).find(|mount| mount.number == number)?;
    Some(mount.kind.to_vec())
}

/// Whether the root of this mount table is mounted read-only for its processes.
pub(super) fn root_is_read_only(table: &[u8]) -> bool {
    lines(table)
        .filter(|m| m.at == b"/")
        .last()
        .is_some_and(|m| m.flags.split(|b| *b == b',').any(|o| o == b"ro"))
}

/// One line of a mount table, the needed fields.
struct MountLine<'a> {
    number: &'a [u8],
    device: &'a [u8],
    /// Directory of the file system that is mounted.
    part: &'a [u8],
    at: Vec<u8>,
    /// Options of the mount; those of the file system are `options`.
    flags: &'a [u8],
    kind: &'a [u8],
    options: &'a [u8],
}

fn lines(table: &[u8]) -> impl Iterator<Item = MountLine<'_>> {
    table.split(|b| *b == b'\n').filter_map(|line| {
        let mut fields = line.split(|b| *b == b' ');
        let number = fields.next()?;
        let device = fields.nth(1)?;
        let part = fields.next()?;
        let at = unescape(fields.next()?);
        let flags = fields.next()?;
        let mut fields = fields.skip_while(|f| *f != b"-").skip(1);
        let (kind, _, options) = (fields.next()?, fields.next()?, fields.next()?);
        Some(MountLine {
            number,
            device,
            part,
            at,
            flags,
            kind,
            options,
        })
    })
}

/// The last mount on `/` covers the earlier ones.
fn storage(table: &[u8], host: &[u8]) -> Option<Storage> {
    layers(&lines(table).filter(|m| m.at == b"/").last()?, host)
}

/// The layers of an overlay mount.
fn layers(root: &MountLine<'_>, host: &[u8]) -> Option<Storage> {
    if root.kind != b"overlay" || root.part != b"/" {
        return None;
    }
    let option = |key: &[u8]| {
        root.options
            .split(|b| *b == b',')
            .find_map(|o| o.strip_prefix(key).map(unescape))
    };
    let upper = option(b"upperdir=").unwrap_or_default();
    let merged = lines(host)
        .find(|m| m.device == root.device && m.kind == b"overlay" && m.at != b"/")
        .map(|m| m.at)
        .unwrap_or_default();
    // Engines with many layers mount with names relative to their own directory, which holds
    // one directory per container: with `merged` and the upper `diff` in it.
    let base = [&upper, &merged].into_iter().find_map(|dir| {
        let dir = Path::new(OsStr::from_bytes(dir));
        dir.is_absolute().then(|| dir.parent()?.parent()).flatten()
    });
    let resolve = |dir: &[u8]| -> Option<Bytes> {
        let dir = Path::new(OsStr::from_bytes(dir));
        let dir: PathBuf = if dir.is_absolute() {
            dir.to_owned()
        } else {
            base?.join(dir)
        };
        // `l/XXXX` is a short link to the layer's directory.
        let dir = fs::canonicalize(&dir).unwrap_or(dir);
        Some(dir.as_os_str().as_bytes().into())
    };
    let lower = option(b"lowerdir=").unwrap_or_default();
    Some(Storage {
        driver: "overlay".to_owned(),
        lower: split_lower(&lower)
            .iter()
            .filter_map(|d| resolve(d))
            .collect(),
        upper: if upper.is_empty() {
            Bytes::default()
        } else {
            resolve(&upper).unwrap_or_default()
        },
        merged: merged.into(),
    })
}

/// Splits at colons that no backslash protects; data-only layers (`::`) count like others.
pub(super) fn split_lower(list: &[u8]) -> Vec<Vec<u8>> {
    let mut out = vec![Vec::new()];
    let mut bytes = list.iter();
    while let Some(b) = bytes.next() {
        match b {
            b'\\' => out
                .last_mut()
                .into_iter()
                .for_each(|d| d.extend(bytes.next())),
            b':' => out.push(Vec::new()),
            b => out.last_mut().into_iter().for_each(|d| d.push(*b)),
        }
    }
    out.retain(|d| !d.is_empty());
    out
}

/// Mount tables write space, tab, newline and backslash as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'\\'
            && let Some(digits) = tail.get(..3)
            && let Ok(digits) = std::str::from_utf8(digits)
            && let Ok(byte) = u8::from_str_radix(digits, 8)
        {
            out.push(byte);
            rest = tail.get(3..).unwrap_or_default();
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layers_of_a_step_are_those_mounted_for_it() {
        let mount = |name: &str, layer: &str| {
            format!(
                "7 1 0:51 / /d/buildkit/executor/{name}/rootfs rw - overlay overlay \
                 rw,lowerdir=/d/base,upperdir=/d/{layer}/diff,workdir=/d/{layer}/work\n"
            )
        };
        let table = mount("one", "l1") + &mount("two", "l2");
        let upper = |name| storage_of_step(table.as_bytes(), name).map(|storage| storage.upper);
        assert_eq!(upper("two"), Some("/d/l2/diff".into()));
        assert_eq!(upper("wo"), None);
    }

    #[test]
    fn resolves_relative_layers_and_escapes() {
        let home = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(home.path()).unwrap();
        fs::create_dir_all(home.join("img/diff")).unwrap();
        fs::create_dir_all(home.join("l")).unwrap();
        std::os::unix::fs::symlink("../img/diff", home.join("l/AB")).unwrap();
        let table = b"1 0 0:50 / / rw - overlay overlay rw,lowerdir=l/AB:/a\\040b,upperdir=c1/diff,workdir=c1/work\n";
        let host = format!(
            "9 1 0:50 / {}/c1/merged rw shared:1 - overlay overlay rw\n",
            home.display()
        );
        let found = storage(table, host.as_bytes()).unwrap();
        let at = |p: &str| Bytes::from(home.join(p).to_str().unwrap());
        assert_eq!(found.lower, [at("img/diff"), "/a b".into()]);
        assert_eq!(found.upper, at("c1/diff"));
        assert_eq!(found.merged, at("c1/merged"));
        assert!(!root_is_read_only(table));
        assert!(root_is_read_only(
            b"1 0 0:50 / / ro,relatime - overlay overlay rw\n"
        ));
    }

    #[test]
    fn the_device_of_the_root_is_that_of_the_last_mount_there() {
        let table = b"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:300 / / rw - fuse x rw\n\
            3 2 0:5 / /proc rw - proc proc rw\n";
        let device =
            |table: &[u8]| mounted_root(table).map(|root| (root.device, root.is_directory));
        assert_eq!(device(table), Some((300, false)));
        assert_eq!(
            device(b"1 0 8:17 /vfs/a / rw - ext4 x rw\n"),
            Some(((8 << 20) | 17, true))
        );
        assert_eq!(device(b"1 0 8:1 / /proc rw - proc x rw\n"), None);
    }

    #[test]
    fn a_root_that_is_no_overlay_has_no_layers() {
        assert_eq!(storage(b"1 0 8:1 / / rw - ext4 /dev/sda rw\n", b""), None);
        // The layers are those of the container around it.
        let inner = b"1 0 0:50 /vfs/a / rw - overlay o rw,lowerdir=/l,upperdir=/u,workdir=/w\n";
        assert_eq!(storage(inner, b""), None);
        assert_eq!(storage(b"", b""), None);
        assert_eq!(
            split_lower(b"/a\\:b:/c"),
            [b"/a:b".to_vec(), b"/c".to_vec()]
        );
    }
}
