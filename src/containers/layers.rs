//! Opens files in overlay layers without leaving them, and looks paths up in the image.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, lgetxattr, open, openat2};

use crate::event::{Bytes, Storage};

/// The image's entry at a path.
#[derive(Debug)]
pub(super) enum ImageEntry {
    /// Nothing, or a layer above removed it.
    Nothing,
    /// A regular file, open for reading.
    Regular(File),
    /// Another kind of file.
    Other,
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// `path` without its leading slashes, refused when it could climb out.
pub(super) fn relative(path: &[u8]) -> Option<&Path> {
    let start = path.iter().position(|b| *b != b'/')?;
    let path = path.get(start..)?;
    let climbs = path.split(|b| *b == b'/').any(|part| part == b"..");
    (!climbs && !path.contains(&0)).then(|| path_of(path))
}

/// Opens the regular file `path` below `root`. Follows no symbolic link anywhere: the kernel
/// already resolved the path, so a link means that it was replaced since. Never waits (fifo).
///
/// # Errors
/// When there is no such file, or it is no regular file.
pub(crate) fn open_regular(root: &Bytes, path: &[u8]) -> io::Result<File> {
    open_below(root, path, ResolveFlags::empty())
}

/// As [`open_regular`], below the root of a process and on the same mount only. A file system that the
/// container mounts itself (FUSE) may never answer, and the collector must not wait for it.
///
/// # Errors
/// When there is no such file, it is no regular file, or it is on another mount.
pub(crate) fn open_on_root(pid: u32, path: &[u8]) -> io::Result<File> {
    let root = Bytes::from(format!("/proc/{pid}/root").as_str());
    open_below(&root, path, ResolveFlags::NO_XDEV)
}

fn open_below(root: &Bytes, path: &[u8], resolve: ResolveFlags) -> io::Result<File> {
    let path = relative(path).ok_or(io::ErrorKind::InvalidInput)?;
    let root = directory(root)?;
    let kind = File::from(beneath(&root, path, OFlags::PATH, resolve)?).metadata()?;
    if !kind.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let file = File::from(beneath(&root, path, flags, resolve)?);
    let again = file.metadata()?;
    if (again.ino(), again.dev()) != (kind.ino(), kind.dev()) {
        return Err(io::Error::other("replaced while it was opened"));
    }
    Ok(file)
}

pub(super) fn directory(path: &Bytes) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(open(path_of(path), flags, Mode::empty())?)
}

pub(super) fn beneath(
    root: &OwnedFd,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let links = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let resolve = resolve | links | ResolveFlags::BENEATH;
    Ok(openat2(root, path, flags, Mode::empty(), resolve)?)
}

/// Looks `path` up in the lower layers, uppermost first, minding whiteouts and opaque
/// directories.
///
/// # Errors
/// When a layer cannot be read: then the image is unknown.
pub(super) fn look_in_image(lower: &[Bytes], path: &[u8]) -> Result<ImageEntry, String> {
    let Some(path) = relative(path) else {
        return Ok(ImageEntry::Nothing);
    };
    for layer in lower {
        let fail = |e: &dyn std::fmt::Display| format!("layer {}: {e}", layer.escaped());
        let root = directory(layer).map_err(|e| fail(&e))?;
        let mut hides_the_rest = false;
        for prefix in path
            .ancestors()
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .skip(1)
        {
            let found = match beneath(&root, prefix, OFlags::PATH, ResolveFlags::empty()) {
                Ok(fd) => File::from(fd).metadata().map_err(|e| fail(&e))?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                Err(e) => return Err(fail(&e)),
            };
            if found.file_type().is_char_device() && found.rdev() == 0 {
                return Ok(ImageEntry::Nothing);
            }
            if prefix == path {
                if !found.is_file() {
                    return Ok(ImageEntry::Other);
                }
                return open_regular(layer, path.as_os_str().as_bytes())
                    .map(ImageEntry::Regular)
                    .map_err(|e| fail(&e));
            }
            if !found.is_dir() {
                return Ok(ImageEntry::Nothing);
            }
            hides_the_rest |= is_opaque(&path_of(layer).join(prefix));
        }
        if hides_the_rest {
            break;
        }
    }
    Ok(ImageEntry::Nothing)
}

fn is_opaque(directory: &Path) -> bool {
    ["trusted.overlay.opaque", "user.overlay.opaque"]
        .iter()
        .any(|name| attribute(directory, name) == Some(b'y'))
}

