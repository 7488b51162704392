//! Facts about a file from its inode and the layers of its container.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::event::{Bytes, FileFacts, Filesystem, Storage};
use crate::system::timestamp;

/// Facts of the file behind `link` (a `/proc/PID/exe`), and its path without the kernel's
/// " (deleted)".
pub(super) fn facts<'a>(
    link: &Path,
    path: &'a [u8],
    storage: Option<&Storage>,
) -> (&'a [u8], FileFacts) {
    let mut out = FileFacts {
        memfd: path.starts_with(b"/memfd:"),
        ..FileFacts::default()
    };
    let Ok(meta) = fs::metadata(link) else {
        return (path, out);
    };
    let shown = path.strip_suffix(b" (deleted)").unwrap_or(path);
    out.unlinked = meta.nlink() == 0;
    let path = if out.unlinked { shown } else { path };
    out.ino = meta.ino();
    out.dev = kernel_dev(meta.dev());
    out.size = meta.size();
    out.mode = meta.mode();
    out.mtime = timestamp(meta.mtime(), meta.mtime_nsec());
    out.ctime = timestamp(meta.ctime(), meta.ctime_nsec());
    out.fs = filesystem(link);
    if out.fs == Filesystem::Overlay
        && let Some(storage) = storage
    {
        let inside = Path::new(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)));
        let holds = |dir: &Bytes| {
            !dir.is_empty()
                && Path::new(OsStr::from_bytes(dir))
                    .join(inside)
                    .symlink_metadata()
                    .is_ok()
        };
        out.upper = std::iter::once(&storage.upper).any(holds);
        out.lower = storage.lower.iter().any(holds);
    }
    (path, out)
}

/// `st_dev` in the kernel's own encoding.
pub(crate) fn kernel_dev(dev: u64) -> u32 {
    (rustix::fs::major(dev) << 20) | (rustix::fs::minor(dev) & 0xf_ffff)
}

/// Which kind of file system a file lives on, by its magic number.
fn filesystem(path: &Path) -> Filesystem {
    let Ok(info) = rustix::fs::statfs(path) else {
        return Filesystem::Unknown;
    };
    // The type's width differs between architectures; the magic numbers fit 32 bits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    match info.f_type as u32 {
        0x794c_7630 => Filesystem::Overlay,
        0x0102_1994 | 0x8584_58f6 => Filesystem::Tmpfs,
        0x9fa0 => Filesystem::Proc,
        0x6265_6572 => Filesystem::Sysfs,
        0x27_e0eb | 0x6367_7270 => Filesystem::Cgroup,
        0x1cd1 | 0x1980_0202 => Filesystem::Dev,
        _ => Filesystem::Disk,
    }
}