/// First byte of an extended attribute.
fn attribute(path: &Path, name: &str) -> Option<u8> {
    let mut value = [0_u8; 16];
    let length = lgetxattr(path, name, &mut value[..]).ok()?;
    value.get(..length)?.first().copied()
}

/// True when the upper file holds only changed metadata; its content is still the image's.
pub(super) fn is_metadata_only(upper: &Bytes, path: &[u8]) -> bool {
    let Some(path) = relative(path) else {
        return false;
    };
    let path = path_of(upper).join(path);
    let mut value = [0_u8; 64];
    ["trusted.overlay.metacopy", "user.overlay.metacopy"]
        .iter()
        .any(|name| lgetxattr(&path, *name, &mut value[..]).is_ok())
}

/// Whether the layers of a container can be read, so that content can be compared at all.
///
/// # Errors
/// The first directory that cannot be opened, and why.
pub fn check(storage: &Storage) -> Result<(), String> {
    if storage.lower.is_empty() || storage.upper.is_empty() {
        return Err(match &storage.driver[..] {
            "" => "nothing says where its layers are".to_owned(),
            driver => format!("storage driver {driver:?} does not report its layers"),
        });
    }
    for dir in storage.lower.iter().chain([&storage.upper]) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path_of(dir), flags, Mode::empty())
            .map_err(|e| format!("{}: {e}", dir.escaped()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn layer(at: &Path) -> Bytes {
        at.as_os_str().as_bytes().into()
    }

    #[test]
    fn files_of_other_mounts_are_not_opened() {
        let own = std::process::id();
        assert!(open_on_root(own, b"/etc/passwd").is_ok());
        let other = open_on_root(own, b"/proc/uptime").unwrap_err();
        assert_eq!(
            other.raw_os_error(),
            Some(rustix::io::Errno::XDEV.raw_os_error())
        );
        let root = Bytes::from("/");
        assert!(open_regular(&root, b"/proc/uptime").is_ok());
    }

    #[test]
    fn the_uppermost_layer_wins_and_links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (root.path().join("a"), root.path().join("b"));
        fs::create_dir_all(a.join("bin")).unwrap();
        fs::create_dir_all(b.join("bin")).unwrap();
        fs::write(a.join("bin/x"), "upper").unwrap();
        fs::write(b.join("bin/x"), "lower").unwrap();
        fs::write(b.join("bin/y"), "y").unwrap();
        std::os::unix::fs::symlink("/etc", b.join("out")).unwrap();
        let layers = [layer(&a), layer(&b)];
        let read = |path: &str| match look_in_image(&layers, path.as_bytes()).unwrap() {
            ImageEntry::Regular(file) => io::read_to_string(file).unwrap(),
            other => format!("{other:?}"),
        };
        assert_eq!(read("/bin/x"), "upper");
        assert_eq!(read("/bin/y"), "y");
        assert_eq!(read("/bin/z"), "Nothing");
        assert_eq!(read("/bin"), "Other");
        assert_eq!(read("/bin/../bin/x"), "Nothing");
        assert!(open_regular(&layers[1], b"/out/passwd").is_err());
        fs::write(a.join("file"), "").unwrap();
        fs::create_dir_all(b.join("file")).unwrap();
        fs::write(b.join("file/in"), "hidden").unwrap();
        assert_eq!(
            read("/file/in"),
            "Nothing",
            "a file hides a directory below"
        );
        assert!(look_in_image(&["/no/such/layer".into()], b"/x").is_err());
    }

    #[test]
    fn whiteouts_and_opaque_directories_hide() {
        // Making either needs root; the unprivileged half is above.
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        let (a, b) = (root.path().join("a"), root.path().join("b"));
        for dir in ["opaque", "plain"] {
            fs::create_dir_all(a.join(dir)).unwrap();
            fs::create_dir_all(b.join(dir)).unwrap();
            fs::write(b.join(dir).join("x"), "x").unwrap();
        }
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::lsetxattr(a.join("opaque"), "trusted.overlay.opaque", b"y", flags).unwrap();
        let node = a.join("plain/x");
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(CWD, &node, kind, Mode::empty(), 0).unwrap();
        let layers = [layer(&a), layer(&b)];
        assert!(matches!(
            look_in_image(&layers, b"/opaque/x").unwrap(),
            ImageEntry::Nothing
        ));
        assert!(matches!(
            look_in_image(&layers, b"/plain/x").unwrap(),
            ImageEntry::Nothing
        ));
        assert!(matches!(
            look_in_image(&layers[1..], b"/plain/x").unwrap(),
            ImageEntry::Regular(_)
        ));
    }
}
